# SPDX-License-Identifier: Apache-2.0
"""Alarm order: one rule for late, doubled and future alarms, for all outputs.

Does not store or publish. The fleet store, the metrics, Sparkplug and the output `alarms` have the
active alarms of a unit, so they follow it with `UnitAlarms`. The outputs that pass on or store each
note need no order: a note has log, record and time. Notes come late (a datagram before its record
in the log, a webhook that the gateway repeats, a record from the quarantine) and twice (an output
after a kill). The rule:

    log          the records of one log are in the order of their numbers; a record before the last
                 one of its alarm is late. Of two logs the one that comes last counts
    datagram     its time counts against the last change of its alarm. In the same second the log
                 counts, and of two datagrams their numbers. Without a time it counts
    doubled      a change that a record of the log has brought and a datagram brings too, or the
                 other way round: the same direction, and the datagram up to 3 s later. Also the
                 last change of an alarm that comes again
    start        ends all alarms before it, but none after it: of its log by the number, of
                 datagrams by the second. An uptime that goes back in a log is a start too
    future       a time more than ten minutes ahead of the relay is none (see `decode.prepare`)

A late or doubled note changes no state. A wrong clock of a unit can thus not hide a change that its
log has: there the number counts alone.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from agent.alarms.catalogue import catalogue
from deploy.relay.decode.row_format import START, Note

_OF_A_LOG = -1
"""In the place of the number of a datagram: a record of a log, or a note without a number."""
_NUMBERS = 1 << 24
"""Numbers of datagrams; after the last one they begin again."""
MOST_ACTIVE = 160
"""Active alarms of a unit; further ones are in its records."""
_MOST_CODES = 256
_MOST_SEEN = 8
_DATAGRAM_S = 3
_MOST_CODE_CHARS = 120


class OrderedChange(NamedTuple):
    """A change that counts. `time_ms`: UTC, 0 if it is unknown."""

    code: str
    is_raised: bool
    time_ms: int
    text: str = ""


class Followed(NamedTuple):
    """What a note changes. `is_late`: nothing, because it is older than what is known."""

    changes: tuple[OrderedChange, ...] = ()
    is_late: bool = False


@dataclass(slots=True)
class _Last:
    """The last change: newest record of a log, time and number of the change that counts."""

    log: str = ""
    record: int = 0
    time_ms: int = 0
    datagram: int = _OF_A_LOG

    def is_late(self, note: Note) -> bool:
        """Return whether a note is older than this."""
        if note.number:
            return self.log == note.generation and note.number < self.record
        if note.time_ms and self.time_ms and note.time_ms // 1000 != self.time_ms // 1000:
            return note.time_ms < self.time_ms
        own = _datagram_number(note)
        if self.datagram == _OF_A_LOG:
            return bool(self.record and note.time_ms and self.time_ms)
        return own != _OF_A_LOG and (own - self.datagram) % _NUMBERS > _NUMBERS // 2

    def is_same(self, note: Note) -> bool:
        """Return whether this is the note."""
        if note.number:
            return (self.log, self.record) == (note.generation, note.number)
        own = (note.time_ms, _datagram_number(note))
        return own[1] != _OF_A_LOG and own == (self.time_ms, self.datagram)

    def is_after(self, start: Note) -> bool:
        """Return whether the last change is later than a start of the unit."""
        if self.log == start.generation and self.record > start.number > 0:
            return True
        is_of_datagram = self.datagram != _OF_A_LOG or not self.record
        has_times = bool(self.time_ms and start.time_ms)
        return is_of_datagram and has_times and self.time_ms // 1000 >= start.time_ms // 1000

    def follow(self, note: Note) -> None:
        """This note is the last change."""
        self.time_ms, self.datagram = note.time_ms, _datagram_number(note)
        if note.number:
            self.log, self.record = note.generation, note.number


@dataclass(slots=True)
class _Alarm(_Last):
    """An alarm of a unit. `seen`: second, direction and way (1: log) of the last changes."""

    is_raised: bool = False
    raised_ms: int = 0
    seen: list[list[int]] = field(default_factory=list)

    def was_seen(self, note: Note, is_raised: bool) -> bool:
        """Return whether the other way has brought this change; it does so once.

        A unit makes the datagram up to some seconds after the record of its log.
        """
        second, is_of_log = note.time_ms // 1000, int(note.number > 0)
        for seen in self.seen if second else []:
            later = second - seen[0] if seen[2] else seen[0] - second
            if seen[1:] == [is_raised, 1 - is_of_log] and -1 <= later <= _DATAGRAM_S:
                self.seen.remove(seen)
                return True
        return False

    def tell(self, note: Note, is_raised: bool) -> None:
        """Remember a change: it can come in the other way too."""
        if note.time_ms:
            seen = [note.time_ms // 1000, int(is_raised), int(note.number > 0)]
            self.seen = [*self.seen, seen][-_MOST_SEEN:]


class UnitAlarms:
    """The alarms of one unit."""

    def __init__(self) -> None:
        self._start = _Last()
        self._alarms: dict[str, _Alarm] = {}
        self._log = ""
        self._newest = 0
        self._uptime_ms = 0

    def active(self) -> dict[str, int]:
        """Return when each active alarm was raised, UTC in ms; 0: unknown."""
        return {code: alarm.raised_ms for code, alarm in self._alarms.items() if alarm.is_raised}

    def set_time(self, note: Note) -> bool:
        """A note that came without its time has it now; return whether that changes an alarm."""
        alarm = self._alarms.get(_code(note) or "")
        if alarm is None or alarm.time_ms or not alarm.is_same(_without_time(note)):
            return False
        alarm.time_ms = note.time_ms
        if alarm.is_raised and not alarm.raised_ms:
            alarm.raised_ms = note.time_ms
        return True

    def follow(self, note: Note) -> Followed:
        """Follow a note. A note that is no alarm and no start changes nothing."""
        if not concerns_alarms(note):
            return Followed()
        ended = self._follow_start(note)
        code, change = _code(note), note.content.get("alarm")
        if code is None or change not in ("raised", "cleared"):
            return ended
        is_raised = change == "raised"
        alarm = self._alarms.get(code)
        if self._is_before_start(note) or (alarm is not None and alarm.is_late(note)):
            if alarm is not None and not alarm.was_seen(note, is_raised):
                alarm.tell(note, is_raised)
            return Followed(is_late=True)
        if alarm is None:
            if not self._make_room(code, is_raised):
                return ended
            alarm = _Alarm()
        elif alarm.is_same(note):
            return ended
        if alarm.was_seen(note, is_raised):
            if note.number:
                alarm.log, alarm.record = note.generation, note.number
            return ended
        self._alarms.pop(code, None)
        self._alarms[code] = alarm  # the last one
        _change(alarm, note, is_raised)
        text = str(note.content.get("text", ""))
        return Followed((*ended.changes, OrderedChange(code, is_raised, note.time_ms, text)))

    def _is_before_start(self, note: Note) -> bool:
        start = self._start
        if note.number:
            return start.is_late(note)
        return bool(start.time_ms and note.time_ms) and (
            note.time_ms // 1000 < start.time_ms // 1000
        )

    def _follow_start(self, note: Note) -> Followed:
        """End what was raised before a start. The event of it can be missing or late."""
        is_start = note.content.get("event") == START
        uptime_ms = note.content.get("m")
        if note.number and type(uptime_ms) is int:
            is_next = self._log == note.generation and note.number > self._newest
            is_start = is_start or (is_next and uptime_ms < self._uptime_ms)
            if is_next or self._log != note.generation:
                self._log, self._newest, self._uptime_ms = note.generation, note.number, uptime_ms
        if not is_start:
            return Followed()
        if self._start.is_late(note):
            return Followed(is_late=True)
        self._start.follow(note)
        changes = []
        for code, alarm in self._alarms.items():
            if not alarm.is_after(note):
                if alarm.is_raised:
                    changes.append(OrderedChange(code, False, note.time_ms))
                alarm.is_raised, alarm.raised_ms = False, 0
                alarm.seen.clear()
        return Followed(tuple(changes))

    def _make_room(self, code: str, is_raised: bool) -> bool:
        """Forget the oldest alarm that has ended; return whether the unit can have one more.

        A bad unit can have a code in each note.
        """
        if is_raised and len(self.active()) >= MOST_ACTIVE and catalogue().priority(code) != 1:
            return False
        if len(self._alarms) < _MOST_CODES:
            return True
        ended = [code for code, alarm in self._alarms.items() if not alarm.is_raised]
        if ended:
            del self._alarms[ended[0]]
        return bool(ended)

    def dump(self) -> dict[str, Any]:
        """Return the state, for JSON."""
        return {
            "start": asdict(self._start),
            "alarms": {code: asdict(alarm) for code, alarm in self._alarms.items()},
            "newest": [self._log, self._newest, self._uptime_ms],
        }

    @classmethod
    def load(cls, state: dict[str, Any]) -> "UnitAlarms":
        """Return the object of a state from `dump`."""
        unit = cls()
        unit._start = _Last(**state["start"])
        unit._alarms = {code: _Alarm(**alarm) for code, alarm in state["alarms"].items()}
        unit._log, unit._newest, unit._uptime_ms = state["newest"]
        return unit

    @classmethod
    def of_active(cls, raised_ms: dict[str, int]) -> "UnitAlarms":
        """Return a unit with active alarms whose order is unknown: of an earlier version."""
        unit = cls()
        for code, at_ms in raised_ms.items():
            unit._alarms[code] = _Alarm(is_raised=True, raised_ms=at_ms)
        return unit


def concerns_alarms(note: Note) -> bool:
    """Return whether a note is a change of an alarm or a start of a unit."""
    return "alarm" in note.content or note.content.get("event") == START


def _change(alarm: _Alarm, note: Note, is_raised: bool) -> None:
    if is_raised and not alarm.is_raised:
        alarm.raised_ms = note.time_ms
    if not is_raised:
        alarm.raised_ms = 0
    alarm.is_raised = is_raised
    alarm.follow(note)
    alarm.tell(note, is_raised)


def _code(note: Note) -> str | None:
    code = note.content.get("code")
    if not isinstance(code, str):
        return None
    return code[:_MOST_CODE_CHARS].encode("utf-8", "backslashreplace").decode()


def _without_time(note: Note) -> Note:
    return Note(note.unit, note.number, note.content, note.generation)


def _datagram_number(note: Note) -> int:
    """Return the number of the datagram of a note; `_OF_A_LOG` without one. A unit can lie."""
    number = note.content.get("datagram")
    if type(number) is not int or not 0 <= number < _NUMBERS or note.number:
        return _OF_A_LOG
    return number
