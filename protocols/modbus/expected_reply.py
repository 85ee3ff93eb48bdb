# SPDX-License-Identifier: Apache-2.0
"""What a request determines of its RTU reply: how it begins, and where it ends.

A plain record of `protocols.modbus.rtu`. Does not search the received bytes. `is_other_request`
tells the requests of another master from replies.
"""

from protocols.modbus.crc import is_intact
from protocols.modbus.pdu import (
    BIT_READS,
    MAX_READ,
    MAX_READ_BITS,
    READS,
    UNSIZED,
    is_sized,
    reply_length,
    reply_prefix,
    struct_format,
)

OTHER_MASTER = "another master is on the line"
_WRITES = (15, 16)  # their request is longer than their reply
_MAX_DUE = 8
_REQUEST_SIZE = 6  # of a read, and of the reply to a write: without CRC


def is_other_request(body: bytes) -> bool:
    """Return whether a frame without its CRC is a read or a write of several values.

    Requests that look like their replies are none: functions 5, 6, 8 and 22, and reads of bits from
    the addresses 768 to 1023. A read with a count that no device answers is none.
    """
    function, size = body[1], len(body)
    if function in _WRITES:
        return size > _REQUEST_SIZE
    if size != _REQUEST_SIZE:
        return False
    count = body[4] << 8 | body[5]
    if function in READS:
        return 1 <= count <= MAX_READ
    return function in BIT_READS and body[2] != 3 and 1 <= count <= MAX_READ_BITS


class OtherRequests:
    """The requests of another master without a reply, a part of the client of a serial line.

    `other_request` is the last one (unit and PDU), or empty.
    """

    other_request = b""
    _other_due = 0
    _due_since_start = 0
    _other_reported = False

    def note_frame(self, body: bytes) -> bool:
        """Count a frame that is not ours; return whether it is a request."""
        other = self.other_request
        if is_other_request(body):
            self.other_request = body
            self._other_due = min(self._other_due + 1, _MAX_DUE)
            self._due_since_start += 1
            self._other_reported = False
            return True
        if other and body[0] == other[0] and body[1] & 0x7F == other[1]:
            self._other_due -= 1
            if self._other_due <= 0:
                self.forget_other()
        return False

    def report_other(self, has_bytes: bool) -> "tuple[int, bytes] | None":
        """Return the request (unit, PDU), or None; forget it if nothing came after a report."""
        if self._other_reported and not has_bytes:
            self.forget_other()
        self._other_reported = True
        request = self.other_request
        return (request[0], request[1:]) if request else None

    def own_reply_came(self) -> None:
        """Only requests after ours are due: a device answers in the order of its requests."""
        self._other_due = self._due_since_start
        if not self._other_due:
            self.other_request = b""

    def forget_other(self) -> None:
        """No reply is due."""
        self.other_request = b""
        self._other_due = 0


class ExpectedReply:
    """The good reply to one request.

    `prefix` is how it begins, from the unit address on. `length` is in bytes, with unit and CRC;
    with `length_unknown` it is the least. `count` (registers) and `format` (of `struct`) are those
    of a read of registers, else 0 and empty. `echo` is the part of the request that looks like a
    whole reply to it; empty: there is none.
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
