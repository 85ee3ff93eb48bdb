# SPDX-License-Identifier: Apache-2.0
"""A hub of pseudo-terminals in real time: two controllers and all emulated devices on one line.

It passes the bytes of each controller to the other one and to the devices, and the replies of the
devices to both. It records the writes, and all requests to devices: (controller, monotonic time in
s). A controller in `receiver_failed` receives nothing, one in `driver_failed` sends nothing. While
the line is `held`, each frame is destroyed.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import threading
import time
import tty
from collections.abc import Iterable
from typing import Self

from agent.redundancy.beacon import UNITS
from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import TestbedSettings
from hil.kernel.world import World
from hil.run.several.pair_run import is_device_write
from hil.run.virtual import START_UTC


def free_port(host: int) -> int:
    """Return a UDP port of 127.0.0.`host` that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((f"127.0.0.{host}", 0))
        port: int = probe.getsockname()[1]
        return port


class PairHub:
    """Use it in a `with` block. `paths` are the ports of both controllers.

    `addresses`: free addresses for the datagrams of their link.
    """

    def __init__(self) -> None:
        self._ends = [os.openpty() for _ in range(2)]
        for near, far in self._ends:
            tty.setraw(near)
            tty.setraw(far)
            os.set_blocking(near, False)
        self.paths = [os.ttyname(far) for _, far in self._ends]
        self.addresses = [f"127.0.0.{host}:{free_port(host)}" for host in (1, 2)]
        self.testbed = Testbed(World(1, START_UTC), TestbedSettings())
        self.writes: list[tuple[int, float]] = []
        self.requests: list[tuple[int, float]] = []
        self.receiver_failed: set[int] = set()
        self.driver_failed: set[int] = set()
        self.held = False
        self._replies: list[tuple[int, int, bytes]] = []
        self._count = 0
        self._stop = threading.Event()
        self._began_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for near, far in self._ends:
            os.close(near)
            os.close(far)

    def set_held(self, is_held: bool) -> None:
        """Let a driver hold the line, or release it."""
        self.held = is_held

    def _now_us(self) -> int:
        return (time.monotonic_ns() - self._began_ns) // 1000

    def _run(self) -> None:
        near = [end[0] for end in self._ends]
        while not self._stop.is_set():
            wait_s = 0.02
            if self._replies:
                wait_s = min(wait_s, max(0.0, (self._replies[0][0] - self._now_us()) / 1e6))
            for ready in select.select(near, [], [], wait_s)[0]:
                self._take(near.index(ready), os.read(ready, 512))
            now = self._now_us()
            self.testbed.plant.advance(now)
            while self._replies and self._replies[0][0] <= now:
                self._send(heapq.heappop(self._replies)[2], (0, 1))

    def _take(self, source: int, data: bytes) -> None:
        now = self._now_us()
        if source in self.driver_failed:
            return
        if self.held:
            self._send(bytes(byte ^ 0x5A for byte in data), (1 - source,))
            return
        if len(data) > 3 and data[0] not in UNITS.values():
            self.requests.append((source, time.monotonic()))
        if is_device_write(data):
            self.writes.append((source, time.monotonic()))
        self._send(data, (1 - source,))
        for delay, reply in self.testbed.bus.receive(data, now):
            self._count += 1
            heapq.heappush(self._replies, (now + delay, self._count, reply))

    def _send(self, data: bytes, nodes: Iterable[int]) -> None:
        for node in nodes:
            if node in self.receiver_failed:
                continue
            try:
                os.write(self._ends[node][0], data)
            except BlockingIOError:  # a stopped controller does not read
                continue
