# SPDX-License-Identifier: Apache-2.0
"""UBX frames of an emulated u-blox receiver. Source: u-blox M8 receiver description, 32."""

import struct


def checksum(content: bytes) -> bytes:
    """Return Fletcher-8 over class, id, length and payload."""
    first = second = 0
    for byte in content:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return bytes((first, second))


def build_frame(kind: int, number: int, payload: bytes) -> bytes:
    """Build a whole frame."""
    content = struct.pack("<BBH", kind, number, len(payload)) + payload
    return b"\xb5\x62" + content + checksum(content)
