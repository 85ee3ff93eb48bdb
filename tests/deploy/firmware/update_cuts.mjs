// SPDX-License-Identifier: Apache-2.0
// Starts the RP2040 image after a power cut at chosen steps of a journal of its flash.
//
//     RP2040JS=... node update_cuts.mjs EMULATOR_FOLDER ROM FLASH JOURNAL STEPS
//
// FLASH is the content before the journal (request J of main.mjs), STEPS a JSON list of numbers. The
// cut step is done by half. Prints, for each, the slot that ran and whether its agent opened the
// field bus within 6 s, restarts included.
import { readFileSync } from 'node:fs';

const [folder, romPath, flashPath, journalPath, steps] = process.argv.slice(2);
const { Board } = await import(`${folder}/board.mjs`);
const { SECTOR } = await import(`${folder}/flash_chip.mjs`);
const rom = readFileSync(romPath);
const words = new Uint32Array(rom.buffer, rom.byteOffset, rom.length / 4);
const image = readFileSync(flashPath);
const journal = readFileSync(journalPath);
const LIMIT = 6e9;
const SLICE = 20e6;

/** Apply one step at byte `at` of the journal; return the next position. */
function apply(flash, at, isWhole) {
  const offset = journal.readUInt32BE(at);
  const length = journal.readUInt32BE(at + 4);
  if (length === 0) flash.fill(0xff, offset, offset + (isWhole ? SECTOR : SECTOR / 2));
  const count = isWhole ? length : length >> 1;
  for (let i = 0; i < count; i++) flash[offset + i] &= journal[at + 8 + i];
  return at + 8 + length;
}

function start(flash) {
  let text = '';
  const board = new Board(words, flash.length, (kind, _, data) => {
    if (kind === 'console') text += Buffer.from(data).toString();
  });
  board.flashBytes.set(flash);
  board.powerOn();
  while (board.nanos < LIMIT && !/port 4: opened/.test(text)) board.run(board.nanos + SLICE);
  const slots = [...text.matchAll(/slot (.), release (\d+)/g)];
  const last = slots.length ? slots[slots.length - 1].slice(1, 3).join(' ') : 'none';
  return [last, /port 4: opened/.test(text), Math.round(board.nanos / 1e6)];
}

const chosen = new Set(JSON.parse(steps));
const flash = Uint8Array.from(image);
const results = [];
let number = 0;
for (let at = 0; at < journal.length; number++) {
  if (chosen.has(number)) {
    const torn = Uint8Array.from(flash);
    apply(torn, at, false);
    results.push([number, ...start(torn)]);
  }
  at = apply(flash, at, true);
}
results.push([number, ...start(flash)]);
console.log(JSON.stringify(results));
