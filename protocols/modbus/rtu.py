# SPDX-License-Identifier: Apache-2.0
"""Modbus RTU, client side: builds request frames and finds the reply in the received bytes.

Has no queue and no time; see `drivers.modbus.bus`. One request is pending at a time: `start` sets
it, and `feed` takes bytes in any chunks until it returns the reply. Frames have no start mark, and
an operating system does not keep the gaps. So the client finds the reply by its known content.

A position in the buffer with the unit and the function (or its exception) is a candidate. The
request determines the end of its frame. After the last byte, the fixed bytes and the CRC decide.
Candidates can overlap, so that noise before the reply does not hide it. The reply is complete with
its last byte. All other bytes are classified later and counted.

A reply shows whether the line echoes the sent bytes (RS-485 with the receiver on), if no byte
before it was withdrawn or classified. This matters for a request that begins like a good reply to
itself: functions 5, 6, 8 and 22, and, for some units and addresses, reads of few values and writes
of several. For them the client skips the first copy. If no reply has shown whether the line echoes,
such a reply is `is_unproven`.

A frame can contain the bytes of another frame as its data. A candidate inside an intact frame is
not a reply. If the bytes before it can be the start of such a frame, the client defers its decision
to the end of that frame, or until the line is silent (`settle`).

Another master can send our unit a request whose reply looks like ours. Nothing shows which one the
device received first. Then the next matching reply is no reply: its verdict is `OTHER_MASTER`.
`others` are the requests of other masters without a reply.
"""

import struct

from protocols.errors import EncodeError
from protocols.modbus.crc import MAX_KNOWN, is_intact, with_crc
from protocols.modbus.expected_reply import (
    CRC_SIZE,
    ECHO_FUNCTIONS,
    MIN_FRAME,
    OTHER_MASTER,
    ExpectedReply,
    OtherRequests,
    frame_end,
    join_frame,
    longest_end,
    next_start,
    requests_in,
)
from protocols.modbus.frame_counters import FrameCounters
from protocols.modbus.pdu import (
    EXCEPTION,
    GOOD,
    READS,
    check_reply,
    expected_length,
    is_sized,
    reply_prefix,
    reply_values,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.pdu import ReplyResult

MAX_BUFFER = 512
"""Buffer limit: twice the longest frame, in bytes."""
UNITS = (1, 247)
"""Unit addresses with a reply ("MODBUS over Serial Line V1.02", section 2.2)."""
MAX_UNIT = 255
"""Highest unit; gateways use the reserved addresses 248 to 255."""
_MAX_CHUNK = 256
_MAX_FRAME = 256
MAX_DAMAGED_ECHOES = 8  # so many replies in a row show that the line does not echo
_MAX_LATE = 16  # frames kept for the guard against late replies


def build_frame(unit: int, pdu: bytes) -> bytes:
    """Return the request frame for `unit`.

    Units are 1 to 255; the bus limits them to 247 if its address does not permit more. A broadcast
    (0) has no reply to check and raises `EncodeError`.
    """
    if not UNITS[0] <= unit <= MAX_UNIT:
        raise EncodeError("unit %r is not %d to %d" % (unit, UNITS[0], MAX_UNIT))
    return with_crc(bytes((unit,)) + pdu)


class RtuClient(OtherRequests):
    """The reply matcher of one line. `reason` names the error of the last reply.

    `buffer` holds the bytes that are not classified yet. After a reply, `trailing_bytes` is the
    number of bytes after it in the last chunk. `duplicate_unit` is a unit that sent its last reply
    twice, or 0. `late_frames` are intact frames that are not the reply; the caller clears the list.
    `is_deferred`: a reply waits for `settle`. `echo_known`: a reply has shown whether the line
    echoes. `is_unproven`: the last reply can be the echo of the request.
    """

    exception_length = MIN_FRAME

    def __init__(self) -> None:
        self.line_echo = self.echo_known = self.is_deferred = self.is_unproven = False
        self._without_echo = 0
        self.late_frames: list[bytes] = []
        self.others: list[bytes] = []
        self.reason = ""
        self.counters = FrameCounters()
        self.trailing_bytes = self.duplicate_unit = 0
        self._other_reply_due = self._is_continued = False
        self._trailing_data = self.last_reply = b""
        self.cut = b""  # the last classified bytes that are no frame: its rest can follow
        self._before_cut = b""  # the CRC of the frame before them: the next can begin in it
        self._waiting = self._exception_ambiguous = False
        self._known: dict[tuple[int, bytes], ExpectedReply] = {}
        self._reused = self._expected = ExpectedReply()
        self.reply_prefix, self.reply_length = b"", self._expected.length
        self._clear()

    def _clear(self) -> None:
        self.buffer = b""
        self._scan_offset = 0
        self._bytes_needed = MIN_FRAME
        self._candidates: list[tuple[int, int]] = []
        self.is_deferred = False

    def start(self, unit: int, pdu: bytes, exception_ambiguous: bool = False) -> bytes:
        """Start a transaction; return the frame to send. Sets `reply_prefix` and `reply_length`.

        `exception_ambiguous`: an exception to an older request with this function can still arrive.
        The client then accepts no exception for this request. Raises `EncodeError` for an invalid
        unit.
        """
        expected = self._known.get((unit, pdu))
        request = expected.request if expected is not None else build_frame(unit, pdu)
        if self.buffer:
            self._classify(self.buffer)
            self._clear()
        if expected is None:
            expected = self._prepare(unit, pdu, request)
        self._expected = expected
        self.reply_prefix = expected.prefix
        self.reply_length = expected.length
        self._bytes_needed = MIN_FRAME
        self.reason = ""
        self._other_reply_due = self.is_unproven = self._is_continued = False
        self._others_after_start = self._others_before_undo = 0
        self._skip_echo = self.line_echo and expected.echo != b""
        self._echo_before = self.line_echo if self.echo_known else None
        self._exception_ambiguous = exception_ambiguous
        self._waiting = True
        return request

    def _prepare(self, unit: int, pdu: bytes, request: bytes) -> ExpectedReply:
        """Return what the reply must be; keep it for the next time, or use one record again."""
        expected = self._reused
        if pdu[0] in READS and len(self._known) < MAX_KNOWN:
            expected = self._known[(unit, pdu)] = ExpectedReply()
        expected.set_request(unit, pdu, request)
        return expected

    def stop(self) -> None:
        """End the wait for a reply; count the received bytes, and set `reason` to the mismatch."""
        if self.buffer:  # else the rest of a frame can still come
            self._classify(self.buffer)
        self._clear()
        self._waiting = False
        self._others_after_start = 0

    def discard(self) -> "ReplyResult | None":
        """Withdraw the last reply (it was premature); search the bytes after it for another."""
        self.counters.unsolicited += 1
        self.undo_own_reply()
        self._waiting = self._is_continued = True
        self.is_unproven = False
        self.buffer = self._trailing_data
        self._bytes_needed = MIN_FRAME
        return self._search(len(self.buffer)) if len(self.buffer) >= MIN_FRAME else None

    def take_duplicate(self) -> int:
        """Return and clear `duplicate_unit`."""
        unit, self.duplicate_unit = self.duplicate_unit, 0
        return unit

    def unanswered_others(self) -> "list[bytes]":
        """Return the start of the pending requests (unit and PDU) of other masters.

        Works only while no request is pending. Classifies the bytes received so far.
        """
        if self._waiting:
            return []
        has_bytes = self.buffer != b""
        if has_bytes:
            self._classify(self.buffer)
            self._clear()
        return self.report_others(has_bytes)

    def unclassified(self) -> "list[bytes]":
        """Return the requests of other masters in the buffer; see `OtherRequests`."""
        return requests_in(self.cut + self.buffer, self._expected.request)

    def reset(self, goes_on: bool = False) -> None:
        """Discard all received bytes. If the line `goes_on`, the rest of a frame can come."""
        self.cut = (self.cut + self.buffer)[-_MAX_FRAME:] if goes_on else b""
        self._before_cut = b""
        self._clear()
        self.forget_others()
        self._waiting = self.echo_known = False
        self._without_echo = 0

    def feed(self, data: bytes) -> "ReplyResult | None":
        """Add bytes; return (verdict, exception code, registers) when the reply is complete.

        The verdict is "ok", "exception" or `OTHER_MASTER`. Each reply is returned once. Without a
        pending request, the bytes are only counted, at the latest by the next `start`.
        """
        if len(data) > _MAX_CHUNK:
            return self._feed_chunks(data)
        size = len(self.buffer) + len(data)
        self.buffer = buffer = self.buffer + data if self.buffer else data
        if size >= self._bytes_needed and self._waiting:
            expected = self._expected
            # The usual case: exactly the reply and no other bytes.
            is_same = buffer == expected.last_frame  # then it is intact
            is_exact_reply = (
                size == self.reply_length
                and not expected.echo
                and not expected.length_unknown
                and not self._other_reply_due
                and (is_same or (buffer.startswith(expected.prefix) and is_intact(buffer)))
            )
            if is_exact_reply:
                self._waiting = False
                self.trailing_bytes = 0
                self._trailing_data = self.cut = b""
                self.last_reply = buffer
                if self._scan_offset:
                    self._clear()
                else:
                    self.buffer = b""
                if self.others:
                    self.note_own_reply(expected.unit)
                if not self._is_continued:
                    self.line_echo, self.echo_known = False, True
                if expected.count:
                    if not is_same:
                        expected.values = struct.unpack_from(expected.format, buffer, 3)
                        expected.last_frame = buffer
                    return (GOOD, 0, expected.values)
                return (GOOD, 0, reply_values(expected.pdu, buffer[1:-2]))
            result = self._search(size)
            if result is not None:
                return result
        if size > MAX_BUFFER:
            self._trim_buffer(size - _MAX_FRAME)
        return None

    def _feed_chunks(self, data: bytes) -> "ReplyResult | None":
        result = None
        for start in range(0, len(data), _MAX_CHUNK):
            result = self.feed(data[start : start + _MAX_CHUNK]) or result
        return result

    def settle(self) -> "ReplyResult | None":
        """Decide on a deferred reply, because the line is silent."""
        self._bytes_needed = 0
        return self._search(len(self.buffer), True) if self.is_deferred else None

    def _search(self, size: int, is_silent: bool = False) -> "ReplyResult | None":
        """Add new candidates, then check those that are complete."""
        self._scan(size)
        self.is_deferred = is_deferred = False
        incomplete = []
        bytes_needed = size + MIN_FRAME - 1
        for at, end in self._candidates:
            if is_deferred:  # the frame that can contain the first can contain this one
                incomplete.append((at, end))
                continue
            reply_end = (
                self._reply_end(at, end) if self._expected.length_unknown and end <= size else end
            )
            if reply_end > size:
                incomplete.append((at, reply_end))
                bytes_needed = min(bytes_needed, reply_end)
            elif (
                at
                and is_intact(self.buffer[at:reply_end])  # else each byte would cost a whole search
                and self._is_enclosed(at, reply_end, size, is_silent)
            ):
                is_deferred = self.is_deferred
                if is_deferred:
                    incomplete.append((at, end))
                    bytes_needed = size + 1
            elif self._is_reply(at, reply_end):
                return self._accept_reply(at, reply_end)
        self._candidates = incomplete
        self._bytes_needed = bytes_needed
        return None

    def _scan(self, size: int) -> None:
        """Find the positions of our unit and function after the end of the last scan."""
        buffer, expected_function = self.buffer, self._expected.function
        unit_byte = self._expected.prefix[:1]
        at = buffer.find(unit_byte, self._scan_offset)
        while 0 <= at < size - 1:
            function = buffer[at + 1]
            if function == expected_function:
                self._candidates.append((at, at + self.reply_length))
            elif function == expected_function | 0x80:
                self._candidates.append((at, at + MIN_FRAME))
            at = buffer.find(unit_byte, at + 1)
        self._scan_offset = max(self._scan_offset, size - 1)  # the last byte can be a unit

    def _reply_end(self, at: int, end: int) -> int:
        """Return the end of a reply of unknown length, from its bytes up to `end`."""
        if self.buffer[at + 1] != self._expected.function:
            return end
        if not is_sized(self._expected.function):  # the CRC alone shows the end
            size = len(self.buffer)
            return size if is_intact(self.buffer[at:]) else size + 1
        return at + 3 + expected_length(self._expected.pdu, self.buffer[at + 1 :])

    def _is_enclosed(self, at: int, end: int, size: int, is_silent: bool) -> bool:
        """Return whether another frame contains the intact candidate between `at` and `end`.

        If an incomplete frame can contain it, set `is_deferred`.
        """
        buffer, request, can_enclose = self.buffer, self._expected.request, False
        begin = len(request) if buffer.startswith(request) else 0
        while begin < at:
            outer_end = frame_end(buffer, begin, size)
            if outer_end > at:
                return True
            # A frame can begin anywhere: the tail of an older frame can be before it. An intact
            # frame can be the start of a longer one by chance. The echo of the request is not.
            if not can_enclose:
                can_enclose = longest_end(buffer, begin) > size
            begin = outer_end or begin + 1
        if can_enclose and not is_silent:
            self.is_deferred = True
            return True
        return False

    def _is_reply(self, at: int, end: int) -> bool:
        """Return True if the complete candidate at `at` is the reply."""
        candidate = self.buffer[at:end]
        if candidate[1] != self._expected.function:
            return not self._exception_ambiguous and is_intact(candidate)
        if not candidate.startswith(self._expected.prefix):
            return False
        if not is_intact(candidate):
            self.counters.crc_errors += 1
            self.reason = "crc"
            return False
        if candidate != self._expected.echo:
            return True
        if self._skip_echo:
            self._skip_echo = False
            return False
        self.is_unproven = not self.echo_known
        return True

    def _accept_reply(self, at: int, end: int) -> "ReplyResult | None":
        """Return the reply between `at` and `end`; classify the bytes around it."""
        buffer = self.buffer
        echoes_before = self.counters.echoes
        self._classify(buffer[:at])
        self.cut = b""  # the reply follows
        trailing = buffer[end:]
        self._clear()
        is_exception = buffer[at + 1] != self._expected.function
        if is_exception and self._exception_ambiguous:  # can be that to the other master
            self.counters.other_unit_frames += 1
            self.buffer = trailing
            self._bytes_needed = MIN_FRAME
            self._is_continued = True
            return self._search(len(trailing))
        self._waiting = False
        self.last_reply = buffer[at:end]
        if self._other_reply_due:
            self.counters.other_unit_frames += 1
            self._others_after_start = 0  # one of both replies is still due
            self._trailing_data = b""
            self.trailing_bytes = len(trailing)
            self._classify(trailing)
            return (OTHER_MASTER, 0, ())
        self.note_own_reply(self._expected.unit)
        self._trailing_data = trailing
        self.trailing_bytes = len(trailing)
        if self.counters.echoes != echoes_before:
            self._without_echo = 0
        elif not self._is_continued:
            self._without_echo += 1
            # More bytes before the reply can be a damaged echo, but not each time.
            shows_no_echo = (
                2 * at < len(self._expected.request) or self._without_echo >= MAX_DAMAGED_ECHOES
            )
            if shows_no_echo and buffer[at:end] != self._expected.echo:
                self.line_echo, self.echo_known = False, True
        if trailing:
            late_count = len(self.late_frames)
            self._classify(trailing)
            del self.late_frames[late_count:]  # the guard expects frames before the reply only
        if is_exception:
            return (EXCEPTION, buffer[at + 2], ())
        return (GOOD, 0, reply_values(self._expected.pdu, buffer[at + 1 : end - 2]))

    def _trim_buffer(self, count: int) -> None:
        """Bound the buffer: classify its first `count` bytes."""
        self._is_continued = True
        self._classify(self.buffer[:count])
        self.buffer = self.buffer[count:]
        self._scan_offset = max(0, self._scan_offset - count)
        self._bytes_needed = max(0, self._bytes_needed - count)
        self._candidates = [
            (at - count, end - count) for at, end in self._candidates if at >= count
        ]

    def _classify(self, data: bytes) -> None:
        """Count the frames in `data` by their type, and all other bytes as noise."""
        size, before = len(data), self.cut
        last_end = self._join_cut(data)
        at = next_start(data, last_end)
        while at < size:
            end = frame_end(data, at, size)
            if end:
                self._count_frame(data[at:end])
                at, last_end = next_start(data, end), end
            else:
                self.counters.discarded_bytes += 1
                at += 1
        if last_end:  # else a frame can come in more than two parts
            before = b""
            self._before_cut = data[max(0, last_end - CRC_SIZE) : last_end]
        self.cut = (before + data[last_end:])[-_MAX_FRAME:]

    def _join_cut(self, data: bytes) -> int:
        """Count the frame that our request or time-out cut; return where it ends in `data`."""
        cut, self.cut = self.cut, b""
        if not cut and frame_end(data, 0, len(data)):
            return 0
        joined, at = join_frame(self._before_cut + cut, data)
        if at:
            self.joined = joined
            self._count_frame(joined)
        return at

    def _count_frame(self, frame: bytes) -> None:
        """Count one intact frame that is not the reply."""
        if frame == self._expected.request:
            self.counters.echoes += 1
            if self._waiting and not self._expected.echo:
                self.line_echo = self.echo_known = True
            return
        if len(self.late_frames) < _MAX_LATE:
            self.late_frames.append(frame)
        is_request = self.note_frame(frame[:-2])
        if not self._waiting:
            self.counters.unsolicited += 1
            if frame == self.last_reply:
                self.duplicate_unit = frame[0]
        elif frame[0] != self._expected.unit:
            self.counters.other_unit_frames += 1
        else:
            self.counters.mismatches += 1
            if is_request and frame[1] == self._expected.function:
                self._exception_ambiguous = True
                if frame[1] not in ECHO_FUNCTIONS:  # one of these can also be a wrong reply
                    self.reason = OTHER_MASTER
                if reply_prefix(frame[1:-2]) == self._expected.prefix[1:]:
                    self._other_reply_due = True
            if self.reason == OTHER_MASTER:
                return
            mismatch = check_reply(self._expected.pdu, frame[1:-2])[0]
            self.reason = "late exception" if mismatch == EXCEPTION else mismatch
