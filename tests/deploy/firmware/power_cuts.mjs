// SPDX-License-Identifier: Apache-2.0
// Cuts the power at each flash step of a first start of the RP2040 image; then starts again.
//
//     RP2040JS=... node power_cuts.mjs EMULATOR_FOLDER ROM FLASH
//
// Prints the number of steps, and those after which no agent opened the field bus in 3 s.
import { readFileSync } from 'node:fs';

const [folder, romPath, flashPath] = process.argv.slice(2);
const { Board } = await import(`${folder}/board.mjs`);
const rom = readFileSync(romPath);
const words = new Uint32Array(rom.buffer, rom.byteOffset, rom.length / 4);
const image = readFileSync(flashPath);
const START = 3e9;

function makeBoard() {
  const board = new Board(words, image.length, (kind, _, data) => {
    if (kind === 'console') board.text += Buffer.from(data).toString();
  });
  board.text = '';
  board.flashBytes.set(image);
  return board;
}

const whole = makeBoard();
whole.powerOn();
whole.run(START);
const failed = [];
for (let step = 0; step < whole.chip.steps; step++) {
  const board = makeBoard();
  board.chip.cutAt = step;
  board.powerOn();
  board.run(START);
  board.powerOff();
  board.chip.cutAt = -1;
  board.text = '';
  board.powerOn();
  board.run(board.nanos + START);
  if (!/port 4: opened/.test(board.text)) failed.push(step);
}
console.log(JSON.stringify({ steps: whole.chip.steps, failed, wrong: whole.chip.wrongPrograms }));
