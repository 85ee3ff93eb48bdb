// SPDX-License-Identifier: Apache-2.0
// The parts of rp2040js (MIT) that the emulator uses, from the folder RP2040JS of the environment.
import { pathToFileURL } from 'node:url';

const folder = process.env.RP2040JS;
if (!folder) throw new Error('RP2040JS: not set; `coldloop firmware emulate` sets it');
const load = (name) => import(pathToFileURL(`${folder}/dist/esm/${name}.js`).href);

export const { RP2040 } = await load('rp2040');
export const { SimulationClock } = await load('clock/simulation-clock');
export const { BasePeripheral } = await load('peripherals/peripheral');
export const { IRQ } = await load('irq');
export const { USBCDC } = await load('usb/cdc');
