# SPDX-License-Identifier: Apache-2.0
"""Extraction of whole RTU frames from the bytes of a shared line.

The framer of pymodbus supports one server that is alone with its client. It takes the bytes after a
frame as a part of the frame. It stops at the first wrong CRC, and it waits without limit if another
server's reply looks like a long request. This scanner tries every start position, as a request and
as a reply; the CRC decides. Frame sizes and CRC come from pymodbus.
"""

from __future__ import annotations

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from hil.devices.base import NEVER

MAX_FRAME_BYTES = 256  # Modbus over serial line V1.02, section 2.3
_MIN_FRAME_BYTES = 4
_MAX_BUFFER_BYTES = 2 * MAX_FRAME_BYTES
# functions with their length in the frame
_SIZED_FUNCTIONS = frozenset((1, 2, 3, 4, 5, 6, 8, 15, 16, 17, 22, 23, 43))
_HEADER_BYTES = 12  # bytes that contain the length of all functions but 43
_IDENTIFY = 43
_REQUESTS, _RESPONSES = DecodePDU(True), DecodePDU(False)


class FrameScanner:
    """Collects bytes; `discarded_bytes` counts bytes outside frames."""

    def __init__(self, gap_us: int) -> None:
        """Discard an incomplete frame after a pause of `gap_us`."""
        self.gap_us = gap_us
        self.discarded_bytes = 0
        self.buffer = b""
        self._last = -NEVER

    def extract_frames(self, data: bytes, now: int) -> list[bytes]:
        """Return whole frames with a correct CRC, in order; keep an incomplete frame."""
        if self.buffer and now - self._last > self.gap_us:
            self.discarded_bytes += len(self.buffer)
            self.buffer = b""
        self._last = now
        self.buffer += data
        frames: list[bytes] = []
        while (span := _first_frame(self.buffer)) is not None:
            start, end = span
            self.discarded_bytes += start
            frames.append(self.buffer[start:end])
            self.buffer = self.buffer[end:]
        if len(self.buffer) > _MAX_BUFFER_BYTES:
            self.discarded_bytes += len(self.buffer) - MAX_FRAME_BYTES
            self.buffer = self.buffer[-MAX_FRAME_BYTES:]
        return frames


def _first_frame(data: bytes) -> tuple[int, int] | None:
    """Return start and end of the first frame in `data`."""
    if _MIN_FRAME_BYTES <= len(data) <= MAX_FRAME_BYTES and _is_crc_valid(data):
        return 0, len(data)
    for start in range(len(data) - _MIN_FRAME_BYTES + 1):
        for size in _possible_sizes(data, start):
            end = start + size
            if end <= len(data) and _is_crc_valid(data[start:end]):
                return start, end
    return None


def _possible_sizes(data: bytes, start: int) -> list[int]:
    """Return the possible lengths of a frame at `start`, as a request and as a reply."""
    function = data[start + 1]
    if function & 0x80:
        return [5] if function & 0x7F in _SIZED_FUNCTIONS else []
    if function not in _SIZED_FUNCTIONS:
        return []
    head = data[start : start + (MAX_FRAME_BYTES if function == _IDENTIFY else _HEADER_BYTES)]
    sizes = []
    for decoder in (_REQUESTS, _RESPONSES):
        pdu = decoder.lookupPduClass(head)
        size = pdu.calculateRtuFrameSize(head) if pdu is not None else 0
        if _MIN_FRAME_BYTES <= size <= MAX_FRAME_BYTES and size not in sizes:
            sizes.append(size)
    return sizes


def _is_crc_valid(frame: bytes) -> bool:
    check = (frame[-2] << 8) | frame[-1]
    return FramerRTU.check_CRC(frame[:-2], check)
