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
from protocols.modbus.crc import crc16, sealed
from protocols.modbus.pdu import (
    DEVICE_ID,
    EXCEPTION,
    GOOD,
    READS,
    form,
    judge,
    measure,
    reply_head,
    reply_length,
    values_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.pdu import Answer

LIMIT = 512
"""Bytes kept at most: twice the longest frame."""
UNITS = (1, 247)
"""The units that answer ("MODBUS over Serial Line V1.02", section 2.2)."""
_SLICE = 256
_MAX_FRAME = 256

_SHORTEST = 5  # an exception: unit, function, code, CRC
_MIRRORED = (5, 6, 22)  # the reply is the request once more
# function -> lengths its frames may have: a number, or the index of the byte that counts the rest
_FIXED = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 15: 8, 16: 8, 22: 10, 43: 7}
_COUNTED = {1: 2, 2: 2, 3: 2, 4: 2, 15: 6, 16: 6, 23: 2}


def frame(unit: int, pdu: bytes) -> bytes:
    """A request for `unit` as it goes on the wire.

    Units are 1 to 247; broadcasts (0) have no reply to check and are refused with `EncodeError`.
    """
    if not UNITS[0] <= unit <= UNITS[1]:
        raise EncodeError("unit %r is not %d to %d" % ((unit,) + UNITS))
    return sealed(bytes((unit,)) + pdu)


class Client:
    """The matcher of one line. Counters only grow; `reason` says what was wrong with the last
    reply.

    `buffer` is what has come and is not sorted yet. After an answer `trailing` is how many bytes
    lay behind it in the last chunk, and `reject` takes it back. `repeater` is a unit that sent its
    last reply twice, 0 for none.

    `dropped_bytes` is noise; `foreign` frames were of or for other units; `late` ones of a request
    that is no longer waited for; `mismatches` answered the right unit's request wrongly; `echoes`
    were our own; `crc_errors` began like the reply and had a bad CRC.
    """

    broken = ""  # a serial line cannot be out of step for ever
    torn = False

    def __init__(self) -> None:
        self.line_echo = False
        self.reason = ""
        self.dropped_bytes = 0
        self.foreign = 0
        self.late = 0
        self.mismatches = 0
        self.echoes = 0
        self.crc_errors = 0
        self.trailing = 0
        self.repeater = 0
        self._usurped = False
        self._rest = b""
        self._last = b""
        self._waiting = False
        self._doubtful = False
        self._clear()
        self._expect(0, bytes((READS[0], 0, 0, 0, 0)), b"")

    def _clear(self) -> None:
        self.buffer = b""
        self._scanned = 0
        self._need = _SHORTEST
        self._pending: list[tuple[int, int]] = []

    def _expect(self, unit: int, pdu: bytes, request: bytes) -> None:
        """Work out what the good reply begins with and how long it is."""
        self._unit = unit
        self._pdu = pdu
        self._request = request
        self._function = function = pdu[0]
        self._grows = function == DEVICE_ID
        if function in READS:  # the usual case, spelled out for speed
            self._count = pdu[4]
            self._head = bytes((unit, function, 2 * pdu[4]))
            self.reply_length = 5 + 2 * pdu[4]
        else:
            self._count = 0
            self._head = bytes((unit,)) + reply_head(pdu)
            self.reply_length = reply_length(pdu) + 3

    def start(self, unit: int, pdu: bytes, doubtful: bool = False) -> bytes:
        """Begin a transaction; returns the frame to be written. `reply_length` is then set.

        `doubtful`: an exception to this function may still be under way for an older request, so
        that one must not be taken for this one's. Raises `EncodeError` for a bad unit.
        """
        request = frame(unit, pdu)
        if self.buffer:
            self._sort(self.buffer)
            self._clear()
        self._need = _SHORTEST
        self.reason = ""
        self._usurped = False
        self._expect(unit, pdu, request)
        self._skip_echo = self.line_echo and pdu[0] in _MIRRORED
        self._doubtful = doubtful
        self._waiting = True
        return request

    def stop(self) -> None:
        """Give up waiting; what has come so far is counted, and `reason` says what it was."""
        self._sort(self.buffer)
        self._clear()
        self._waiting = False

    def reject(self) -> "Answer | None":
        """Take the last answer back: it came too early to be one. What lay behind it may be it."""
        self.late += 1
        self._waiting = True
        self.buffer = self._rest
        self._need = _SHORTEST
        return self._search(len(self.buffer)) if len(self.buffer) >= _SHORTEST else None

    def open_request(self) -> "tuple[int, bytes] | None":
        """The read (unit, PDU) that another master has just sent and that is not answered yet.

        Only while nothing is asked. It sorts out what has been heard so far.
        """
        heard = self.buffer
        if self._waiting or not heard:
            return None
        self._sort(heard)
        self._clear()
        piece = heard[-8:]
        if len(piece) < 8 or piece[1] not in READS or crc16(piece) or piece == self._request:
            return None
        return (piece[0], piece[1:6])

    def reset(self) -> None:
        """Forget everything that is in the air: the line was opened or closed."""
        self._clear()
        self._waiting = False

    def feed(self, data: bytes) -> "Answer | None":
        """Take bytes; returns (verdict, exception code, registers) once the reply is complete.

        The verdict is "ok" or "exception". Nothing is returned twice, and bytes that come when
        nothing is asked are only counted, at the latest by the next `start`.
        """
        if len(data) > _SLICE:
            return self._feed_slices(data)
        size = len(self.buffer) + len(data)
        self.buffer = buffer = self.buffer + data if self.buffer else data
        if size >= self._need and self._waiting:
            # The usual case first: exactly the reply and nothing else.
            alone = size == self.reply_length and not self._skip_echo and not self._grows
            if alone and buffer.startswith(self._head) and crc16(buffer) == 0:
                self._waiting = False
                self.trailing = 0
                self._rest = b""
                self._last = buffer
                if self._scanned:
                    self._clear()
                else:
                    self.buffer = b""
                if self._count:
                    self.line_echo = False
                    return (GOOD, 0, struct.unpack_from(form(self._count), buffer, 3))
                return (GOOD, 0, values_of(self._pdu, buffer[1:-2]))
            found = self._search(size)
            if found is not None:
                return found
        if size > LIMIT:
            self._shorten(size - _MAX_FRAME)
        return None

    def _feed_slices(self, data: bytes) -> "Answer | None":
        answer = None
        for start in range(0, len(data), _SLICE):
            got = self.feed(data[start : start + _SLICE])
            if got is not None:
                answer = got
        return answer

    def _search(self, size: int) -> "Answer | None":
        """Look for new candidates, then check those whose last byte has come."""
        self._scan(size)
        waiting = []
        need = size + _SHORTEST - 1
        for at, end in self._pending:
            due = self._measured(at, end) if self._grows and end <= size else end
            if due > size:
                waiting.append((at, due))
                need = min(need, due)
            elif self._is_reply(at, due):
                return self._take(at, due)
        self._pending = waiting
        self._need = need
        return None

    def _scan(self, size: int) -> None:
        """Find the places where our unit and function stand, from where the last scan ended."""
        buffer, mark, wanted = self.buffer, self._head[:1], self._function
        at = buffer.find(mark, self._scanned)
        while 0 <= at < size - 1:
            function = buffer[at + 1]
            if function == wanted:
                self._pending.append((at, at + self.reply_length))
            elif function == wanted | 0x80:
                self._pending.append((at, at + _SHORTEST))
            at = buffer.find(mark, at + 1)
        self._scanned = max(self._scanned, size - 1)  # the last byte may be a unit

    def _measured(self, at: int, end: int) -> int:
        """The end of a reply of unforeseen length, now that its bytes up to `end` are there."""
        if self.buffer[at + 1] != self._function:
            return end
        return at + 3 + measure(self._pdu, self.buffer[at + 1 :])

    def _is_reply(self, at: int, end: int) -> bool:
        """Whether the complete candidate at `at` is the reply."""
        piece = self.buffer[at:end]
        if piece[1] != self._function:
            return not self._doubtful and crc16(piece) == 0
        if not piece.startswith(self._head):
            return False
        if crc16(piece):
            self.crc_errors += 1
            self.reason = "crc"
            return False
        if self._skip_echo and piece == self._request:
            self._skip_echo = False
            return False
        return True

    def _take(self, at: int, end: int) -> "Answer | None":
        """Hand over the reply between `at` and `end`; sort what lay around it."""
        buffer = self.buffer
        echoes = self.echoes
        if at:
            self._sort(buffer[:at])
        rest = buffer[end:]
        self._clear()
        if self._usurped:  # by another master, whose reply this is
            self._usurped = False
            self.foreign += 1
            self.buffer = rest
            self._need = _SHORTEST
            return self._search(len(rest))
        self._waiting = False
        self._rest = rest
        self._last = buffer[at:end]
        self.trailing = len(rest)
        if self._function not in _MIRRORED:
            self.line_echo = self.echoes != echoes
        if rest:
            self._sort(rest)
        if buffer[at + 1] != self._function:
            return (EXCEPTION, buffer[at + 2], ())
        return (GOOD, 0, values_of(self._pdu, buffer[at + 1 : end - 2]))

    def _shorten(self, cut: int) -> None:
        """Keep the buffer bounded: sort out its first `cut` bytes."""
        self._sort(self.buffer[:cut])
        self.buffer = self.buffer[cut:]
        self._scanned = max(0, self._scanned - cut)
        self._need = max(0, self._need - cut)
        self._pending = [(at - cut, end - cut) for at, end in self._pending if at >= cut]

    def _sort(self, data: bytes) -> None:
        """Count what `data` holds: whole frames by what they are, and noise by the byte."""
        at, size = 0, len(data)
        while at < size:
            end = _frame_end(data, at, size)
            if end:
                self._name(data[at:end])
                at = end
            else:
                self.dropped_bytes += 1
                at += 1

    def _name(self, piece: bytes) -> None:
        """Count one intact frame that is not the reply."""
        if piece == self._request:
            self.echoes += 1
        elif not self._waiting:
            self.late += 1
            if piece == self._last:
                self.repeater = piece[0]
        elif piece[0] != self._unit:
            self.foreign += 1
        else:
            self._usurped = self._usurped or self._is_rival(piece)
            self.mismatches += 1
            verdict = judge(self._pdu, piece[1:-2])[0]
            self.reason = "late exception" if verdict == EXCEPTION else verdict

    def _is_rival(self, piece: bytes) -> bool:
        """Whether it is another master's read whose reply would begin like ours."""
        if self._function not in READS or len(piece) != 8 or piece[1] != self._function:
            return False
        return reply_head(piece[1:6]) == self._head[1:]


def _frame_end(data: bytes, at: int, size: int) -> int:
    """Where an intact frame that begins at `at` ends, or 0 if none begins there."""
    if size - at < _SHORTEST:
        return 0
    function = data[at + 1]
    if function & 0x80:
        return at + _SHORTEST if crc16(data[at : at + _SHORTEST]) == 0 else 0
    ends = [at + _FIXED.get(function, 0)]
    place = at + _COUNTED.get(function, size)
    if place < size:
        ends.append(place + 3 + data[place])
    for end in ends:
        if at < end <= size and crc16(data[at:end]) == 0:
            return end
    return 0
