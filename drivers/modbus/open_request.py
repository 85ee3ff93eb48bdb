# SPDX-License-Identifier: Apache-2.0
"""A request without a reply, which can still come. Part of `drivers.modbus.stale_reply_guard`.

Has no time; the guard opens and closes requests.
"""

from protocols.modbus.pdu import DIAGNOSTICS, UNSIZED, reply_length, reply_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.transaction import Transaction

DIAGNOSTICS_PDU = bytes((DIAGNOSTICS,))
"""How each request of function 8 begins."""
MANY = b"\0"
"""In place of the requests of another master that were not counted."""


class OpenRequest:
    """A request whose reply can still come, sent once or several times.

    `first` and `last` are the numbers of its first and last attempt without a reply. `owner` is the
    transaction of all attempts, or None if there are several. `pdu` is empty for any request, and
    `MANY` for an unknown number of any but function 8. The request is kept until `open_until` (us)
    at least; it is closed if `first` is above `last`. The last attempt was sent at `sent_at`.
    `is_foreign`: it is that of another master. If `beside` is not 0, the unit can have received it
    before our attempt of that number and those after it, or later.
    """

    __slots__ = (
        "beside",
        "first",
        "is_foreign",
        "last",
        "length",
        "open_until",
        "owner",
        "pdu",
        "reply_prefix",
        "sent_at",
    )

    def __init__(self, unit: int, pdu: bytes, number: int, owner: "Transaction | None") -> None:
        self.set_pdu(unit, pdu)
        self.first = self.last = number
        self.open_until = self.sent_at = self.beside = 0
        self.owner = owner
        self.is_foreign = True

    def set_pdu(self, unit: int, pdu: bytes) -> None:
        """Set the request and the shape of its reply."""
        self.pdu = pdu
        is_known = pdu not in (b"", MANY)
        self.reply_prefix = bytes((unit,)) + (reply_prefix(pdu) if is_known else b"")
        self.length = reply_length(pdu) + 3 if is_known and pdu[0] not in UNSIZED else 0

    def fits(self, reply: bytes) -> bool:
        """Return whether `reply` (from the unit address on) can be the reply to this request."""
        if self.pdu == MANY:
            return reply[1] & 0x7F != DIAGNOSTICS
        if reply[1] & 0x80:
            return not self.pdu or self.pdu[0] == reply[1] & 0x7F
        return reply.startswith(self.reply_prefix)

    def has_shape_of(self, other: "OpenRequest") -> bool:
        """Return whether the good replies to both requests look alike."""
        return self.reply_prefix == other.reply_prefix and self.length == other.length

    def fits_frame(self, frame: bytes, missing: int = 0) -> bool:
        """Return whether a whole frame, of which `missing` bytes are cut off, can be the reply."""
        is_sized = self.length and not frame[1] & 0x80
        return self.fits(frame) and (not is_sized or len(frame) + missing == self.length)
