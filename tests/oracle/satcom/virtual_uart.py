# SPDX-License-Identifier: Apache-2.0
"""A serial port of pyserial's shape in virtual time, with an emulated modem behind it.

Other people's clients block in `readline`; here the world runs until a line or the timeout.
"""

import heapq
from typing import Any

from hil.bench.testbed_satcom import BAUD_RATES, make_device
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.radio import Radio
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

UTC = 1_795_500_000_000_000


class VirtualUart:
    """The port; `timeout` in seconds of virtual time."""

    def __init__(self, kind: str, timeout: float = 90) -> None:
        self.world = World(1, UTC)
        self.radio = Radio(self.world.random("radio"), lambda _: self.bars)
        self.radio.success_pct = 100
        self.bars = 5
        self.gateway = MessageGateway(self.world.utc)
        self.device: Any = make_device(kind, self.radio, self.gateway, self.world)
        self.timeout = timeout
        self.baudrate = BAUD_RATES[kind]
        self.received = b""
        char_us = -(-10_000_000 // self.baudrate)
        self.line = SerialLine(self.world, self.device, char_us, self._on_data, 1, 32)

    def _on_data(self, data: bytes) -> None:
        self.received += data

    def _step(self, until: int) -> bool:
        """Run one event before `until`; return False if there is none."""
        heap = self.world.heap
        if not heap or heap[0][0] > until:
            self.world.now = until
            return False
        self.world.now, _, _, call, args = heapq.heappop(heap)
        call(*args)
        return True

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.world.now + int(seconds * 1e6)
        while self._step(until):
            pass

    def write(self, data: bytes) -> int:
        """Send bytes."""
        self.line.write(bytes(data))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """Read `size` bytes, or fewer at the timeout."""
        until = self.world.now + int(self.timeout * 1e6)
        while len(self.received) < size and self._step(until):
            pass
        data, self.received = self.received[:size], self.received[size:]
        return data

    def readline(self) -> bytes:
        """Read to a line feed, or all bytes at the timeout."""
        until = self.world.now + int(self.timeout * 1e6)
        while b"\n" not in self.received and self._step(until):
            pass
        end = self.received.find(b"\n") + 1 or len(self.received)
        data, self.received = self.received[:end], self.received[end:]
        return data

    def reset_input_buffer(self) -> None:
        """Drop received bytes."""
        self.received = b""

    def isOpen(self) -> bool:  # noqa: N802 - pyserial's name
        """Return True."""
        return True

    def close(self) -> None:
        """Do nothing."""

    def ask(self, command: str, wait_s: float = 0.3) -> str:
        """Send a command line; return all text that comes within `wait_s`."""
        self.reset_input_buffer()
        self.write(command.encode() + b"\r")
        self.run(wait_s)
        return self.received.decode("latin-1")
