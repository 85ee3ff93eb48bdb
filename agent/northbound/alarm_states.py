# SPDX-License-Identifier: Apache-2.0
"""States of alarms after ISA-18.2: acknowledged or not, returned to normal, shelved.

Does not raise alarms and does not change the reaction of the unit; see `agent.core.alarm_list`. An
alarm that ends before a person acknowledges it stays in the list. A shelved alarm stays active; it
returns at the latest after `LONGEST_MIN`. After a restart each active alarm is unacknowledged
again and no alarm is shelved.
"""

from agent.core.alarm_record import SAFE
from agent.core.errors import CommandError
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from agent.core.alarm_list import AlarmList
    from agent.core.context import ClockView

LONGEST_MIN = 480
"""Longest time for which an alarm is shelved, minutes; as `agent.alarms.shelving.MAX_HOURS`."""
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

    def state(self, now: int) -> str:
        """Return the state in the words of the record."""
        if self.cleared_at is not None:
            return "cleared_unacknowledged"
        if self.shelved_until > now:
            return "shelved"
        return "active_acknowledged" if self.acknowledged else "active_unacknowledged"


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
            if entry is not None:
                self.entries.remove(entry)
            self.entries.append(AlarmState(code, text, self._severity(code), now, utc))
        elif entry is not None and entry.cleared_at is None:
            if entry.acknowledged:
                self.entries.remove(entry)
                return
            entry.cleared_at, entry.cleared_utc, entry.text = now, utc, text
            self._drop_oldest()

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

    def _drop_oldest(self) -> None:
        cleared = [entry for entry in self.entries if entry.cleared_at is not None]
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
                if entry.cleared_at is not None:
                    self.entries.remove(entry)
        return " ".join(done)

    def shelve(self, code: "object", minutes: "object", now: int) -> str:
        """Shelve an active alarm. Raises `CommandError`: not active, too urgent, wrong time."""
        entry = self._find(code) if isinstance(code, str) else None
        if entry is None or entry.cleared_at is not None:
            raise CommandError("no active alarm is named %s" % (code,))
        if type(minutes) is not int or not 1 <= minutes <= LONGEST_MIN:
            raise CommandError("minutes: 1 to %d" % LONGEST_MIN)
        is_urgent = self.urgent is None or entry.code.partition(":")[0] in self.urgent
        if is_urgent or entry.severity >= SAFE:
            raise CommandError("%s is too urgent to be shelved" % entry.code)
        entry.shelved_until = now + minutes * 60 * SECOND
        return "shelved for %d min" % minutes

    def unshelve(self, code: "object") -> str:
        """End the shelving of an alarm. Raises `CommandError`: there is no such alarm."""
        entry = self._find(code) if isinstance(code, str) else None
        if entry is None:
            raise CommandError("no alarm is named %s" % (code,))
        entry.shelved_until = 0
        return "not shelved"

    def count(self, now: int) -> int:
        """Return the number of active alarms that are not shelved."""
        return len(
            [
                entry
                for entry in self.entries
                if entry.cleared_at is None and entry.shelved_until <= now
            ]
        )
