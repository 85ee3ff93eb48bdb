# SPDX-License-Identifier: Apache-2.0
"""Kill campaign: relays, broker, PostgreSQL and VictoriaMetrics are killed at random times.

The units are emulated: they send records until each has its receipt. All programs are real. In the
end each row is once in PostgreSQL, VictoriaMetrics, the Parquet files and the embedded store.
KILLS=N sets the number of kills; the default of a soak run is 1,000. A relay that starts while the
broker is down ends with a message. It is started again, as systemd does. A log has all messages.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import paho.mqtt.client as mqtt
import pyarrow.dataset as ds  # type: ignore[import-untyped]
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import ALARM, START_MS, block_of_run, pack, rows_record
from tests.deploy.relay.stores.servers import PostgresServer, VictoriaServer, postgres
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT

_ROWS = 5
_RESEND_S = 4.0
_KILLED = ("relay a", "relay b", "broker", "postgres", "victoria")


class _Program(Protocol):
    def start(self) -> None: ...
    def kill(self) -> None: ...


class KilledBroker:
    """A mosquitto that can be killed; it keeps its sessions."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {folder}/\nautosave_interval 1\nuser root\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [require_program("mosquitto"), "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until_open(self.port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


class RelayProcess:
    """A relay worker; both workers share one file and one group."""

    def __init__(self, name: str, arguments: list[str], folder: Path) -> None:
        self._log = folder / f"{name}.log"
        self._command = [sys.executable, str(ROOT / "coldloop.py"), "relay", "--name", name]
        self._command += arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None

    def supervise(self) -> None:
        """Start a relay again that found no broker; any other end is a fault of the relay."""
        if self.process is not None and self.process.poll() is not None:
            last = self._log.read_text().splitlines()[-1:]
            assert self.process.returncode == 2, last
            assert "coldloop relay: tcp:" in "".join(last)
            self.start()


class EmulatedUnit:
    """Sends each record until its receipt. The first block of each run of four has no UTC."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.sent = 0
        self.open: dict[int, float] = {}
        self._lock = threading.Lock()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, f"unit-{name}")
        self.client.reconnect_delay_set(1, 2)
        self.client.on_connect = self._on_connected
        self.client.on_message = self._on_receipt
        self.client.connect_async("127.0.0.1", port)
        self.client.loop_start()

    def _on_connected(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(f"coldloop/v1/s/{self.name}/ack", 1)

    def _on_receipt(self, _: object, __: object, message: mqtt.MQTTMessage) -> None:
        for group, first, last in receipt.parse_receipt(
            bytes(message.payload), "s/" + self.name, b""
        ).ranges:
            with self._lock:
                for ident in range(first, last + 1):
                    if group == 3:
                        self.open.pop(ident, None)

    def record(self, ident: int) -> bytes:
        uptime = 1000 * _ROWS * ident
        times = [None if ident % 4 == 1 else START_MS + uptime + 1000 * i for i in range(_ROWS)]
        return block_of_run(1, uptime, times, _ROWS * ident)

    def step(self, may_add: bool) -> None:
        now = time.monotonic()
        with self._lock:
            if may_add and len(self.open) < 40:
                self.sent += 1
                self.open[self.sent] = 0.0
            due = [ident for ident, at in self.open.items() if now - at > _RESEND_S][:20]
            for ident in due:
                self.open[ident] = now
        if due and self.client.is_connected():
            records = [rows_record(ident, self.record(ident)) for ident in due]
            self.client.publish(f"coldloop/v1/s/{self.name}/tele", pack(ALARM, *records), 1)

    def times(self) -> list[int]:
        return [
            START_MS + 1000 * (_ROWS * n + i) for n in range(1, self.sent + 1) for i in range(_ROWS)
        ]


class Campaign:
    """All programs, and the kills."""

    def __init__(self, folder: Path, database: PostgresServer, seed: int) -> None:
        self.folder, self.database = folder, database
        self.random = random.Random(seed)
        self.broker, self.victoria = KilledBroker(folder), VictoriaServer(folder / "victoria")
        arguments = ["--broker", f"127.0.0.1:{self.broker.port}", "--postgres", database.uri]
        arguments += ["--store", str(folder / "relay.db"), "--fleet", str(folder / "fleet.db")]
        arguments += ["--parquet", str(folder / "parquet")]
        arguments += ["--influx", f"http://127.0.0.1:{self.victoria.port}/write"]
        self.relays = {name: RelayProcess(name[-1], arguments, folder) for name in _KILLED[:2]}
        self.broker.start()
        self.victoria.start()
        for relay in self.relays.values():
            relay.start()
        self.units = [EmulatedUnit(f"u{n}", self.broker.port) for n in range(4)]

    def run_for(self, seconds: float, may_add: bool = True) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for unit in self.units:
                unit.step(may_add)
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill one program; start it again after an outage."""
        name = self.random.choice(_KILLED)
        programs: dict[str, _Program] = {
            "broker": self.broker,
            "victoria": self.victoria,
            "postgres": self.database,
            **self.relays,
        }
        program = programs[name]
        program.kill()
        self.run_for(self.random.uniform(0, 2))
        program.start()

    def settle(self) -> None:
        end = time.monotonic() + 300
        while any(unit.open for unit in self.units):
            left = {unit.name: sorted(unit.open)[:5] for unit in self.units}
            assert time.monotonic() < end, left
            for relay in self.relays.values():
                relay.supervise()
            self.run_for(1, may_add=False)

    def close(self) -> None:
        for unit in self.units:
            unit.client.disconnect()
            unit.client.loop_stop()
        for relay in self.relays.values():
            if relay.process is not None:
                relay.process.send_signal(signal.SIGTERM)
                relay.process.wait(60)
        self.broker.kill()
        self.victoria.kill()


@contextmanager
def campaign(folder: Path, seed: int) -> Iterator[Campaign]:
    with ExitStack() as stack:
        made = Campaign(folder, stack.enter_context(postgres()), seed)
        stack.callback(made.close)
        yield made


def check_stores(found: Campaign) -> None:
    """Each row of each unit is once in each store."""
    dataset = ds.dataset(found.folder / "parquet" / "rows", partitioning="hive").to_table()
    parquet = list(zip(*(dataset[n].to_pylist() for n in ("unit", "signal", "t")), strict=True))
    fleet = sqlite3.connect(found.folder / "fleet.db")
    for unit in found.units:
        expected = unit.times()
        rows = found.database.query(
            "SELECT EXTRACT(EPOCH FROM t)*1000 FROM coldloop_sample"
            f" WHERE unit='{unit.name}' AND signal='T0' ORDER BY t"
        )
        assert [int(row[0]) for row in rows] == expected, "PostgreSQL"
        samples = found.victoria.samples(f'coldloop_T0{{unit="{unit.name}"}}')
        assert [at for at, _ in samples["coldloop_T0"]] == expected, "VictoriaMetrics"
        times = sorted(
            round(t.timestamp() * 1000)
            for u, signal, t in parquet
            if (u, signal) == (unit.name, "T0")
        )
        assert times == expected, "Parquet"
        blocks = fleet.execute(
            "SELECT data FROM block WHERE unit=?", (f"s/{unit.name}",)
        ).fetchall()
        assert len(blocks) == unit.sent, "embedded store"
        assert all(zlib.decompress(data) for (data,) in blocks)
    fleet.close()


@pytest.mark.soak
def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    kills = int(os.environ.get("KILLS", "1000"))
    with campaign(tmp_path, int(os.environ.get("SEED", "1"))) as found:
        found.run_for(8)
        for _ in range(kills):
            found.kill()
            found.run_for(found.random.uniform(0.5, 3))
        found.run_for(5)
        found.settle()
        found.run_for(40, may_add=False)  # the last Parquet files and points
        check_stores(found)
        print({unit.name: unit.sent for unit in found.units})
