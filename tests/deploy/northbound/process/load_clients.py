# SPDX-License-Identifier: Apache-2.0
"""Clients of all servers at the same time: 50 GET/s, 10 Modbus masters, 64 COV, a scrape a second.

Written for one thread each, with sockets and the standard library: the servers are measured, not
the clients. The rates are kept by the clock; a late answer makes no burst.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.deploy.northbound.bacnet.wire import confirmed, object_id

GETS_PER_S, MASTERS, SUBSCRIPTIONS = 50, 10, 64
_SUBSCRIBE_COV = 5
_UNCONFIRMED_FOR_1_H = b"\x29\x00\x3a\x0e\x10"
_READ = struct.Struct(">HHHBBHH")


@dataclass
class LoadCounts:
    """What the clients saw. `slow`: times of answers in s, sorted at the end by the caller."""

    gets: int = 0
    scrapes: int = 0
    reads: int = 0
    notifications: int = 0
    subscribed: int = 0
    errors: list[str] = field(default_factory=list)
    get_times: list[float] = field(default_factory=list)
    read_times: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class LoadTarget:
    """Ports of the servers; `token`: of a Redfish session, `metrics`: of the scrape."""

    http: int
    modbus: int
    bacnet: int
    authorization: dict[str, str]
    metrics: dict[str, str]
    paths: tuple[str, ...]
    objects: tuple[tuple[int, int], ...]
    blocks: tuple[tuple[int, int], ...]


class LoadClients:
    """Runs the clients in threads until `stop`."""

    def __init__(self, target: LoadTarget) -> None:
        self.counts, self._target = LoadCounts(), target
        self._ended = threading.Event()
        work: list[Callable[[], None]] = [self._get, self._scrape, self._subscribe]
        work += [lambda n=n: self._poll(n) for n in range(MASTERS)]  # type: ignore[misc]
        self._threads = [threading.Thread(target=self._guard, args=(task,)) for task in work]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> LoadCounts:
        self._ended.set()
        for thread in self._threads:
            thread.join(20)
        return self.counts

    def _guard(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:  # noqa: BLE001 - the test prints what a client met
            self.counts.errors.append(repr(error))

    def _https(self, paths: tuple[str, ...], headers: dict[str, str], rate: float) -> None:
        context = ssl._create_unverified_context()
        client = http.client.HTTPSConnection("127.0.0.1", self._target.http, context=context)
        with contextlib.closing(client):
            number, due = 0, time.monotonic()
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                due = max(due + 1 / rate, time.monotonic() - 0.2)
                began = time.monotonic()
                client.request("GET", paths[number % len(paths)], headers=headers)
                answer = client.getresponse()
                answer.read()
                number += 1
                if answer.status != 200:
                    self.counts.errors.append(f"{paths[number % len(paths) - 1]} {answer.status}")
                elif rate > 1:
                    self.counts.gets += 1
                    self.counts.get_times.append(time.monotonic() - began)
                else:
                    self.counts.scrapes += 1

    def _get(self) -> None:
        self._https(self._target.paths, self._target.authorization, GETS_PER_S)

    def _scrape(self) -> None:
        self._https(("/metrics",), self._target.metrics, 1)

    def _poll(self, number: int) -> None:
        """Read all blocks once a second, from an address of its own as another master has."""
        with socket.create_connection(
            ("127.0.0.1", self._target.modbus), 5, (f"127.0.1.{number + 1}", 0)
        ) as master:
            due = time.monotonic() + number / MASTERS
            while not self._ended.wait(max(0.0, due - time.monotonic())):
                due += 1
                for address, count in self._target.blocks:
                    began = time.monotonic()
                    master.sendall(_READ.pack(7, 0, 6, 1, 4, address, count))
                    need = 9 + 2 * count
                    got = b""
                    while len(got) < need:
                        part = master.recv(need - len(got))
                        if not part:
                            raise ConnectionError("Modbus server closed")
                        got += part
                    self.counts.reads += 1
                    self.counts.read_times.append(time.monotonic() - began)

    def _subscribe(self) -> None:
        """Subscribe to the objects from one address, unconfirmed, and count the changes."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            client.connect(("127.0.0.1", self._target.bacnet))
            for process, (kind, instance) in enumerate(self._target.objects):
                data = (
                    bytes((0x09, process)) + object_id(kind, instance, 1) + b"\x29\x00\x3a\x0e\x10"
                )
                client.send(confirmed(_SUBSCRIBE_COV, data, process))
                time.sleep(0.02)
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    data = client.recv(2000)
                    if data[6] >> 4 == 2:  # simple acknowledgement
                        self.counts.subscribed += 1
                    elif data[6] >> 4 == 1:  # unconfirmed request: a notification
                        self.counts.notifications += 1
