# SPDX-License-Identifier: Apache-2.0
"""The bus in the real runtime over a pseudo-terminal whose slave keeps the times of the wire."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import Any

from agent.runtime import cpython
from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from protocols.time_units import NEVER
from tests.portable.support.serial_line_model import COUNT, ModbusServerModel
from tests.support.runtime_rig import TIMEOUT_S, open_pty

BAUD, BITS, UNIT = 19200, 11, 7
CHAR_S = BITS / BAUD
UNREADABLE_REGISTER = 500


class BusAgent:
    """A minimal agent: one port, one bus, one request after the other."""

    def __init__(self, path: str, addresses: list[int]) -> None:
        self.bus = Bus(4, "rtu", BAUD, BITS)
        self.status: list[str] = []
        self._addresses = addresses
        self._actions: list[tuple[int, str, bytes]] = [(4, "open", f"serial:{path}".encode())]

    def receive(self, _port: int, data: bytes, now: int) -> None:
        self.bus.receive(data, now)
        self._collect()

    def event(self, _port: int, kind: str, now: int) -> None:
        self.bus.event(kind, now)
        if kind == "opened":
            self._submit_next()

    def wake(self, now: int) -> None:
        if now >= self.bus.deadline():
            self.bus.wake(now)
        self._collect()

    def deadline(self) -> int:
        return self.bus.deadline() if self.bus.open else NEVER

    def outbox(self) -> list[tuple[int, str, bytes]]:
        out, self._actions = self._actions, []
        return out + self.bus.outbox()

    def is_done(self) -> bool:
        return not self._addresses and not self.bus.pending_count

    def _collect(self) -> None:
        for result in self.bus.take_results():
            self.status.append(result.status)
            if result.status == "ok":
                assert result.values == tuple(range(result.tag, result.tag + COUNT))
            self._submit_next()

    def _submit_next(self) -> None:
        if self._addresses:
            address = self._addresses.pop(0)
            assert self.bus.submit(UNIT, pdu.read_holding(address, COUNT), address)


def serve_slave(master: int, stop: threading.Event) -> None:
    """Reply to each request after its transmission, the turnaround and the transmission of the
    reply.
    """
    slave = ModbusServerModel(UNIT)
    slave.unreadable = [UNREADABLE_REGISTER]
    while not stop.is_set():
        if not select.select([master], [], [], 0.05)[0]:
            continue
        frame = os.read(master, 64)
        assert len(frame) == 8
        reply = slave.answer(frame)
        time.sleep(0.005 + CHAR_S * (len(frame) + len(reply)))
        os.write(master, reply)


def test_burst_of_exceptions() -> None:
    addresses = [100] * 12 + [UNREADABLE_REGISTER - 5] * 30 + [100] * 5
    with open_pty() as line:
        agent: Any = BusAgent(line.path, addresses)
        stop = threading.Event()
        thread = threading.Thread(target=serve_slave, args=(line.master, stop))
        thread.start()
        end = time.monotonic() + TIMEOUT_S
        try:
            cpython.run(
                agent, lambda: agent.is_done() or time.monotonic() > end, out=lambda _: None
            )
        finally:
            stop.set()
            thread.join()
    assert agent.status == ["ok"] * 12 + ["exception"] * 30 + ["ok"] * 5
    # a busy machine can deliver replies too early
    assert (agent.bus.invalid_replies, agent.bus.premature <= 2) == (0, True)
