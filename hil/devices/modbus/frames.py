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

FRAME_MOST = 256  # Modbus over serial line V1.02, section 2.3
_FRAME_LEAST = 4
_BUFFER_MOST = 2 * FRAME_MOST
_SIZED = frozenset((1, 2, 3, 4, 5, 6, 15, 16, 22, 23, 43))  # their length is in the frame
_HEAD = 12  # bytes that tell the length of all of them but 43
_IDENTIFY = 43
_REQUESTS, _ANSWERS = DecodePDU(True), DecodePDU(False)


class Frames:
    """Collects bytes; `garbage` counts those that were part of no frame."""

    def __init__(self, gap_us: int) -> None:
        """What makes no frame is dropped after a pause of `gap_us`."""
        self.gap_us = gap_us
        self.garbage = 0
        self.buffer = b""
        self._last = -NEVER

    def take(self, data: bytes, now: int) -> list[bytes]:
        """Whole frames with a right CRC, in order; what may still become one is kept."""
        if self.buffer and now - self._last > self.gap_us:
            self.garbage += len(self.buffer)
            self.buffer = b""
        self._last = now
        self.buffer += data
        frames: list[bytes] = []
        while (found := _first_frame(self.buffer)) is not None:
            start, end = found
            self.garbage += start
            frames.append(self.buffer[start:end])
            self.buffer = self.buffer[end:]
        if len(self.buffer) > _BUFFER_MOST:
            self.garbage += len(self.buffer) - FRAME_MOST
            self.buffer = self.buffer[-FRAME_MOST:]
        return frames


def _first_frame(data: bytes) -> tuple[int, int] | None:
    """Where the first frame in `data` starts and ends."""
    if _FRAME_LEAST <= len(data) <= FRAME_MOST and _crc_right(data):
        return 0, len(data)
    for start in range(len(data) - _FRAME_LEAST + 1):
        for size in _sizes(data, start):
            end = start + size
            if end <= len(data) and _crc_right(data[start:end]):
                return start, end
    return None


def _sizes(data: bytes, start: int) -> list[int]:
    """How long a frame from `start` would be, as a request and as an answer."""
    function = data[start + 1]
    if function & 0x80:
        return [5] if function & 0x7F in _SIZED else []
    if function not in _SIZED:
        return []
    head = data[start : start + (FRAME_MOST if function == _IDENTIFY else _HEAD)]
    sizes = []
    for decoder in (_REQUESTS, _ANSWERS):
        pdu = decoder.lookupPduClass(head)
        size = pdu.calculateRtuFrameSize(head) if pdu is not None else 0
        if _FRAME_LEAST <= size <= FRAME_MOST and size not in sizes:
            sizes.append(size)
    return sizes


def _crc_right(frame: bytes) -> bool:
    check = (frame[-2] << 8) | frame[-1]
    return FramerRTU.check_CRC(frame[:-2], check)
