# SPDX-License-Identifier: Apache-2.0
"""Kill campaign: agent, relays, broker, PostgreSQL and VictoriaMetrics are killed at random times.

Four units are emulated: they send records until each has its receipt. Their rows have UTC, or get
it from a later block. The fifth is a real agent with its log on the disk and without a receiver,
so its rows keep the uptime. All programs are real, and started once for all kills. In the end each
row is once in PostgreSQL, VictoriaMetrics, the Parquet files and the embedded store. KILLS=N sets
the number of kills (a soak run: 1,000), CPU_S=N and WALL_S=N end them after this CPU
time of all programs and after this time, in s, SEED=N makes another run. A log has all messages.
"""

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

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
_KILLED = ("relay a", "relay b", "broker", "postgres", "victoria", "agent")
_REAL_PERIOD_MS = 200


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
            f"log_dest file {folder}/broker.log\n"
        )
        self._database = folder / "mosquitto.db"
        self.crashes = 0
        self.process: subprocess.Popen[bytes] | None = None

    def check_alive(self) -> None:
        """Start it again if it has ended by itself; its file goes, as it can be the cause."""
        if self.process is not None and self.process.poll() is not None:
            self.crashes += 1
            self._database.unlink(missing_ok=True)
            self.start()

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

    def check_alive(self) -> None:
        """A relay waits for what is away; only a kill ends it."""
        if self.process is not None and self.process.poll() is not None:
            last_lines = self._log.read_text().splitlines()[-3:]
            raise AssertionError(f"exit code {self.process.returncode}: {last_lines}")


class KilledAgent:
    """A real agent: nothing answers on its ports, its log is on the disk."""

    def __init__(self, folder: Path, broker: int) -> None:
        (folder / "agent-log").mkdir()
        (folder / "agent-status").mkdir()
        self._folder = folder
        self.runtime_s = 0.0
        self._started_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self._config: dict[str, Any] = {
            "version": 1,
            "state": f"store:{folder}/agent-status",
            "site": "s",
            "unit": "real",
            "receiver": {"port": "tcp:127.0.0.1:10"},
            "buses": {"field": "tcp:127.0.0.1:9"},
            "broker": {"address": f"tcp:127.0.0.1:{broker}", "keepalive_s": 10},
            "devices": [
                {"name": "rpu", "bus": "field", "unit": 1, "profile": "orv3_rpu"},
                {"name": "valve", "bus": "field", "unit": 2, "profile": "belimo_valve"},
            ],
            "control": {"supply": {"setpoint_c": 32, "sensor": "rpu", "valve": "valve"}},
            "limits": {"supply_max_c": 40},
            "log": {"port": f"store:{folder}/agent-log", "at_risk_s": 1, "bytes": 32 << 20},
            "telemetry": {"period_ms": _REAL_PERIOD_MS},
        }

    def start(self) -> None:
        (self._folder / "unit.json").write_text(json.dumps(self._config))
        command = [sys.executable, str(ROOT / "coldloop.py"), "agent", "--config", "unit.json"]
        with open(self._folder / "agent.log", "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self._started_at = time.monotonic()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None
            self.runtime_s += time.monotonic() - self._started_at

    def end_rows(self) -> None:
        """Start it again without new rows; at a start it sends all that has no receipt."""
        self.kill()
        self._config["log"]["rows"] = "none"
        self.start()

    def is_empty(self) -> bool:
        """Return whether its log has a receipt for each record, as its status has it."""
        try:
            status = json.loads((self._folder / "agent-status" / "status.json").read_text())
        except (OSError, ValueError):
            return False
        log = status["log"]
        return bool(log["ready"]) and not any(log["waiting"].values())


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
        arguments += ["--parquet", str(folder / "parquet"), "--undated-wait", "5"]
        arguments += ["--influx", f"http://127.0.0.1:{self.victoria.port}/write"]
        self.relays = {name: RelayProcess(name[-1], arguments, folder) for name in _KILLED[:2]}
        self.broker.start()
        self.victoria.start()
        for relay in self.relays.values():
            relay.start()
        self.agent = KilledAgent(folder, self.broker.port)
        self.agent.start()
        self.units = [EmulatedUnit(f"u{n}", self.broker.port) for n in range(4)]
        self.kills = dict.fromkeys(_KILLED, 0)

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
            "agent": self.agent,
            **self.relays,
        }
        program = programs[name]
        program.kill()
        self.kills[name] += 1
        self.run_for(self.random.uniform(0, 1.5))
        program.start()
        self.check_alive()

    def check_alive(self) -> None:
        self.broker.check_alive()
        for relay in self.relays.values():
            relay.check_alive()

    def settle(self) -> None:
        self.agent.end_rows()
        self.run_for(10, may_add=False)  # its status is that of this start
        end = time.monotonic() + 600
        while any(unit.open for unit in self.units) or not self.agent.is_empty():
            left = {unit.name: sorted(unit.open)[:5] for unit in self.units}
            assert time.monotonic() < end, left
            self.check_alive()
            self.run_for(1, may_add=False)

    def close(self) -> None:
        self.agent.kill()
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


def check_real_unit(found: Campaign) -> dict[str, int]:
    """Each row of each run of the agent is once in each store that takes rows without UTC.

    A kill ends a run: rows after its end were not on the disk. So the numbers of the rows of a run
    have no gap. `other`: rows that one store has and another has not, or with another uptime.
    """
    query = "SELECT record, uptime_ms FROM coldloop_uptime WHERE unit='real' AND signal='state'"
    rows = [(int(record), int(at)) for record, at in found.database.query(query)]
    table = ds.dataset(found.folder / "parquet" / "rows", partitioning="hive").to_table(
        filter=(ds.field("unit") == "real") & (ds.field("signal") == "state")
    )
    names = ("record", "uptime_ms")
    parquet = list(zip(*(table[name].to_pylist() for name in names), strict=True))
    fleet = sqlite3.connect(found.folder / "fleet.db")
    blocks = [json.loads(zlib.decompress(data)) for (data,) in fleet.execute(_REAL_BLOCKS)]
    fleet.close()
    stored = [(block["record"], row[0]) for block in blocks for row in block["rows"]]
    spans = sorted((block["run"], block["seq"], len(block["rows"])) for block in blocks)
    gaps = sum(
        seq + count != next_seq
        for (run, seq, count), (next_run, next_seq, _) in pairwise(spans)
        if run == next_run
    )
    stores = (rows, parquet, stored)
    return {
        "runs": len({run for run, _, _ in spans}),
        "rows": len(stored),
        "gaps": gaps,
        "doubled": sum(len(one) - len(set(one)) for one in stores),
        "other": len(set(rows) ^ set(stored)) + len(set(parquet) ^ set(stored)),
    }


_REAL_BLOCKS = "SELECT data FROM block WHERE unit='s/real' AND dated=0"


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


def cpu_s() -> float:
    """Return the CPU time of this process and of its children that have ended, in s."""
    parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in parts)


@pytest.mark.soak
def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    kills = int(os.environ.get("KILLS", "1000"))
    end_s = float(os.environ.get("CPU_S", "inf"))
    end_at = time.time() + float(os.environ.get("WALL_S", "inf"))
    with campaign(tmp_path, int(os.environ.get("SEED", "1"))) as found:
        found.run_for(8)
        for number in range(kills):
            found.kill()
            found.run_for(found.random.uniform(0.3, 1.5))
            if number % 50 == 49:
                print(number + 1, round(cpu_s()), found.kills, found.broker.crashes, flush=True)
            if cpu_s() > end_s or time.time() > end_at:
                break
        found.run_for(5)
        found.settle()
        found.agent.kill()
        found.run_for(45, may_add=False)  # the last Parquet files and points
        print(found.kills, {unit.name: unit.sent for unit in found.units}, found.broker.crashes)
        check_stores(found)
        figures = check_real_unit(found)
        print(figures, round(found.agent.runtime_s))
        assert (figures["gaps"], figures["doubled"], figures["other"]) == (0, 0, 0)
        assert figures["rows"] > 0
