# SPDX-License-Identifier: Apache-2.0
"""The register writes of a capture: extraction, comparison, and their effect on recorded replies.

Does not send requests or emulate devices. A replay gives recorded replies, which show registers as
written during the capture. A controller with 32-bit floats can write one count more or less. It
would see a wrong value in the recorded reply and write again; later recorded replies would then
belong to other requests. So `ReplayedRegisters` puts the values of the replayed controller into the
replies, if they are within the tolerance and the reply shows the captured value.

A coil, and a mask for the bits of a register, have no tolerance: one count more is another bit.
They have places of their own beside the registers (`COIL`, `AND_MASK`, `OR_MASK`).
"""

from pymodbus.framer import FramerRTU

CaptureLine = tuple[int, int, str, bytes]
"""Microseconds, port, operation, bytes."""
RegisterWrite = tuple[int, int, int]
"""Unit, place, value. The place of a register is its address."""
_SINGLE_BYTES, _HEADER_BYTES, _MIN_TCP_BYTES = 6, 7, 12
"""Bytes: of a single write, before the values of a multiple write, of a TCP frame."""
_MASK_BYTES, _READ_WRITE_HEADER_BYTES = 8, 11
COIL, AND_MASK, OR_MASK = 0x10000, 0x20000, 0x30000
MASKS = (AND_MASK, OR_MASK)
"""Added to the address: places of what is no value of a register."""
_WITH_VALUES = (3, 23)
"""Functions whose replies have the values of registers."""


def register_writes(
    lines: list[CaptureLine], first_bus_port: int
) -> list[tuple[int, int, int, int]]:
    """Return the register writes in RTU and TCP frames: port, unit, place, value."""
    return [
        (port, *write)
        for _, port, op, data in lines
        if op == "write" and port >= first_bus_port
        for write in parse_writes(data)
    ]


def parse_writes(frame: bytes) -> list[RegisterWrite]:
    """Return the writes of a request; an empty list for other frames.

    Source: MODBUS Application Protocol Specification V1.1b3, 6.5, 6.6, 6.11, 6.12, 6.16 and 6.17.
    MODBUS/TCP has six bytes before the unit id, RTU has a CRC of two bytes after the data.
    """
    length = len(frame)
    tcp = frame[2:4] == b"\0\0" and int.from_bytes(frame[4:6], "big") == length - 6
    body = frame[6:] if tcp and length >= _MIN_TCP_BYTES else frame[:-2]
    if len(body) < _SINGLE_BYTES:
        return []
    parse = {5: _coil, 6: _register, 15: _coils, 16: _registers, 22: _masks, 23: _read_write}
    found = parse.get(body[1], lambda _: [])(body)
    return [(body[0], place, value) for place, value in found]


_Found = list[tuple[int, int]]
"""Place and value of each write."""


def _coil(body: bytes) -> _Found:
    is_whole = len(body) == _SINGLE_BYTES
    return [(COIL + _read_u16(body, 2), int(_read_u16(body, 4) == 0xFF00))] if is_whole else []


def _register(body: bytes) -> _Found:
    return [(_read_u16(body, 2), _read_u16(body, 4))] if len(body) == _SINGLE_BYTES else []


def _coils(body: bytes) -> _Found:
    if len(body) <= _HEADER_BYTES or len(body) != _HEADER_BYTES + body[6]:
        return []
    bits = body[_HEADER_BYTES:]
    first, count = COIL + _read_u16(body, 2), min(_read_u16(body, 4), 8 * len(bits))
    return [(first + i, bits[i >> 3] >> (i & 7) & 1) for i in range(count)]


def _registers(body: bytes) -> _Found:
    if len(body) <= _HEADER_BYTES or len(body) != _HEADER_BYTES + body[6]:
        return []
    return _values(_read_u16(body, 2), body[_HEADER_BYTES:])


def _masks(body: bytes) -> _Found:
    if len(body) != _MASK_BYTES:
        return []
    address = _read_u16(body, 2)
    return [(AND_MASK + address, _read_u16(body, 4)), (OR_MASK + address, _read_u16(body, 6))]


def _read_write(body: bytes) -> _Found:
    head = _READ_WRITE_HEADER_BYTES
    if len(body) <= head or len(body) != head + body[head - 1]:
        return []
    return _values(_read_u16(body, 6), body[head:])


def _values(first: int, data: bytes) -> _Found:
    return [(first + i // 2, _read_u16(data, i)) for i in range(0, len(data) - 1, 2)]


def _is_near(captured: int, replayed: int, place: int, tolerance_counts: int) -> bool:
    return abs(captured - replayed) <= (tolerance_counts if place < COIL else 0)


def _read_u16(data: bytes | bytearray, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "big")


def find_difference(
    captured: list[CaptureLine],
    replayed: list[CaptureLine],
    first_bus_port: int,
    tolerance_counts: int,
) -> str | None:
    """Return the first difference of register writes above `tolerance_counts`, or None.

    This is for controllers with 32-bit floats: their loops can round differently.
    """
    captured_writes, replayed_writes = (
        register_writes(captured, first_bus_port),
        register_writes(replayed, first_bus_port),
    )
    for number, (a, b) in enumerate(zip(captured_writes, replayed_writes, strict=False), 1):
        if a[:3] != b[:3] or not _is_near(a[3], b[3], a[2], tolerance_counts):
            return f"register write {number}: captured {a}, now {b}"
    if len(captured_writes) != len(replayed_writes):
        return f"captured {len(captured_writes)} register writes, now {len(replayed_writes)}"
    return None


class ReplayedRegisters:
    """Replaces captured register values in replies by replayed values within `tolerance_counts`.

    `captured` are the operations of the captured controller. Only RTU: captures contain no device
    on TCP.
    """

    def __init__(
        self, captured: list[CaptureLine], first_bus_port: int, tolerance_counts: int
    ) -> None:
        self._tolerance_counts = tolerance_counts
        self._captured_frames: dict[int, list[tuple[int, bytes]]] = {}
        for at_us, port, op, data in captured:
            if op == "write" and port >= first_bus_port:
                self._captured_frames.setdefault(port, []).append((at_us, data))
        self._write_index = dict.fromkeys(self._captured_frames, 0)
        self._request_index = dict.fromkeys(self._captured_frames, 0)
        self._differences: dict[tuple[int, int, int], tuple[int, int]] = {}

    def record_write(self, port: int, frame: bytes) -> None:
        """Record the next frame of the replayed controller."""
        if port not in self._captured_frames:
            return
        frame_index = self._write_index[port]
        self._write_index[port] += 1
        if frame_index >= len(self._captured_frames[port]):
            return
        captured_writes = parse_writes(self._captured_frames[port][frame_index][1])
        for (unit, address, captured_value), replayed in zip(
            captured_writes, parse_writes(frame), strict=False
        ):
            register_key = (port, unit, address)
            if replayed[:2] != (unit, address) or not _is_near(
                captured_value, replayed[2], address, self._tolerance_counts
            ):
                continue
            self._differences.pop(register_key, None)
            if replayed[2] != captured_value:
                self._differences[register_key] = (captured_value, replayed[2])

    def adapt_reply(self, port: int, at_us: int, data: bytes) -> bytes:
        """Return the reply that was captured at `at_us`, with the replayed register values."""
        frames = self._captured_frames.get(port)
        if not frames or not self._differences:
            return data
        frame_index = self._request_index[port]
        while frame_index + 1 < len(frames) and frames[frame_index + 1][0] <= at_us:
            frame_index += 1
        self._request_index[port] = frame_index
        request = frames[frame_index][1]
        if data == request and data[1] == 6:
            first, offsets = _read_u16(data, 2), range(4, 6, 2)
        elif self._is_full_reply(request, data):
            first, offsets = _read_u16(request, 2), range(3, len(data) - 2, 2)
        else:
            return data
        body = bytearray(data[:-2])
        for n, offset in enumerate(offsets):
            captured_value, replayed = self._differences.get((port, data[0], first + n), (-1, 0))
            if _read_u16(body, offset) == captured_value:
                body[offset : offset + 2] = replayed.to_bytes(2, "big")
        return bytes(body) + FramerRTU.compute_CRC(bytes(body)).to_bytes(2, "big")

    def _is_full_reply(self, request: bytes, data: bytes) -> bool:
        """Return whether the data are exactly the requested holding registers."""
        count = _read_u16(request, 4)
        header_matches = data[:3] == request[:2] + bytes((2 * count & 0xFF,))
        return header_matches and request[1] in _WITH_VALUES and len(data) == 5 + 2 * count
