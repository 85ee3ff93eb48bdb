# SPDX-License-Identifier: Apache-2.0
"""Blocks and values a second of 1, 2 and 4 relays on one mosquitto.

    python -m benchmarks.telemetry.relay [--racks 1000] [--blocks 2] [--relays 1,2] [--output lines]

Each rack sends its schema and blocks of 60 rows of the 40-signal stream, one block a message, QoS
1. Relays are processes of `coldloop relay` in one group with one database. They store each block
(SQLite, fsync), acknowledge it, decode it and deliver it to the output. One time ends at the last
receipt, the other at an empty outbox. The CPU time of the relays, the broker and the load names the
bottleneck. On a machine with few cores they share them, so the figure per CPU-second of the relays
is that of one core. The output `none` is the embedded store.
"""

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.common import ROOT, Record, describe_machine, show
from benchmarks.telemetry import stream
from protocols.telemetry import block, receipt
from protocols.telemetry import message as telemetry_message
from protocols.telemetry.schema import Schema
from tests.support.programs import free_port

_ROWS = 60
_TIMEOUT_S = 300.0
_REPEAT_S = 15.0
_OF_A_SITE = 100
_GENERATION = b"\1\2\3"
_SCHEMA = Schema([("t", "ms", 1, 1), *[(name, "1", 1, 10) for name in stream.NAMES]])
_OUTPUTS = {
    "none": [],
    "lines": ["--lines", "lines.txt"],
    "json": ["--json", "fleet"],
    "sparkplug": ["--sparkplug", "fleet"],
}


def messages(blocks: int) -> list[bytes]:
    """Return the messages of a rack: schema, then blocks."""
    columns = stream.columns(1, blocks * _ROWS)
    out = []
    for at in range(blocks):
        message = telemetry_message.begin_message(telemetry_message.PACK, _GENERATION)
        if at == 0:
            telemetry_message.append_record(
                message, (4 + telemetry_message.ALARM, telemetry_message.SCHEMA, _SCHEMA.text)
            )
        first = at * _ROWS
        times: list[int | None] = [1_795_500_000_000 + 1000 * (first + i) for i in range(_ROWS)]
        part: list[list[int | None]] = [[*c[first : first + _ROWS]] for c in columns]
        data = block.encode(_SCHEMA.number, first, [times, *part])
        telemetry_message.append_record(
            message, ((at + 1) * 4 + telemetry_message.BULK, telemetry_message.ROWS, data)
        )
        out.append(bytes(message))
    return out


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class RackLoad:
    """Racks in one client: sends their messages, counts the receipts."""

    def __init__(self, port: int, expected: int) -> None:
        self.receipts = 0
        self._waiting: dict[str, bytes] = {}
        self.done = threading.Event()
        self._expected = expected
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(200)
        self._client.on_message = self._on_receipt
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("coldloop/v1/+/+/ack", 1)
        self._client.loop_start()

    def _on_receipt(self, _: mqtt.Client, __: object, message: mqtt.MQTTMessage) -> None:
        unit = "/".join(message.topic.split("/")[2:4])
        for group, first, last in receipt.parse_receipt(bytes(message.payload), unit, b"").ranges:
            if group == telemetry_message.BULK:
                self._waiting.pop(unit, None)
            self.receipts += (last - first + 1) if group == telemetry_message.BULK else 0
        if self.receipts >= self._expected:
            self.done.set()

    def publish(self, racks: int, rack_messages: list[bytes]) -> None:
        """Publish the messages of the racks in turns."""
        for message in rack_messages:
            for rack in range(racks):
                unit = f"site{rack // _OF_A_SITE}/rack{rack}"
                self._waiting[unit] = message
                self._client.publish(f"coldloop/v1/{unit}/tele", message, 1)

    def wait(self) -> bool:
        """Wait for all receipts; send what has none again, as a unit does."""
        for _ in range(round(_TIMEOUT_S / _REPEAT_S)):
            if self.done.wait(_REPEAT_S):
                return True
            for unit, message in list(self._waiting.items()):
                self._client.publish(f"coldloop/v1/{unit}/tele", message, 1)
        return False

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def _wait_empty_outbox(store: Path) -> None:
    db = sqlite3.connect(store)
    end = time.monotonic() + _TIMEOUT_S
    while db.execute("SELECT COUNT(*) FROM outbox").fetchone()[0]:
        if time.monotonic() > end:
            raise SystemExit("the relays did not deliver all records")
        time.sleep(0.02)
    db.close()


class _Programs(NamedTuple):
    """A broker that listens on a port of the loopback interface, and relays that it serves."""

    port: int
    broker: subprocess.Popen[bytes]
    relays: list[subprocess.Popen[str]]


@contextmanager
def _started(relays: int, output: str, store: Path) -> Iterator[_Programs]:
    """Start a broker and relays with one store; end them afterwards."""
    folder, port = store.parent, free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n"
        "max_inflight_messages 1000\n"
    )
    broker = subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL)
    programs = _Programs(port, broker, [])
    try:
        time.sleep(1)
        for i in range(relays):
            arguments = ["relay", "--broker", f"127.0.0.1:{port}", "--store", str(store)]
            arguments += ["--name", f"r{i}", *_OUTPUTS[output]]
            process = subprocess.Popen(
                [sys.executable, str(ROOT / "coldloop.py"), *arguments],
                stdout=subprocess.PIPE,
                text=True,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            programs.relays.append(process)
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(0.5)
        yield programs
    finally:
        for process in programs.relays:
            process.terminate()
            process.communicate(timeout=30)
        broker.terminate()
        broker.wait(10)


def run(relays: int, racks: int, rack_messages: list[bytes], output: str, folder: Path) -> Record:
    """Measure one number of relays."""
    store = folder / "relay.db"
    expected = racks * len(rack_messages)
    with (
        _started(relays, output, store) as programs,
        closing(RackLoad(programs.port, expected)) as load,
    ):
        before = [_cpu_s(process.pid) for process in programs.relays]
        broker_before, load_before = _cpu_s(programs.broker.pid), time.process_time()
        started_at = time.monotonic()
        load.publish(racks, rack_messages)
        if not load.wait():
            raise SystemExit(f"only {load.receipts} of {expected} receipts received")
        receipts_s = time.monotonic() - started_at
        _wait_empty_outbox(store)
        total_s = time.monotonic() - started_at
        cpu = sum(_cpu_s(p.pid) - b for p, b in zip(programs.relays, before, strict=True))
        broker_cpu = _cpu_s(programs.broker.pid) - broker_before
        load_cpu = time.process_time() - load_before
    values = expected * _ROWS * (len(stream.NAMES) + 1)
    return {
        "relays": relays,
        "blocks": expected,
        "receipts_s": round(receipts_s, 2),
        "total_s": round(total_s, 2),
        "blocks_per_s": round(expected / total_s, 1),
        "values_per_s": round(values / total_s),
        "blocks_per_cpu_s": round(expected / cpu, 1),
        "values_per_cpu_s": round(values / cpu),
        "relay_cpu_s": round(cpu, 2),
        "broker_cpu_s": round(broker_cpu, 2),
        "load_cpu_s": round(load_cpu, 2),
    }


def main(arguments: "list[str] | None" = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.telemetry.relay")
    parser.add_argument("--racks", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=2, help="blocks a rack")
    parser.add_argument("--relays", default="1,2,4")
    parser.add_argument("--output", default="lines", choices=sorted(_OUTPUTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rack_messages = messages(options.blocks)
    runs = []
    for count in options.relays.split(","):
        with tempfile.TemporaryDirectory() as name:
            runs.append(run(int(count), options.racks, rack_messages, options.output, Path(name)))
    record = {
        "machine": describe_machine(),
        "racks": options.racks,
        "output": options.output,
        "runs": runs,
    }
    head = tuple(runs[0])
    show(record, options.json, head, [tuple(relay_run.values()) for relay_run in runs])
    return 0


if __name__ == "__main__":
    sys.exit(main())
