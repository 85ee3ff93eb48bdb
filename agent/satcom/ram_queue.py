"""What is to be sent, in RAM: alarms as they come, and now and then a row of all readings.

The source of a carrier where the unit has no log. A power cut loses what is in here; what matters
is said again after a start, since an alarm that is still there is raised again. Bounded: the oldest
of the lowest class goes first, and is counted.

    next(limit, classes) -> (ids, content) or None     the oldest of the first class that has any
    accepted(ids)        the gateway has them          acknowledged(ids)   forget them
    since(kind)          when the oldest of a class came

Content of an alarm: records of 1 b length of what follows, 1 b 1 raised or 0 cleared, 4 b UTC
seconds (0 unknown), text `code: text` in UTF-8. Of a row: 4 b UTC seconds, 2 b CRC-16 of the names
of the points as in the retained `state` message, then for each point a varint: 0 unknown, else
zigzag(value) + 1.
"""

from protocols.datagram import ALARM
from protocols.modem.checksum import crc16
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.agent import Agent

    Taken = tuple[list[int], bytes]

_MOST = 32
_LONGEST_TEXT = 60


class Entry:
    """One content: its id, class, bytes, the time it came, and whether it is out."""

    def __init__(self, number: int, kind: int, content: bytes, at: int) -> None:
        self.number = number
        self.kind = kind
        self.content = content
        self.at = at
        self.out = False


class MemQueue:
    """See the module."""

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: list[Entry] = []
        self._last = 0

    def put(self, kind: int, content: bytes, now: int) -> None:
        """Queue a content; when there are too many, the oldest of the lowest class goes."""
        self._last += 1
        self._entries.append(Entry(self._last, kind, content, now))
        if len(self._entries) > _MOST:
            lowest = max([each.kind for each in self._entries])
            for i, each in enumerate(self._entries):
                if each.kind == lowest:
                    self._entries.pop(i)
                    self.dropped += 1
                    return

    def waiting(self) -> "list[int]":
        """Count what waits, by class."""
        counts = [0, 0, 0, 0]
        for each in self._entries:
            counts[each.kind] += not each.out
        return counts

    def since(self, kind: int) -> "int | None":
        """Give the time at which the oldest of `kind` that waits came."""
        for each in self._entries:
            if each.kind == kind and not each.out:
                return each.at
        return None

    def next(self, limit: int, classes: "tuple[int, ...]") -> "Taken | None":
        """Take the oldest of a class; contents of one class share a datagram if they fit."""
        for kind in classes:
            ids: list[int] = []
            content = b""
            for each in self._entries:
                if each.kind != kind or each.out:
                    continue
                if ids and (kind != ALARM or len(content) + len(each.content) > limit):
                    break
                each.out = True
                ids.append(each.number)
                content += each.content
            if ids:
                return ids, content
        return None

    def accepted(self, ids: "list[int]") -> None:
        """Nothing changes: they are kept until the ground has them."""

    def acknowledged(self, ids: "list[int]") -> None:
        """Forget them."""
        self._entries = [each for each in self._entries if each.number not in ids]


class AlarmWatch:
    """Turns changes in the agent's list of alarms into contents."""

    def __init__(self) -> None:
        self._known: list[tuple[str, str]] = []

    def changes(self, agent: "Agent", utc_us: "int | None") -> bytes:
        """Give the records of what changed since the last call."""
        active = agent.alarms.active
        if [alarm.code for alarm in active] == [code for code, _ in self._known]:
            return b""
        now = [(alarm.code, alarm.text) for alarm in active]
        codes, old = [code for code, _ in now], [code for code, _ in self._known]
        records = b""
        for code, text in now:
            if code not in old:
                records += _record(1, utc_us, code, text)
        for code, _ in self._known:
            if code not in codes:
                records += _record(0, utc_us, code, "")
        self._known = now
        return records


def _record(raised: int, utc_us: "int | None", code: str, text: str) -> bytes:
    seconds = 0 if utc_us is None else utc_us // SECOND & 0xFFFFFFFF
    words = (code + ": " + text if text else code)[:_LONGEST_TEXT].encode()
    return bytes((5 + len(words), raised)) + seconds.to_bytes(4, "big") + words


def row(agent: "Agent", now: int, utc_us: "int | None") -> bytes:
    """Write all readings of now as the content of a LIVE datagram."""
    oldest = now - agent.config.stale_us
    names, body = b"", bytearray()
    for station in agent.fieldbus.stations:
        for reading, point in zip(station.device.readings, station.profile.points):
            names += (station.name + "." + point.name + "\n").encode()
            good = reading.quality == "good" and reading.at >= oldest
            _varint(body, _zigzag(reading.raw) + 1 if good and reading.raw is not None else 0)
    seconds = 0 if utc_us is None else utc_us // SECOND & 0xFFFFFFFF
    return seconds.to_bytes(4, "big") + crc16(names).to_bytes(2, "big") + bytes(body)


def _zigzag(value: int) -> int:
    return 2 * value if value >= 0 else -2 * value - 1


def _varint(body: bytearray, value: int) -> None:
    while value > 127:
        body.append(value & 127 | 128)
        value >>= 7
    body.append(value)
