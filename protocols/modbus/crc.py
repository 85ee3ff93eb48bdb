# SPDX-License-Identifier: Apache-2.0
"""CRC-16/MODBUS: the two last bytes of every RTU frame, low byte first.

Polynomial 0x8005 reflected (0xA001), start 0xFFFF, no final xor. Source: "MODBUS over Serial Line,
Specification and Implementation Guide V1.02", section 6.2.2. The table is built once at import. The
CRC over a frame including its own CRC is 0; the frame check `is_intact` uses this. CPython has a
faster check, `protocols.modbus.crc_fold`.
"""


def _build_table() -> "tuple[int, ...]":
    """Return the CRC of each single byte, started at 0."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _build_table()


def crc16(data: bytes) -> int:
    """Return the CRC of `data`, 0 to 65535; 0 for an intact frame that includes its CRC."""
    crc = 0xFFFF
    table = _TABLE  # a local name: this loop is the most expensive part of a transaction
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


MAX_KNOWN = 128 if hasattr(b"", "isascii") else 0
"""A client repeats its requests, so the first ones are kept. A board has no memory for them."""
_known: "dict[bytes, bytes]" = {}


def with_crc(body: bytes) -> bytes:
    """Return `body` with its CRC appended."""
    frame = _known.get(body)
    if frame is None:
        crc = crc16(body)
        frame = body + bytes((crc & 0xFF, crc >> 8))
        if len(_known) < MAX_KNOWN:
            _known[body] = frame
    return frame


def _has_no_rest(frame: bytes) -> bool:
    return crc16(frame) == 0


is_intact = _has_no_rest
"""Returns whether a frame, which includes its CRC, is intact."""

if hasattr(0, "bit_count"):
    from protocols.modbus import crc_fold

    is_intact = crc_fold.is_intact
