# SPDX-License-Identifier: Apache-2.0
"""Queue in RAM: alarms, and sometimes a row of all readings. Used on units without a log.

Does not survive a power cut. After a start active alarms are raised and queued again. The queue is
bounded: the oldest content of the lowest class is dropped and counted.

    next(limit, classes) -> (ids, content) or None     the oldest of the first class with contents
    mark_accepted(ids)       the gateway has them      mark_acknowledged(ids)   drop them
    oldest_queued_at(kind)   time of the oldest content of a class

An alarm is a sequence of records: 1 byte length of the rest, 1 byte 1 raised or 0 cleared, 4 bytes
UTC in s (0 unknown), text `code: text` in UTF-8. A row: 4 bytes UTC in s, 2 bytes CRC-16 of the
names of the points as in the retained `state` message, then a varint for each point: 0 unknown,
else zigzag(value) + 1.
"""

from agent.core.fault.change_budget import ChangeBudget
from protocols.datagram import ALARM
from protocols.modem.checksum import crc16
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context

    QueueContent = tuple[list[int], bytes]

_MAX_ENTRIES = 32
_LONGEST_TEXT = 60
_BURST, _REGAIN_US = 6, 7_200 * SECOND
"""Changes of an alarm that are sent as they come: raised three times, cleared twice."""


class QueueEntry:
    """A content: id, class, bytes, time, and whether it is in flight."""

    def __init__(self, number: int, kind: int, content: bytes, queued_at: int) -> None:
        self.number = number
        self.kind = kind
        self.content = content
        self.queued_at = queued_at
        self.in_flight = False


class RamQueue:
    """The queue; see the module."""

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: list[QueueEntry] = []
        self._last_number = 0

    def put(self, kind: int, content: bytes, now: int) -> None:
        """Add a content. If the queue is full, drop the oldest of the lowest class."""
        self._last_number += 1
        self._entries.append(QueueEntry(self._last_number, kind, content, now))
        if len(self._entries) > _MAX_ENTRIES:
            lowest = max([entry.kind for entry in self._entries])
            for index, entry in enumerate(self._entries):
                if entry.kind == lowest:
                    self._entries.pop(index)
                    self.dropped += 1
                    return

    def waiting_counts(self) -> "list[int]":
        """Return the number of waiting contents by class."""
        counts = [0, 0, 0, 0]
        for entry in self._entries:
            counts[entry.kind] += not entry.in_flight
        return counts

    def oldest_queued_at(self, kind: int) -> "int | None":
        """Return the time of the oldest waiting content of `kind`."""
        for entry in self._entries:
            if entry.kind == kind and not entry.in_flight:
                return entry.queued_at
        return None

    def next(self, limit: int, classes: "tuple[int, ...]") -> "QueueContent | None":
        """Take the oldest of a class. Alarms share a datagram if they fit."""
        for kind in classes:
            ids: list[int] = []
            content = b""
            for entry in self._entries:
                if entry.kind != kind or entry.in_flight:
                    continue
                if ids and (kind != ALARM or len(content) + len(entry.content) > limit):
                    break
                entry.in_flight = True
                ids.append(entry.number)
                content += entry.content
            if ids:
                return ids, content
        return None

    def mark_accepted(self, ids: "list[int]") -> None:
        """Do nothing: contents stay until the ground relay acknowledges them."""

    def mark_acknowledged(self, ids: "list[int]") -> None:
        """Drop contents."""
        self._entries = [entry for entry in self._entries if entry.number not in ids]


class AlarmWatch:
    """Encodes changes in the list of alarms. An alarm that comes and goes is held on.

    Each record is billed, and one alarm that chatters could spend the budget of a day. So a code
    has `_BURST` changes, and regains one in `_REGAIN_US`. A code without a change left stays raised
    on the ground, so that no raise is late. While little is left of the budget, a code that has
    used some of its changes neither ends nor begins again.
    """

    def __init__(self) -> None:
        self._known: list[tuple[str, str]] = []
        self._budget = ChangeBudget(_REGAIN_US)

    def changes(
        self, agent: "Context", now: int, utc_us: "int | None", is_short: bool = False
    ) -> bytes:
        """Return the records of the changes since the last call. `is_short`: see above."""
        active = agent.alarms.active
        if [alarm.code for alarm in active] == [code for code, _ in self._known]:
            return b""
        current = [(alarm.code, alarm.text) for alarm in active]
        codes, known_codes = [code for code, _ in current], [code for code, _ in self._known]
        records, reported = b"", []
        for code, text in current:
            if code not in known_codes:
                if is_short and self._budget.count_used(code, now):
                    continue
                self._budget.use(code, now)
                records += _encode_alarm(1, utc_us, code, text)
            reported.append((code, text))
        for code, text in self._known:
            if code not in codes:
                if is_short or self._budget.count_used(code, now) + 2 > _BURST:
                    reported.append((code, text))
                    continue
                self._budget.use(code, now)
                records += _encode_alarm(0, utc_us, code, "")
        self._known = reported
        return records


def _encode_alarm(raised: int, utc_us: "int | None", code: str, text: str) -> bytes:
    seconds = 0 if utc_us is None else utc_us // SECOND & 0xFFFFFFFF
    text_bytes = (code + ": " + text if text else code)[:_LONGEST_TEXT].encode()
    return bytes((5 + len(text_bytes), raised)) + seconds.to_bytes(4, "big") + text_bytes


def encode_row(agent: "Context", now: int, utc_us: "int | None") -> bytes:
    """Encode all readings as the content of a LIVE datagram."""
    oldest_read_at = now - agent.config.stale_us
    names, body = b"", bytearray()
    for session in agent.fieldbus.sessions:
        for reading, point in zip(session.device.readings, session.profile.points):
            names += (session.name + "." + point.name + "\n").encode()
            good = reading.quality == "good" and reading.read_at >= oldest_read_at
            _append_varint(
                body, _encode_zigzag(reading.raw) + 1 if good and reading.raw is not None else 0
            )
    seconds = 0 if utc_us is None else utc_us // SECOND & 0xFFFFFFFF
    return seconds.to_bytes(4, "big") + crc16(names).to_bytes(2, "big") + bytes(body)


def _encode_zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _append_varint(body: bytearray, value: int) -> None:
    while value > 127:
        body.append(value & 127 | 128)
        value >>= 7
    body.append(value)
