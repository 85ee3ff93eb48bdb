# SPDX-License-Identifier: Apache-2.0
"""Memory layout of the QEMU board, and the header of an application.

    0x000000  firmware: MicroPython, C code of the board, frozen start-up (mps2/)
    0x200000  application slot a, 1 MiB
    0x300000  application slot b, 1 MiB

An application is a ROMFS (`.mpy` files and profiles, executed in place) after a header of 64 bytes:
magic, length, release, sha256 of the ROMFS. mps2/_start.py reads the same header on the board.
"""

import hashlib
import struct

SLOTS = {"a": 0x200000, "b": 0x300000}
SLOT_BYTES = 0x100000
MAGIC = b"CLDLOOP1"
_HEADER = struct.Struct("<8sII32s16x")
HEADER_BYTES = _HEADER.size


def add_header(romfs: bytes, release: int) -> bytes:
    """Return an application with its header; raises ValueError if it is larger than a slot."""
    if len(romfs) + HEADER_BYTES > SLOT_BYTES:
        raise ValueError(f"{len(romfs)} bytes do not fit a slot of {SLOT_BYTES - HEADER_BYTES}")
    return _HEADER.pack(MAGIC, len(romfs), release, hashlib.sha256(romfs).digest()) + romfs


def read_header(image: bytes) -> tuple[int, int, str]:
    """Return length, release and hash; raises ValueError if `data` is not an application."""
    magic, length, release, digest = _HEADER.unpack(image[:HEADER_BYTES])
    romfs = image[HEADER_BYTES : HEADER_BYTES + length]
    if magic != MAGIC or hashlib.sha256(romfs).digest() != digest:
        raise ValueError("not an application, or a damaged one")
    return length, release, digest.hex()
