"""Whole RTU frames out of a stream of bytes that others share.

pymodbus' own framer serves one slave that is alone with its master: it takes what follows a frame
as part of it, gives up at the first wrong CRC, and waits for ever on another's reply that looks
like a long request. Here every start is tried, as a request and as an answer, and the CRC decides;
sizes and CRC are pymodbus'.
"""

from __future__ import annotations

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU

from hil.devices.base import NEVER

MAX_FRAME_BYTES = 256  # Modbus over serial line V1.02, section 2.3
_MIN_FRAME_BYTES = 4
_MAX_BUFFER_BYTES = 2 * MAX_FRAME_BYTES
_SIZED_FUNCTIONS = frozenset((1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43))  # their length is in the frame
_HEADER_BYTES = 12  # bytes that tell the length of all of them but 43
_IDENTIFY = 43
_REQUESTS, _RESPONSES = DecodePDU(True), DecodePDU(False)


class FrameScanner:
    """Collects bytes; `discarded_bytes` counts those that were part of no frame."""

    def __init__(self, gap_us: int) -> None:
        """What makes no frame is dropped after a pause of `gap_us`."""
        self.gap_us = gap_us
        self.discarded_bytes = 0
        self.buffer = b""
        self._last = -NEVER

    def extract_frames(self, data: bytes, now: int) -> list[bytes]:
        """Whole frames with a right CRC, in order; what may still become one is kept."""
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
    """Where the first frame in `data` starts and ends."""
    if _MIN_FRAME_BYTES <= len(data) <= MAX_FRAME_BYTES and _is_crc_valid(data):
        return 0, len(data)
    for start in range(len(data) - _MIN_FRAME_BYTES + 1):
        for size in _possible_sizes(data, start):
            end = start + size
            if end <= len(data) and _is_crc_valid(data[start:end]):
                return start, end
    return None


def _possible_sizes(data: bytes, start: int) -> list[int]:
    """How long a frame from `start` would be, as a request and as an answer."""
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
