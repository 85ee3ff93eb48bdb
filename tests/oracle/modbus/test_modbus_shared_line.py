# SPDX-License-Identifier: Apache-2.0
"""A slow device beside another master, in real time: the server of pymodbus on a pseudo-terminal.

The client of the tools reads on the same line as a second master, which asks for as many registers
of the same unit and never waits. Each register holds its address and the number of the access. So
a value of another register is seen, and also one that is older than the request before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pymodbus import FramerType
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.tools.lib.modbus_client import BlockingModbusClient, port_address
from protocols.modbus import pdu

UNIT = 1
DELAY_S = 0.15
OUR_REGISTER, THEIR_REGISTER = 16, 48
COUNTS = (1, 2, 5)
FRAME = 8  # bytes of a read, and of function 8


@dataclass
class CountedRegisters:
    """The registers of the server: each shows its address and the number of the access."""

    accesses: int = 0

    async def access(
        self,
        _function: int,
        start: int,
        address: int,
        count: int,
        registers: list[int],
        _values: object,
    ) -> None:
        """Set the registers of one request."""
        self.accesses += 1
        for register in range(address, address + count):
            registers[register - start] = register << 8 | self.accesses & 0xFF


class QueuedLine:
    """Three pseudo-terminals: what one sends, the two others receive.

    The first is the device. Its input is a queue: it gets a request `DELAY_S` after the one before.
    """

    def __init__(self) -> None:
        self._ends = [pty.openpty() for _ in range(3)]
        for _, slave in self._ends:
            tty.setraw(slave)
        self.paths = [os.ttyname(slave) for _, slave in self._ends]
        self.longest_queue = 0
        self._queue: list[bytes] = []
        self._next_at = 0.0
        self._running = True
        self._thread = threading.Thread(target=self._transfer)
        self._thread.start()

    def _transfer(self) -> None:
        device, *masters = (master for master, _ in self._ends)
        while self._running:
            for ready in select.select([device, *masters], [], [], 0.01)[0]:
                data = os.read(ready, 4096)
                for master in masters:
                    if master != ready:
                        os.write(master, data)
                if ready != device:  # all requests of this test have one length
                    self._enqueue([data[i : i + FRAME] for i in range(0, len(data), FRAME)])
            if self._queue and time.monotonic() >= self._next_at:
                self._next_at = time.monotonic() + DELAY_S
                os.write(device, self._queue.pop(0))

    def _enqueue(self, frames: list[bytes]) -> None:
        if not self._queue:
            self._next_at = max(self._next_at, time.monotonic() + DELAY_S)
        self._queue += frames
        self.longest_queue = max(self.longest_queue, len(self._queue))

    def close(self) -> None:
        """End the transfer."""
        self._running = False
        self._thread.join(5)
        for end in self._ends:
            for descriptor in end:
                os.close(descriptor)


@contextlib.contextmanager
def serve(path: str, device: CountedRegisters) -> Iterator[None]:
    """Run the server in a thread."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        data = SimData(0, values=[0] * 64, datatype=DataType.REGISTERS)
        sim = SimDevice(UNIT, simdata=[data], action=device.access)
        server = ModbusSerialServer(sim, framer=FramerType.RTU, port=path, baudrate=115200)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0.2)
        ready.set()
        await stop.wait()
        await server.shutdown()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


class ImpatientMaster:
    """Sends a request in each period, with the number of registers that ours also has."""

    def __init__(self, path: str, period_s: float) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._period_s = period_s
        self._framer = FramerRTU(DecodePDU(False))
        self.count = 1
        self.sent = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        while not self._stopped.wait(self._period_s):
            request = ReadHoldingRegistersRequest(
                address=THEIR_REGISTER, count=self.count, dev_id=UNIT
            )
            os.write(self._descriptor, self._framer.buildFrame(request))
            self.sent += 1
            while select.select([self._descriptor], [], [], 0)[0]:
                os.read(self._descriptor, 4096)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10)

    def close(self) -> None:
        self.stop()
        os.close(self._descriptor)


@dataclass
class PollCounts:
    """Counts the results of polls."""

    good: int = 0
    wrong: int = 0
    old: int = 0
    without_value: int = 0

    def poll(self, client: BlockingModbusClient, device: CountedRegisters, count: int) -> None:
        before = device.accesses
        result = client.request(UNIT, pdu.read_holding(OUR_REGISTER, count))
        if result.status != "ok":
            self.without_value += 1
            return
        expected = list(range(OUR_REGISTER, OUR_REGISTER + count))
        if [value >> 8 for value in result.values] != expected:
            self.wrong += 1
        elif device.accesses < 200 and not before < result.values[0] & 0xFF <= device.accesses:
            self.old += 1
        else:
            self.good += 1


def run_line(period_s: float, polls: int, pause_s: float) -> tuple[PollCounts, int]:
    """Poll beside the other master, then alone until a good value; return counts and queue."""
    line, device, judge = QueuedLine(), CountedRegisters(), PollCounts()
    with contextlib.ExitStack() as stack:
        stack.callback(line.close)
        stack.enter_context(serve(line.paths[0], device))
        other = ImpatientMaster(line.paths[1], period_s)
        stack.callback(other.close)
        address = port_address(f"serial:{line.paths[2]}?baud=115200")
        client = stack.enter_context(BlockingModbusClient(address))
        for i in range(polls):
            other.count = COUNTS[i % len(COUNTS)]
            judge.poll(client, device, other.count)
            time.sleep(pause_s)
        assert other.sent
        other.stop()
        alone = PollCounts()
        ends = time.monotonic() + 240  # the queue of the device empties first
        while not alone.good and time.monotonic() < ends:
            alone.poll(client, device, 2)
            time.sleep(pause_s)
        assert (alone.wrong, alone.old) == (0, 0)
        assert alone.good, "no good value without the other master"
    return judge, line.longest_queue


def test_slow_device_beside_another_master() -> None:
    judge, _ = run_line(0.5, 8, 0.1)
    assert (judge.wrong, judge.old) == (0, 0), judge
    assert judge.good, judge


def test_device_with_a_queue() -> None:
    """Requests come faster than it serves them, so each reply is later than the one before."""
    judge, longest_queue = run_line(0.08, 6, 0.1)
    assert (judge.wrong, judge.old) == (0, 0), judge
    assert longest_queue > 12


@pytest.mark.soak
@pytest.mark.parametrize("period_s", [0.33, 0.35, 0.5, 1.0])
def test_80_polls_of_a_slow_device(period_s: float) -> None:
    judge, _ = run_line(period_s, 80, 0.2)
    print(judge)
    assert (judge.wrong, judge.old) == (0, 0), judge
    assert judge.good >= 40, judge


@pytest.mark.soak
@pytest.mark.parametrize("period_s", [0.1, 0.13])
def test_25_polls_of_a_device_with_a_queue(period_s: float) -> None:
    """The backlog grows to half a minute."""
    judge, longest_queue = run_line(period_s, 25, 0.2)
    print(judge, longest_queue)
    assert (judge.wrong, judge.old) == (0, 0), judge
    assert longest_queue > 12
