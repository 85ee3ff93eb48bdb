// SPDX-License-Identifier: Apache-2.0
// The flash chip behind the ROM functions of the RP2040: wear, time and power cuts.
//
// The ROM functions would drive the SSI, which rp2040js does not model. They are replaced at their
// entry (table of the ROM, RP2040 datasheet, 2.8.3). Interrupts are off during them, so the time
// passes in one piece. Times: typical values of the W25Q16JV (45 ms a sector, 0.4 ms a page).
import { readFileSync, writeFileSync, existsSync } from 'node:fs';

export const SECTOR = 4096;
const PAGE = 256;
const ERASE_NANOS = 45e6;
const PROGRAM_NANOS = 0.4e6;

export class FlashChip {
  /** `cutAt`: number of the step (erase or page) at which the power fails, or -1. */
  constructor(bytes, size) {
    this.bytes = bytes;
    this.size = size;
    this.erases = new Uint32Array(size / SECTOR);
    this.cutAt = -1;
    this.journal = null;
    this.call = null;
    this.undo = [];
    this.clearFigures();
  }

  clearFigures() {
    this.erases.fill(0);
    this.steps = 0;
    this.longest = 0;
    this.wrongPrograms = 0;
    this.torn = 0;
  }

  /** Undo what the last call has not done at the time `at` (ns); its present step is half done. */
  tear(at) {
    if (!this.call || at < this.call.start || at >= this.call.end) return;
    const { start, end } = this.call;
    const done = Math.floor(((at - start) / (end - start)) * this.undo.length);
    for (let i = this.undo.length - 1; i >= done; i--) {
      const [offset, before] = this.undo[i];
      const half = i === done ? before.length >> 1 : 0;
      this.bytes.set(before.subarray(half), offset + half);
    }
    this.torn++;
  }

  /** Note a step for the journal: offset and bytes; an erase has none. */
  note(offset, data) {
    if (!this.journal) return;
    const head = Buffer.alloc(8);
    head.writeUInt32BE(offset);
    head.writeUInt32BE(data.length, 4);
    this.journal.push(head, Buffer.from(data));
  }

  /** Erase sectors; return the time in ns. Throws PowerCut. */
  erase(offset, count) {
    this.undo = [];
    for (let at = offset; at < offset + count; at += SECTOR) {
      this.step(() => {
        // A cut leaves a part of the sector erased.
        this.bytes.fill(0xff, at, at + SECTOR / 2);
      });
      this.undo.push([at, this.bytes.slice(at, at + SECTOR)]);
      this.bytes.fill(0xff, at, at + SECTOR);
      this.erases[at / SECTOR]++;
      this.note(at, []);
    }
    return (count / SECTOR) * ERASE_NANOS;
  }

  /** Program; bits can only become 0. Return the time in ns. Throws PowerCut. */
  program(offset, data) {
    this.undo = [];
    for (let at = 0; at < data.length; at += PAGE) {
      const size = Math.min(PAGE, data.length - at);
      const write = (length) => {
        for (let i = 0; i < length; i++) {
          const old = this.bytes[offset + at + i];
          if ((old & data[at + i]) !== data[at + i]) this.wrongPrograms++;
          this.bytes[offset + at + i] = old & data[at + i];
        }
      };
      this.step(() => write(size >> 1));
      this.undo.push([offset + at, this.bytes.slice(offset + at, offset + at + size)]);
      write(size);
      this.note(offset + at, data.subarray(at, at + size));
    }
    return Math.ceil(data.length / PAGE) * PROGRAM_NANOS;
  }

  step(partly) {
    if (this.steps === this.cutAt) {
      partly();
      throw new PowerCut();
    }
    this.steps++;
  }

  /** The functions that replace the ROM, by address; they advance the clock. */
  romCalls(rom16, clock) {
    const calls = new Map();
    const nothing = () => {};
    const add = (name, call) => calls.set(romFunction(rom16, name), call);
    for (const name of ['IF', 'EX', 'FC', 'CX']) add(name, nothing);
    add('RE', (R) => this.spend(clock, this.erase(R[0], R[1])));
    add('RP', (R, memory) => this.spend(clock, this.program(R[0], memory(R[1] >>> 0, R[2]))));
    return calls;
  }

  spend(clock, nanos) {
    this.longest = Math.max(this.longest, nanos);
    this.call = { start: clock.nanos, end: clock.nanos + nanos };
    clock.tick(nanos);
  }
}

export class PowerCut extends Error {}

/** Return the address of a function of the ROM by its two letters. */
function romFunction(rom16, name) {
  const wanted = name.charCodeAt(0) | (name.charCodeAt(1) << 8);
  for (let at = rom16[0x14 / 2] / 2; rom16[at] !== 0; at += 2) {
    if (rom16[at] === wanted) return rom16[at + 1] & ~1;
  }
  throw new Error(`the ROM has no function ${name}`);
}

/** Fill the flash from a file; a missing file is an erased flash. */
export function loadFlash(bytes, path, size) {
  bytes.fill(0xff);
  if (existsSync(path)) bytes.set(readFileSync(path).subarray(0, size));
}

export function saveFlash(bytes, path, size) {
  writeFileSync(path, bytes.subarray(0, size));
}
