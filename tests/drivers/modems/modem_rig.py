# SPDX-License-Identifier: Apache-2.0
"""A modem driver and an emulated modem on a line in virtual time, without the agent."""

import heapq
from typing import Any

from drivers.modems import make_driver
from hil.bench.testbed_satcom import BAUD_RATES, make_device
from hil.devices.satcom.gateway import MessageGateway
from hil.devices.satcom.radio import Radio
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

UTC = 1_795_500_000_000_000


class ModemRig:
    """Runs one driver with one device; `events` collects the events of the driver."""

    def __init__(self, kind: str, seed: int = 1, bars: int = 5, chunk: int = 32) -> None:
        self.world = World(seed, UTC)
        self.bars = bars
        self.radio = Radio(self.world.random("radio"), lambda _: self.bars)
        self.radio.success_pct = 100
        self.gateway = MessageGateway(self.world.utc)
        self.device: Any = make_device(kind, self.radio, self.gateway, self.world)
        self.driver: Any = make_driver(kind, 1, {"peer": 7})
        self.driver.set_utc(UTC)
        self.events: list[tuple[Any, ...]] = []
        char_us = -(-10_000_000 // BAUD_RATES[kind])
        self.line = SerialLine(self.world, self.device, char_us, self._on_data, 1, chunk)
        self.driver.event("opened", 0)
        self._process_outbox()

    def _on_data(self, data: bytes) -> None:
        self.driver.receive(data, self.world.now)
        self._process_outbox()

    def _process_outbox(self) -> None:
        for _, op, data in self.driver.outbox():
            assert op == "write"
            self.line.write(data)
        self.events += self.driver.take_events()

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.world.now + int(seconds * 1e6)
        heap = self.world.heap
        while True:
            due = self.driver.deadline()
            if heap and heap[0][0] <= min(due, until):
                self.world.now, _, _, call, args = heapq.heappop(heap)
                call(*args)
            elif due <= until:
                self.world.now = max(self.world.now, due)
                self.driver.wake(self.world.now)
                self._process_outbox()
            else:
                break
        self.world.now = until

    def run_until(self, kind: str, seconds: float = 600) -> tuple[Any, ...]:
        """Let time pass until the driver reports an event of `kind`; return it."""
        for _ in range(int(seconds)):
            for i, event in enumerate(self.events):
                if event[0] == kind:
                    self.events = self.events[i + 1 :]
                    return event
            self.run(1)
        raise AssertionError(f"no {kind} in {seconds} s; {self.events}")

    def wait_ready(self) -> None:
        """Wait until the driver is set up and has service."""
        self.run_until("ready", 60)
        self.run(12)

    def send(self, content: bytes, tag: int = 1) -> None:
        """Start to send."""
        assert self.driver.send(content, tag, self.world.now)
        self._process_outbox()

    def fetch(self) -> None:
        """Start to fetch."""
        assert self.driver.fetch(self.world.now)
        self._process_outbox()

    def contents(self) -> list[bytes]:
        """Return the contents at the gateway."""
        return [message.content for message in self.gateway.messages]
