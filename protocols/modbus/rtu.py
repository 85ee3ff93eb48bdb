"""Modbus RTU, client side: a request as a frame, and its reply found in whatever the line brings.

Not a bus: it knows no time and no queue. One request is outstanding at a time; `start` says which,
and `feed` takes bytes at any split until it returns the answer. Frames on a serial line have no
start mark and the gaps between them do not survive an operating system, so the reply is found by
what it must be.

How it works: a place in the buffer where the unit and the function (or its exception) stand is a
candidate, and it is known where that frame would end. When that byte is there the fixed bytes and
the CRC decide. Candidates may overlap, so noise in front never hides the good frame, and the good
frame is taken with its last byte. What lay in front of it, or came when nothing was asked, is
sorted afterwards into frames of others, late frames, echoes and noise, and counted.

A line that echoes what is sent (RS-485 with the receiver left on) is noticed on reads. It matters
for functions whose reply is the same bytes as the request (5, 6, 22): there the first copy is then
skipped.

Another master may ask our unit something whose reply looks like ours. Its request is heard first,
so the reply that follows it is left to it.
"""

import struct

from protocols.errors import EncodeError
from protocols.modbus.crc import crc16, with_crc
from protocols.modbus.pdu import (
    DEVICE_ID,
    EXCEPTION,
    GOOD,
    READS,
    check_reply,
    expected_length,
    reply_length,
    reply_prefix,
    reply_values,
    struct_format,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.pdu import ReplyResult

MAX_BUFFER = 512
"""Bytes kept at most: twice the longest frame."""
UNITS = (1, 247)
"""The units that answer ("MODBUS over Serial Line V1.02", section 2.2)."""
_MAX_CHUNK = 256
_MAX_FRAME = 256

_MIN_FRAME = 5  # an exception: unit, function, code, CRC
_ECHO_FUNCTIONS = (5, 6, 22)  # the reply is the request once more
# function -> lengths its frames may have: a number, or the index of the byte that counts the rest
_FIXED_LENGTHS = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 15: 8, 16: 8, 22: 10, 43: 7}
_COUNT_INDEX = {1: 2, 2: 2, 3: 2, 4: 2, 15: 6, 16: 6, 23: 2}


def build_frame(unit: int, pdu: bytes) -> bytes:
    """A request for `unit` as it goes on the wire.

    Units are 1 to 247; broadcasts (0) have no reply to check and are refused with `EncodeError`.
    """
    if not UNITS[0] <= unit <= UNITS[1]:
        raise EncodeError("unit %r is not %d to %d" % ((unit,) + UNITS))
    return with_crc(bytes((unit,)) + pdu)


class RtuClient:
    """The matcher of one line. Counters only grow; `reason` says what was wrong with the last
    reply.

    `buffer` is what has come and is not sorted yet. After an answer `trailing_bytes` is how many
    bytes lay behind it in the last chunk, and `discard` takes it back. `duplicate_unit` is a unit
    that sent its last reply twice, 0 for none.

    `discarded_bytes` is noise; `other_unit_frames` frames were of or for other units; `unsolicited`
    ones of a request that is no longer waited for; `mismatches` answered the right unit's request
    wrongly; `echoes_before` were our own; `crc_errors` began like the reply and had a bad CRC.
    """

    stream_error = ""  # a serial line cannot be out of step for ever
    has_partial_frame = False

    def __init__(self) -> None:
        self.line_echo = False
        self.reason = ""
        self.discarded_bytes = 0
        self.other_unit_frames = 0
        self.unsolicited = 0
        self.mismatches = 0
        self.echoes = 0
        self.crc_errors = 0
        self.trailing_bytes = 0
        self.duplicate_unit = 0
        self._other_reply_due = False
        self._trailing_data = b""
        self._last_reply = b""
        self._waiting = False
        self._exception_ambiguous = False
        self._clear()
        self._set_expected(0, bytes((READS[0], 0, 0, 0, 0)), b"")

    def _clear(self) -> None:
        self.buffer = b""
        self._scan_offset = 0
        self._bytes_needed = _MIN_FRAME
        self._candidates: list[tuple[int, int]] = []

    def take_duplicate_unit(self) -> int:
        """Return and clear `duplicate_unit`."""
        unit, self.duplicate_unit = self.duplicate_unit, 0
        return unit

    def _set_expected(self, unit: int, pdu: bytes, request: bytes) -> None:
        """Work out what the good reply begins with and how long it is."""
        self._unit = unit
        self._pdu = pdu
        self._request = request
        self._function = function = pdu[0]
        self._length_unknown = function == DEVICE_ID
        if function in READS:  # the usual case, spelled out for speed
            self._count = pdu[4]
            self._reply_prefix = bytes((unit, function, 2 * pdu[4]))
            self.reply_length = 5 + 2 * pdu[4]
        else:
            self._count = 0
            self._reply_prefix = bytes((unit,)) + reply_prefix(pdu)
            self.reply_length = reply_length(pdu) + 3

    def start(self, unit: int, pdu: bytes, exception_ambiguous: bool = False) -> bytes:
        """Begin a transaction; returns the frame to be written. `reply_length` is then set.

        `exception_ambiguous`: an exception to this function may still be under way for an older
        request, so that one must not be taken for this one's. Raises `EncodeError` for a bad unit.

        """
        request = build_frame(unit, pdu)
        if self.buffer:
            self._classify(self.buffer)
            self._clear()
        self._bytes_needed = _MIN_FRAME
        self.reason = ""
        self._other_reply_due = False
        self._set_expected(unit, pdu, request)
        self._skip_echo = self.line_echo and pdu[0] in _ECHO_FUNCTIONS
        self._exception_ambiguous = exception_ambiguous
        self._waiting = True
        return request

    def stop(self) -> None:
        """Give up waiting; what has come so far is counted, and `reason` says what it was."""
        self._classify(self.buffer)
        self._clear()
        self._waiting = False

    def discard(self) -> "ReplyResult | None":
        """Take the last answer back: it came too early to be one. What lay behind it may be it."""
        self.unsolicited += 1
        self._waiting = True
        self.buffer = self._trailing_data
        self._bytes_needed = _MIN_FRAME
        return self._search(len(self.buffer)) if len(self.buffer) >= _MIN_FRAME else None

    def pending_request(self) -> "tuple[int, bytes] | None":
        """The read (unit, PDU) that another master has just sent and that is not answered yet.

        Only while nothing is asked. It sorts out what has been heard so far.
        """
        received = self.buffer
        if self._waiting or not received:
            return None
        self._classify(received)
        self._clear()
        last_frame = received[-8:]
        if (
            len(last_frame) < 8
            or last_frame[1] not in READS
            or crc16(last_frame)
            or last_frame == self._request
        ):
            return None
        return (last_frame[0], last_frame[1:6])

    def reset(self) -> None:
        """Forget everything that is in the air: the line was opened or closed."""
        self._clear()
        self._waiting = False

    def feed(self, data: bytes) -> "ReplyResult | None":
        """Take bytes; returns (verdict, exception code, registers) once the reply is complete.

        The verdict is "ok" or "exception". Nothing is returned twice, and bytes that come when
        nothing is asked are only counted, at the latest by the next `start`.
        """
        if len(data) > _MAX_CHUNK:
            return self._feed_chunks(data)
        size = len(self.buffer) + len(data)
        self.buffer = buffer = self.buffer + data if self.buffer else data
        if size >= self._bytes_needed and self._waiting:
            # The usual case first: exactly the reply and nothing else.
            is_exact_reply = (
                size == self.reply_length and not self._skip_echo and not self._length_unknown
            )
            if is_exact_reply and buffer.startswith(self._reply_prefix) and crc16(buffer) == 0:
                self._waiting = False
                self.trailing_bytes = 0
                self._trailing_data = b""
                self._last_reply = buffer
                if self._scan_offset:
                    self._clear()
                else:
                    self.buffer = b""
                if self._count:
                    self.line_echo = False
                    return (GOOD, 0, struct.unpack_from(struct_format(self._count), buffer, 3))
                return (GOOD, 0, reply_values(self._pdu, buffer[1:-2]))
            result = self._search(size)
            if result is not None:
                return result
        if size > MAX_BUFFER:
            self._trim_buffer(size - _MAX_FRAME)
        return None

    def _feed_chunks(self, data: bytes) -> "ReplyResult | None":
        result = None
        for start in range(0, len(data), _MAX_CHUNK):
            chunk_result = self.feed(data[start : start + _MAX_CHUNK])
            if chunk_result is not None:
                result = chunk_result
        return result

    def _search(self, size: int) -> "ReplyResult | None":
        """Look for new candidates, then check those whose last byte has come."""
        self._scan(size)
        incomplete = []
        bytes_needed = size + _MIN_FRAME - 1
        for at, end in self._candidates:
            reply_end = self._reply_end(at, end) if self._length_unknown and end <= size else end
            if reply_end > size:
                incomplete.append((at, reply_end))
                bytes_needed = min(bytes_needed, reply_end)
            elif self._is_reply(at, reply_end):
                return self._accept_reply(at, reply_end)
        self._candidates = incomplete
        self._bytes_needed = bytes_needed
        return None

    def _scan(self, size: int) -> None:
        """Find the places where our unit and function stand, from where the last scan ended."""
        buffer, unit_byte, expected_function = self.buffer, self._reply_prefix[:1], self._function
        at = buffer.find(unit_byte, self._scan_offset)
        while 0 <= at < size - 1:
            function = buffer[at + 1]
            if function == expected_function:
                self._candidates.append((at, at + self.reply_length))
            elif function == expected_function | 0x80:
                self._candidates.append((at, at + _MIN_FRAME))
            at = buffer.find(unit_byte, at + 1)
        self._scan_offset = max(self._scan_offset, size - 1)  # the last byte may be a unit

    def _reply_end(self, at: int, end: int) -> int:
        """The end of a reply of unforeseen length, now that its bytes up to `end` are there."""
        if self.buffer[at + 1] != self._function:
            return end
        return at + 3 + expected_length(self._pdu, self.buffer[at + 1 :])

    def _is_reply(self, at: int, end: int) -> bool:
        """Whether the complete candidate at `at` is the reply."""
        candidate = self.buffer[at:end]
        if candidate[1] != self._function:
            return not self._exception_ambiguous and crc16(candidate) == 0
        if not candidate.startswith(self._reply_prefix):
            return False
        if crc16(candidate):
            self.crc_errors += 1
            self.reason = "crc"
            return False
        if self._skip_echo and candidate == self._request:
            self._skip_echo = False
            return False
        return True

    def _accept_reply(self, at: int, end: int) -> "ReplyResult | None":
        """Hand over the reply between `at` and `end`; sort what lay around it."""
        buffer = self.buffer
        echoes_before = self.echoes
        if at:
            self._classify(buffer[:at])
        trailing = buffer[end:]
        self._clear()
        if self._other_reply_due:  # by another master, whose reply this is
            self._other_reply_due = False
            self.other_unit_frames += 1
            self.buffer = trailing
            self._bytes_needed = _MIN_FRAME
            return self._search(len(trailing))
        self._waiting = False
        self._trailing_data = trailing
        self._last_reply = buffer[at:end]
        self.trailing_bytes = len(trailing)
        if self._function not in _ECHO_FUNCTIONS:
            self.line_echo = self.echoes != echoes_before
        if trailing:
            self._classify(trailing)
        if buffer[at + 1] != self._function:
            return (EXCEPTION, buffer[at + 2], ())
        return (GOOD, 0, reply_values(self._pdu, buffer[at + 1 : end - 2]))

    def _trim_buffer(self, count: int) -> None:
        """Keep the buffer bounded: sort out its first `count` bytes."""
        self._classify(self.buffer[:count])
        self.buffer = self.buffer[count:]
        self._scan_offset = max(0, self._scan_offset - count)
        self._bytes_needed = max(0, self._bytes_needed - count)
        self._candidates = [
            (at - count, end - count) for at, end in self._candidates if at >= count
        ]

    def _classify(self, data: bytes) -> None:
        """Count what `data` holds: whole frames by what they are, and noise by the byte."""
        at, size = 0, len(data)
        while at < size:
            end = _frame_end(data, at, size)
            if end:
                self._count_frame(data[at:end])
                at = end
            else:
                self.discarded_bytes += 1
                at += 1

    def _count_frame(self, frame: bytes) -> None:
        """Count one intact frame that is not the reply."""
        if frame == self._request:
            self.echoes += 1
        elif not self._waiting:
            self.unsolicited += 1
            if frame == self._last_reply:
                self.duplicate_unit = frame[0]
        elif frame[0] != self._unit:
            self.other_unit_frames += 1
        else:
            self._other_reply_due = self._other_reply_due or self._is_other_master(frame)
            self.mismatches += 1
            mismatch = check_reply(self._pdu, frame[1:-2])[0]
            self.reason = "late exception" if mismatch == EXCEPTION else mismatch

    def _is_other_master(self, frame: bytes) -> bool:
        """Whether it is another master's read whose reply would begin like ours."""
        if self._function not in READS or len(frame) != 8 or frame[1] != self._function:
            return False
        return reply_prefix(frame[1:6]) == self._reply_prefix[1:]


def _frame_end(data: bytes, at: int, size: int) -> int:
    """Where an intact frame that begins at `at` ends, or 0 if none begins there."""
    if size - at < _MIN_FRAME:
        return 0
    function = data[at + 1]
    if function & 0x80:
        return at + _MIN_FRAME if crc16(data[at : at + _MIN_FRAME]) == 0 else 0
    ends = [at + _FIXED_LENGTHS.get(function, 0)]
    count_index = at + _COUNT_INDEX.get(function, size)
    if count_index < size:
        ends.append(count_index + 3 + data[count_index])
    for end in ends:
        if at < end <= size and crc16(data[at:end]) == 0:
            return end
    return 0
