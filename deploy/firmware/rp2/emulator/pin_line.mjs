// SPDX-License-Identifier: Apache-2.0
// A serial line at two pins of the chip: levels in the time of the line, 8 data bits, no parity.
//
// The peer of a UART that a program makes of PIO state machines. Bytes to the chip become levels of
// its input; levels of its output are sampled in the middle of each bit.

const BITS = 10;

export class PinLine {
  /** `onByte(value)`: a byte of the chip is complete; `wrong` counts bad stop bits. */
  constructor(mcu, tx, rx, baud, onByte) {
    this.bitNanos = 1e9 / baud;
    this.onByte = onByte;
    this.input = mcu.gpio[rx];
    this.waiting = [];
    this.isSending = false;
    this.wrong = 0;
    this.level = 1;
    this.sampled = -1;
    this.sending = mcu.clock.createAlarm(() => this.sendBit());
    this.sampling = mcu.clock.createAlarm(() => this.sample());
    this.input.setInputValue(true);
    mcu.gpio[tx].addListener((state) => this.onLevel(state));
  }

  feed(bytes) {
    for (const value of bytes) this.waiting.push(value);
    if (!this.isSending) this.nextByte();
  }

  nextByte() {
    this.isSending = this.waiting.length > 0;
    if (!this.isSending) return;
    this.frame = (this.waiting.shift() << 1) | 0x200; // start bit 0, stop bit 1
    this.bit = 0;
    this.sendBit();
  }

  sendBit() {
    if (this.bit === BITS) {
      this.nextByte();
      return;
    }
    this.input.setInputValue(((this.frame >> this.bit) & 1) === 1);
    this.bit += 1;
    this.sending.schedule(this.bitNanos);
  }

  onLevel(state) {
    this.level = state === 0 ? 0 : 1;
    if (this.level === 0 && this.sampled < 0) {
      this.sampled = 0;
      this.received = 0;
      this.sampling.schedule(1.5 * this.bitNanos);
    }
  }

  sample() {
    if (this.sampled === 8) {
      this.sampled = -1;
      if (this.level) this.onByte(this.received);
      else this.wrong += 1;
      return;
    }
    this.received |= this.level << this.sampled;
    this.sampled += 1;
    this.sampling.schedule(this.bitNanos);
  }
}
