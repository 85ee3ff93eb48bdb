# SPDX-License-Identifier: Apache-2.0
"""Modbus ASCII, client side: builds request frames and finds the reply in the received characters.

A frame is a colon, two hexadecimal digits for each byte, and CR LF. The bytes are unit, PDU and LRC
("MODBUS over Serial Line V1.02", section 2.5.2). The LRC is the negated sum of the other bytes. A
colon always starts a new frame, so that the client is in step again with the next frame. A frame
whose colon came before our request is not the reply, whenever its end comes.

Has no queue and no time; see `drivers.modbus.bus`. The interface and the counters are those of
`protocols.modbus.rtu.RtuClient`. Frames in `late_frames` have the RTU form, CRC included.
"""

from protocols.errors import EncodeError
from protocols.modbus.crc import with_crc
from protocols.modbus.expected_reply import ECHO_FUNCTIONS, OTHER_MASTER, OtherRequests
from protocols.modbus.frame_counters import FrameCounters
from protocols.modbus.pdu import (
    EXCEPTION,
    GOOD,
    check_reply,
    reply_length,
    reply_prefix,
)
from protocols.modbus.rtu import MAX_DAMAGED_ECHOES, MAX_UNIT, UNITS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.pdu import ReplyResult

MAX_BUFFER = 513
"""Characters of the longest frame: colon, 255 bytes, CR, LF."""
LINE_END = "line end is not CR LF"
_MAX_LATE = 16


def lrc(body: bytes) -> int:
    """Return the LRC of unit and PDU, 0 to 255."""
    return -sum(body) & 0xFF


def build_frame(unit: int, pdu: bytes) -> bytes:
    """Return the request frame for `unit`, 1 to 255. Raises `EncodeError`."""
    if not UNITS[0] <= unit <= MAX_UNIT:
        raise EncodeError("unit %r is not %d to %d" % (unit, UNITS[0], MAX_UNIT))
    body = bytes((unit,)) + pdu
    digits = "".join(["%02X" % byte for byte in body + bytes((lrc(body),))])
    return (":" + digits + "\r\n").encode()


def parse_frame(line: bytes) -> "bytes | None":
    """Return unit and PDU of the characters between colon and CR LF; None if they are no frame."""
    size = len(line)
    if size < 6 or size % 2 or size > MAX_BUFFER - 3:
        return None
    for char in line:
        if not (48 <= char <= 57 or 65 <= char <= 70 or 97 <= char <= 102):
            return None
    text = line.decode()
    body = bytes([int(text[at : at + 2], 16) for at in range(0, size, 2)])
    return body[:-1] if sum(body) & 0xFF == 0 else None


class AsciiClient(OtherRequests):
    """The reply matcher of one line; see the module."""

    exception_length = 11
    is_deferred = False
    is_unproven = False
    reply_prefix = b""  # not known here; see `drivers.modbus.transaction.reply_prefix_of`

    def __init__(self) -> None:
        self.line_echo = False
        self.echo_known = False
        self.late_frames: list[bytes] = []
        self._behind: list[bytes] = []  # late frames behind the reply, which counts before them
        self._has_result = False
        self.others: list[bytes] = []
        self.reason = ""
        self.counters = FrameCounters()
        self.trailing_bytes = 0
        self.duplicate_unit = 0
        self.reply_length = 0
        self.buffer = b""
        self._has_bytes = False
        self._has_rest = False  # the line began in an earlier chunk
        self._is_older = False  # the line in the buffer began before our request
        self._other_reply_due = False
        self._others_behind = 0  # requests of other masters after the last reply
        self.last_reply = b""
        self._request_body = b""
        self._skip_echo = False
        self._had_echo = False
        self._damage_before = self._without_echo = 0
        self._exception_ambiguous = False
        self._waiting = False

    def start(self, unit: int, pdu: bytes, exception_ambiguous: bool = False) -> bytes:
        """Start a transaction; return the frame to send. Raises `EncodeError`."""
        frame = build_frame(unit, pdu)
        self._is_older = self.buffer != b""  # an adapter can deliver the rest of it later
        self._release_behind()
        self._other_reply_due = False
        self._others_after_start = self._others_before_undo = 0
        self._request_body = bytes((unit,)) + pdu
        self.reply_length = 2 * (reply_length(pdu) + 2) + 3
        self.reason = ""
        self._skip_echo = self.line_echo and pdu[0] in ECHO_FUNCTIONS
        self._echo_before = self.line_echo if self.echo_known else None
        self._had_echo = self.is_unproven = False
        self._damage_before = self._damage()
        self._exception_ambiguous = exception_ambiguous
        self._waiting = True
        return frame

    @property
    def cut(self) -> bytes:
        """As in RTU."""
        return self.buffer

    def stop(self) -> None:
        """End the wait for a reply."""
        self._waiting = False
        self._others_after_start = 0

    def settle(self) -> "ReplyResult | None":
        """As in RTU; a frame cannot contain another one, so nothing is deferred."""
        return None

    def discard(self) -> "ReplyResult | None":
        """Withdraw the last reply (it was premature); wait for another."""
        self.counters.unsolicited += 1
        self.undo_own_reply()
        self._waiting = True
        self.is_unproven = False
        for body in self.others[max(0, len(self.others) - self._others_behind) :]:
            self._others_after_start += 1  # they came while ours is due
            self.beside += (body,)
            self._compare_other(body)
        return None

    def take_duplicate(self) -> int:
        """Return and clear `duplicate_unit`."""
        unit, self.duplicate_unit = self.duplicate_unit, 0
        return unit

    def unanswered_others(self) -> "list[bytes]":
        """As in RTU."""
        if self._waiting:
            return []
        has_bytes, self._has_bytes = self._has_bytes, False
        return self.report_others(has_bytes)

    def reset(self, goes_on: bool = False) -> None:
        """Discard all received characters: the line was opened or closed."""
        self.buffer = b""
        self._is_older = False
        self.forget_others()
        self._waiting = self.echo_known = False
        self._without_echo = 0

    def feed(self, data: bytes) -> "ReplyResult | None":
        """Add characters; return (verdict, exception code, values) when the reply is complete."""
        buffer, result = self.buffer + data, None
        self._has_rest = self.buffer != b""
        self._has_bytes = True
        self._release_behind()
        while True:
            start = buffer.find(b":")
            if start < 0:
                self.counters.discarded_bytes += len(buffer)
                buffer = b""
                break
            end, again = buffer.find(b"\n", start), buffer.find(b":", start + 1)
            if again >= 0 and (end < 0 or again < end):  # the first one is cut off
                self.counters.discarded_bytes += again
                buffer = buffer[again:]
                self._is_older = self._has_rest = False
                continue
            self.counters.discarded_bytes += start
            if end < 0:
                buffer = buffer[start:]
                break
            found = self._take_line(buffer[start + 1 : end])
            buffer = buffer[end + 1 :]
            self._is_older = self._has_rest = False
            if found is not None:
                result = found
                self._has_result = True
                self.trailing_bytes = len(buffer)
        if len(buffer) >= MAX_BUFFER:  # the longest frame would have ended
            self.counters.discarded_bytes += len(buffer)
            buffer = b""
            self._is_older = False
        self.buffer = buffer
        return result

    def _take_line(self, line: bytes) -> "ReplyResult | None":
        body = parse_frame(line[:-1]) if line[-1:] == b"\r" else None
        if body is None:
            self.counters.crc_errors += 1
            if self._waiting:
                self.reason = "lrc" if parse_frame(line.rstrip()) is None else LINE_END
            return None
        return self._take_frame(body)

    def _take_frame(self, body: bytes) -> "ReplyResult | None":
        request = self._request_body
        can_be_ours = self._waiting and not self._is_older
        if can_be_ours and body == request and self._is_echo(body):
            return None
        if not can_be_ours or body[0] != request[0]:
            self._count_other(body)
            self._note_other(body)
            return None
        verdict, code, values = check_reply(request[1:], body[1:])
        is_reply = verdict == GOOD or (verdict == EXCEPTION and not self._exception_ambiguous)
        if not is_reply:
            self._note_other(body)
            self.counters.mismatches += 1
            if self.reason != OTHER_MASTER:
                self.reason = "late exception" if verdict == EXCEPTION else verdict
            self._keep(body)
            return None
        self._waiting = False
        self.last_reply = body
        if self._other_reply_due and verdict == GOOD:
            self.counters.other_unit_frames += 1
            self._others_after_start = 0  # one of both replies is still due
            return (OTHER_MASTER, 0, ())
        self.note_own_reply(body[0])
        self._others_behind = 0
        if request[1] not in ECHO_FUNCTIONS:
            # A damaged echo leaves discarded characters or a frame with a wrong LRC.
            self._without_echo = 0 if self._had_echo else self._without_echo + 1
            is_undamaged = self._damage() == self._damage_before
            if self._had_echo or is_undamaged or self._without_echo >= MAX_DAMAGED_ECHOES:
                self.line_echo = self._had_echo
                self.echo_known = True
        else:
            self.is_unproven = body == request and not self.echo_known
        return (verdict, code, values)

    def _note_other(self, body: bytes) -> None:
        """Record a request of another master, or the reply to it."""
        own = self._request_body
        if (body == own and not self._is_older) or not self.note_frame(body):
            return
        if self._waiting:
            self._compare_other(body)
        else:
            self._others_behind += 1

    def _compare_other(self, body: bytes) -> None:
        """A request of another master came while ours is due: its reply can look like ours."""
        own = self._request_body
        if body[:2] == own[:2]:
            self._exception_ambiguous = True
            if body[1] not in ECHO_FUNCTIONS:
                self.reason = OTHER_MASTER
            if reply_prefix(body[1:]) == reply_prefix(own[1:]):
                self._other_reply_due = True

    def _damage(self) -> int:
        return self.counters.crc_errors + self.counters.discarded_bytes

    def _is_echo(self, body: bytes) -> bool:
        """Return whether the frame equal to the request is its echo, and count it."""
        if body[1] not in ECHO_FUNCTIONS:
            self._had_echo = self.line_echo = self.echo_known = True
        elif not self._skip_echo:
            return False
        self._skip_echo = False
        self.counters.echoes += 1
        return True

    def _count_other(self, body: bytes) -> None:
        if self._waiting:
            self.counters.other_unit_frames += 1
        else:
            self.counters.unsolicited += 1
            if body == self.last_reply:
                self.duplicate_unit = body[0]
        self._keep(body)

    def _release_behind(self) -> None:
        """Take the frames behind the last reply as late frames."""
        self.late_frames += self._behind
        self._behind, self._has_result = [], False

    def _keep(self, body: bytes) -> None:
        if self._has_result:
            if len(self._behind) < _MAX_LATE:
                self._behind.append(with_crc(body))
        elif len(self.late_frames) < _MAX_LATE:
            self.late_frames.append(with_crc(body))
            if self._has_rest:
                self.joined = self.late_frames[-1]
