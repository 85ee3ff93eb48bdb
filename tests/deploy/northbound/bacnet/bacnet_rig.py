# SPDX-License-Identifier: Apache-2.0
"""A BACnet device on the loopback, in a thread, with a fake unit; and a client on node-bacnet."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from deploy.northbound.access.types import FakeAudit, FakeWriter
from deploy.northbound.bacnet import datagram_filter
from deploy.northbound.bacnet.device import BacnetDevice, make_device
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.rate_limit import ShareLimits
from tests.support.programs import MISSING, free_udp_port, require_program
from tests.support.repository import ROOT

DEVICE = 4711
_NODE = Path(__file__).with_name("node")


def set_limits(monkeypatch: pytest.MonkeyPatch, limits: ShareLimits) -> None:
    """Give each share of the datagrams these limits; for devices that are made afterwards."""
    monkeypatch.setattr(datagram_filter, "LIMITS", dict.fromkeys(datagram_filter.LIMITS, limits))


class BacnetRig:
    """A fake unit and its device. `writer` None: read-only."""

    def __init__(self, writer: FakeWriter | None = None, **settings: object) -> None:
        self.source, self.audit, self.writer = FakeSource(1), FakeAudit(), writer
        self.port = free_udp_port()
        self.settings = {
            "address": "127.0.0.1/24",
            "port": self.port,
            "device": DEVICE,
            **settings,
        }
        self.device: Any = None
        self.errors: list[object] = []
        self._thread = threading.Thread(target=self._run)

    @contextlib.contextmanager
    def serve(self) -> Iterator[BacnetRig]:
        """Serve in a thread."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        try:
            self.device = self.call(self._make())
            yield self
        finally:
            self.call(self._stop())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop of the device."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def next_record(self, change: Callable[[FakeSource], object] = FakeSource.step) -> None:
        """Change the unit; the device takes over its record."""
        change(self.source)
        self.call(self._update())

    async def _update(self) -> None:
        self.device.update(self.source.read())
        await asyncio.sleep(0)

    async def _make(self) -> BacnetDevice:
        device = make_device(self.settings, self.source.read(), self.audit, self.writer)
        device.update(self.source.read())
        for link in device.link_layers.values():
            await link.server._local_transport_ready.wait()  # type: ignore[attr-defined]
        return device

    async def _stop(self) -> None:
        if self.device is not None:
            self.device.close()
        tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(lambda _loop, context: self.errors.append(context))
        self._loop.run_forever()
        self._loop.close()


class NodeClient:
    """The program node/client.js."""

    def __init__(self, port: int, server_port: int) -> None:
        node, module = require_program("node"), node_bacnet()
        self._process = subprocess.Popen(
            [node, str(_NODE / "client.js"), str(port), str(server_port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "NODE_BACNET": str(module)},
        )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()

    def ask(self, do: str, **fields: object) -> Any:
        """Send a command, return its value; an error is the text `error: …`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.get(timeout=20)
        return f"error: {answer['error']}" if "error" in answer else answer["value"]

    def event(self, name: str, timeout_s: float = 10) -> dict[str, Any]:
        """Return the next notification of a kind."""
        end = time.monotonic() + timeout_s
        while True:
            found = self.events.get(timeout=max(0.01, end - time.monotonic()))
            if found["event"] == name:
                return found

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            data = json.loads(line)
            (self.events if "event" in data else self._answers).put(data)


def node_bacnet() -> Path:
    """Return the folder of node-bacnet; install it in build/ once."""
    npm = require_program("npm")
    folder = ROOT / "build" / "bacnet-judge"
    module = folder / "node_modules" / "node-bacnet"
    if not module.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_NODE / name, folder)
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"{MISSING}node-bacnet (npm ci)")
    return module
