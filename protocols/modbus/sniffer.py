# SPDX-License-Identifier: Apache-2.0
"""Modbus RTU sniffer: the frames of a master and its slaves, classified, paired and timed.

Does not send. `feed` and `wake` return events, and no byte raises. RTU only: a port cannot observe
the TCP stream of others.

Frame detection. A frame has no start mark, and a request looks like a reply. A table gives the
lengths of a function's request and reply; the CRC decides. The pending request distinguishes both:
the reply has its unit and function, and the byte count or echo that it determines. Every other
frame that can be a request is one; the request before it is then unanswered ("silent"). The reply
of functions 5 and 6 is equal to the request. The second copy counts as the reply within
`timeout_us`.

Times. The time of a chunk is the arrival of its last byte, and a character takes `char_us`. Thus
each frame has a start and an end, also if one chunk holds several. An operating system and a USB
adapter deliver bytes in groups of 1 to 16 ms, so that shorter gaps are unreliable. Bytes without a
frame are discarded after a pause of `pause_us`. For the same reason this is longer than t3.5 of the
standard. A complete run between two pauses with a right CRC is also a frame, even if the table does
not have its function. Lengths: "MODBUS Application Protocol Specification V1.1b3", section 6.
"""

from protocols.modbus.crc import is_intact
from protocols.modbus.pdu import DEVICE_ID, GOOD, check_reply, expected_length
from protocols.modbus.pdu import EXCEPTION as EXCEPTION_VERDICT
from protocols.time_units import MILLISECOND, NEVER, SECOND

REQUEST = "request"
REPLY = "reply"
EXCEPTION = "exception"
UNSOLICITED = "stray"  # a reply or exception without a request
UNANSWERED = "silent"  # a request without a reply
CRC_ERROR = "crc"  # starts like the pending reply and has a wrong CRC
NOISE = "noise"  # bytes outside of frames

MAX_BUFFER = 512
"""Buffer limit: twice the longest frame, in bytes."""
_MAX_FRAME = 256
_MIN_FRAME = 4  # unit, function, CRC
_EXCEPTION_SIZE = 5
_CHECKED_FUNCTIONS = (1, 2, 3, 4, 5, 6, 15, 16, 22, 23, DEVICE_ID)
_READ_FUNCTIONS = (1, 2, 3, 4)
_DIAGNOSTICS = 8  # echoes its request ("Return query data"), or returns a counter

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
_LENGTH_UNKNOWN = -1  # more bytes are needed for the length
_NO_FRAME = 0  # the bytes are not such a frame


class SniffedFrame:
    """One event on the line; `data` are its bytes, CRC included.

    `start` and `end` (us) are the times of its first and last character. `gap_us` is the idle time
    before it, or -1 for the first. `response_us` of a reply or exception is the time from the end
    of its request to its start, else -1. `request` is the request of a reply, exception or silence.
    """

    __slots__ = ("data", "end", "gap_us", "kind", "request", "response_us", "start")

    def __init__(self, kind: str, data: bytes, start: int, end: int) -> None:
        self.kind = kind
        self.data = data
        self.start = start
        self.end = end
        self.gap_us = -1
        self.response_us = -1
        self.request: SniffedFrame | None = None

    @property
    def unit(self) -> int:
        """The unit: the first byte of a frame."""
        return self.data[0] if self.data else 0

    @property
    def function(self) -> int:
        """The function code of a frame, without the exception bit."""
        return self.data[1] & 0x7F if len(self.data) > 1 else 0


class Sniffer:
    """The decoder of one line. `char_us`: see `drivers.ports.address.Address`.

    The counters are monotonic. `discarded_bytes` counts the bytes outside of frames.
    """

    def __init__(
        self, char_us: int, pause_us: int = 30 * MILLISECOND, timeout_us: int = SECOND
    ) -> None:
        self.frames = 0
        self.discarded_bytes = 0
        self._char_us = char_us
        self._pause_us = pause_us
        self._timeout_us = timeout_us
        self._buffer = b""
        # (bytes of the buffer, arrival time of the last of them)
        self._arrivals: list[tuple[int, int]] = []
        self._last_arrival = 0
        self._last_end = -1
        self._pending_request: SniffedFrame | None = None
        self._events: list[SniffedFrame] = []

    def deadline(self) -> int:
        """Return the time of the next `wake`: end of the pause after bytes, or of the reply
        timeout.
        """
        due = self._last_arrival + self._pause_us if self._buffer else NEVER
        if self._pending_request is not None:
            due = min(due, self._pending_request.end + self._timeout_us)
        return due

    def feed(self, data: bytes, now: int) -> "list[SniffedFrame]":
        """Add bytes, the last of which arrived at `now`; return the completed events in order."""
        first_at = now - len(data) * self._char_us
        if self._buffer and first_at - self._last_arrival > self._pause_us:
            self._flush()
        self._expire_request(first_at)
        for at in range(0, len(data), _MAX_FRAME):
            chunk = data[at : at + _MAX_FRAME]
            self._buffer += chunk
            remaining = len(data) - at - len(chunk)
            self._arrivals.append((len(self._buffer), now - remaining * self._char_us))
            self._last_arrival = now
            self._search(False)
        return self._take_events()

    def wake(self, now: int) -> "list[SniffedFrame]":
        """Handle the passing of time; return unanswered requests and bytes without a frame."""
        if self._buffer and now - self._last_arrival >= self._pause_us:
            self._flush()
        self._expire_request(now)
        return self._take_events()

    def _take_events(self) -> "list[SniffedFrame]":
        events = self._events
        self._events = []
        return events

    def _expire_request(self, now: int) -> None:
        """Report the pending request as unanswered after its timeout."""
        if (
            self._pending_request is not None
            and now - self._pending_request.end >= self._timeout_us
        ):
            self._report_unanswered()

    def _report_unanswered(self) -> None:
        request = self._pending_request
        self._pending_request = None
        if request is None or request.unit == 0:  # a broadcast has no reply
            return
        unanswered = SniffedFrame(UNANSWERED, request.data, request.start, request.end)
        unanswered.request = request
        self._events.append(unanswered)

    # From bytes to frames.

    def _search(self, is_final: bool) -> None:
        """Remove complete frames from the buffer. `is_final`: no bytes will follow these."""
        at = 0
        while at < len(self._buffer):
            size, incomplete = self._frame_at(at, is_final)
            if size == _NO_FRAME and is_final and at == 0 and self._is_one_frame():
                size = len(self._buffer)
            if size:
                self._discard(at)
                self._classify_frame(size)
                at = 0
            elif incomplete and not is_final and len(self._buffer) < MAX_BUFFER:
                return
            else:
                at += 1
        if is_final or len(self._buffer) > _MAX_FRAME:
            self._discard(len(self._buffer))

    def _frame_at(self, at: int, is_final: bool) -> "tuple[int, bool]":
        """Return (length of the intact frame at `at` or 0, True if a frame can still complete)."""
        incomplete = False
        size = len(self._buffer) - at
        expected = self._expected_reply(at)
        if size >= expected > 0 and is_intact(self._buffer[at : at + expected]):
            return expected, False
        if expected > size and not is_final:
            # One CRC of 256 ends with 0: the reply without its last byte can be a valid request.
            return _NO_FRAME, True
        for length in _possible_lengths(self._buffer[at : at + _MAX_FRAME]):
            if length == _LENGTH_UNKNOWN or size < length <= _MAX_FRAME:
                incomplete = True
            elif _MIN_FRAME <= length <= size and is_intact(self._buffer[at : at + length]):
                return length, False
        return _NO_FRAME, incomplete

    def _expected_reply(self, at: int) -> int:
        """Return the length of the reply to the pending read that begins at `at`, or 0."""
        request, data = self._pending_request, self._buffer[at : at + 3]
        if request is None or len(data) < 3 or data[:2] != request.data[:2]:
            return 0
        if data[1] not in _READ_FUNCTIONS:
            return 0
        length = 3 + expected_length(request.data[1:-2], b"")
        return length if data[2] == length - 5 else 0

    def _is_one_frame(self) -> bool:
        return _MIN_FRAME <= len(self._buffer) <= _MAX_FRAME and is_intact(self._buffer)

    def _flush(self) -> None:
        self._search(True)

    def _take(self, size: int) -> "tuple[bytes, int, int]":
        """Remove `size` bytes from the buffer; return (bytes, start, end)."""
        data = self._buffer[:size]
        end = 0
        for length, at in self._arrivals:
            if length >= size:
                end = at - (length - size) * self._char_us
                break
        self._buffer = self._buffer[size:]
        self._arrivals = [(length - size, at) for length, at in self._arrivals if length > size]
        return data, end - size * self._char_us, end

    def _emit(self, kind: str, data: bytes, start: int, end: int) -> SniffedFrame:
        frame = SniffedFrame(kind, data, start, end)
        if self._last_end >= 0:
            frame.gap_us = max(0, start - self._last_end)
        self._last_end = end
        self._events.append(frame)
        return frame

    def _discard(self, size: int) -> None:
        """Report bytes that are not a frame."""
        if not size:
            return
        data, start, end = self._take(size)
        self.discarded_bytes += size
        request = self._pending_request
        same_unit = request is not None and len(data) > 1 and data[0] == request.unit
        if request is not None and same_unit and data[1] & 0x7F == request.function:
            self._emit(CRC_ERROR, data, start, end).request = request
            self._pending_request = None
        else:
            self._emit(NOISE, data, start, end)

    def _classify_frame(self, size: int) -> None:
        """Classify an intact frame, and pair it with its request."""
        self.frames += 1
        data, start, end = self._take(size)
        request = self._pending_request
        if request is not None and is_reply_to(request.data, data):
            kind = EXCEPTION if data[1] & 0x80 else REPLY
            reply = self._emit(kind, data, start, end)
            reply.request = request
            reply.response_us = max(0, start - request.end)
            self._pending_request = None
        elif _can_be_request(data):
            self._report_unanswered()
            self._pending_request = self._emit(REQUEST, data, start, end)
        else:
            self._emit(UNSOLICITED, data, start, end)


def _possible_lengths(data: bytes) -> "list[int]":
    """Return the possible lengths of a frame that starts with `data`, or `_LENGTH_UNKNOWN`."""
    if len(data) < 2:
        return [_LENGTH_UNKNOWN]
    function = data[1]
    if function & 0x80:
        is_known = function & 0x7F in _REQUESTS
        return [_EXCEPTION_SIZE] if is_known else []
    found = []
    for table in (_REQUESTS, _REPLIES):
        if function in table:
            length, count_index = table[function]
            if count_index >= 0:
                length = length + data[count_index] if count_index < len(data) else _LENGTH_UNKNOWN
            found.append(length)
    if function == DEVICE_ID:  # a list of objects, each with its own length
        pdu = data[1:]
        length = 3 + expected_length(pdu, pdu)
        found.append(length if length <= len(data) else _LENGTH_UNKNOWN)
    return found


def _can_be_request(data: bytes) -> bool:
    """Return True if a frame has the length of a request; always True for an unknown function."""
    function = data[1]
    if function & 0x80:
        return False
    if function not in _REQUESTS:
        return True
    length, count_index = _REQUESTS[function]
    return len(data) == length + (
        data[count_index] if count_index >= 0 and count_index < len(data) else 0
    )


def is_reply_to(request: bytes, frame: bytes) -> bool:
    """Return True if `frame` is a reply or exception to `request`; both intact, with CRC."""
    if frame[0] != request[0] or frame[1] & 0x7F != request[1]:
        return False
    if request[1] in _CHECKED_FUNCTIONS:
        return check_reply(request[1:-2], frame[1:-2])[0] in (GOOD, EXCEPTION_VERDICT)
    if frame[1] & 0x80:
        return len(frame) == _EXCEPTION_SIZE
    return request[1] != _DIAGNOSTICS or len(frame) == len(request)
