# SPDX-License-Identifier: Apache-2.0
"""UF2 files: the parts of an image that the boot loader of RP2040 and RP2350 writes to the flash.

Format: github.com/microsoft/uf2. A block has 512 bytes: two magics, flags, address, size, number,
count, family, 476 bytes of data, a last magic. Does not check what the image does.
"""

import struct
from collections.abc import Mapping

_MAGIC_0, _MAGIC_1, _MAGIC_END = 0x0A324655, 0x9E5D5157, 0x0AB16F30
_HAS_FAMILY = 0x2000
_HEAD = struct.Struct("<8I")
_BLOCK, _PAYLOAD = 512, 256
FLASH_BASE = 0x10000000
FAMILIES = {"rp2040": 0xE48BFF56, "rp2350": 0xE48BFF59}
"""Families of the images: RP2040, and RP2350 with Arm cores, secure (datasheet, 5.5.3)."""


def read_blocks(data: bytes, family: int) -> dict[int, bytes]:
    """Return the data of a family by address. Raises ValueError if a block is damaged."""
    blocks = {}
    for at in range(0, len(data), _BLOCK):
        first, second, _, address, size, _, _, found = _HEAD.unpack_from(data, at)
        last = data[at + _BLOCK - 4 : at + _BLOCK]
        if (first, second) != (_MAGIC_0, _MAGIC_1) or last != struct.pack("<I", _MAGIC_END):
            raise ValueError(f"block {at // _BLOCK}: not UF2")
        if found == family:
            blocks[address] = data[at + 32 : at + 32 + size]
    return blocks


def add_parts(data: bytes, family: int, parts: Mapping[int, bytes]) -> bytes:
    """Return a UF2 file with further data at flash offsets; blocks of other families stay first."""
    blocks = read_blocks(data, family)
    other = b"".join(
        data[at : at + _BLOCK]
        for at in range(0, len(data), _BLOCK)
        if _HEAD.unpack_from(data, at)[7] != family
    )
    for offset, content in parts.items():
        for at in range(0, len(content), _PAYLOAD):
            page = content[at : at + _PAYLOAD].ljust(_PAYLOAD, b"\xff")
            blocks[FLASH_BASE + offset + at] = page
    result = [other]
    for number, address in enumerate(sorted(blocks)):
        head = (_MAGIC_0, _MAGIC_1, _HAS_FAMILY, address, len(blocks[address]), number)
        body = _HEAD.pack(*head, len(blocks), family) + blocks[address].ljust(476, b"\0")
        result.append(body + struct.pack("<I", _MAGIC_END))
    return b"".join(result)


def flash_image(data: bytes, family: int, size: int) -> bytes:
    """Return the content of a flash of `size` bytes after the boot loader has written a file."""
    flash = bytearray(b"\xff" * size)
    for address, content in read_blocks(data, family).items():
        start = address - FLASH_BASE
        flash[start : start + len(content)] = content
    return bytes(flash)
