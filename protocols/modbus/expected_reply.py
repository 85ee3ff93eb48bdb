# SPDX-License-Identifier: Apache-2.0
"""What a request determines of its RTU reply: how it begins, and where it ends.

Parts of `protocols.modbus.rtu`. Does not search the reply in the received bytes. `frame_end` finds
the end of any frame. `is_other_request` tells the requests of another master from replies.
"""

from protocols.modbus.crc import is_intact
from protocols.modbus.pdu import (
    DEVICE_ID,
    MAX_PDU,
    MAX_READ,
    MAX_READ_BITS,
    MEI,
    READ_WRITE,
    READS,
    UNSIZED,
    expected_length,
    is_sized,
    reply_length,
    reply_prefix,
    struct_format,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

OTHER_MASTER = "another master is on the line"
MIN_FRAME = 5
"""Bytes of an exception: unit, function, code, CRC."""
CRC_SIZE = 2
_SHORTEST = 4  # bytes of the request of function 17
ECHO_FUNCTIONS = (5, 6, 8, 22)
"""Functions whose good reply is equal to the request."""
FIXED_LENGTHS = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 8: 8, 15: 8, 16: 8, 17: 4, 22: 10, 43: 7}
"""Bytes of the frames of one length, by function. They are requests, but for 15 and 16: replies."""
_WRITES = (15, 16)
# function -> index of the byte count
_COUNT_INDEX = {1: 2, 2: 2, 3: 2, 4: 2, 15: 6, 16: 6, 17: 2, 23: 2}
_COUNT_INDEX_23 = 10  # in a request of function 23
_REPLY_SIZE = 6  # of the reply to a write of several values: without CRC
_HEAD_23 = 11  # bytes before the values in a request of function 23
_MAX_DUE = 8
_MEI = bytes((MEI,))
_MORE = (b"\0", b"\xff")  # "more follows" in a reply of function 43: no, yes
_KEPT_SIZE = 8  # of a request: what its reply can repeat


def is_other_request(body: bytes) -> bool:
    """Return whether a frame without its CRC can be the request of another master.

    Reads of bits from the addresses 768 to 1023 look like their replies and count as these. A read
    with a count that no device answers is no request.
    """
    function, size = body[1], len(body)
    if function in _WRITES:
        return size > _REPLY_SIZE
    if function == READ_WRITE:
        return size > _HEAD_23 and size == _HEAD_23 + body[10]
    if size + 2 != FIXED_LENGTHS.get(function):
        return False
    if function > READS[-1]:
        return True
    count = body[4] << 8 | body[5]
    if function in READS:
        return 1 <= count <= MAX_READ
    return body[2] != 3 and 1 <= count <= MAX_READ_BITS


def is_clear_request(body: bytes) -> bool:
    """Return whether a frame without its CRC is a request that no reply is equal to."""
    return body[1] not in ECHO_FUNCTIONS and is_other_request(body)


def can_answer(body: bytes, request: bytes) -> bool:
    """Return whether a frame can answer a request; both from the unit on and without CRC.

    The request can be cut off after `_KEPT_SIZE` bytes.
    """
    if body[0] != request[0] or body[1] & 0x7F != request[1]:
        return False
    return body[1] & 0x80 != 0 or body[1:].startswith(reply_prefix(request[1:]))


class OtherRequests:
    """The requests of other masters without a reply, a part of the client of a serial line.

    `others` holds the start of each (unit and PDU), the oldest first. The last
    `_others_after_start` of them came after our pending request; `_others_before_undo` is that
    count before our last reply. A unit answers in the order of its requests. `lost_units` had more
    requests than are kept. `request_seen`: another master sent a request, answered or not, since
    the bus last cleared this. `beside` are those that came while our last request waited: an
    adapter can be late, so the unit can have received them before ours. The bus clears it.
    `watch_owed` gives the guard, which knows still older requests.
    `joined` is the last frame that came in parts with an event of the bus between them.
    `last_reply` begins with the last reply on the line, also to another master. It is empty after a
    request of another master: an equal frame is then no second copy.
    """

    stream_error = ""  # a line finds the start of the next frame by itself
    has_partial_frame = False
    joined = b""
    last_reply = b""
    others: "list[bytes]"
    lost_units: "tuple[int, ...]" = ()
    request_seen = False
    line_echo = False
    echo_known = False
    _echo_before: "bool | None" = None  # the echo of the line as known before our request
    beside: "tuple[bytes, ...]" = ()
    _others_after_start = 0
    _others_before_undo = 0
    _reported = False
    _known_count = 0  # so many of `others`, the oldest, were reported
    _waiting = False
    _exception_ambiguous = False
    _is_owed: "Callable[[bytes], bool] | None" = None
    _is_own_echo: "Callable[[int, bytes], bool] | None" = None

    def watch_owed(
        self, is_owed: "Callable[[bytes], bool]", is_own_echo: "Callable[[int, bytes], bool]"
    ) -> None:
        """Ask `is_owed` whether a frame (without CRC) can be the reply to an older request.

        `is_own_echo` says the same of a frame that looks like a request.
        """
        self._is_owed = is_owed
        self._is_own_echo = is_own_echo

    def note_frame(self, body: bytes) -> bool:
        """Record a frame that is not ours; return whether it is a request.

        If request and reply are equal, the second of two equal frames is the reply. It can also be
        the late reply to an own request. The second copy of a reply is no reply to a next request.
        """
        others, is_own_echo = self.others, self._is_own_echo
        if is_other_request(body) and not (
            body[1] in ECHO_FUNCTIONS
            and (body in others or (is_own_echo and is_own_echo(body[0], body[1:])))
        ):
            self.last_reply = b""
            if len(others) > _MAX_DUE:
                lost = others[0][0]
                self._drop(0)
                if lost not in self.lost_units:
                    self.lost_units = self.lost_units[-_MAX_DUE:] + (lost,)
            others.append(body[:_KEPT_SIZE])
            self.request_seen = True
            if self._waiting:
                self._others_after_start += 1
                self.beside += (body[:_KEPT_SIZE],)
            self._reported = False
            return True
        if self.last_reply.startswith(body):
            return False
        self.last_reply = body
        # The reply to a request after ours comes after the reply to ours.
        for index in range(len(others) - self._others_after_start):
            if can_answer(body, others[index]):
                # The guard counts the reply for a request that it knows, the earliest one.
                is_owed = self._is_owed
                if index < self._known_count or is_owed is None or not is_owed(body):
                    self._drop(index)
                break
        return False

    def _drop(self, index: int) -> None:
        """Remove a request from `others`."""
        self.others.pop(index)
        if index < self._known_count:
            self._known_count -= 1

    def report_others(self, has_bytes: bool) -> "list[bytes]":
        """Return `others`; forget them if nothing came after a report."""
        if self._reported and not has_bytes:
            self.forget_others()
        self._reported = True
        self._known_count = len(self.others)
        return self.others

    def forget_others(self) -> None:
        """Forget all requests: the guard has them, or the line was opened."""
        self.others = []
        self._known_count = 0

    def unclassified(self) -> "list[bytes]":
        """Return the requests (unit and PDU) of other masters among the bytes that `reset` drops.

        In ASCII each line is classified when it ends.
        """
        return []

    def note_own_reply(self, unit: int) -> None:
        """Of the requests to this unit, only those after ours still have no reply."""
        for index in range(len(self.others) - self._others_after_start - 1, -1, -1):
            if self.others[index][0] == unit:
                self._drop(index)
        self._others_before_undo = self._others_after_start
        self._others_after_start = 0

    def undo_own_reply(self) -> None:
        """Take `note_own_reply` back: that reply is not ours, so ours is still due.

        What it showed of the echo of the line is taken back, too: the echo can come after it.
        """
        self._others_after_start = self._others_before_undo
        self._others_before_undo = 0
        if not self.line_echo:
            self.line_echo = bool(self._echo_before)
            self.echo_known = self._echo_before is not None


class ExpectedReply:
    """The good reply to one request.

    `prefix` is how it begins, from the unit address on. `length` is in bytes, with unit and CRC;
    with `length_unknown` it is the least. `count` (registers) and `format` (of `struct`) are those
    of a read of registers, else 0 and empty. `echo` is the part of the request that looks like a
    whole reply to it; empty: there is none. `last_frame` is the last good reply to a read of
    registers that came alone, and `values` are its registers.
    """

    def __init__(self) -> None:
        self.set_request(0, bytes((READS[0], 0, 0, 0, 0)), b"")

    def set_request(self, unit: int, pdu: bytes, request: bytes) -> None:
        """Describe the reply to `pdu`; `request` is its frame."""
        self.unit = unit
        self.pdu = pdu
        self.request = request
        self.function = function = pdu[0]
        self.length_unknown = function in UNSIZED or not is_sized(function)
        self.count = 0
        self.format = ""
        self.last_frame = b""
        self.values: tuple[int, ...] = ()
        if function in READS:  # the usual case, without calls for speed
            self.count = pdu[4]
            if self.count:
                self.format = struct_format(self.count)
            self.prefix = bytes((unit, function, 2 * pdu[4] & 0xFF))
            self.length = 5 + 2 * pdu[4]
        else:
            self.prefix = bytes((unit,)) + reply_prefix(pdu)
            self.length = reply_length(pdu) + 3
        self.echo = b""
        if request.startswith(self.prefix):
            start = request[: self.length] if is_sized(function) else request
            if is_intact(start):
                self.echo = start


def longest_end(data: bytes, at: int) -> int:
    """Return the end of the longest frame that can begin at `at`; a byte follows `at`."""
    if data[at + 1] & 0x80:
        return at + MIN_FRAME
    return max(_possible_ends(data, at))


def _possible_ends(data: bytes, at: int) -> "list[int]":
    """Return where a frame that begins at `at` can end, by its function and byte count."""
    function, size = data[at + 1], len(data)
    ends = [at + FIXED_LENGTHS.get(function, 0)]
    count_index = at + _COUNT_INDEX.get(function, size)
    if count_index < size:
        ends.append(count_index + 3 + data[count_index])
    if function == READ_WRITE and at + _COUNT_INDEX_23 < size:
        ends.append(at + _COUNT_INDEX_23 + 3 + data[at + _COUNT_INDEX_23])
    if function == DEVICE_ID and data[at + 2 : at + 3] == _MEI and data[at + 5 : at + 6] in _MORE:
        body = data[at + 1 : at + 1 + MAX_PDU]  # a reply is a list of objects
        ends.append(at + 3 + expected_length(body, body))
    return ends


def frame_end(data: bytes, at: int, size: int) -> int:
    """Return the end of the longest intact frame that starts at `at`, or 0 if there is none."""
    if size - at < _SHORTEST:
        return 0
    if data[at + 1] & 0x80:
        end = at + MIN_FRAME
        return end if end <= size and is_intact(data[at:end]) else 0
    found = 0
    for end in _possible_ends(data, at):
        if max(at, found) < end <= size and is_intact(data[at:end]):
            found = end
    return found


def join_frame(cut: bytes, data: bytes) -> "tuple[bytes, int]":
    """Return the frame that begins in `cut` and ends in `data`, and where it ends; 0: none.

    An adapter can deliver the first bytes of another master's request long before the rest.
    """
    joined = cut + data
    for begin in range(len(cut)):
        end = frame_end(joined, begin, len(joined)) if begin + 1 < len(joined) else 0
        if end > len(cut):
            return joined[begin:end], end - len(cut)
    return b"", 0


def next_start(data: bytes, end: int) -> int:
    """Return where the next frame begins after one that ends at `end`: there, or in its CRC.

    The last bytes of a frame can be lost. If the first ones of the next frame are equal to them,
    they belong to both frames.
    """
    for begin in range(max(0, end - CRC_SIZE), end):
        if frame_end(data, begin, len(data)) > end:
            return begin
    return end


def requests_in(data: bytes, own: bytes) -> "list[bytes]":
    """Return the requests (unit and PDU) of other masters in `data`; `own` is our request."""
    found = []
    for at in range(len(data)):
        end = frame_end(data, at, len(data))
        if end and data[at:end] != own and is_other_request(data[at : end - 2]):
            found.append(data[at : end - 2])
    return found
