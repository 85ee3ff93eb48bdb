"""Modbus over TCP, client side: the MBAP header, and the reply found by its transaction number.

Not a connection: it opens and closes nothing and knows no time. A stream has no gaps to find a
frame by, so a header that cannot be one (protocol not 0, impossible length) means that the stream
is out of step for good: `stream_error` then says why, and the caller closes the socket. Header:
"MODBUS Messaging on TCP/IP Implementation Guide V1.0b", section 3.1.3: transaction, protocol,
length of the rest, unit.

How it works: each request has a new transaction number, retries too. A reply with another number is
late, or a duplicate, and is counted and dropped. One with the right number is final, good or not.
"""

import struct

from protocols.errors import EncodeError
from protocols.modbus.pdu import EXCEPTION, GOOD, check_reply, reply_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.pdu import ReplyResult

UNITS = (0, 255)
"""Units behind a gateway; 0 and 255 also mean the device with the address itself."""

_HEADER = ">HHHB"
_HEADER_SIZE = 7
_MIN_LENGTH = 2  # unit and function
_MAX_LENGTH = 254  # unit and 253 bytes of PDU


class TcpClient:
    """The matcher of one stream; counters as in `protocols.modbus.rtu`.

    `stream_error` is empty, or names why the stream can no longer be read: "protocol id" or
    "length".
    """

    def __init__(self) -> None:
        self.stream_error = ""
        self.reason = ""
        self.line_echo = False
        self.discarded_bytes = 0
        self.other_unit_frames = 0
        self.unsolicited = 0
        self.mismatches = 0
        self.echoes = 0
        self.crc_errors = 0
        self.reply_length = 0
        self.trailing_bytes = 0
        self.duplicate_unit = 0
        self.buffer = b""
        self._waiting = False
        self._transaction = 0
        self._unit = 0
        self._pdu = b""

    def take_duplicate_unit(self) -> int:
        """Return and clear `duplicate_unit`."""
        unit, self.duplicate_unit = self.duplicate_unit, 0
        return unit

    def start(self, unit: int, pdu: bytes, exception_ambiguous: bool = False) -> bytes:
        """Begin a transaction; returns the bytes to be written. Units are 0 to 255.

        `exception_ambiguous` has no meaning here: transaction numbers leave no doubt. Raises
        `EncodeError`.
        """
        if not UNITS[0] <= unit <= UNITS[1]:
            raise EncodeError("unit %r is not %d to %d" % ((unit,) + UNITS))
        self._transaction = (self._transaction + 1) & 0xFFFF
        self._unit = unit
        self._pdu = pdu
        self._waiting = True
        self.reason = ""
        self.reply_length = _HEADER_SIZE + reply_length(pdu)
        return struct.pack(_HEADER, self._transaction, 0, len(pdu) + 1, unit) + pdu

    @property
    def has_partial_frame(self) -> bool:
        """Whether a frame has begun and not ended; what follows may not be where it seems."""
        return bool(self.buffer)

    def stop(self) -> None:
        """Give up waiting; a reply that comes later is counted and dropped."""
        self._waiting = False

    def discard(self) -> "ReplyResult | None":
        """As in RTU; never needed here."""
        return None

    def pending_request(self) -> "tuple[int, bytes] | None":
        """As in RTU: there is no other master on a stream."""
        return None

    def reset(self) -> None:
        """Begin with an empty stream: the socket was opened or closed."""
        self.buffer = b""
        self._waiting = False
        self.stream_error = ""

    def feed(self, data: bytes) -> "ReplyResult | None":
        """Take bytes; returns (verdict, exception code, registers) once the reply is complete.

        The verdict is "ok", "exception", or the name of what does not match ("unit" or one of
        `pdu.check_reply`). Look at `stream_error` afterwards. At most one frame (260 bytes) is
        kept.
        """
        if self.stream_error:
            self.discarded_bytes += len(data)
            return None
        buffer = self.buffer + data if self.buffer else data
        result = None
        at, size = 0, len(buffer)
        while size - at >= _HEADER_SIZE:
            transaction, protocol, length, unit = struct.unpack_from(_HEADER, buffer, at)
            if protocol or not _MIN_LENGTH <= length <= _MAX_LENGTH:
                self.stream_error = "protocol id" if protocol else "length"
                self.discarded_bytes += size - at
                at = size
                break
            end = at + _HEADER_SIZE - 1 + length
            if end > size:
                break
            if self._waiting and transaction == self._transaction:
                result = self._check_reply(unit, buffer[at + _HEADER_SIZE : end])
            else:
                self.unsolicited += 1
            at = end
        self.buffer = buffer[at:]
        return result

    def _check_reply(self, unit: int, reply: bytes) -> "ReplyResult":
        """Judge the one reply that bears our number."""
        self._waiting = False
        result = ("unit", 0, ()) if unit != self._unit else check_reply(self._pdu, reply)
        if result[0] != GOOD and result[0] != EXCEPTION:
            self.mismatches += 1
            self.reason = result[0]
        return result
