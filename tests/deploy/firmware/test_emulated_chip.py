# SPDX-License-Identifier: Apache-2.0
"""The chip of the emulator: each start begins at time 0, as in silicon."""

import json
import subprocess

from deploy.firmware.rp2.command_emulate import MAIN
from tests.deploy.firmware.test_rp2 import emulator_environment

SCRIPT = """
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


def test_the_timer_begins_at_zero_with_each_start() -> None:
    """Else the bench sees a wrong UTC after the start of the factory, or after a reset."""
    board = MAIN.with_name("board.mjs").as_uri()
    completed = subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT, board],
        capture_output=True,
        text=True,
        env=emulator_environment(),
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout) == [[0, 0, 1, 3201]] * 3
