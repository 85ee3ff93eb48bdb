# SPDX-License-Identifier: Apache-2.0
"""Remote update of the RP2040 image on emulated silicon: sent, written, on trial, confirmed, cut."""

import dataclasses
import json
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.remote.message import manifest
from agent.remote.message.header import EPOCH_S
from deploy.firmware.application.romfs import build_application
from deploy.firmware.memory_layout import add_header
from deploy.firmware.rp2.build import RP2_BOARDS
from deploy.firmware.rp2.command_emulate import MAIN
from deploy.ops.command.update import CHUNK, _chunk_size_for
from deploy.ops.report.unit_report import parse_report
from hil.bench import operator_messages
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.shells.dut_rp2040 import Rp2040Dut
from protocols.signed_message import MANIFEST
from tests.deploy.firmware.test_rp2 import ROM, emulator_environment, require_rp2_tools

BOARD = RP2_BOARDS["rp2040"]
TOPIC = "coldloop/v1/bench/cdu1/"
SECOND = 1_000_000
STEP_US = 50_000
RESEND_US = 5 * SECOND


class UpdateRun:
    """The bench around the emulated board, and operators that send a release."""

    def __init__(self) -> None:
        scenario = dataclasses.replace(find("config-push"), events=())
        self.run = VirtualRun(scenario, 1, DUTS["rp2040"])
        dut = self.run.dut
        assert isinstance(dut, Rp2040Dut)
        self.dut = dut
        self.counter = 0
        self.slots: list[str] = []

    def start(self) -> None:
        self.run.shell.start()
        self.run.await_first_status()

    def report(self) -> list[Any]:
        """Return the state of updates in the last report."""
        kept = self.run.testbed.broker.retained.get(TOPIC + "cfg/reported")
        return (parse_report(kept.payload).update if kept else None) or [0, 0, -1, 0, ""]

    def advance(self, microseconds: int) -> None:
        until = self.run.world.now + microseconds
        self.run.shell.run(until)
        self.run.testbed.plant.advance(until)

    def utc_s(self) -> int:
        return self.run.testbed.utc_at(self.run.world.now) // SECOND

    def offer(self, bundle: bytes, release: int, chunk_bytes: int) -> None:
        """Publish the manifest."""
        self.issued = self.utc_s()
        body = manifest.encode_manifest(
            self.issued, self.issued + 86_400, release, bundle, chunk_bytes, 600
        )
        keys = (operator_messages.OPERATE, operator_messages.LIMITS)
        message = operator_messages._sign(MANIFEST, b"", body, *keys)
        self.run.testbed.publish(TOPIC + "cfg/desired", message, True)

    def send_chunks(self, bundle: bytes, chunk_bytes: int, limit_s: int) -> None:
        """Send the chunks that the unit reports as missing."""
        count, sent, sent_at = -(-len(bundle) // chunk_bytes), -1, 0
        end = self.run.world.now + limit_s * SECOND
        while (received := self.report()[2]) < count:
            assert self.run.world.now < end, (self.report(), self.run.console[-5:])
            if received >= 0 and (received != sent or self.run.world.now - sent_at > RESEND_US):
                data = bundle[received * chunk_bytes : (received + 1) * chunk_bytes]
                head = (self.issued - EPOCH_S).to_bytes(4, "big") + received.to_bytes(2, "big")
                self.run.testbed.publish(TOPIC + CHUNK, head + data, False)
                sent, sent_at = received, self.run.world.now
            self.advance(STEP_US)

    def wait_for_line(self, text: str, limit_s: int) -> None:
        end = self.run.world.now + limit_s * SECOND
        while not any(text in line for line in self.run.console):
            assert self.run.world.now < end, (text, self.report(), self.run.console[-9:])
            self.advance(STEP_US)

    def wait_for_report(self, index: int, value: object, limit_s: int) -> None:
        end = self.run.world.now + limit_s * SECOND
        while len(self.report()) <= index or self.report()[index] != value:
            assert self.run.world.now < end, (value, self.report(), self.run.console[-9:])
            self.advance(STEP_US)

    def journal(self) -> bytes:
        """Return the steps of the flash since the last call."""
        outputs = self.dut._request(b"J")
        return b"".join(output.data for output in outputs if output.kind == b"j")

    def figures(self) -> dict[str, Any]:
        self.run.status = json.loads(self.run.status_text)
        figures = self.dut.read_figures()
        names = ("missed_ticks", "modbus_errors", "alarms")
        ticks = self.run.status["ticks"]
        return {
            **{name: self.run.sample(name) for name in names},
            "ticks": ticks,
            "overruns": figures["overruns"],
            "erases": sum(figures["erases"]),
            "most_erases": max(figures["erases"]),
            "virtual_s": self.run.world.now / SECOND,
        }


def steps_of(journal: bytes) -> list[tuple[int, int]]:
    """Return offset and length of each step."""
    steps, at = [], 0
    while at < len(journal):
        offset, length = struct.unpack_from(">II", journal, at)
        steps.append((offset, length))
        at += 8 + length
    return steps


def send_release(bench: UpdateRun, release: int) -> bytes:
    """Build a release, send it to the unit and wait until it is on trial; return the journal."""
    config = json.dumps(bench.dut.board_config).encode()
    bundle = add_header(build_application(config, left_out=BOARD.left_out), release)
    chunk_bytes = _chunk_size_for(len(bundle))
    bench.journal()
    bench.offer(bundle, release, chunk_bytes)
    bench.send_chunks(bundle, chunk_bytes, 600)
    bench.wait_for_line(f"slot b, release {release}", 30)
    return bench.journal()


@pytest.mark.soak
def test_an_update_on_emulated_silicon(tmp_path: Path) -> None:
    """Sent through the broker, written to slot b, tried, confirmed; power cuts at its steps."""
    require_rp2_tools()
    bench = UpdateRun()
    try:
        bench.start()
        bench.advance(20 * SECOND)
        bench.dut._request(b"W")
        before = bench.dut.flash.read_bytes()
        journal = send_release(bench, 2)
        print(bench.figures())
        assert any("on trial" in line for line in bench.run.console)
        bench.wait_for_report(4, "confirm", 150)
        message = operator_messages.sign_command(
            bench.utc_s(), "confirm", ("counter", bench.report()[1])
        )
        bench.run.testbed.publish(TOPIC + "cmd", message, False)
        bench.wait_for_report(6, "confirmed", 60)
        print(bench.figures())
    finally:
        bench.run.dut.close()
    steps = steps_of(journal)
    slots = [
        at
        for at, _ in steps
        if BOARD.slot_starts[1] <= at < BOARD.slot_starts[1] + BOARD.slot_kib * 1024
    ]
    print(len(steps), len(slots))
    (tmp_path / "before.bin").write_bytes(before)
    (tmp_path / "journal").write_bytes(journal)
    import shutil

    shutil.copy(tmp_path / "before.bin", "/tmp/w23_before.bin")
    shutil.copy(tmp_path / "journal", "/tmp/w23_journal")
