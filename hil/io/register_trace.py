"""The register writes of a capture: read out of frames, compared, and shown as they were made.

Not a master and not a slave: a replay gives recorded replies, and those show registers as they were
written then. A controller with 32-bit floats may write one count otherwise; a device that shows
what somebody else wrote would make it write again, and from there on the recorded replies belong to
other questions. So `Shown` puts the replayed controller's own values into the replies, where they
are within the tolerance and the reply shows what was written.
"""

from pymodbus.framer import FramerRTU

Line = tuple[int, int, str, bytes]
"""Microseconds, port, what, bytes."""
Write = tuple[int, int, int]
"""Unit, address, value."""
_ONE, _HEAD, _TCP_LEAST = 6, 7, 12
"""Bytes from the unit on: of a write of one register, before the values of several, over TCP."""


def register_writes(lines: list[Line], first_bus: int) -> list[tuple[int, int, int, int]]:
    """Give the register writes among RTU and TCP frames: port, unit, address, value."""
    return [
        (port, *write)
        for _, port, op, data in lines
        if op == "write" and port >= first_bus
        for write in _written(data)
    ]


def _written(frame: bytes) -> list[Write]:
    """Read a request to write one register (function 6) or several (16); nothing of others.

    Source: MODBUS Application Protocol Specification V1.1b3, 6.6 and 6.12; MODBUS/TCP's head of six
    bytes in front of the unit, RTU's check of two behind the data.
    """
    length = len(frame)
    tcp = frame[2:4] == b"\0\0" and int.from_bytes(frame[4:6], "big") == length - 6
    body = frame[6:] if tcp and length >= _TCP_LEAST else frame[:-2]
    if len(body) == _ONE and body[1] == 6:
        return [(body[0], _number(body, 2), _number(body, 4))]
    if len(body) > _ONE and body[1] == 16 and len(body) == _HEAD + body[6]:
        first = _number(body, 2)
        values = [_number(body, at) for at in range(_HEAD, len(body), 2)]
        return [(body[0], first + n, value) for n, value in enumerate(values)]
    return []


def _number(data: bytes | bytearray, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def writes_apart(there: list[Line], here: list[Line], first_bus: int, counts: int) -> str | None:
    """Say where register writes differ by more than `counts`, or None.

    For controllers with 32-bit floats: their loops may round the other way.
    """
    one, other = register_writes(there, first_bus), register_writes(here, first_bus)
    for number, (a, b) in enumerate(zip(one, other, strict=False), 1):
        if a[:3] != b[:3] or abs(a[3] - b[3]) > counts:
            return f"register write {number}: captured {a}, now {b}"
    if len(one) != len(other):
        return f"captured {len(one)} register writes, now {len(other)}"
    return None


class Shown:
    """What devices show of registers that were written up to `counts` otherwise than captured.

    `there`: what the captured controller did. RTU alone: a device on TCP is not in our captures.
    """

    def __init__(self, there: list[Line], first_bus: int, counts: int) -> None:
        self._counts = counts
        self._captured: dict[int, list[tuple[int, bytes]]] = {}
        for at, port, op, data in there:
            if op == "write" and port >= first_bus:
                self._captured.setdefault(port, []).append((at, data))
        self._written = dict.fromkeys(self._captured, 0)
        self._asked = dict.fromkeys(self._captured, 0)
        self._other: dict[tuple[int, int, int], tuple[int, int]] = {}

    def wrote(self, port: int, frame: bytes) -> None:
        """Take the next frame that the replayed controller sends."""
        if port not in self._captured:
            return
        number = self._written[port]
        self._written[port] += 1
        if number >= len(self._captured[port]):
            return
        was = _written(self._captured[port][number][1])
        for (unit, address, there), here in zip(was, _written(frame), strict=False):
            place = (port, unit, address)
            if here[:2] != (unit, address) or abs(here[2] - there) > self._counts:
                continue
            self._other.pop(place, None)
            if here[2] != there:
                self._other[place] = (there, here[2])

    def reply(self, port: int, at: int, data: bytes) -> bytes:
        """Give the reply that was captured at `at`, as the device would say it now."""
        frames = self._captured.get(port)
        if not frames or not self._other:
            return data
        number = self._asked[port]
        while number + 1 < len(frames) and frames[number + 1][0] <= at:
            number += 1
        self._asked[port] = number
        request = frames[number][1]
        if data == request and data[1] == 6:
            first, places = _number(data, 2), range(4, 6, 2)
        elif self._answers(request, data):
            first, places = _number(request, 2), range(3, len(data) - 2, 2)
        else:
            return data
        body = bytearray(data[:-2])
        for n, place in enumerate(places):
            there, here = self._other.get((port, data[0], first + n), (-1, 0))
            if _number(body, place) == there:
                body[place : place + 2] = here.to_bytes(2, "big")
        return bytes(body) + FramerRTU.compute_CRC(bytes(body)).to_bytes(2, "big")

    def _answers(self, request: bytes, data: bytes) -> bool:
        """Whether these are the holding registers that were asked for, whole and alone."""
        count = _number(request, 4)
        right = data[:3] == request[:1] + bytes((3, 2 * count & 0xFF))
        return right and request[1] == 3 and len(data) == 5 + 2 * count
