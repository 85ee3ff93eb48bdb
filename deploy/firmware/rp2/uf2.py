# SPDX-License-Identifier: Apache-2.0
"""UF2 files: the parts of an image that the boot loader of RP2040 and RP2350 writes to the flash.

Format: github.com/microsoft/uf2. A block has 512 bytes: two magics, flags, address, size, number,
count, family, 476 bytes of data, a last magic. The boot loader takes blocks in any order, and
restarts when it has all of them. Does not check what the image does.
"""

import struct
from collections.abc import Mapping

_MAGIC_0, _MAGIC_1 = 0x0A324655, 0x9E5D5157
_MAGIC, _MAGIC_END = struct.pack("<2I", _MAGIC_0, _MAGIC_1), struct.pack("<I", 0x0AB16F30)
_HAS_FAMILY, _NOT_FLASH = 0x2000, 1
_HEAD = struct.Struct("<8I")
_BLOCK, _PAYLOAD, _MAX_PAYLOAD = 512, 256, 476
FLASH_BASE = 0x10000000
FAMILIES = {"rp2040": 0xE48BFF56, "rp2350": 0xE48BFF59}
"""Families of the images: RP2040, and RP2350 with Arm cores, secure (datasheet, 5.5.3)."""


def read_blocks(data: bytes, family: int) -> dict[int, bytes]:
    """Return the data of a family by address.

    Raises ValueError if a block is damaged, missing or there twice, or none is of the family.
    """
    blocks = dict[int, bytes]()
    places = list[tuple[int, int]]()
    for index, block in enumerate(_split(data)):
        _, _, flags, address, size, number, count, found = _HEAD.unpack_from(block)
        if found != family:
            continue
        if flags & (_HAS_FAMILY | _NOT_FLASH) != _HAS_FAMILY or not 0 < size <= _MAX_PAYLOAD:
            raise ValueError(f"block {index}: flags {flags:#x}, {size} bytes")
        blocks[address] = block[32 : 32 + size]
        places.append((number, count))
    if not places or sorted(places) != [(at, len(places)) for at in range(len(places))]:
        raise ValueError(f"family {family:#x}: blocks are missing or there twice")
    addresses = sorted(blocks)
    ends = [address + len(blocks[address]) for address in addresses]
    if len(blocks) < len(places) or any(map(int.__lt__, addresses[1:], ends)):
        raise ValueError(f"family {family:#x}: blocks overlap")
    return blocks


def _split(data: bytes) -> list[bytes]:
    """Return the blocks of a file. Raises ValueError."""
    blocks = [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)]
    for index, block in enumerate(blocks):
        magics = (block[:8], block[_BLOCK - 4 :])
        if magics != (_MAGIC, _MAGIC_END):
            raise ValueError(f"block {index}: not UF2")
    return blocks


def check(data: bytes) -> None:
    """Check that a file is an image for one of our chips. Raises ValueError."""
    found = {_HEAD.unpack_from(block)[7] for block in _split(data)} & set(FAMILIES.values())
    if not found:
        raise ValueError("no block for an RP2040 or RP2350")
    for family in found:
        read_blocks(data, family)


def add_parts(data: bytes, family: int, parts: Mapping[int, bytes]) -> bytes:
    """Return a UF2 file with further data at flash offsets; blocks of other families stay first."""
    blocks = read_blocks(data, family)
    other = b"".join(block for block in _split(data) if _HEAD.unpack_from(block)[7] != family)
    for offset, content in parts.items():
        for at in range(0, len(content), _PAYLOAD):
            page = content[at : at + _PAYLOAD].ljust(_PAYLOAD, b"\xff")
            blocks[FLASH_BASE + offset + at] = page
    result = [other]
    for number, address in enumerate(sorted(blocks)):
        head = (_MAGIC_0, _MAGIC_1, _HAS_FAMILY, address, len(blocks[address]), number)
        body = _HEAD.pack(*head, len(blocks), family) + blocks[address].ljust(476, b"\0")
        result.append(body + _MAGIC_END)
    return b"".join(result)


def flash_image(data: bytes, family: int, size: int) -> bytes:
    """Return the content of a flash of `size` bytes after the boot loader has written a file.

    Raises ValueError if a block is not in the flash.
    """
    flash = bytearray(b"\xff" * size)
    for address, content in read_blocks(data, family).items():
        start = address - FLASH_BASE
        if not 0 <= start <= size - len(content):
            raise ValueError(f"address {address:#x}: not in the flash")
        flash[start : start + len(content)] = content
    return bytes(flash)
