// SPDX-License-Identifier: Apache-2.0
// The emulator as a program: requests on standard input, one reply to each on standard output.
//
//     node main.mjs ROM FLASH FLASH_BYTES
//
// Request: kind (1 byte), number (1), value (8, big-endian), length (4), data. Reply: length (4),
// then outputs: kind (1), number (1), time in ns (8), length (4), data. Kinds of requests:
//
//     R  run until `value` ns, or until `number` times 100 us (0: never) after the first output
//     U  bytes arrive at UART `number`
//     1  power on                     T  bytes arrive at the USB console
//     0  power off; `value` ns, if not 0, is its time, and can be within a step of the flash
//     F  a new flash chip with the content of the file `data`, which W writes from now on
//     G  level `value` at a pin       C  cut the power at flash step `value`
//     W  write the flash to its file  S  figures as JSON     Z  set the figures to zero
//     J  the journal of the flash since the last J: offset (4), length (4), bytes of each step
//     M  the RAM of the chip, 264 KiB
//     N  the seed of the random bits of the chip (not 0)
//     L  before power on: a line of `value` baud at two pins (data: output, input) as next UART
//
// Kinds of outputs: u UART, c console, g pin, r reset, x power failed, s figures, j journal, m RAM,
// t the time that R has reached.
import { readFileSync, writeSync, readSync } from 'node:fs';
import { Board } from './board.mjs';
import { loadFlash, saveFlash } from './flash_chip.mjs';

const [romPath, firstFlash, flashBytes] = process.argv.slice(2);
let flashPath = firstFlash;
const size = Number(flashBytes);
const HEAD = 14;
const WINDOW_NANOS = 1e5;
const STACK_BOTTOM = 0x3e000; // 16 KiB at the end of the RAM (deploy/firmware/rp2/port_settings.py)
const KINDS = { uart: 'u', console: 'c', gpio: 'g', reset: 'r' };
let outputs = [];

const rom = readFileSync(romPath);
const words = new Uint32Array(rom.buffer, rom.byteOffset, rom.length / 4);
const board = new Board(words, size, (kind, number, data) => {
  const bytes = Buffer.from(typeof data === 'number' ? [data] : data);
  emit(KINDS[kind], number, bytes);
});
loadFlash(board.flashBytes, flashPath, size);

/** Add an output; bytes of one line in a row become one output. */
function emit(kind, number, bytes) {
  outputs.push([kind, number, board.nanos, bytes]);
}

/** Return the bytes of the C stack that were never used; the RAM is 0 at power on. */
function unusedStack() {
  const ram = board.mcu.sram;
  let end = STACK_BOTTOM;
  while (end < ram.length && ram[end] === 0) end++;
  return end - STACK_BOTTOM;
}

function figures() {
  board.count();
  const chipUarts = board.uarts ? board.uarts.slice(0, 2) : [];
  const pinLines = board.uarts ? board.uarts.slice(2) : [];
  return {
    nanos: board.nanos,
    instructions: board.instructions,
    idle_nanos: board.idleNanos,
    flash_steps: board.chip.steps,
    torn_steps: board.chip.torn,
    erases: Array.from(board.chip.erases),
    longest_flash_nanos: board.chip.longest,
    stack_pointer: board.mcu ? board.mcu.core.registers[13] : 0,
    stack_unused: board.mcu ? unusedStack() : 0,
    wrong_programs: board.chip.wrongPrograms,
    overruns: chipUarts.map((uart) => uart.overruns),
    bauds: chipUarts.map((uart) => uart.baud),
    wrong_stop_bits: pinLines.reduce((sum, line) => sum + line.wrong, 0),
  };
}

function execute(kind, number, value, data) {
  switch (kind) {
    case 'R':
      if (board.isOn && !board.run(value, number * WINDOW_NANOS)) emit('x', 0, Buffer.alloc(0));
      if (board.nanos < value && !board.isOn) board.clock.tick(value - board.nanos);
      emit('t', 0, Buffer.alloc(0));
      break;
    case 'U': board.feedUart(number, data); break;
    case 'T': board.typeConsole(data); break;
    case 'G': board.mcu.gpio[number].setInputValue(value !== 0); break;
    case 'N': board.random = Number(BigInt.asIntN(32, BigInt(value))) || 1; break;
    case 'L': board.addPinLine(data[0], data[1], value); break;
    case '1': board.powerOn(); break;
    case '0': board.powerOff(value); break;
    case 'F':
      flashPath = data.toString();
      loadFlash(board.flashBytes, flashPath, size);
      board.clearFigures();
      break;
    case 'Z': board.clearFigures(); break;
    case 'C': board.chip.cutAt = value < 0 ? -1 : board.chip.steps + value; break;
    case 'W': saveFlash(board.flashBytes, flashPath, size); break;
    case 'J':
      emit('j', 0, Buffer.concat(board.chip.journal ?? []));
      board.chip.journal = [];
      break;
    case 'M': emit('m', 0, Buffer.from(board.mcu.sram)); break;
    case 'S': emit('s', 0, Buffer.from(JSON.stringify(figures()))); break;
    default: throw new Error(`unknown request ${kind}`);
  }
}

function reply() {
  const parts = outputs.map(([kind, number, nanos, bytes]) => {
    const head = Buffer.alloc(14);
    head.write(kind, 0, 'latin1');
    head[1] = number;
    head.writeBigUInt64BE(BigInt(Math.round(nanos)), 2);
    head.writeUInt32BE(bytes.length, 10);
    return Buffer.concat([head, bytes]);
  });
  outputs = [];
  const body = Buffer.concat(parts);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(body.length);
  writeAll(Buffer.concat([head, body]));
}

function writeAll(data) {
  for (let at = 0; at < data.length; ) at += writeSync(1, data, at);
}

function readAll(length) {
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const count = readSync(0, data, at, length - at, null);
    if (count === 0) process.exit(0);
    at += count;
  }
  return data;
}

for (;;) {
  const head = readAll(HEAD);
  const value = Number(head.readBigInt64BE(2));
  execute(String.fromCharCode(head[0]), head[1], value, readAll(head.readUInt32BE(10)));
  reply();
}
