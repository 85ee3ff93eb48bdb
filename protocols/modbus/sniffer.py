"""Modbus RTU overheard: the frames of a master and its slaves, told apart and paired, with times.

Not a client: it sends nothing and expects nobody's reply. What comes is taken as it is: `feed` and
`wake` return events, and no byte raises. RTU only; a TCP stream cannot be overheard from a port.

How it works. A frame has no mark for its start, and a request looks like a reply; a table gives the
lengths that a function's request and reply have, and the CRC decides. Which of the two a frame is
follows from what is outstanding: the reply has the unit and function of the request, and the byte
count or echo that it fixes. Anything else that can be a request is one, and then the request before
it was not answered ("silent"). Functions 5 and 6 echo the request: the second copy is taken for the
reply unless `silent_us` have passed.

Times. A chunk's time is the arrival of its last byte, and a character takes `char_us`; so each
frame has a start and an end, also where one chunk holds several. An operating system and a USB
adapter hand bytes over in lumps of 1 to 16 ms: gaps shorter than that are not to be trusted. Bytes
in which no frame is found are given up after a pause of `pause_us`, which is longer than the
standard's t3.5 for the same reason. A whole run between two pauses whose CRC is right is a frame
too, even of a function that the table does not know. Lengths: "MODBUS Application Protocol
Specification V1.1b3", section 6.
"""

from protocols.modbus.crc import crc16
from protocols.modbus.pdu import DEVICE_ID, GOOD, judge, measure
from protocols.modbus.pdu import EXCEPTION as REFUSED
from protocols.time_units import MILLISECOND, NEVER, SECOND

REQUEST = "request"
REPLY = "reply"
EXCEPTION = "exception"
STRAY = "stray"  # a reply or exception to nothing that was asked
SILENT = "silent"  # a request that nobody answered
CRC = "crc"  # begins like the reply that is due, with a wrong CRC
NOISE = "noise"  # bytes that are no frame

LIMIT = 512
"""Bytes kept at most: twice the longest frame."""
_MAX_FRAME = 256
_SHORTEST = 4  # unit, function, CRC
_EXCEPTION_SIZE = 5
_JUDGED = (1, 2, 3, 4, 5, 6, 15, 16, 22, 23, DEVICE_ID)
_DIAGNOSE = 8  # echoes its request ("Return query data"), or counts

# function -> (length, index of the byte that counts further ones or -1), CRC included
_REQUESTS = {
    1: (8, -1),
    2: (8, -1),
    3: (8, -1),
    4: (8, -1),
    5: (8, -1),
    6: (8, -1),
    7: (4, -1),
    8: (8, -1),
    11: (4, -1),
    12: (4, -1),
    15: (9, 6),
    16: (9, 6),
    17: (4, -1),
    22: (10, -1),
    23: (13, 10),
    43: (7, -1),
}
_REPLIES = {
    1: (5, 2),
    2: (5, 2),
    3: (5, 2),
    4: (5, 2),
    5: (8, -1),
    6: (8, -1),
    7: (5, -1),
    8: (8, -1),
    11: (8, -1),
    12: (5, 2),
    15: (8, -1),
    16: (8, -1),
    17: (5, 2),
    22: (10, -1),
    23: (5, 2),
}
_MORE = -1  # the length is not known yet
_NONE = 0  # not such a frame


class Event:
    """Something that was overheard; `data` are its bytes, CRC included.

    `start` and `end` (us) are of its first and last character. `gap_us` is the quiet before it,
    -1 when nothing came before. `wait_us` of a reply or exception is the time from its request's
    end to its start, else -1. `request` is the request that a reply, exception or silence is of.
    """

    __slots__ = ("data", "end", "gap_us", "kind", "request", "start", "wait_us")

    def __init__(self, kind: str, data: bytes, start: int, end: int) -> None:
        self.kind = kind
        self.data = data
        self.start = start
        self.end = end
        self.gap_us = -1
        self.wait_us = -1
        self.request: Event | None = None

    @property
    def unit(self) -> int:
        """The unit in a frame's first byte."""
        return self.data[0] if self.data else 0

    @property
    def function(self) -> int:
        """The function code of a frame, without the mark of an exception."""
        return self.data[1] & 0x7F if len(self.data) > 1 else 0


class Sniffer:
    """The decoder of one line. `char_us`: see `drivers.ports.address.Address`; counters only grow.

    `broken_bytes` were part of no frame.
    """

    def __init__(
        self, char_us: int, pause_us: int = 30 * MILLISECOND, silent_us: int = SECOND
    ) -> None:
        self.frames = 0
        self.broken_bytes = 0
        self._char = char_us
        self._pause = pause_us
        self._silent = silent_us
        self._buffer = b""
        self._marks: list[tuple[int, int]] = []  # (bytes of the buffer, when the last of them came)
        self._last_at = 0
        self._last_end = -1
        self._asked: Event | None = None
        self._out: list[Event] = []

    def deadline(self) -> int:
        """When `wake` is wanted: the pause after bytes, or the end of waiting for a reply."""
        due = self._last_at + self._pause if self._buffer else NEVER
        if self._asked is not None:
            due = min(due, self._asked.end + self._silent)
        return due

    def feed(self, data: bytes, now: int) -> "list[Event]":
        """Take bytes of which the last arrived at `now`; returns what they complete, in order."""
        started = now - len(data) * self._char
        if self._buffer and started - self._last_at > self._pause:
            self._give_up()
        self._expire(started)
        for at in range(0, len(data), _MAX_FRAME):
            piece = data[at : at + _MAX_FRAME]
            self._buffer += piece
            left = len(data) - at - len(piece)
            self._marks.append((len(self._buffer), now - left * self._char))
            self._last_at = now
            self._search(False)
        return self._drain()

    def wake(self, now: int) -> "list[Event]":
        """Take the passing of time; returns silences, and what never became a frame."""
        if self._buffer and now - self._last_at >= self._pause:
            self._give_up()
        self._expire(now)
        return self._drain()

    def _drain(self) -> "list[Event]":
        out = self._out
        self._out = []
        return out

    def _expire(self, now: int) -> None:
        """Whoever was asked long enough ago is silent."""
        if self._asked is not None and now - self._asked.end >= self._silent:
            self._silence()

    def _silence(self) -> None:
        asked = self._asked
        self._asked = None
        if asked is None or asked.unit == 0:  # nobody answers a broadcast
            return
        event = Event(SILENT, asked.data, asked.start, asked.end)
        event.request = asked
        self._out.append(event)

    # From bytes to frames.

    def _search(self, ended: bool) -> None:
        """Take whole frames off the buffer. `ended`: nothing will be added to what is there."""
        at = 0
        while at < len(self._buffer):
            size, wait = self._frame_at(at)
            if size == _NONE and ended and at == 0 and self._is_whole():
                size = len(self._buffer)
            if size:
                self._broken(at)
                self._frame(size)
                at = 0
            elif wait and not ended and len(self._buffer) < LIMIT:
                return
            else:
                at += 1
        if ended or len(self._buffer) > _MAX_FRAME:
            self._broken(len(self._buffer))

    def _frame_at(self, at: int) -> "tuple[int, bool]":
        """(length of the intact frame that begins at `at`, or 0; whether one may still come)."""
        wait = False
        size = len(self._buffer) - at
        for length in _lengths(self._buffer[at : at + _MAX_FRAME]):
            if length == _MORE or size < length <= _MAX_FRAME:
                wait = True
            elif _SHORTEST <= length <= size and crc16(self._buffer[at : at + length]) == 0:
                return length, False
        return _NONE, wait

    def _is_whole(self) -> bool:
        return _SHORTEST <= len(self._buffer) <= _MAX_FRAME and crc16(self._buffer) == 0

    def _give_up(self) -> None:
        self._search(True)

    def _take(self, size: int) -> "tuple[bytes, int, int]":
        """Cut `size` bytes off; (bytes, start, end)."""
        data = self._buffer[:size]
        end = 0
        for length, at in self._marks:
            if length >= size:
                end = at - (length - size) * self._char
                break
        self._buffer = self._buffer[size:]
        self._marks = [(length - size, at) for length, at in self._marks if length > size]
        return data, end - size * self._char, end

    def _emit(self, kind: str, data: bytes, start: int, end: int) -> Event:
        event = Event(kind, data, start, end)
        if self._last_end >= 0:
            event.gap_us = max(0, start - self._last_end)
        self._last_end = end
        self._out.append(event)
        return event

    def _broken(self, size: int) -> None:
        """Report bytes that are no frame."""
        if not size:
            return
        data, start, end = self._take(size)
        self.broken_bytes += size
        asked = self._asked
        mine = asked is not None and len(data) > 1 and data[0] == asked.unit
        if asked is not None and mine and data[1] & 0x7F == asked.function:
            self._emit(CRC, data, start, end).request = asked
            self._asked = None
        else:
            self._emit(NOISE, data, start, end)

    def _frame(self, size: int) -> None:
        """Say what an intact frame is, and pair it."""
        self.frames += 1
        data, start, end = self._take(size)
        asked = self._asked
        if asked is not None and answers(asked.data, data):
            kind = EXCEPTION if data[1] & 0x80 else REPLY
            event = self._emit(kind, data, start, end)
            event.request = asked
            event.wait_us = max(0, start - asked.end)
            self._asked = None
        elif _can_ask(data):
            self._silence()
            self._asked = self._emit(REQUEST, data, start, end)
        else:
            self._emit(STRAY, data, start, end)


def _lengths(data: bytes) -> "list[int]":
    """The lengths that a frame which begins with `data` may have; `_MORE` if that is not known."""
    if len(data) < 2:
        return [_MORE]
    function = data[1]
    if function & 0x80:
        known = function & 0x7F in _REQUESTS
        return [_EXCEPTION_SIZE] if known else []
    found = []
    for table in (_REQUESTS, _REPLIES):
        if function in table:
            length, place = table[function]
            if place >= 0:
                length = length + data[place] if place < len(data) else _MORE
            found.append(length)
    if function == DEVICE_ID:  # a list of objects, each with its own length
        pdu = data[1:]
        length = 3 + measure(pdu, pdu)
        found.append(length if length <= len(data) else _MORE)
    return found


def _can_ask(data: bytes) -> bool:
    """Whether a frame has the length of a request; one of an unknown function always has."""
    function = data[1]
    if function & 0x80:
        return False
    if function not in _REQUESTS:
        return True
    length, place = _REQUESTS[function]
    return len(data) == length + (data[place] if place >= 0 and place < len(data) else 0)


def answers(request: bytes, frame: bytes) -> bool:
    """Whether `frame` is what `request` asks for, or an exception to it; both with CRC, intact."""
    if frame[0] != request[0] or frame[1] & 0x7F != request[1]:
        return False
    if request[1] in _JUDGED:
        return judge(request[1:-2], frame[1:-2])[0] in (GOOD, REFUSED)
    if frame[1] & 0x80:
        return len(frame) == _EXCEPTION_SIZE
    return request[1] != _DIAGNOSE or len(frame) == len(request)
