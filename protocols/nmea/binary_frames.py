# SPDX-License-Identifier: Apache-2.0
"""Binary frames between NMEA sentences (CASIC, UBX and RTCM 3): length and checksum.

Does not decode payloads and does not search the stream; see `protocols.nmea.framing`. Length and
checksum distinguish a complete frame from noise. The framer loads this module with the first byte
that can start a frame (`protocols.nmea.binary_sync`).

    CASIC   BA CE, length (2, little-endian), class, id, payload, sum of 32-bit words (4)
    UBX     B5 62, class, id, length (2, little-endian), payload, Fletcher-8 (2)
    RTCM 3  D3, six zero bits and length (10 bits), payload, CRC-24Q (3)

Sources: CASIC receiver protocol specification (Zhongke Microelectronics); u-blox M8 protocol
specification, 32.4; RTCM 10403.3, 4.2 (the CRC polynomial is Qualcomm's, 0x1864CFB).
"""

_MAX_PAYLOAD = {b"\xb5": 4096, b"\xba": 2048, b"\xd3": 1023}
"""Longest payload by first byte; a longer one is noise that looks like a header."""

_CRC_BIT = 0x1000000
_CRC_POLYNOMIAL = 0x1864CFB


def _build_crc_steps() -> "tuple[int, ...]":
    """Return the change of the CRC by each value of its highest four bits."""
    steps = []
    for value in range(16):
        crc = value << 20
        for _ in range(4):
            crc <<= 1
            if crc & _CRC_BIT:
                crc ^= _CRC_POLYNOMIAL
        steps.append(crc)
    return tuple(steps)


_CRC_STEPS = _build_crc_steps()


def ubx_checksum_by_sums(content: bytes) -> int:
    """As `ubx_checksum_by_loop`, from all sums in turn: a tenth of its time."""
    from itertools import accumulate  # noqa: PLC0415 - a board does not have it

    sums = list(accumulate(content, initial=0))
    return sums[-1] & 0xFF | (sum(sums) & 0xFF) << 8


def ubx_checksum_by_loop(content: bytes) -> int:
    """Return the Fletcher-8 over class, id, length and payload: first sum low, second high."""
    first = second = 0
    for byte in content:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return first | second << 8


# A board has no itertools, and no memory for the sums of a long frame.
ubx_checksum = ubx_checksum_by_sums if hasattr(b"", "isascii") else ubx_checksum_by_loop


def casic_checksum(content: bytes) -> int:
    """Return the sum, modulo 2**32, of the 32-bit words of length, class, id and payload.

    The header is one word: id, class, length, from the high byte down. Zeros fill an incomplete
    last word.
    """
    total = (content[3] << 24) + (content[2] << 16) + int.from_bytes(content[:2], "little")
    for at in range(4, len(content), 4):
        total += int.from_bytes(content[at : at + 4], "little")
    return total & 0xFFFFFFFF


def crc24q(content: bytes) -> int:
    """Return the CRC-24Q over the whole frame without its last three bytes."""
    crc = 0
    steps = _CRC_STEPS
    for byte in content:
        crc ^= byte << 16
        crc = (crc << 4 & 0xFFFFFF) ^ steps[crc >> 20]
        crc = (crc << 4 & 0xFFFFFF) ^ steps[crc >> 20]
    return crc


def frame_length(data: bytes, at: int) -> int:
    """Return the length of the frame at `at`: 0 if it is no frame, -1 if more bytes are needed."""
    first = data[at : at + 1]
    head = data[at + 1 : at + 6]
    if not head:
        return -1
    if first == b"\xd3":
        if head[0] > 3:
            return 0
        return 6 + (head[0] << 8) + head[1] if len(head) > 1 else -1
    if head[:1] != (b"\x62" if first == b"\xb5" else b"\xce"):
        return 0
    if len(head) < 5:
        return -1
    size = head[3] | head[4] << 8 if first == b"\xb5" else head[1] | head[2] << 8
    if size > _MAX_PAYLOAD[first]:
        return 0
    return size + (8 if first == b"\xb5" else 10)


def is_checksum_valid(frame: bytes) -> bool:
    """Return True if the checksum of a frame of the right length is right."""
    first = frame[:1]
    if first == b"\xd3":
        return crc24q(frame[:-3]) == int.from_bytes(frame[-3:], "big")
    if first == b"\xb5":
        return ubx_checksum(frame[2:-2]) == int.from_bytes(frame[-2:], "little")
    return casic_checksum(frame[2:-4]) == int.from_bytes(frame[-4:], "little")
