# SPDX-License-Identifier: Apache-2.0
"""Remote update of the ARM image: signed, sent, written to slot b, on trial, confirmed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.remote import fleet
from deploy.firmware import memory_layout
from deploy.firmware.application.romfs import build_application
from deploy.ops import keys
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.unit_report import parse_report
from hil.bench.testbed_settings import TestbedSettings
from hil.run.dut_qemu import QemuDut
from hil.run.real_bench import RealBench
from tests.support.programs import require_program

SECOND = 1_000_000
UNIT = "bench/cdu1"


class UpdateRig:
    """The bench in real time around an image, and the operators at the broker."""

    def __init__(self, bench: RealBench, folder: Path, link: BrokerSession, port: int) -> None:
        self.bench, self.folder, self._link, self._port = bench, folder, link, port
        self._update: list[Any] = []
        self._starts = 0
        link.subscribe(f"{UNIT}/cfg/reported")

    def start(self) -> None:
        """Switch the power off and on."""
        self.bench.stop_agent()
        self._starts += 1
        self.bench.start_agent("qemu", self.folder / f"console{self._starts}")

    def console(self) -> str:
        path = self.folder / f"console{self._starts}"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_for_report(self) -> list[Any]:
        """Return the state of updates in the last report of the unit."""
        for _, payload in self._link.messages(0.001):
            self._update = parse_report(payload).update or self._update
        return self._update or [0, 0, 0, 0, ""]

    def run_until(self, completed: Callable[[], bool], seconds: float, description: str) -> None:
        shell = self.bench.shell
        end = shell.now() + int(seconds * SECOND)
        while not completed():
            assert shell.now() < end, f"{description}; {self._update}; {self.console()[-3000:]}"
            assert self.bench.agent_exit_code() is None, self.console()[-3000:]
            shell.run(shell.now() + SECOND // 5)

    def console_contains(self, text: str) -> None:
        self.run_until(lambda: text in self.console(), 90, f"no console line {text!r}")

    def start_command(self, subcommand: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command of the operators; the bench continues to run."""
        command = [sys.executable, "-m", "coldloop", "config", subcommand, UNIT, *arguments]
        command += ["--broker", f"tcp:127.0.0.1:{self._port}"]
        for name in ("one", "two"):
            command += ["--key", str(self.folder / f"{name}.key")]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE)

    def wait_for_exit(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        with process:
            self.run_until(lambda: process.poll() is not None, seconds, "a command did not end")
            assert process.returncode == 0, process.communicate()[1]


def _keys(folder: Path) -> list[dict[str, Any]]:
    roles = ("one", 1, "operate"), ("two", 2, "limits")
    return [json.loads(keys.make_key(folder, *role, "").read_text()) for role in roles]


@pytest.mark.soak
@pytest.mark.realtime
def test_an_update_is_written_tried_confirmed_and_survives_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_program("arm-none-eabi-gcc")
    require_program("qemu-system-arm")
    public, plain = _keys(tmp_path), QemuDut.config

    def config(self: QemuDut) -> dict[str, Any]:
        remote = {"port": "store:/flash/store", "keys": public, "health_s": 5}
        return {**plain(self), "remote": remote}

    monkeypatch.setattr(QemuDut, "config", config)
    with (
        fleet.broker(tmp_path) as port,
        BrokerSession(f"tcp:127.0.0.1:{port}") as link,
        RealBench(TestbedSettings(), 1, f"127.0.0.1:{port}", make_board_agent=QemuDut) as bench,
    ):
        rig = UpdateRig(bench, tmp_path, link, port)
        rig.start()
        rig.console_contains("slot a, release 1")
        bundle = tmp_path / "app.bin"
        bundle.write_bytes(
            memory_layout.add_header(
                build_application((bench.folder / "unit.json").read_bytes()), 2
            )
        )
        rig.run_until(
            lambda: (bench.status() or {}).get("state") == "normal",
            90,
            "the unit did not reach the state normal",
        )
        update = rig.start_command("update", str(bundle), "--release", "2")
        rig.run_until(lambda: rig.wait_for_report()[2] > 20, 120, "no chunk was received")
        rig.start()  # power cut
        rig.console_contains("slot a, release 1")
        rig.wait_for_exit(update, 300)
        rig.console_contains("slot b, release 2")
        assert "on trial" in rig.console()
        rig.run_until(
            lambda: rig.wait_for_report()[4] == "confirm", 120, "the health check did not pass"
        )
        rig.wait_for_exit(rig.start_command("confirm"), 60)
        rig.run_until(lambda: rig.wait_for_report()[6] == "confirmed", 60, "not confirmed")
        rig.start()
        rig.console_contains("slot b, release 2")
        assert "on trial" not in rig.console()
        assert os.path.getsize(bench.folder / "flash.img") == (3 << 20) + (16 << 10)
