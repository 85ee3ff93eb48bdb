// SPDX-License-Identifier: Apache-2.0
// Runs random instructions on rp2040js and on our executor; prints the first difference as JSON.
//
//     RP2040JS=... node compare.mjs EMULATOR_FOLDER PROGRAMS
const [folder, programs] = process.argv.slice(2);
const { FastCore } = await import(`${folder}/fast_core.mjs`);
const { KINDS } = await import(`${folder}/decode.mjs`);
const { RP2040, SimulationClock } = await import(`${folder}/rp2040js.mjs`);

const CODE = 0x20000000;
const DATA = 0x20010000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
// Branches and exceptions leave the program, so they are not in it. 69 to 71 wait.
const LEAVES = new Set([0, 7, 12, 13, 15, 16, 17, 22, 23, 40, 45, 69, 70, 71]);
let seed = 1;
const random = (limit) => {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >>> 8) % limit;
};

function machine() {
  const clock = new SimulationClock();
  const mcu = new RP2040(clock);
  mcu.logger = SILENT;
  clock.nextAlarm = null;
  return mcu;
}
const one = machine();
const two = machine();
const fast = new FastCore(two, new Map());

function prepare(mcu, opcode, registers, flags) {
  mcu.core.registers.set(registers);
  mcu.core.PC = CODE;
  [mcu.core.N, mcu.core.Z, mcu.core.C, mcu.core.V] = flags;
  mcu.sramView.setUint16(0, opcode, true);
  mcu.sramView.setUint16(2, 0xbf30, true); // WFI ends the run
  for (let at = 0x10000 - 512; at < 0x10000 + 512; at += 4) mcu.sramView.setUint32(at, at * 77, true);
  mcu.core.waiting = mcu.core.interruptsUpdated = false;
}

function state(mcu) {
  const { core } = mcu;
  const memory = Buffer.from(mcu.sram.subarray(0x10000 - 512, 0x10000 + 512)).toString('base64');
  return JSON.stringify([[...core.registers.subarray(0, 15)], core.N, core.Z, core.C, core.V, memory]);
}

/** rp2040js 1.4.1 differs from Arm DDI 0419 here; our executor follows the manual. */
function differsFromTheManual(opcode) {
  const kind = KINDS[opcode];
  // The carry of ADCS and SBCS is added to an operand first, so C and V can be wrong;
  // checkCarry has these. STMIA writes the base back, also if it is in the list.
  if (kind === 1 || kind === 51) return true;
  return kind === 52 && (opcode & (1 << ((opcode >> 8) & 7))) !== 0;
}

/** ADCS and SBCS against AddWithCarry of the manual (D6.3.2), in big integers. */
function checkCarry(isAdd, x, y, carry) {
  const opcode = isAdd ? 0x4141 : 0x4181; // ADCS R1, R0; SBCS R1, R0
  prepare(two, opcode, [y, x, ...new Array(12).fill(0), 0], [false, false, carry === 1, false]);
  two.core.registers[13] = DATA;
  fast.run(two.clock.nanos + 1000);
  const z = isAdd ? y : ~y >>> 0;
  const unsigned = BigInt(x) + BigInt(z) + BigInt(carry);
  const signed = BigInt(x | 0) + BigInt(z | 0) + BigInt(carry);
  const result = Number(unsigned & 0xffffffffn);
  const { core } = two;
  const expected = [result, result >>> 31 === 1, result === 0, unsigned >> 32n !== 0n, BigInt(result | 0) !== signed];
  const found = [core.registers[1], core.N, core.Z, core.C, core.V];
  if (JSON.stringify(expected) !== JSON.stringify(found)) {
    console.log(JSON.stringify({ isAdd, x, y, carry, expected, found }));
    process.exit(1);
  }
}
const EDGES = [0, 1, 0x7ffffffe, 0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff];
for (const x of EDGES) for (const y of EDGES) for (const carry of [0, 1]) {
  checkCarry(true, x, y, carry);
  checkCarry(false, x, y, carry);
}

let compared = 0;
while (compared < Number(programs)) {
  const opcode = random(65536);
  if (LEAVES.has(KINDS[opcode])) continue;
  if (differsFromTheManual(opcode)) continue;
  const registers = Array.from({ length: 15 }, () => {
    const value = [0, 1, 31, 32, 33, 0x7fffffff, 0x80000000, 0xffffffff, random(65536) * 65537];
    return value[random(value.length)];
  });
  // Addresses: bases in the data, aligned; a register offset is small.
  const isMemory = KINDS[opcode] >= 25 && (KINDS[opcode] <= 35 || (KINDS[opcode] >= 46 && KINDS[opcode] <= 59));
  registers[13] = DATA;
  if (isMemory && ![47, 48, 49, 50, 51].includes(KINDS[opcode])) {
    const base = [25, 52].includes(KINDS[opcode]) ? (opcode >> 8) & 7 : (opcode >> 3) & 7;
    for (let i = 0; i < 8; i++) registers[i] = random(16) * 4;
    registers[base] = DATA;
    if ([29, 31, 33, 34, 35, 55, 57, 59].includes(KINDS[opcode]) && ((opcode >> 6) & 7) === base) continue;
  }
  // Shifts by 0, 32 and more by a register: rp2040js takes the carry from a wrong bit.
  if ([11, 37, 39, 48].includes(KINDS[opcode])) {
    registers[(opcode >> 3) & 7] = 1 + random(31);
    if (((opcode >> 3) & 7) === (opcode & 7)) continue;
  }
  const flags = [random(2) === 1, false, random(2) === 1, random(2) === 1];
  prepare(one, opcode, registers, flags);
  prepare(two, opcode, registers, flags);
  one.core.executeInstruction();
  fast.run(two.clock.nanos + 1000);
  const [expected, found] = [state(one), state(two)];
  if (expected !== found) {
    console.log(JSON.stringify({ opcode: opcode.toString(16), kind: KINDS[opcode], registers, flags, expected, found }));
    process.exit(1);
  }
  compared++;
}
console.log(JSON.stringify({ compared }));
