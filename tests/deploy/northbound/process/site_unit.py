# SPDX-License-Identifier: Apache-2.0
"""A unit behind the servers: a real agent on emulated devices, its socket and its record.

The time of the agent runs `speed` times as fast as that of the machine.
"""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any, Self

from deploy.ops import keys
from drivers.ports.cpython.local import SOCKET
from tests.deploy.northbound.record_writer import stamped
from tests.portable.agent.northbound.test_component import LOCAL, SITE, started

_STEP_S = 0.1


class SiteUnit:
    """The unit; `received`: datagrams at its socket."""

    def __init__(
        self, folder: Path, writes: dict[str, object] | None = None, speed: float = 1
    ) -> None:
        self.folder, self.received = folder, 0
        self._speed = speed
        self.rig = started(writes)
        public = keys.read_public_key(keys.make_key(folder, "site", SITE, "site", ""))
        for key in self.rig.manager.settings["keys"]:
            if key["number"] == SITE:
                key["public"] = public["public"]
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(folder / SOCKET))
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._step()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(20)
        self._socket.close()

    def setpoint(self) -> float:
        """Return the set-point of the supply temperature in force, degrees Celsius."""
        found: float = self.rig.agent.supply_loop.config.setpoint
        return found

    def hash(self) -> str:
        """Return the hash of the configuration."""
        with self._lock:
            return str(self.rig.manager.status(0).pairs[1][1])

    def fingerprint(self) -> dict[str, Any]:
        """Return what no client may change: configuration, store of the agent, holders, ledger."""
        found = self.hash()
        with self._lock:
            record = self.rig.record()
            return {
                "hash": found,
                "slots": self.rig.slot_state(),
                "store": dict(self.rig.store.records),
                "audit": self.rig.audit_entries(),
                "setpoints": record["setpoints"],
                "holders": [(a["name"], a["holder"], a["rank"]) for a in record["actuators"]],
                "received": self.received,
            }

    def _run(self) -> None:
        while not self._ended.wait(_STEP_S):
            self._step()

    def _step(self) -> None:
        with self._lock:
            while True:
                try:
                    data = self._socket.recv(4096)
                except BlockingIOError:
                    break
                self.received += 1
                self.rig.deliver("receive", LOCAL, data)
            self.rig.run(_STEP_S * self._speed)
            for name, data in self.rig.records.items():
                (self.folder / "new").write_bytes(stamped(data))
                os.replace(self.folder / "new", self.folder / name)
