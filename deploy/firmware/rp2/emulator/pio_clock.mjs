// SPDX-License-Identifier: Apache-2.0
// Time of the PIO state machines: rp2040js executes their instructions, but not in virtual time.
//
// Each state machine has an alarm for its next instruction. A machine that waits for a pin or a
// FIFO has none, so an idle line costs nothing. Fractions of the clock divider are averaged.

const CTRL = 0;

export function clockPio(mcu) {
  for (const pio of mcu.pio) {
    pio.run = () => {};
    const clocks = pio.machines.map((machine) => new MachineClock(mcu, pio, machine));
    const write = pio.writeUint32.bind(pio);
    pio.writeUint32 = (offset, value) => {
      write(offset, value);
      if (offset === CTRL) for (const clock of clocks) clock.start();
    };
  }
}

class MachineClock {
  constructor(mcu, pio, machine) {
    this.mcu = mcu;
    this.pio = pio;
    this.machine = machine;
    this.isStepping = false;
    this.isDue = false;
    this.alarm = mcu.clock.createAlarm(() => this.step());
    const check = machine.checkWait.bind(machine);
    machine.checkWait = () => {
      const waited = machine.waiting;
      check();
      if (waited && !machine.waiting && !this.isStepping) this.after(1 + machine.waitDelay);
    };
  }

  get nanosPerCycle() {
    const { clockDivInt, clockDivFrac } = this.machine;
    return (((clockDivInt || 65536) + clockDivFrac / 256) * 1e9) / this.mcu.clkSys;
  }

  start() {
    const { machine, alarm } = this;
    if (!machine.enabled) {
      alarm.cancel();
      this.isDue = false;
    } else if (!this.isDue && !machine.waiting) this.after(1);
  }

  after(cycles) {
    if (!this.machine.enabled) return;
    this.isDue = true;
    this.alarm.schedule(cycles * this.nanosPerCycle);
  }

  step() {
    const { machine } = this;
    this.isDue = false;
    if (!machine.enabled) return;
    const before = machine.cycles;
    this.isStepping = true;
    machine.step();
    this.isStepping = false;
    this.pio.checkChangedPins();
    if (!machine.waiting) this.after(machine.cycles - before);
  }
}
