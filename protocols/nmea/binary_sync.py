# SPDX-License-Identifier: Apache-2.0
"""First bytes of binary frames between NMEA sentences, and the counters of the frames.

Does not know lengths and checksums; see `protocols.nmea.binary_frames`.
"""

_SYNC_BYTES = (b"\xb5", b"\xba", b"\xd3")
MAX_FRAME = 4104
"""The longest frame in bytes: UBX with the longest payload."""


def contains_sync(data: bytes) -> bool:
    """Return True if `data` has the first byte of a frame."""
    return b"\xb5" in data or b"\xba" in data or b"\xd3" in data


def count_non_eol(data: bytes) -> int:
    """Return the number of bytes of `data` that are not line ends."""
    return len(data) - data.count(b"\r") - data.count(b"\n")


def find_sync(data: bytes, at: int, end: int) -> int:
    """Return the index of the first byte in [at, end) that can start a frame, or -1."""
    first = -1
    for sync in _SYNC_BYTES:
        found = data.find(sync, at, end)
        if found >= 0:
            first = end = found  # only an earlier one counts
    return first


class BinaryCounters:
    """Counters of the frames with a right checksum.

    casic, ubx, rtcm   frames
    frame_bytes        the bytes in these frames
    """

    __slots__ = ("casic", "frame_bytes", "rtcm", "ubx")

    def __init__(self) -> None:
        self.casic = 0
        self.ubx = 0
        self.rtcm = 0
        self.frame_bytes = 0

    def add(self, first: int, size: int) -> None:
        """Count a frame by its first byte and its length."""
        self.frame_bytes += size
        if first == 0xB5:
            self.ubx += 1
        elif first == 0xBA:
            self.casic += 1
        else:
            self.rtcm += 1
