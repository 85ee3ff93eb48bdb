# SPDX-License-Identifier: Apache-2.0
"""The two checksums of Iridium modems.

    sum16   SBD binary transfers: sum of the bytes modulo 65536, big-endian ("hello" -> 02 14)
    crc16   JSPR messages: polynomial 0x1021, start 0, most significant bit first (XMODEM)

Sources: Iridium 9601 AT command reference (AT+SBDWB); RockBLOCK-9704 library. `crc16` computes
byte-wise without a table (Greg Cook's form), which saves 512 bytes of heap on a board.
"""


def sum16(data: bytes) -> int:
    """Return the sum of the bytes modulo 65536."""
    return sum(data) & 0xFFFF


def crc16(data: bytes, crc: int = 0) -> int:
    """Return the CRC-16/XMODEM of `data`, continued from `crc`."""
    for byte in data:
        x = (crc >> 8) ^ byte
        x ^= x >> 4
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xFFFF
    return crc
