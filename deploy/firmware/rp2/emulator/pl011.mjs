// SPDX-License-Identifier: Apache-2.0
// UART of the RP2040 (Arm PL011, DDI 0183): FIFOs of 32 bytes with the time of the line.
//
// rp2040js sends a byte at once and has no transmit FIFO. Here a byte leaves after its time on the
// line, so a program that fills the FIFO has to wait. Interrupts: receive at half of the FIFO,
// receive timeout of 32 bit times, transmit at half. No parity errors, no break, no flow control.
import { BasePeripheral } from './rp2040js.mjs';

const DEPTH = 32;
const RX = 1 << 4;
const TX = 1 << 5;
const RT = 1 << 6;
const OE = 1 << 10;
const IDS = { 0xfe0: 0x11, 0xfe4: 0x10, 0xfe8: 0x34, 0xfec: 0, 0xff0: 0x0d, 0xff4: 0xf0, 0xff8: 5, 0xffc: 0xb1 };
const LEVELS = [4, 8, 16, 24, 28];

export class Pl011 extends BasePeripheral {
  /** `onByte(value)`: a byte has entered the transmit FIFO; the bench has the time of the line. */
  constructor(mcu, name, irq, onByte) {
    super(mcu, name);
    this.irq = irq;
    this.onByte = onByte;
    this.control = 0x300;
    this.lineControl = 0;
    this.divisor = [0, 0];
    this.mask = 0;
    this.raw = 0;
    this.levels = 0x12;
    this.rx = [];
    this.tx = [];
    this.sending = null;
    this.overruns = 0;
    this.txDone = mcu.clock.createAlarm(() => this.byteSent());
    this.rxIdle = mcu.clock.createAlarm(() => this.raise(RT));
  }

  get depth() { return this.lineControl & 0x10 ? DEPTH : 1; }

  /** Bits of a character with start, parity and stop. */
  get bits() {
    const l = this.lineControl;
    return 1 + 5 + ((l >>> 5) & 3) + (l & 2 ? 1 : 0) + (l & 8 ? 2 : 1);
  }

  get bitNanos() {
    const divider = this.divisor[0] + this.divisor[1] / 64;
    return divider ? (divider * 16 * 1e9) / this.rp2040.clkPeri : 1e9 / 9600;
  }

  /** rp2040js calls this when the clock of the UARTs changes. */
  clkPeriChanged() {}

  get baud() { return Math.round(1e9 / this.bitNanos); }

  raise(bits) {
    this.raw |= bits;
    this.update();
  }

  update() {
    this.rp2040.setInterrupt(this.irq, (this.raw & this.mask) !== 0);
  }

  /** A byte has arrived on the line. */
  feed(value) {
    if (!(this.control & 1)) return;
    if (this.rx.length >= this.depth) {
      this.overruns++;
      this.raise(OE);
      return;
    }
    this.rx.push(value);
    this.rxIdle.schedule(32 * this.bitNanos);
    const level = this.lineControl & 0x10 ? LEVELS[(this.levels >>> 3) & 7] : 1;
    if (this.rx.length >= level) this.raise(RX);
  }

  byteSent() {
    this.sending = null;
    this.startByte();
    const level = this.lineControl & 0x10 ? LEVELS[this.levels & 7] : 0;
    if (this.tx.length <= level) this.raise(TX);
  }

  startByte() {
    if (this.sending === null && this.tx.length) {
      this.sending = this.tx.shift();
      this.txDone.schedule(this.bits * this.bitNanos);
    }
  }

  readUint32(offset) {
    switch (offset) {
      case 0x00: {
        const value = this.rx.shift() ?? 0;
        if (!this.rx.length) {
          this.rxIdle.cancel();
          this.raw &= ~RT;
        }
        if (this.rx.length < LEVELS[(this.levels >>> 3) & 7]) this.raw &= ~RX;
        this.update();
        return value;
      }
      case 0x04: return 0;
      case 0x18:
        return (
          (this.tx.length === 0 ? 0x80 : 0) | (this.rx.length >= this.depth ? 0x40 : 0) |
          (this.tx.length >= this.depth ? 0x20 : 0) | (this.rx.length === 0 ? 0x10 : 0) |
          (this.sending !== null || this.tx.length ? 8 : 0)
        );
      case 0x24: return this.divisor[0];
      case 0x28: return this.divisor[1];
      case 0x2c: return this.lineControl;
      case 0x30: return this.control;
      case 0x34: return this.levels;
      case 0x38: return this.mask;
      case 0x3c: return this.raw;
      case 0x40: return this.raw & this.mask;
      case 0x48: return 0;
      default: return IDS[offset] ?? super.readUint32(offset);
    }
  }

  writeUint32(offset, value) {
    switch (offset) {
      case 0x00:
        if (this.control & 1 && this.tx.length < this.depth) {
          this.tx.push(value & 0xff);
          this.onByte(value & 0xff);
          this.startByte();
          if (this.tx.length > LEVELS[this.levels & 7]) {
            this.raw &= ~TX;
            this.update();
          }
        }
        break;
      case 0x04: break;
      case 0x24: this.divisor[0] = value & 0xffff; break;
      case 0x28: this.divisor[1] = value & 0x3f; break;
      case 0x2c: this.lineControl = value; break;
      case 0x30: this.control = value; break;
      case 0x34: this.levels = value & 0x3f; break;
      case 0x38: this.mask = value & 0x7ff; this.update(); break;
      case 0x44: this.raw &= ~this.rawWriteValue; this.update(); break;
      case 0x48: break; // DMA requests
      default: super.writeUint32(offset, value);
    }
  }
}
