# SPDX-License-Identifier: Apache-2.0
"""The chip of the emulator: what a power cut within a call of the flash leaves; its timer."""

import json
import subprocess

import pytest

from deploy.firmware.rp2.command_emulate import MAIN
from tests.deploy.firmware.test_rp2 import emulator_environment
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

TIMER_SCRIPT = """
const { Board } = await import(process.argv[1]);
const rom = new Uint32Array(4096);
const rom16 = new Uint16Array(rom.buffer);
rom16[0x14 / 2] = 0x100;
['IF', 'EX', 'FC', 'CX', 'RE', 'RP'].forEach((name, i) => {
  rom16[0x80 + 2 * i] = name.charCodeAt(0) | (name.charCodeAt(1) << 8);
  rom16[0x81 + 2 * i] = 0x200 + 2 * i;
});
const board = new Board(rom, 2 ** 21, () => {});
const [TIMER, LOW, ALARM, RAW] = [0x40054000, 0x28, 0x10, 0x34];
const read = (at) => board.mcu.readUint32(TIMER + at);
const seen = [];
for (const start of [() => board.powerOn(), () => board.powerOn(), () => board.boot(null)]) {
  board.clock.tick(5e6);
  start();
  const first = read(LOW);
  board.clock.tick(3e6);
  board.mcu.writeUint32(TIMER + ALARM, 3200);
  board.clock.tick(199e3);
  const before = read(RAW);
  board.clock.tick(2e3);
  seen.push([first, before, read(RAW), read(LOW)]);
}
console.log(JSON.stringify(seen));
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


def test_the_timer_begins_at_zero_with_each_start() -> None:
    """Else the bench sees a wrong UTC after the start of the factory, or after a reset."""
    board = MAIN.with_name("board.mjs").as_uri()
    completed = subprocess.run(
        ["node", "--input-type=module", "-e", TIMER_SCRIPT, board],
        capture_output=True,
        text=True,
        env=emulator_environment(),
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout) == [[0, 0, 1, 3201]] * 3
