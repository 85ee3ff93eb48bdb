# SPDX-License-Identifier: Apache-2.0
"""Rollout to many controllers: final state of each, messages and time.

    python -m benchmarks.remote.fleet [--units 1000] [--broken 0] [--canary 5] [--signed]

The agents run in one process, each with its remote manager, uplink, loops and safety, and with its
own connection to a mosquitto on loopback. They have no bus, so their outputs are safe outputs.
Another process runs `coldloop config push` with real keys. `--broken N`: the last N units roll back
each change. `--signed`: each unit has a key, is enrolled, and signs its reports.

Does not measure the speed of a controller: all agents share one core.
"""

import argparse
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.agent import Agent
from agent.commands import profiles
from agent.config.load import load
from agent.port_numbers import BROKER
from agent.remote.storage.unit_key import unit_key_write
from agent.remote.update import boot
from protocols.signing.ed25519_sign import public_key
from tests.support.programs import free_port, require_program, wait_until_open

STORE = 5
LIMIT_S = 600
_DEVICES = (("rpu", "orv3_rpu"), ("valve", "belimo_valve"), ("pump", "abb_acs580"))


_SECOND_KEY = {
    "number": 255,
    "public": "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "role": "limits",
}
"""The key of RFC 8032, 7.1, test 1. A unit needs two keys; this one signs nothing here."""


def configuration(number: int, port: int, key: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of unit `number`."""
    return {
        "version": 1,
        "site": "fleet",
        "unit": f"u{number:04d}",
        "buses": {"bus": "tcp:127.0.0.1:9"},
        "broker": {"address": f"tcp:127.0.0.1:{port}", "keepalive_s": 600},
        "devices": [
            {"name": name, "bus": "bus", "unit": i + 1, "profile": profile}
            for i, (name, profile) in enumerate(_DEVICES)
        ],
        "control": {
            "tick_ms": 1000,
            "cycle_ms": 10_000,
            "supply": {"setpoint_c": 32, "sensor": "rpu", "valve": "valve"},
            "dp": {"setpoint_kpa": 80, "sensor": "rpu", "pumps": ["pump"]},
        },
        "limits": {"stale_s": 60},
        "telemetry": {"period_ms": 3_600_000},
        "remote": {"port": "store:/virtual", "keys": [key, _SECOND_KEY], "health_s": 10},
    }


class FleetUnit:
    """One agent and its socket; the store is a dictionary; the bus is never open."""

    def __init__(
        self,
        raw: dict[str, Any],
        profile_files: dict[str, Any],
        broken: bool,
        records: dict[str, bytes] | None = None,
    ) -> None:
        self.records: dict[str, bytes] = {} if records is None else records
        config, chosen = boot.start_config(
            raw, self.records.get, lambda changed: load(changed, profile_files)
        )
        self.agent = Agent(config, chosen)
        self.raw = raw
        self.port = int(raw["broker"]["address"].rsplit(":", 1)[1])
        self.is_faulty = broken
        self.socket: socket.socket | None = None
        self.scheduled: list[tuple[int, str]] = []

    def process_outbox(self, now: int, watch: selectors.BaseSelector) -> None:
        """Execute the actions of the agent."""
        actions = self.agent.outbox()
        while actions:
            for number, op, data in actions:
                if number == BROKER and op == "open":
                    self.socket = socket.create_connection(("127.0.0.1", self.port))
                    self.socket.setblocking(False)
                    watch.register(self.socket, selectors.EVENT_READ, self)
                    self.agent.event(BROKER, "opened", now)
                elif number == BROKER and op == "write" and self.socket is not None:
                    self.socket.sendall(data)
                elif number == STORE:
                    self.handle_store(op, data, now)
            actions = self.agent.outbox()
        self.set_state()

    def handle_store(self, op: str, data: bytes, now: int) -> None:
        """Keep records in memory, durable immediately."""
        key, _, payload = data.decode("latin-1").partition("\0")
        if op in ("write", "append"):
            before = self.records.get(key, b"") if op == "append" else b""
            self.records[key] = before + payload.encode("latin-1")
        elif op == "get":
            result = self.records.get(key)
            self.agent.receive(STORE, data if result is None else data + b"\0" + result, now)
        elif op == "delete":
            self.records.pop(key, None)
        self.agent.event(STORE, "opened" if op == "open" else "drained", now)

    def set_state(self) -> None:
        """Set the state of the unit: normal, as with devices, or safe for a faulty unit."""
        self.agent.supervisor.state = "safe" if self.is_faulty else "normal"

    def receive(self, now: int) -> None:
        """Pass data of the broker to the agent."""
        assert self.socket is not None
        with contextlib.suppress(BlockingIOError):
            data = self.socket.recv(8192)
            if data:
                self.agent.receive(BROKER, data, now)


def _replace_devices(unit: FleetUnit) -> None:
    """Replace sensors and safety state, which need devices; `set_state` sets the state."""
    agent: Any = unit.agent
    agent.supervisor.step = lambda _: None
    agent.supply_loop.sensor.value = lambda _: agent.supply_loop.setpoint
    agent.pressure_loop.sensor.value = lambda _: agent.pressure_loop.setpoint


def serve(units: list[FleetUnit], stop: threading.Event, speed: int = 1) -> None:
    """Step all agents until `stop` is set; their clocks run `speed` times as fast."""
    watch = selectors.DefaultSelector()

    def clock() -> int:
        return time.monotonic_ns() * speed // 1000

    for unit in units:
        now = clock()
        unit.agent.start(now)
        unit.process_outbox(now, watch)
    try:
        _serve_loop(units, stop, watch, clock)
    finally:
        watch.close()
        for unit in units:
            if unit.socket is not None:
                unit.socket.close()


def _serve_loop(
    units: list[FleetUnit],
    stop: threading.Event,
    watch: selectors.BaseSelector,
    clock: Callable[[], int],
) -> None:
    while not stop.is_set():
        for key, _ in watch.select(0.005):
            now = clock()
            key.data.receive(now)
            key.data.process_outbox(now, watch)
        now = clock()
        for unit in units:
            if unit.agent.deadline() <= now:
                unit.agent.wake(now)
                unit.process_outbox(now, watch)


@contextlib.contextmanager
def broker(folder: Path) -> Iterator[int]:
    """Run a mosquitto."""
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    command = [require_program("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            wait_until_open(port)
            yield port
        finally:
            process.terminate()


def enroll(units: int, folder: Path, environment: dict[str, str]) -> list[dict[str, bytes]]:
    """Make and enroll a key for each unit; return the records of the stores with the keys."""
    stores, files = [], []
    for number in range(units):
        seed = number.to_bytes(32, "big")
        public = public_key(seed)
        stores.append(dict([unit_key_write(seed, public)]))
        files.append(folder / f"u{number:04d}.json")
        files[-1].write_text(json.dumps({"unit": f"fleet/u{number:04d}", "public": public.hex()}))
    command = [sys.executable, "-m", "coldloop", "config", "unit", "enroll", *map(str, files)]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return stores


def rollout(units: int, broken: int, canary: float, signed: bool = False) -> dict[str, Any]:
    """Push a change to `units` controllers; return the outcome and the final states."""
    with tempfile.TemporaryDirectory() as name, broker(Path(name)) as port:
        command = [sys.executable, "-m", "coldloop", "config", "keygen", "ops", "--dir", name]
        completed = subprocess.run(
            [*command, "--number", "1", "--no-passphrase", "--json"],
            capture_output=True,
            check=True,
        )
        key, maps = json.loads(completed.stdout), profiles()
        environment = os.environ | {"COLDLOOP_LEDGER": f"{name}/ledger.jsonl"}
        stores = enroll(units, Path(name), environment) if signed else [{} for _ in range(units)]
        fleet = []
        for number, store in enumerate(stores):
            raw = configuration(number, port, key)
            unit = FleetUnit(raw, maps, number >= units - broken, store)
            _replace_devices(unit)
            fleet.append(unit)
        stop = threading.Event()
        thread = threading.Thread(target=serve, args=(fleet, stop))
        thread.start()
        push = ["config", "push", "fleet/*", "control.supply.setpoint_c=33.5"]
        push += ["--broker", f"tcp:127.0.0.1:{port}", "--key", f"{name}/ops.key", "--json"]
        push += ["--canary", str(canary), "--listen", "10s", "--wave", "200"]
        started = time.monotonic()
        pushed = subprocess.run(
            [sys.executable, "-m", "coldloop", *push],
            env=environment,
            capture_output=True,
            check=False,
            timeout=LIMIT_S,
        )
        seconds = time.monotonic() - started
        time.sleep(2)
        stop.set()
        thread.join()
        outcome: dict[str, Any] = json.loads(pushed.stdout or b"{}")
        outcome["exit"], outcome["stderr"] = pushed.returncode, pushed.stderr.decode()[-300:]
        outcome["seconds"] = round(seconds, 1)
        outcome["failed"] = _tally(list(outcome.get("failed", {}).values()))
        outcome["setpoints"] = _tally([unit.agent.supply_loop.setpoint for unit in fleet])
        outcome["versions"] = _tally([_version(unit) for unit in fleet])
        return outcome


def _version(unit: FleetUnit) -> int:
    chosen = unit.agent.boot
    assert chosen is not None
    return chosen.slots.version


def _tally(values: list[Any]) -> dict[str, int]:
    return {str(value): values.count(value) for value in sorted(set(values))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("--canary", type=float, default=5)
    parser.add_argument("--signed", action="store_true")
    arguments = parser.parse_args()
    outcome = rollout(arguments.units, arguments.broken, arguments.canary, arguments.signed)
    print(json.dumps(outcome, indent=2))


if __name__ == "__main__":
    main()
