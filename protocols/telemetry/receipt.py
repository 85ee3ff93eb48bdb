# SPDX-License-Identifier: Apache-2.0
"""The acknowledgement of the ground relay: the records that the unit can delete.

    A1 generation flags count (class first last)… [mac]

Flags: bit 0, the relay lacks a schema; the unit must send it again. The mac is the first 8 bytes of
HMAC-SHA256 (RFC 2104) over the name of the unit, a NUL and the bytes before the mac. With a key, a
receipt without a right mac is invalid. A repeated receipt has no effect: it only names stored
records.
"""

from protocols.errors import DecodeError
from protocols.signing.hmac_sha256 import hmac
from protocols.telemetry import varint
from protocols.telemetry.message import CLASSES, GENERATION_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    Range = tuple[int, int, int]
    """Class, first id, last id."""

MARK = 0xA1  # first byte of a receipt
MAC_BYTES = 8
SCHEMA_MISSING = 1  # flag
MAX_RANGES = 64


class Receipt:
    """The content of a receipt."""

    def __init__(self, generation: bytes, flags: int, ranges: "list[Range]") -> None:
        self.generation = generation
        self.flags = flags
        self.ranges = ranges


def _mac(key: bytes, unit: str, body: bytes) -> bytes:
    return hmac(key, unit.encode() + b"\0" + body)[:MAC_BYTES]


def build_receipt(receipt: Receipt, unit: str, key: bytes) -> bytes:
    """Write a receipt for `unit` ("SITE/UNIT"); `key` can be empty."""
    out = bytearray([MARK])
    out.extend(receipt.generation)
    out.append(receipt.flags)
    varint.put(len(receipt.ranges), out)
    for record_class, first, last in receipt.ranges:
        varint.put(record_class, out)
        varint.put(first, out)
        varint.put(last, out)
    body = bytes(out)
    return body + _mac(key, unit, body) if key else body


def parse_receipt(message: bytes, unit: str, key: bytes) -> Receipt:
    """Parse and check a receipt. Raises DecodeError (starts with `forged` for a wrong mac)."""
    if key:
        body, mac = message[:-MAC_BYTES], message[-MAC_BYTES:]
        if len(message) <= MAC_BYTES or _mac(key, unit, body) != mac:
            raise DecodeError("forged: the mac is wrong")
        message = body
    if len(message) < 2 + GENERATION_BYTES or message[0] != MARK:
        raise DecodeError("no receipt")
    at = 1 + GENERATION_BYTES
    generation, flags = bytes(message[1:at]), message[at]
    count, at = varint.get(message, at + 1)
    if count > MAX_RANGES:
        raise DecodeError("%d ranges" % count)
    ranges = []
    for _ in range(count):
        record_class, at = varint.get(message, at)
        first, at = varint.get(message, at)
        last, at = varint.get(message, at)
        if record_class >= len(CLASSES) or not 0 < first <= last:
            raise DecodeError("a range that cannot be")
        ranges.append((record_class, first, last))
    if at != len(message):
        raise DecodeError("more than a receipt")
    return Receipt(generation, flags, ranges)
