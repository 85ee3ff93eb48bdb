# SPDX-License-Identifier: Apache-2.0
"""Binary frames between NMEA sentences (CASIC, UBX and RTCM 3): found, counted and skipped.

Does not decode payloads. Length and checksum distinguish a complete frame from noise. A `$` inside
a frame is thus not a broken sentence, and the bytes of a frame do not count as skipped.

    CASIC   BA CE, length (2, little-endian), class, id, payload, sum of 32-bit words (4)
    UBX     B5 62, class, id, length (2, little-endian), payload, Fletcher-8 (2)
    RTCM 3  D3, six zero bits and length (10 bits), payload, CRC-24Q (3)

Sources: CASIC receiver protocol specification (Zhongke Microelectronics); u-blox M8 protocol
specification, 32.4; RTCM 10403.3, 4.2 (the CRC polynomial is Qualcomm's, 0x1864CFB).
"""

_SYNC_BYTES = (b"\xb5", b"\xba", b"\xd3")
_MAX_PAYLOAD = {b"\xb5": 4096, b"\xba": 2048, b"\xd3": 1023}
"""Longest payload by first byte; a longer one is noise that looks like a header."""

_CRC_BIT = 0x1000000
_CRC_POLYNOMIAL = 0x1864CFB


def ubx_checksum(content: bytes) -> int:
    """Return the Fletcher-8 over class, id, length and payload: first sum low, second high."""
    first = second = 0
    for byte in content:
        first = (first + byte) & 0xFF
        second = (second + first) & 0xFF
    return first | second << 8


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
    for byte in content:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & _CRC_BIT:
                crc ^= _CRC_POLYNOMIAL
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


def contains_sync(data: bytes) -> bool:
    """Return True if `data` has the first byte of a frame."""
    return b"\xb5" in data or b"\xba" in data or b"\xd3" in data


def count_non_eol(data: bytes) -> int:
    """Return the number of bytes of `data` that are not line ends."""
    return len(data) - data.count(b"\r") - data.count(b"\n")


class BinarySkipper:
    """Reads the bytes between sentences, in order; counts the frames and their bytes.

    casic, ubx, rtcm   complete frames with a right checksum
    frame_bytes        the bytes in these frames
    partial_frame      the incomplete frame at the end, at most 4104 bytes, or empty
    """

    __slots__ = ("casic", "frame_bytes", "partial_frame", "rtcm", "ubx")

    def __init__(self) -> None:
        self.casic = 0
        self.ubx = 0
        self.rtcm = 0
        self.frame_bytes = 0
        self.partial_frame = b""

    def feed(self, gap: bytes) -> int:
        """Add bytes; return the number of bytes outside of frames, without line ends."""
        data = self.partial_frame + gap if self.partial_frame else gap
        self.partial_frame = b""
        outside_count = at = 0
        while True:
            first = _find_sync(data, at)
            if first < 0:
                return outside_count + count_non_eol(data[at:])
            outside_count += count_non_eol(data[at:first])
            size = frame_length(data, first)
            if size < 0 or first + size > len(data):
                self.partial_frame = data[first:]
                return outside_count
            if size and is_checksum_valid(data[first : first + size]):
                self._count_frame(data[first], size)
                at = first + size
            else:
                outside_count += 1
                at = first + 1

    def drop_partial(self) -> int:
        """Discard the incomplete frame; return the number of its bytes, without line ends."""
        partial = self.partial_frame
        self.partial_frame = b""
        return count_non_eol(partial)

    def _count_frame(self, first: int, size: int) -> None:
        self.frame_bytes += size
        if first == 0xB5:
            self.ubx += 1
        elif first == 0xBA:
            self.casic += 1
        else:
            self.rtcm += 1


def _find_sync(data: bytes, at: int) -> int:
    """Return the index of the first byte from `at` on that can start a frame, or -1."""
    first = -1
    for sync in _SYNC_BYTES:
        found = data.find(sync, at)
        if found >= 0 and (first < 0 or found < first):
            first = found
    return first
