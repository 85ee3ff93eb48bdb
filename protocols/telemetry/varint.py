# SPDX-License-Identifier: Apache-2.0
"""Integers in seven bits per byte, the lowest first (LEB128), as short as possible.

Signed integers are mapped first: 0, -1, 1, -2 … become 0, 1, 2, 3 …. Source: DWARF 5, 7.6; Protocol
Buffers, "ZigZag".
"""

from protocols.errors import DecodeError

MAX_BYTES = 10


def put(number: int, out: bytearray) -> None:
    """Append a number of 0 or more."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def get(data: bytes, at: int) -> "tuple[int, int]":
    """Return the number at `at` and the index after it. Raises DecodeError."""
    number = shift = 0
    while True:
        if at >= len(data) or shift >= 7 * MAX_BYTES:
            raise DecodeError("a number is cut off or too long")
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7


def zigzag_encode(number: int) -> int:
    """Map a signed number to 0 or more."""
    return 2 * number if number >= 0 else -2 * number - 1


def zigzag_decode(number: int) -> int:
    """Reverse `zigzag_encode`."""
    return -(number + 1 >> 1) if number & 1 else number >> 1
