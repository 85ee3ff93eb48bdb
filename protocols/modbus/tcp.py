# SPDX-License-Identifier: Apache-2.0
"""Modbus over TCP, client side: the MBAP header, and replies matched by transaction number.

Does not open or close the connection and has no time. A stream has no gaps that separate frames.
An invalid header (protocol not 0, impossible length) means that the stream is permanently out of
step. `stream_error` then names the reason, and the caller must close the socket. Header: "MODBUS
Messaging on TCP/IP Implementation Guide V1.0b", section 3.1.3: transaction, protocol, length of the
rest, unit.

Each request has a new transaction number, retries too. A reply with another number is late or a
duplicate; the client counts and drops it. The reply with the right number ends the transaction,
good or not.
"""

import struct

from protocols.errors import EncodeError
from protocols.modbus.frame_counters import FrameCounters
from protocols.modbus.pdu import (
    EXCEPTION,
    GOOD,
    MAX_READ,
    READS,
    check_reply,
    reply_length,
    struct_format,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from protocols.modbus.pdu import ReplyResult

    KnownRequest = tuple[bytes, bytes, int, str]

UNITS = (0, 255)
"""Units behind a gateway; 0 and 255 also mean the device at the address itself."""

_HEADER = ">HHHB"
_HEADER_REST = ">HHB"  # after the transaction number
_READ_REST = ">HHBBB"  # the same, function, byte count
_READ_START_SIZE = 9
_HEADER_SIZE = 7
_MIN_LENGTH = 2  # unit and function
_MAX_LENGTH = 254  # unit and 253 bytes of PDU
_MAX_KNOWN = 128 if hasattr(b"", "isascii") else 0  # a board has no memory for them


class TcpClient:
    """The reply matcher of one stream.

    `stream_error` is empty, or the reason why the stream is unreadable: "protocol id" or "length".
    """

    others = ()  # a stream has no other master
    lost_units = ()
    request_seen = False
    beside = ()
    cut = b""
    joined = b""
    reply_prefix = b""  # not known here; see `drivers.modbus.transaction.reply_prefix_of`
    exception_length = 9

    def __init__(self) -> None:
        self.stream_error = ""
        self.reason = ""
        self.line_echo = False
        self.echo_known = True
        self.is_deferred = False
        self.is_unproven = False
        self.late_frames: list[bytes] = []
        self.counters = FrameCounters()
        self.reply_length = 0
        self.trailing_bytes = 0
        self.duplicate_unit = 0
        self.buffer = b""
        self._waiting = False
        self._transaction = 0
        self._unit = 0
        self._pdu = b""
        self._good_start = b""  # of a good reply to a read; empty for other requests
        self._format = ""  # of its registers, for `struct`
        self._known: dict[tuple[int, bytes], KnownRequest] = {}

    def watch_owed(
        self, is_owed: "Callable[[bytes], bool]", is_own_echo: "Callable[[int, bytes], bool]"
    ) -> None:
        """Ignore the guard: transaction numbers identify the replies."""

    def start(self, unit: int, pdu: bytes, exception_ambiguous: bool = False) -> bytes:
        """Start a transaction; return the bytes to send. Units are 0 to 255.

        `exception_ambiguous` is ignored: transaction numbers are unambiguous. Raises `EncodeError`.
        """
        known = self._known.get((unit, pdu))
        if known is None:
            known = self._prepare(unit, pdu)
        rest, good_rest, self.reply_length, self._format = known
        self._transaction = number = (self._transaction + 1) & 0xFFFF
        self._unit = unit
        self._pdu = pdu
        self._waiting = True
        self.reason = ""
        start = number.to_bytes(2, "big")
        self._good_start = start + good_rest if good_rest else b""
        return start + rest

    def _prepare(self, unit: int, pdu: bytes) -> "KnownRequest":
        """Return what is the same each time that this request is sent; keep it if it is a read."""
        if not UNITS[0] <= unit <= UNITS[1]:
            raise EncodeError("unit %r is not %d to %d" % ((unit,) + UNITS))
        rest = struct.pack(_HEADER_REST, 0, len(pdu) + 1, unit) + pdu
        if pdu[0] not in READS or pdu[4] > MAX_READ:
            return (rest, b"", _HEADER_SIZE + reply_length(pdu), "")
        size = 2 * pdu[4]
        good_rest = struct.pack(_READ_REST, 0, 3 + size, unit, pdu[0], size)
        known = (rest, good_rest, _READ_START_SIZE + size, struct_format(pdu[4]))
        if len(self._known) < _MAX_KNOWN:
            self._known[(unit, pdu)] = known
        return known

    @property
    def has_partial_frame(self) -> bool:
        """True if a frame is incomplete; the stream can then be out of step."""
        return bool(self.buffer)

    def stop(self) -> None:
        """End the wait for a reply; a later reply is counted and dropped."""
        self._waiting = False

    def settle(self) -> "ReplyResult | None":
        """As in RTU; nothing is deferred on a stream."""
        return None

    def discard(self) -> "ReplyResult | None":
        """As in RTU; not needed on a stream."""
        return None

    def take_duplicate(self) -> int:
        """As in RTU; a transaction number excludes duplicates."""
        return 0

    def unanswered_others(self) -> "list[bytes]":
        """As in RTU; a stream has no other master."""
        return []

    def unclassified(self) -> "list[bytes]":
        """As in RTU; a stream has no other master."""
        return []

    def reset(self, goes_on: bool = False) -> None:
        """Start with an empty stream: the socket was opened or closed."""
        self.buffer = b""
        self._waiting = False
        self.stream_error = ""

    def feed(self, data: bytes) -> "ReplyResult | None":
        """Add bytes; return (verdict, exception code, registers) when the reply is complete.

        The verdict is "ok", "exception", or the name of the mismatch ("unit" or a verdict of
        `pdu.check_reply`). Check `stream_error` afterwards. The client keeps at most one frame (260
        bytes).
        """
        if self.stream_error:
            self.counters.discarded_bytes += len(data)
            return None
        is_whole = len(data) == self.reply_length and not self.buffer
        if is_whole and self._waiting and self._good_start and data.startswith(self._good_start):
            self._waiting = False  # the usual case: exactly the good reply to a read
            return (GOOD, 0, struct.unpack_from(self._format, data, _READ_START_SIZE))
        buffer = self.buffer + data if self.buffer else data
        result = None
        at, size = 0, len(buffer)
        while size - at >= _HEADER_SIZE:
            transaction, protocol, length, unit = struct.unpack_from(_HEADER, buffer, at)
            if protocol or not _MIN_LENGTH <= length <= _MAX_LENGTH:
                self.stream_error = "protocol id" if protocol else "length"
                self.counters.discarded_bytes += size - at
                at = size
                break
            end = at + _HEADER_SIZE - 1 + length
            if end > size:
                break
            if self._waiting and transaction == self._transaction:
                result = self._check_reply(unit, buffer[at + _HEADER_SIZE : end])
            else:
                self.counters.unsolicited += 1
                self.late_frames.append(buffer[at + _HEADER_SIZE - 1 : end])
            at = end
        self.buffer = buffer[at:]
        return result

    def _check_reply(self, unit: int, reply: bytes) -> "ReplyResult":
        """Check the reply with the number of the pending request."""
        self._waiting = False
        result = ("unit", 0, ()) if unit != self._unit else check_reply(self._pdu, reply)
        if result[0] != GOOD and result[0] != EXCEPTION:
            self.counters.mismatches += 1
            self.reason = result[0]
        return result
