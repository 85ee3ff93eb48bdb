# SPDX-License-Identifier: Apache-2.0
"""States of alarms after ISA-18.2: acknowledged or not, returned to normal, shelved.

Does not raise alarms and does not change the reaction of the unit; see `agent.core.alarm_list`. An
alarm that ends before a person acknowledges it stays in the list. A shelved alarm stays active; it
returns at the latest after `LONGEST_MIN`. After a restart each active alarm is unacknowledged
again.

Shelving belongs to the alarm, not to one occurrence: it stays while the alarm ends and comes again,
and over a restart (section `retain`), until its time or until a person ends it. An alarm that is
active then is unacknowledged again, so that persons see it; one that is not leaves the list.
"""

from agent.core.alarm_record import SAFE
from agent.core.errors import CommandError
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from agent.core.alarm_list import AlarmList
    from agent.core.context import ClockView

_MINUTE = 60 * SECOND
_MAX_DIGITS = 12
LONGEST_MIN = 480
"""Longest time for which an alarm is shelved, minutes; as `agent.alarms.shelving.MAX_HOURS`."""
_MAX_SHELVED = 16
"""Shelved alarms; the record of `retain` has room for them."""
_STEP_MIN = 10
"""Step of the rest that is kept over a restart, minutes; each step is a write. It is rounded down:
without UTC an alarm comes back too early by up to one step, never too late."""
_MAX_CLEARED = 32
"""Alarms that ended without an acknowledgement; the oldest one is dropped first."""


class AlarmState:
    """One alarm. Times: monotonic µs; UTC in µs since 1970, or None. `cleared_at` None: active."""

    def __init__(self, code: str, text: str, severity: int, now: int, utc: "int | None") -> None:
        self.code = code
        self.text = text
        self.severity = severity
        self.raised_at = now
        self.raised_utc = utc
        self.cleared_at: int | None = None
        self.cleared_utc: int | None = None
        self.acknowledged = False
        self.shelved_until = 0
        self.end_utc_s = 0  # of the shelving; 0: UTC was not known
        self.is_restored = False  # shelved before a restart; the rest is not proven by UTC yet

    def state(self, now: int) -> str:
        """Return the state in the words of the record."""
        if self.shelved_until > now:
            return "shelved"
        if self.cleared_at is not None:
            return "cleared_unacknowledged"
        return "active_acknowledged" if self.acknowledged else "active_unacknowledged"


def _copy_shelving(entry: AlarmState, new: AlarmState) -> None:
    new.shelved_until = entry.shelved_until
    new.end_utc_s, new.is_restored = entry.end_utc_s, entry.is_restored


class AlarmStates:
    """The states of all alarms, in the order in which they were raised.

    `urgent`: codes, without source, of the alarms that are never shelved (priority 1). None: the
    unit does not know the priorities; then nothing is shelved.
    """

    def __init__(
        self, alarms: "AlarmList", clock: "ClockView", urgent: "Collection[str] | None" = None
    ) -> None:
        self.entries: list[AlarmState] = []
        self.dropped = 0
        self.urgent = urgent
        self._alarms = alarms
        self._clock = clock

    def start(self, now: int) -> None:
        """Take the active alarms, then follow the changes."""
        for alarm in self._alarms.active:
            self._on_change(alarm.since, "raised", alarm.code, alarm.text)
        self._alarms.add_listener(self._on_change)

    def _on_change(self, now: int, change: str, code: str, text: str) -> None:
        utc = self._clock.utc(now)
        entry = self._find(code)
        if change == "raised":
            new = AlarmState(code, text, self._severity(code), now, utc)
            if entry is not None:
                self.entries.remove(entry)
                if new.severity < SAFE:
                    _copy_shelving(entry, new)
            self.entries.append(new)
        elif entry is not None and entry.cleared_at is None:
            if entry.acknowledged and entry.shelved_until <= now:
                self.entries.remove(entry)
                return
            entry.cleared_at, entry.cleared_utc, entry.text = now, utc, text
            self._drop_oldest(now)

    def _severity(self, code: str) -> int:
        for alarm in self._alarms.active:
            if alarm.code == code:
                severity: int = alarm.record.state
                return severity
        return 0

    def _find(self, code: str) -> "AlarmState | None":
        for entry in self.entries:
            if entry.code == code:
                return entry
        return None

    def _drop_oldest(self, now: int) -> None:
        cleared = [
            entry
            for entry in self.entries
            if entry.cleared_at is not None and entry.shelved_until <= now
        ]
        if len(cleared) > _MAX_CLEARED:
            self.entries.remove(cleared[0])
            self.dropped += 1

    def acknowledge(self, code: "str | None" = None) -> str:
        """Acknowledge one alarm, or all without `code`. Return the codes; empty: there is none."""
        done = []
        for entry in self.entries[:]:
            if code in (None, entry.code) and not entry.acknowledged:
                entry.acknowledged = True
                done.append(entry.code)
                if entry.cleared_at is not None and not entry.shelved_until:
                    self.entries.remove(entry)
        return " ".join(done)

    def shelve(self, code: "object", minutes: "object", now: int) -> str:
        """Shelve an active alarm. Raises `CommandError`: not active, too urgent, wrong time."""
        entry = self._find(code) if isinstance(code, str) else None
        if entry is None or (entry.cleared_at is not None and entry.shelved_until <= now):
            raise CommandError("no active alarm is named %s" % (code,))
        if type(minutes) is not int or not 1 <= minutes <= LONGEST_MIN:
            raise CommandError("minutes: 1 to %d" % LONGEST_MIN)
        if self._is_urgent(entry.code) or entry.severity >= SAFE:
            raise CommandError("%s is too urgent to be shelved" % entry.code)
        if entry.shelved_until <= now and len(self._shelved(now)) >= _MAX_SHELVED:
            raise CommandError("%d alarms are shelved already" % _MAX_SHELVED)
        entry.shelved_until = now + minutes * _MINUTE
        entry.end_utc_s, entry.is_restored = 0, False
        return "shelved for %d min" % minutes

    def unshelve(self, code: "object") -> str:
        """End the shelving of an alarm. Raises `CommandError`: there is no such alarm."""
        entry = self._find(code) if isinstance(code, str) else None
        if entry is None:
            raise CommandError("no alarm is named %s" % (code,))
        if entry.shelved_until:
            self._end_shelving(entry)
        return "not shelved"

    def _is_urgent(self, code: str) -> bool:
        return self.urgent is None or code.partition(":")[0] in self.urgent

    def _shelved(self, now: int) -> "list[AlarmState]":
        return [entry for entry in self.entries if entry.shelved_until > now]

    def _end_shelving(self, entry: AlarmState) -> None:
        """End it: an active alarm is unacknowledged again, one that has ended leaves the list."""
        entry.shelved_until, entry.is_restored = 0, False
        if entry.cleared_at is None:
            entry.acknowledged = False
        else:
            self.entries.remove(entry)

    def end_shelvings(self, now: int) -> None:
        """End the shelvings whose time is over."""
        for entry in self.entries[:]:
            if not entry.shelved_until:
                continue
            utc = self._clock.utc(now) if entry.is_restored else None
            if utc is not None:  # the time in which the unit did not run
                rest = entry.end_utc_s * SECOND - utc
                entry.shelved_until = min(entry.shelved_until + _STEP_MIN * _MINUTE, now + rest)
                entry.is_restored = False
            if entry.shelved_until <= now:
                self._end_shelving(entry)

    def shelvings(self, now: int) -> "list[str]":
        """Return the shelvings as lines: code, end in UTC s or 0, minutes of the rest."""
        utc = self._clock.utc(now)
        lines = []
        for entry in self._shelved(now):
            rest = entry.shelved_until - now
            if utc is not None and not entry.end_utc_s:
                entry.end_utc_s = (utc + rest) // SECOND
            minutes = rest // (_STEP_MIN * _MINUTE) * _STEP_MIN
            lines.append("%s %d %d" % (entry.code, entry.end_utc_s, minutes))
        return lines

    def shelve_again(self, line: str, now: int) -> bool:
        """Take a line of `shelvings`. Return whether the alarm is shelved now."""
        words = line.split(" ")
        if len(words) != 3 or not (words[1].isdigit() and words[2].isdigit()):
            return False
        if len(words[1]) > _MAX_DIGITS or len(words[2]) > _MAX_DIGITS:
            return False
        code, end, minutes = words[0], int(words[1]), min(int(words[2]), LONGEST_MIN)
        entry = self._find(code)
        if self._is_urgent(code) or len(self._shelved(now)) >= _MAX_SHELVED:
            return False
        if entry is None:
            entry = AlarmState(code, "shelved before the restart", 0, now, None)
            entry.cleared_at = now
            self.entries.append(entry)
        if entry.severity >= SAFE:
            return False
        entry.shelved_until = now + minutes * _MINUTE
        entry.end_utc_s, entry.is_restored = end, end > 0
        self.end_shelvings(now)
        return entry.shelved_until > now

    def count(self, now: int) -> int:
        """Return the number of active alarms that are not shelved."""
        return len(
            [
                entry
                for entry in self.entries
                if entry.cleared_at is None and entry.shelved_until <= now
            ]
        )
