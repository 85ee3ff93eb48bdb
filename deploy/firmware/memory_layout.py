# SPDX-License-Identifier: Apache-2.0
"""Memory layout of the QEMU board, and the head of an application.

    0x000000  firmware: MicroPython, C code of the board, frozen supervisor
    0x200000  application slot a, 1 MiB
    0x300000  application slot b, 1 MiB

An application is a ROMFS (`.mpy` files and profiles, executed in place) after a head of 128 bytes.
supervisor/_slots.py describes the head and reads it on the board.
"""

import hashlib
import struct
from collections.abc import Callable
from typing import NamedTuple

from deploy.firmware.supervisor import _slots

MAGIC, PREFIX, HEADER_BYTES = _slots.MAGIC, _slots.PREFIX, _slots.HEAD
SLOTS = {"a": 0x200000, "b": 0x300000}
SLOT_BYTES = 0x100000
SIGNATURE_BYTES = 64
MAX_RELEASE = 0xFFFFFFFF
_HASHED = struct.Struct("<8sIII4x")
_HEADER = struct.Struct("<24s32s64s8x")


class Header(NamedTuple):
    """Length of the ROMFS in bytes, release, SHA-256 in hexadecimal, signature or zeros."""

    length: int
    release: int
    digest: str
    signature: bytes


def add_header(
    romfs: bytes,
    release: int,
    floor: int = 0,
    sign: Callable[[bytes], bytes] | None = None,
    slot_bytes: int = SLOT_BYTES,
) -> bytes:
    """Return an application with its head.

    `floor`: the oldest release that may run after this one. `sign` returns the Ed25519 signature of
    a message. Raises ValueError if the application is larger than a slot of `slot_bytes` bytes.
    """
    if len(romfs) + HEADER_BYTES > slot_bytes:
        raise ValueError(f"{len(romfs)} bytes do not fit a slot of {slot_bytes - HEADER_BYTES}")
    if not 0 <= floor <= release <= MAX_RELEASE:
        raise ValueError(f"release {release}, floor {floor}: not 0 <= floor <= release")
    hashed = _HASHED.pack(MAGIC, len(romfs), release, floor)
    digest = hashlib.sha256(hashed + romfs).digest()
    signature = bytes(SIGNATURE_BYTES) if sign is None else sign(PREFIX + digest)
    return _HEADER.pack(hashed, digest, signature) + romfs


def read_header(image: bytes) -> Header:
    """Return the head; raises ValueError if `image` is not a complete application."""
    if len(image) < HEADER_BYTES:
        raise ValueError("not an application, or a damaged one")
    hashed, digest, signature = _HEADER.unpack(image[:HEADER_BYTES])
    magic, length, release, _ = _HASHED.unpack(hashed)
    romfs = image[HEADER_BYTES : HEADER_BYTES + length]
    if magic != MAGIC or hashlib.sha256(hashed + romfs).digest() != digest:
        raise ValueError("not an application, or a damaged one")
    return Header(length, release, digest.hex(), signature)
