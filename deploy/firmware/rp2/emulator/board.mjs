// SPDX-License-Identifier: Apache-2.0
// A Pico board: RP2040 of rp2040js with our executor, UARTs, flash chip, watchdog and USB console.
//
// `reset` starts the chip again; the flash, and after a reset by the watchdog its scratch registers
// and reason, remain. The second core never starts: MicroPython needs it for threads only.
import { FastCore } from './fast_core.mjs';
import { FlashChip, PowerCut } from './flash_chip.mjs';
import { PinLine } from './pin_line.mjs';
import { clockPio } from './pio_clock.mjs';
import { Pl011 } from './pl011.mjs';
import { IRQ, RP2040, SimulationClock, USBCDC } from './rp2040js.mjs';

const UARTS = [0x40034, 0x40038];
const WATCHDOG = 0x40058;
const TIMER = 0x40054;
const RING_OSCILLATOR = 0x40060;
const RANDOM_BIT = 0x1c;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export class Board {
  /** `output(kind, number, bytes)`: 'uart', 'console', 'gpio' or 'reset'. */
  constructor(rom, flashSize, output) {
    this.rom = rom;
    this.output = (kind, number, bytes) => {
      if (this.windowNanos && kind !== 'gpio') this.endSoon();
      output(kind, number, bytes);
    };
    this.until = 0;
    this.windowNanos = 0;
    this.flashBytes = new Uint8Array(16 * 1024 * 1024).fill(0xff);
    this.chip = new FlashChip(this.flashBytes, flashSize);
    this.instructions = 0;
    this.idleNanos = 0;
    this.clock = new SimulationClock();
    this.isOn = false;
    this.resetDue = false;
    this.pinLines = [];
    this.random = 1;
  }

  /** Random bits of the ring oscillator; `random` is the state, and a run has its own seed. */
  randomBit() {
    let x = this.random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.random = x;
    return x & 1;
  }

  get nanos() { return this.clock.nanos; }

  /** Switch the power on. */
  powerOn() {
    this.boot(null);
    this.isOn = true;
  }

  /** Switch the power off; the time `at` (ns), if not 0, can be within a call of the flash. */
  powerOff(at = 0) {
    this.isOn = false;
    if (at) this.chip.tear(at);
    this.count();
    this.clock.nextAlarm = null;
  }

  /** Connect a line to two pins, as UART 2 and further ones; it stays over a reset. */
  addPinLine(tx, rx, baud) {
    this.pinLines.push({ tx, rx, baud });
  }

  connect({ tx, rx, baud }) {
    const number = this.uarts.length;
    this.uarts.push(
      new PinLine(this.mcu, tx, rx, baud, (value) => this.output('uart', number, value)),
    );
  }

  count() {
    if (this.core) {
      this.instructions += this.core.instructions;
      this.idleNanos += this.core.idleNanos;
      this.core.instructions = this.core.idleNanos = 0;
    }
  }

  boot(kept) {
    this.count();
    this.clock.nextAlarm = null;
    const mcu = new RP2040(this.clock);
    mcu.logger = SILENT;
    mcu.bootrom.set(this.rom);
    mcu.reset();
    mcu.flash = this.flashBytes;
    mcu.flash16 = new Uint16Array(this.flashBytes.buffer);
    mcu.flashView = new DataView(this.flashBytes.buffer);
    this.mcu = mcu;
    this.uarts = UARTS.map((page, number) => {
      const irq = number ? IRQ.UART1 : IRQ.UART0;
      const uart = new Pl011(mcu, `UART${number}`, irq, (value) => this.output('uart', number, value));
      mcu.peripherals[page] = mcu.uart[number] = uart;
      return uart;
    });
    const oscillator = mcu.peripherals[RING_OSCILLATOR];
    const read = oscillator.readUint32.bind(oscillator);
    oscillator.readUint32 = (offset) => (offset === RANDOM_BIT ? this.randomBit() : read(offset));
    this.startTimer(mcu.peripherals[TIMER]);
    clockPio(mcu);
    for (const line of this.pinLines) this.connect(line);
    const watchdog = mcu.peripherals[WATCHDOG];
    if (kept) {
      watchdog.scratchData.set(kept.scratch);
      watchdog.reason = kept.reason;
    }
    watchdog.onWatchdogTrigger = () => {
      this.resetDue = true;
      this.core.stopped = true;
    };
    mcu.gpio.forEach((pin, number) => pin.addListener((state) => this.output('gpio', number, state)));
    this.console = new USBCDC(mcu.usbCtrl);
    this.console.onSerialData = (data) => this.output('console', 0, data);
    this.holdReads(mcu.usbCtrl);
    const memory = (address, size) => {
      const result = new Uint8Array(size);
      for (let i = 0; i < size; i++) result[i] = mcu.readUint8(address + i);
      return result;
    };
    const calls = this.chip.romCalls(new Uint16Array(mcu.bootrom.buffer), this.clock);
    const romCalls = new Map();
    calls.forEach((call, address) => romCalls.set(address, (R) => call(R, memory)));
    this.core = new FastCore(mcu, romCalls);
    mcu.core.PC = 0x10000000;
    this.resetDue = false;
  }

  /** The timer of rp2040js shows the time of the clock, which runs on without power. */
  startTimer(timer) {
    const { clock } = this;
    const start = clock.nanos;
    timer.clock = { get nanos() { return clock.nanos - start; } };
  }

  /** Answer a read of the console only when there are data.
   *
   * rp2040js answers at once, also with no byte. The device then asks again: an endless sequence of
   * interrupts, so that the core never sleeps.
   */
  holdReads(usb) {
    this.waitingRead = null;
    const answer = usb.onEndpointRead;
    usb.onEndpointRead = (endpoint, size) => {
      if (this.console.txFIFO.empty) this.waitingRead = [endpoint, size];
      else answer(endpoint, size);
    };
    this.answerRead = () => {
      const read = this.waitingRead;
      this.waitingRead = null;
      if (read) answer(...read);
    };
  }

  /** An output shortens the run: those that follow it shortly come with it. */
  endSoon() {
    this.until = Math.min(this.until, this.nanos + this.windowNanos);
    this.core.until = this.until;
  }

  /** Set the figures to zero. */
  clearFigures() {
    this.count();
    this.instructions = this.idleNanos = 0;
    this.chip.clearFigures();
  }

  /** Run until `until` (ns), or `windowNanos` (0: never) after the first output.
   *
   * Return false if the power failed.
   */
  run(until, windowNanos = 0) {
    this.until = until;
    this.windowNanos = windowNanos;
    while (this.clock.nanos < this.until && this.isOn) {
      try {
        this.core.run(this.until);
      } catch (error) {
        if (!(error instanceof PowerCut)) throw error;
        this.powerOff();
        return false;
      }
      if (this.resetDue) {
        const watchdog = this.mcu.peripherals[WATCHDOG];
        const kept = { scratch: Uint32Array.from(watchdog.scratchData), reason: watchdog.reason };
        this.output('reset', kept.reason, 0);
        this.boot(kept);
      }
    }
    return this.isOn;
  }

  feedUart(number, bytes) {
    const uart = this.uarts[number];
    if (uart instanceof PinLine) uart.feed(bytes);
    else for (const value of bytes) uart.feed(value);
  }

  typeConsole(bytes) {
    for (const value of bytes) this.console.sendSerialByte(value);
    this.answerRead();
  }
}
