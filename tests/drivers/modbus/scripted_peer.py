# SPDX-License-Identifier: Apache-2.0
"""A Modbus TCP peer for the commands: a device with registers, and a script for what it does wrong.

The script gets a request PDU and its number among those of its function. It returns a list of PDUs
and actions; None for the good reply.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

RESET, CLOSE = "reset", "close"
Step = bytes | str
Script = Callable[[bytes, int], "list[Step] | None"]


def exception(request: bytes, code: int) -> list[Step]:
    """Return the reply with an exception."""
    return [bytes((request[0] | 0x80, code))]


class ScriptedPeer:
    """Each register holds its address until it is written; `frame` makes the bytes of a reply."""

    def __init__(self, script: Script, kind: str = "tcp") -> None:
        self._script = script
        self.registers: dict[int, int] = {}
        self.requests: list[bytes] = []
        self._counts: Counter[int] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"{kind}:127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def frame(self, number: int, unit: int, reply: bytes) -> bytes:
        """Return the bytes of a reply."""
        return struct.pack(">HHHB", number, 0, len(reply) + 1, unit) + reply

    def good_reply(self, request: bytes) -> bytes:
        """Carry a request out; return its reply."""
        function, address, value = struct.unpack(">BHH", request[:5])
        if function in (1, 2):
            return bytes((function, (value + 7) // 8)) + bytes((value + 7) // 8)
        if function in (3, 4):
            words = [self.registers.get(address + i, address + i) for i in range(value)]
            return struct.pack(f">BB{value}H", function, 2 * value, *words)
        if function == 6:
            self.registers[address] = value
        if function == 22:
            present, or_mask = self.registers.get(address, address), int.from_bytes(request[5:7])
            self.registers[address] = present & value | or_mask & ~value & 0xFFFF
        return request

    def count(self, function: int) -> int:
        """Return the number of requests with this function."""
        return self._counts[function]

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                with connection, suppress(OSError):
                    while head := connection.recv(7, socket.MSG_WAITALL):
                        number, _, size, unit = struct.unpack(">HHHB", head)
                        request = connection.recv(size - 1, socket.MSG_WAITALL)
                        if not self._answer(connection, number, unit, request):
                            break

    def _answer(self, connection: socket.socket, number: int, unit: int, request: bytes) -> bool:
        self.requests.append(request)
        self._counts[request[0]] += 1
        steps = self._script(request, self._counts[request[0]])
        for step in [self.good_reply(request)] if steps is None else steps:
            if step == RESET:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            if isinstance(step, str):
                return False
            connection.sendall(self.frame(number, unit, step))
        return True

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
