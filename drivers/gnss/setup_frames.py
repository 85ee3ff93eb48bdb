# SPDX-License-Identifier: Apache-2.0
"""Frames of the commands to a receiver: NMEA sentences, UBX and the like of Allystar.

Does not choose a command; see `drivers.gnss.setup_vendors`.
"""

UBX_SYNC = b"\xb5\x62"
ALLYSTAR_SYNC = b"\xf1\xd9"
"""Allystar took the frame of UBX: class, id, length, payload and sum are the same."""


def build_sentence(text: str) -> bytes:
    """Return a text as an NMEA sentence: `$`, checksum, line end."""
    check = 0
    for byte in text.encode():
        check ^= byte
    return ("$%s*%02X\r\n" % (text, check)).encode()


def build_ubx(kind: int, number: int, payload: bytes, sync: bytes = UBX_SYNC) -> bytes:
    """Return a UBX frame: sync, class, id, length, payload, Fletcher checksum."""
    body = bytes((kind, number)) + len(payload).to_bytes(2, "little") + payload
    a = b = 0
    for byte in body:
        a = (a + byte) & 255
        b = (b + a) & 255
    return sync + body + bytes((a, b))


def build_valset(pairs: "list[tuple[int, int, int]]") -> bytes:
    """UBX-CFG-VALSET: version 0, to RAM; keys with values of `size` bytes, two's complement.

    The receiver takes all of them or none.
    """
    payload = b"\x00\x01\x00\x00"
    for key, value, size in pairs:
        payload += key.to_bytes(4, "little")
        payload += (value & ((1 << (8 * size)) - 1)).to_bytes(size, "little")
    return build_ubx(0x06, 0x8A, payload)
