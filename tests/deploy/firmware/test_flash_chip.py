# SPDX-License-Identifier: Apache-2.0
"""The flash chip of the emulator: what a power cut within a call leaves."""

import json
import subprocess

import pytest

from deploy.firmware.rp2.command_emulate import MAIN
from tests.support.programs import require_program

SCRIPT = """
const [{ FlashChip, SECTOR }, steps] = [await import(process.argv[1]), JSON.parse(process.argv[2])];
const clock = { nanos: 1000, tick(nanos) { this.nanos += nanos; } };
const bytes = new Uint8Array(4 * SECTOR).fill(0);
const chip = new FlashChip(bytes, bytes.length);
if (steps.program) {
  bytes.fill(0xff);
  chip.spend(clock, chip.program(0, new Uint8Array(512)));
} else chip.spend(clock, chip.erase(0, 2 * SECTOR));
chip.tear(1000 + steps.at);
const erased = (from, to) => bytes.subarray(from, to).every((value) => value === 0xff);
const unit = steps.program ? 128 : SECTOR / 2;
console.log(JSON.stringify([0, 1, 2, 3].map((i) => erased(i * unit, (i + 1) * unit)), null));
"""


def halves(**steps: float) -> list[bool]:
    """Return which halves of two sectors or pages hold 0xFF after a cut."""
    chip = MAIN.with_name("flash_chip.mjs").as_uri()
    command = [require_program("node"), "--input-type=module", "-e", SCRIPT, chip]
    completed = subprocess.run(
        [*command, json.dumps(steps)], capture_output=True, text=True, check=True
    )
    result: list[bool] = json.loads(completed.stdout)
    return result


@pytest.mark.parametrize(
    ("at", "erased"),
    [
        (0, [True, False, False, False]),
        (44e6, [True, False, False, False]),
        (46e6, [True, True, True, False]),
        (90e6, [True, True, True, True]),
    ],
)
def test_a_cut_within_an_erase_leaves_what_was_done(at: float, erased: list[bool]) -> None:
    """Two sectors take 90 ms; the sector of the cut is half erased."""
    assert halves(at=at) == erased


@pytest.mark.parametrize(
    ("at", "erased"),
    [
        (0.1e6, [False, True, True, True]),
        (0.5e6, [False, False, False, True]),
        (0.8e6, [False, False, False, False]),
    ],
)
def test_a_cut_within_a_program_leaves_what_was_done(at: float, erased: list[bool]) -> None:
    """Two pages take 0.8 ms."""
    assert halves(at=at, program=1) == erased
