# SPDX-License-Identifier: Apache-2.0
"""Binary frames between NMEA sentences (CASIC, UBX and RTCM 3): found, counted and skipped.

Does not decode payloads. Length and checksum distinguish a complete frame from noise. A `$` inside
a frame is thus not a broken sentence, and the bytes of a frame do not count as skipped. The module
`protocols.nmea.binary_format` has the formats.
"""

_SYNC_BYTES = (b"\xb5", b"\xba", b"\xd3")


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
        from protocols.nmea.binary_format import frame_length, is_checksum_valid  # noqa: PLC0415 - rare

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
