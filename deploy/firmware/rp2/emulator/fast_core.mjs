// SPDX-License-Identifier: Apache-2.0
// A faster executor for the Cortex-M0+ of rp2040js: the same state, peripherals and interrupts.
//
// rp2040js tests an instruction against 70 patterns and advances its clock after each one. Here a
// table gives the kind, memory is read from typed arrays, and the clock advances at peripheral
// accesses and alarms only. Rare instructions and exceptions go to rp2040js. tests/ compare both.
//
// Cycles: 1; loads and stores 2; taken branches 2; BL 3 (Cortex-M0+ TRM, 3.3). The cache of the
// flash is not modelled: each fetch is a hit. So real silicon is slower.
import { KINDS } from './decode.mjs';

const RAM_BYTES = 264 * 1024;
const ROM_BYTES = 0x4000;

export class FastCore {
  /** `romCalls`: functions by address in the ROM that replace the code there. */
  constructor(mcu, romCalls) {
    this.mcu = mcu;
    this.romCalls = romCalls;
    this.instructions = 0;
    this.idleNanos = 0;
    this.stopped = false;
    this.until = 0;
    this.execute = makeExecute(mcu, romCalls, this);
  }

  /** Run until `until` (ns of the clock), which an output can set to an earlier time, or `stopped`. */
  run(until) {
    const { core, clock } = this.mcu;
    this.until = until;
    while (clock.nanos < this.until && !this.stopped) {
      const next = Math.min(clock.nextAlarm?.nanos ?? this.until, this.until);
      if (core.waiting) {
        this.idleNanos += next - clock.nanos;
        clock.tick(next - clock.nanos);
      } else {
        if (core.interruptsUpdated && core.checkForInterrupts()) {
          core.waiting = false;
        }
        this.execute(next - clock.nanos);
      }
    }
  }
}

function makeExecute(mcu, romCalls, runner) {
  const { core, clock } = mcu;
  const R = new Int32Array(core.registers.buffer);
  const flash8 = mcu.flash;
  const flash16 = new Uint16Array(flash8.buffer);
  const flash32 = new Int32Array(flash8.buffer);
  const ram8 = mcu.sram;
  const ram16 = new Uint16Array(ram8.buffer);
  const ram32 = new Int32Array(ram8.buffer);
  const rom8 = new Uint8Array(mcu.bootrom.buffer);
  const rom16 = new Uint16Array(mcu.bootrom.buffer);
  const rom32 = new Int32Array(mcu.bootrom.buffer);
  const kinds = KINDS;
  let cycles = 0;
  let limit = 0;
  let nanosPerCycle = 8;

  /** Advance the clock to this instruction; the loop ends after it. */
  function sync() {
    const passed = cycles * nanosPerCycle;
    cycles = 0;
    limit = -1;
    clock.tick(passed);
  }
  function slowRead32(address) {
    if (address >>> 28 === 13 && (address & 0xfff) >= 0x60) {
      return mcu.sio.readUint32(address & 0xfff) | 0; // divider, spinlocks: no time in them
    }
    cycles += 2;
    sync();
    return mcu.readUint32(address >>> 0) | 0;
  }
  function slowWrite32(address, value) {
    if (address >>> 28 === 13 && (address & 0xfff) >= 0x60) {
      mcu.sio.writeUint32(address & 0xfff, value >>> 0);
      return;
    }
    cycles += 2;
    sync();
    mcu.writeUint32(address >>> 0, value >>> 0);
  }
  function read32(a) {
    if (a >>> 28 === 2) {
      const at = a & 0x0fffffff;
      if (at < RAM_BYTES) return ram32[at >> 2];
    } else if (a >>> 26 === 4) {
      return flash32[(a & 0xffffff) >> 2];
    } else if (a >>> 0 < ROM_BYTES) {
      return rom32[a >> 2];
    }
    return slowRead32(a);
  }
  function read16(a) {
    if (a >>> 28 === 2) {
      const at = a & 0x0fffffff;
      if (at < RAM_BYTES) return ram16[at >> 1];
    } else if (a >>> 26 === 4) {
      return flash16[(a & 0xffffff) >> 1];
    } else if (a >>> 0 < ROM_BYTES) {
      return rom16[a >> 1];
    }
    const word = slowRead32(a & ~3);
    return (word >>> ((a & 2) * 8)) & 0xffff;
  }
  function read8(a) {
    if (a >>> 28 === 2) {
      const at = a & 0x0fffffff;
      if (at < RAM_BYTES) return ram8[at];
    } else if (a >>> 26 === 4) {
      return flash8[a & 0xffffff];
    } else if (a >>> 0 < ROM_BYTES) {
      return rom8[a];
    }
    const word = slowRead32(a & ~3);
    return (word >>> ((a & 3) * 8)) & 0xff;
  }
  function write32(a, v) {
    if (a >>> 28 === 2) {
      const at = a & 0x0fffffff;
      if (at < RAM_BYTES) {
        ram32[at >> 2] = v;
        return;
      }
    }
    slowWrite32(a, v);
  }
  function write16(a, v) {
    if (a >>> 28 === 2) {
      const at = a & 0x0fffffff;
      if (at < RAM_BYTES) {
        ram16[at >> 1] = v;
        return;
      }
    }
    cycles += 2;
    sync();
    mcu.writeUint16(a >>> 0, v & 0xffff);
  }
  function write8(a, v) {
    if (a >>> 28 === 2) {
      const at = a & 0x0fffffff;
      if (at < RAM_BYTES) {
        ram8[at] = v;
        return;
      }
    }
    cycles += 2;
    sync();
    mcu.writeUint8(a >>> 0, v & 0xff);
  }

  return function execute(nanos) {
    nanosPerCycle = 1e9 / mcu.clkSys;
    cycles = 0;
    limit = Math.max(1, Math.ceil(nanos / nanosPerCycle));
    let pc = R[15] & ~1;
    // The sign bit of `nz` is N; Z is nz === 0. `c` is 0 or 1, the sign bit of `v` is V.
    let nz = core.Z ? 0 : core.N ? -1 : 1;
    let c = core.C ? 1 : 0;
    let v = core.V ? -1 : 0;
    let count = 0;
    while (cycles < limit) {
      let op;
      if (pc >>> 26 === 4) op = flash16[(pc & 0xffffff) >> 1];
      else if (pc >>> 28 === 2) op = ram16[(pc & 0x0fffffff) >> 1];
      else {
        const call = romCalls.get(pc);
        if (call !== undefined) {
          R[15] = pc;
          sync();
          call(R);
          pc = R[14] & ~1;
          continue;
        }
        op = rom16[pc >> 1];
      }
      count++;
      cycles++;
      pc += 2;
      switch (kinds[op]) {
        case 1: { // ADCS
          const a = R[op & 7], b = R[(op >> 3) & 7];
          const sum = (a >>> 0) + (b >>> 0) + c;
          nz = sum | 0; c = sum > 4294967295 ? 1 : 0; v = (a ^ nz) & (b ^ nz); R[op & 7] = nz;
          break;
        }
        case 2: R[(op >> 8) & 7] = R[13] + ((op & 0xff) << 2); break;
        case 3: R[13] += (op & 0x7f) << 2; break;
        case 4: { // ADDS
          const a = R[(op >> 3) & 7], b = (op >> 6) & 7;
          nz = (a + b) | 0; c = nz >>> 0 < a >>> 0 ? 1 : 0; v = (a ^ nz) & (b ^ nz); R[op & 7] = nz;
          break;
        }
        case 5: {
          const a = R[(op >> 8) & 7], b = op & 0xff;
          nz = (a + b) | 0; c = nz >>> 0 < a >>> 0 ? 1 : 0; v = (a ^ nz) & (b ^ nz);
          R[(op >> 8) & 7] = nz;
          break;
        }
        case 6: {
          const a = R[(op >> 3) & 7], b = R[(op >> 6) & 7];
          nz = (a + b) | 0; c = nz >>> 0 < a >>> 0 ? 1 : 0; v = (a ^ nz) & (b ^ nz); R[op & 7] = nz;
          break;
        }
        case 7: { // ADD, high registers
          const m = (op >> 3) & 15, d = ((op >> 4) & 8) | (op & 7);
          const sum = ((d === 15 ? pc + 2 : R[d]) + (m === 15 ? pc + 2 : R[m])) | 0;
          if (d === 15) { pc = sum & ~1; cycles++; } else R[d] = d === 13 ? sum & ~3 : sum;
          break;
        }
        case 8: R[(op >> 8) & 7] = (pc + 2 & ~3) + ((op & 0xff) << 2); break;
        case 9: nz = R[op & 7] &= R[(op >> 3) & 7]; break;
        case 10: { // ASRS
          const a = R[(op >> 3) & 7], s = (op >> 6) & 31;
          nz = s ? a >> s : a >> 31; c = s ? (a >> (s - 1)) & 1 : a >>> 31; R[op & 7] = nz;
          break;
        }
        case 11: {
          const a = R[op & 7], s = R[(op >> 3) & 7] & 0xff;
          if (s >= 32) { nz = a >> 31; c = nz & 1; } else if (s) { nz = a >> s; c = (a >> (s - 1)) & 1; }
          else nz = a;
          R[op & 7] = nz;
          break;
        }
        case 12: { // B, with a condition
          let taken;
          switch ((op >> 8) & 15) {
            case 0: taken = nz === 0; break;
            case 1: taken = nz !== 0; break;
            case 2: taken = c !== 0; break;
            case 3: taken = c === 0; break;
            case 4: taken = nz < 0; break;
            case 5: taken = nz >= 0; break;
            case 6: taken = v < 0; break;
            case 7: taken = v >= 0; break;
            case 8: taken = c !== 0 && nz !== 0; break;
            case 9: taken = c === 0 || nz === 0; break;
            case 10: taken = (nz ^ v) >= 0; break;
            case 11: taken = (nz ^ v) < 0; break;
            case 12: taken = nz !== 0 && (nz ^ v) >= 0; break;
            default: taken = nz === 0 || (nz ^ v) < 0; break;
          }
          if (taken) { pc += ((op << 24) >> 23) + 2; cycles++; }
          break;
        }
        case 13: pc += ((op << 21) >> 20) + 2; cycles++; break;
        case 14: nz = R[op & 7] &= ~R[(op >> 3) & 7]; break;
        case 15: { // BL, barriers, MRS, MSR
          const second = read16(pc);
          if ((second & 0xd000) === 0xd000) {
            const s = (op >> 10) & 1;
            const i1 = 1 - (s ^ ((second >> 13) & 1)), i2 = 1 - (s ^ ((second >> 11) & 1));
            R[14] = (pc + 2) | 1;
            pc += 2 + ((s ? -16777216 : 0) | (i1 << 23) | (i2 << 22) | ((op & 0x3ff) << 12) | ((second & 0x7ff) << 1));
            cycles += 2;
          } else if (op === 0xf3bf && (second & 0xffc0) === 0x8f40) {
            pc += 2; cycles += 2;
          } else { ({ pc, nz, c, v } = slowStep(pc - 2, nz, c, v)); }
          break;
        }
        case 16: { const t = R[(op >> 3) & 15]; R[14] = pc | 1; pc = t & ~1; cycles++; break; }
        case 17: {
          const t = R[(op >> 3) & 15];
          cycles++;
          if (t >>> 28 === 15) ({ pc, nz, c, v } = leave(t, nz, c, v)); else pc = t & ~1;
          break;
        }
        case 18: {
          const a = R[op & 7], b = R[(op >> 3) & 7];
          nz = (a + b) | 0; c = nz >>> 0 < a >>> 0 ? 1 : 0; v = (a ^ nz) & (b ^ nz);
          break;
        }
        case 19: {
          const a = R[(op >> 8) & 7], b = op & 0xff;
          nz = (a - b) | 0; c = a >>> 0 >= b ? 1 : 0; v = (a ^ b) & (a ^ nz);
          break;
        }
        case 20: {
          const a = R[op & 7], b = R[(op >> 3) & 7];
          nz = (a - b) | 0; c = a >>> 0 >= b >>> 0 ? 1 : 0; v = (a ^ b) & (a ^ nz);
          break;
        }
        case 21: {
          const a = R[((op >> 4) & 8) | (op & 7)], b = R[(op >> 3) & 15];
          nz = (a - b) | 0; c = a >>> 0 >= b >>> 0 ? 1 : 0; v = (a ^ b) & (a ^ nz);
          break;
        }
        case 22: core.PM = true; break;
        case 23: core.PM = false; core.interruptsUpdated = true; limit = -1; break;
        case 24: nz = R[op & 7] ^= R[(op >> 3) & 7]; break;
        case 25: { // LDMIA
          const n = (op >> 8) & 7;
          let a = R[n];
          for (let i = 0; i < 8; i++) if (op & (1 << i)) { R[i] = read32(a); a += 4; cycles++; }
          if (!(op & (1 << n))) R[n] = a;
          break;
        }
        case 26: cycles++; R[op & 7] = read32(R[(op >> 3) & 7] + ((op >> 4) & 0x7c)); break;
        case 27: cycles++; R[(op >> 8) & 7] = read32(R[13] + ((op & 0xff) << 2)); break;
        case 28: cycles++; R[(op >> 8) & 7] = read32((pc + 2 & ~3) + ((op & 0xff) << 2)); break;
        case 29: cycles++; R[op & 7] = read32((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0); break;
        case 30: cycles++; R[op & 7] = read8(R[(op >> 3) & 7] + ((op >> 6) & 31)); break;
        case 31: cycles++; R[op & 7] = read8((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0); break;
        case 32: cycles++; R[op & 7] = read16(R[(op >> 3) & 7] + ((op >> 5) & 62)); break;
        case 33: cycles++; R[op & 7] = read16((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0); break;
        case 34: cycles++; R[op & 7] = (read8((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0) << 24) >> 24; break;
        case 35: cycles++; R[op & 7] = (read16((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0) << 16) >> 16; break;
        case 36: { // LSLS
          const a = R[(op >> 3) & 7], s = (op >> 6) & 31;
          nz = a << s;
          if (s) c = (a >>> (32 - s)) & 1;
          R[op & 7] = nz;
          break;
        }
        case 37: {
          const a = R[op & 7], s = R[(op >> 3) & 7] & 0xff;
          if (s === 0) nz = a; else if (s < 32) { nz = a << s; c = (a >>> (32 - s)) & 1; }
          else { nz = 0; c = s === 32 ? a & 1 : 0; }
          R[op & 7] = nz;
          break;
        }
        case 38: {
          const a = R[(op >> 3) & 7], s = (op >> 6) & 31;
          nz = s ? (a >>> s) | 0 : 0; c = s ? (a >>> (s - 1)) & 1 : a >>> 31; R[op & 7] = nz;
          break;
        }
        case 39: {
          const a = R[op & 7], s = R[(op >> 3) & 7] & 0xff;
          if (s === 0) nz = a; else if (s < 32) { nz = (a >>> s) | 0; c = (a >>> (s - 1)) & 1; }
          else { nz = 0; c = s === 32 ? a >>> 31 : 0; }
          R[op & 7] = nz;
          break;
        }
        case 40: { // MOV, high registers
          const m = (op >> 3) & 15, d = ((op >> 4) & 8) | (op & 7);
          const value = m === 15 ? pc + 2 : R[m];
          if (d === 15) { pc = value & ~1; cycles++; } else R[d] = d === 13 ? value & ~3 : value;
          break;
        }
        case 41: nz = R[(op >> 8) & 7] = op & 0xff; break;
        case 42: nz = R[op & 7] = Math.imul(R[(op >> 3) & 7], R[op & 7]); break;
        case 43: nz = R[op & 7] = ~R[(op >> 3) & 7]; break;
        case 44: nz = R[op & 7] |= R[(op >> 3) & 7]; break;
        case 45: { // POP
          let a = R[13];
          for (let i = 0; i < 8; i++) if (op & (1 << i)) { R[i] = read32(a); a += 4; cycles++; }
          if (op & 0x100) {
            const t = read32(a);
            R[13] = a + 4;
            cycles += 2;
            if (t >>> 28 === 15) ({ pc, nz, c, v } = leave(t, nz, c, v)); else pc = t & ~1;
          } else R[13] = a;
          break;
        }
        case 46: { // PUSH
          let a = R[13];
          for (let i = 0; i < 9; i++) if (op & (1 << i)) a -= 4;
          R[13] = a;
          for (let i = 0; i < 8; i++) if (op & (1 << i)) { write32(a, R[i]); a += 4; cycles++; }
          if (op & 0x100) write32(a, R[14]);
          break;
        }
        case 47: {
          const a = R[(op >> 3) & 7];
          R[op & 7] = (a << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24);
          break;
        }
        case 48: {
          const a = R[op & 7], s = R[(op >> 3) & 7] & 0xff;
          if (s === 0) nz = a; else {
            const t = s & 31;
            nz = t ? (a >>> t) | (a << (32 - t)) : a;
            c = nz >>> 31;
          }
          R[op & 7] = nz;
          break;
        }
        case 49: {
          const b = R[(op >> 3) & 7];
          nz = -b | 0; c = b === 0 ? 1 : 0; v = b & nz; R[op & 7] = nz;
          break;
        }
        case 50: break;
        case 51: { // SBCS
          const a = R[op & 7], b = ~R[(op >> 3) & 7];
          const sum = (a >>> 0) + (b >>> 0) + c;
          nz = sum | 0; c = sum > 4294967295 ? 1 : 0; v = (a ^ nz) & (b ^ nz); R[op & 7] = nz;
          break;
        }
        case 52: { // STMIA
          const n = (op >> 8) & 7;
          let a = R[n];
          for (let i = 0; i < 8; i++) if (op & (1 << i)) { write32(a, R[i]); a += 4; cycles++; }
          R[n] = a;
          break;
        }
        case 53: cycles++; write32(R[(op >> 3) & 7] + ((op >> 4) & 0x7c), R[op & 7]); break;
        case 54: cycles++; write32(R[13] + ((op & 0xff) << 2), R[(op >> 8) & 7]); break;
        case 55: cycles++; write32((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0, R[op & 7]); break;
        case 56: cycles++; write8(R[(op >> 3) & 7] + ((op >> 6) & 31), R[op & 7]); break;
        case 57: cycles++; write8((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0, R[op & 7]); break;
        case 58: cycles++; write16(R[(op >> 3) & 7] + ((op >> 5) & 62), R[op & 7]); break;
        case 59: cycles++; write16((R[(op >> 3) & 7] + R[(op >> 6) & 7]) | 0, R[op & 7]); break;
        case 60: R[13] -= (op & 0x7f) << 2; break;
        case 61: {
          const a = R[(op >> 3) & 7], b = (op >> 6) & 7;
          nz = (a - b) | 0; c = a >>> 0 >= b ? 1 : 0; v = (a ^ b) & (a ^ nz); R[op & 7] = nz;
          break;
        }
        case 62: {
          const a = R[(op >> 8) & 7], b = op & 0xff;
          nz = (a - b) | 0; c = a >>> 0 >= b ? 1 : 0; v = (a ^ b) & (a ^ nz); R[(op >> 8) & 7] = nz;
          break;
        }
        case 63: {
          const a = R[(op >> 3) & 7], b = R[(op >> 6) & 7];
          nz = (a - b) | 0; c = a >>> 0 >= b >>> 0 ? 1 : 0; v = (a ^ b) & (a ^ nz); R[op & 7] = nz;
          break;
        }
        case 64: R[op & 7] = (R[(op >> 3) & 7] << 24) >> 24; break;
        case 65: R[op & 7] = (R[(op >> 3) & 7] << 16) >> 16; break;
        case 66: nz = R[op & 7] & R[(op >> 3) & 7]; break;
        case 67: R[op & 7] = R[(op >> 3) & 7] & 0xff; break;
        case 68: R[op & 7] = R[(op >> 3) & 7] & 0xffff; break;
        case 69: // WFE
          cycles++;
          if (core.eventRegistered) core.eventRegistered = false;
          else { core.waiting = true; limit = -1; }
          break;
        case 70: cycles++; core.waiting = true; limit = -1; break;
        case 71: core.eventRegistered = true; break;
        default: ({ pc, nz, c, v } = slowStep(pc - 2, nz, c, v));
      }
    }
    R[15] = pc;
    storeFlags(nz, c, v);
    runner.instructions += count;
    const passed = cycles * nanosPerCycle;
    cycles = 0;
    clock.tick(passed);
  };

  function storeFlags(nz, c, v) {
    core.N = nz < 0;
    core.Z = nz === 0;
    core.C = c !== 0;
    core.V = v < 0;
  }
  function loaded() {
    const nz = core.Z ? 0 : core.N ? -1 : 1;
    return { pc: R[15] & ~1, nz, c: core.C ? 1 : 0, v: core.V ? -1 : 0 };
  }
  /** Return from an exception. */
  function leave(target, nz, c, v) {
    storeFlags(nz, c, v);
    core.BXWritePC(target >>> 0);
    limit = -1;
    return loaded();
  }
  /** Let rp2040js execute the instruction at `pc`. */
  function slowStep(pc, nz, c, v) {
    R[15] = pc;
    storeFlags(nz, c, v);
    sync();
    cycles += core.executeInstruction();
    return loaded();
  }
}
