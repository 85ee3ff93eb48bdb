# SPDX-License-Identifier: Apache-2.0
"""The bytes of one request of a diagnostic command, and the frames in them.

Not a reply matcher: the bus decides which reply counts. This shows a technician what was there: the
reply as received, also one that the bus rejects, and what came instead of a reply.
"""

import struct

from protocols.modbus.ascii_mode import parse_frame
from protocols.modbus.crc import crc16

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NO_MODBUS = "this port answers with something that is not Modbus TCP"
_MAX_BYTES = 8192  # of one request; a peer can send without end
_MAX_FRAME = 256
_MIN_FRAME = 4
_MAX_NUMBERS = 64
_HEADER = ">HHHB"
_HEADER_SIZE = 7


class WireRecord:
    """The bytes of one request; `framing` is "rtu", "ascii" or "tcp"."""

    def __init__(self, framing: str) -> None:
        self._framing = framing
        self._numbers: list[int] = []  # TCP: transaction numbers of the last requests
        self.frames_sent: list[bytes] = []
        self.data = b""

    def begin(self) -> None:
        """Forget the bytes of the request before; its transaction numbers stay."""
        self.frames_sent = []
        self.data = b""

    def sent(self, frame: bytes) -> None:
        """Note a frame that was sent."""
        self.frames_sent.append(frame)
        if self._framing == "tcp":
            number = frame[0] << 8 | frame[1]
            self._numbers = [*self._numbers[1 - _MAX_NUMBERS :], number]

    def received(self, data: bytes) -> None:
        """Note received bytes; the first 8192 stay."""
        self.data += data[: _MAX_BYTES - len(self.data)]

    def replies(self, unit: int, function: int) -> "list[bytes]":
        """Return the PDUs of the intact frames of a unit with this function, exceptions too.

        On a line that echoes, the sent frame is among them.
        """
        if self._framing == "tcp":
            sent = {frame[:2] for frame in self.frames_sent}
            found = [(u, p) for number, u, p in self._tcp_frames()[0] if number in sent]
        elif self._framing == "ascii":
            bodies = [parse_frame(line.split(b"\r")[0]) for line in self.data.split(b":")[1:]]
            found = [(body[0], body[1:]) for body in bodies if body]
        else:
            found = list(self._rtu_frames(unit, function))
        return [p for u, p in found if u == unit and p and p[0] & 0x7F == function]

    def _rtu_frames(self, unit: int, function: int) -> "Iterator[tuple[int, bytes]]":
        """Yield unit and PDU of each intact frame, at each place where one can begin."""
        data = self.data
        for at in range(len(data) - _MIN_FRAME + 1):
            if data[at] == unit and data[at + 1] & 0x7F == function:
                longest = data[at : at + _MAX_FRAME]
                for size in range(_MIN_FRAME, len(longest) + 1):
                    if not crc16(longest[:size]):
                        yield unit, longest[1 : size - 2]

    def _tcp_frames(self) -> "tuple[list[tuple[bytes, int, bytes]], bytes]":
        """Return (transaction number, unit, PDU) of the frames, and the bytes after the last."""
        found, data = [], self.data
        while len(data) >= _HEADER_SIZE:
            _, protocol, length, unit = struct.unpack_from(_HEADER, data)
            if protocol or len(data) < _HEADER_SIZE - 1 + length:
                break
            end = _HEADER_SIZE - 1 + length
            found.append((data[:2], unit, data[_HEADER_SIZE:end]))
            data = data[max(end, _HEADER_SIZE) :]
        return found, data

    def stream_evidence(self) -> str:
        """Return what came on a stream instead of the reply, and its likely cause, or nothing."""
        frames, rest = self._tcp_frames()
        numbers = [number[0] << 8 | number[1] for number, _, _ in frames]
        pending = self._numbers[-1:]
        late = [number for number in numbers if number in self._numbers[:-1]]
        others = [number for number in numbers if number not in self._numbers]
        if late and numbers[-1:] != pending:
            return "%d came after the time-out (give a longer --timeout-ms)" % len(late)
        if others:
            text = "%d came with another transaction number (the peer does not copy the number)"
            return text % len(others)
        if rest:
            text = "%d bytes of a reply came, and not the rest (a wrong length in its header?)"
            return text % len(rest)
        return ""
