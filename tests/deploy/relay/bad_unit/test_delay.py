# SPDX-License-Identifier: Apache-2.0
"""Delay of the receipts of other units while one unit sends mutated messages.

All is real: mosquitto with its defaults, `coldloop relay` with the embedded store, and the bad unit
as a process. Phases with and without the bad messages take turns, so that both have the same load
of the machine. PHASES=N, PHASE_S=N and RATE=N (bad messages a second) change the run.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from protocols.telemetry import receipt
from tests.deploy.relay.relay_rig import ALARM, bulk, pack
from tests.support.programs import free_port, require_program, wait_until_open
from tests.support.repository import ROOT

_UNITS = 10
_PERIOD_S = 0.3
_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class GoodUnits:
    """Units that send a block each period and note the delay of its receipt, in s."""

    def __init__(self, port: int) -> None:
        self._sent_at: dict[tuple[str, int], float] = {}
        self._number = 0
        self.delays: list[float] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "good")
        self.client.on_message = self._on_receipt
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("coldloop/v1/good/+/ack", 1)
        self.client.loop_start()

    def _on_receipt(self, _: object, __: object, message: mqtt.MQTTMessage) -> None:
        now = time.monotonic()
        unit = "/".join(message.topic.split("/")[2:4])
        for _, first, last in receipt.parse_receipt(bytes(message.payload), unit, b"").ranges:
            for number in range(first, last + 1):
                sent_at = self._sent_at.pop((unit, number), None)
                if sent_at is not None:
                    self.delays.append(now - sent_at)

    def run_for(self, seconds: float) -> list[float]:
        """Send for this time, wait for all receipts; return their delays."""
        self.delays.clear()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._number += 1
            for index in range(_UNITS):
                unit = f"good/u{index}"
                self._sent_at[unit, self._number] = time.monotonic()
                records = [bulk(self._number)] if self._number > 1 else [ALARM, bulk(1)]
                self.client.publish(f"coldloop/v1/{unit}/tele", pack(*records), 1)
                time.sleep(_PERIOD_S / _UNITS)
        limit = time.monotonic() + 60
        while self._sent_at:
            assert time.monotonic() < limit, f"{len(self._sent_at)} without a receipt"
            time.sleep(0.02)
        return list(self.delays)


@contextmanager
def bench(folder: Path, rate: float) -> Iterator[tuple[GoodUnits, subprocess.Popen[str]]]:
    """Broker, relay, bad unit; all end with the block."""
    with ExitStack() as stack:

        def start(*command: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=folder,
                    env=_ENVIRONMENT,
                )
            )
            stack.callback(process.terminate)
            return process

        def wait_for_line(process: subprocess.Popen[str]) -> None:
            assert process.stdout is not None
            assert process.stdout.readline()

        port = free_port()
        (folder / "mosquitto.conf").write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\nuser root\n"
        )
        start(require_program("mosquitto"), "-c", "mosquitto.conf")
        wait_until_open(port)
        program = [sys.executable, str(ROOT / "coldloop.py"), "relay"]
        files = ["--store", "relay.db", "--fleet", "fleet.db"]
        relay = start(*program, "--broker", f"127.0.0.1:{port}", *files)
        wait_for_line(relay)
        module = "tests.deploy.relay.bad_unit.sender"
        bad = start(sys.executable, "-m", module, str(port), str(rate), "3")
        wait_for_line(bad)
        units = GoodUnits(port)
        stack.callback(units.client.loop_stop)
        stack.callback(units.client.disconnect)
        yield units, bad
        assert relay.poll() is None


def _percentile(delays: list[float], percent: int) -> float:
    return statistics.quantiles(delays, n=100, method="inclusive")[percent - 1]


@pytest.mark.soak
def test_other_units_are_at_most_twice_as_late(tmp_path: Path) -> None:
    check_delays(tmp_path, ("void", "tele"), float(os.environ.get("RATE", "2000")))


@pytest.mark.soak
def test_new_names_make_no_unit_twice_as_late(tmp_path: Path) -> None:
    """One program invents units, 400 a second: 4,000 in ten seconds."""
    check_delays(tmp_path, ("no_names", "names"), float(os.environ.get("RATE", "400")))


def check_delays(folder: Path, levels: tuple[str, str], rate: float) -> None:
    """Compare the delays of good units while the bad one sends at both levels, in turn."""
    phases, phase_s = int(os.environ.get("PHASES", "6")), float(os.environ.get("PHASE_S", "20"))
    delays: dict[str, list[float]] = {level: [] for level in levels}
    with bench(folder, rate) as (units, bad):
        assert bad.stdin is not None
        assert bad.stdout is not None
        units.run_for(3)
        for phase in range(2 * phases):
            level = levels[phase % 2]
            bad.stdin.write(level + "\n")
            bad.stdin.flush()
            found = units.run_for(phase_s)
            delays[level] += found
            print(level, len(found), [round(_percentile(found, n), 4) for n in (50, 95, 99)])
        bad.stdin.close()
        print("sent", bad.stdout.readline().strip(), "load", os.getloadavg()[0])
    for percent in (50, 95):
        normal, harmed = (_percentile(delays[level], percent) for level in levels)
        print(f"p{percent}: {normal:.4f} s, {harmed:.4f} s, ratio {harmed / normal:.2f}")
    for percent in (50, 95):
        normal, harmed = (_percentile(delays[level], percent) for level in levels)
        assert harmed <= 2 * normal
