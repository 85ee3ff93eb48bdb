# SPDX-License-Identifier: Apache-2.0
"""An emulated SunSpec meter, model 203: three-phase star, integers with scale-factor registers.

The map follows model_1 and model_203 of sunspec/models: "SunS", common model, meter model, end
marker. It can start at 40000, 50000 or 0 (0-based), so that a client must search for it. Currents,
voltages and powers are int16 times 10^SF. The scale factor of the powers follows the load: a larger
value is shown ten times coarser. So the client must read value and scale factor together. The power
factor is in percent. 0x8000 means "not implemented" or "no value"; 0 in an accumulator means "not
accumulated".
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from hil.devices.modbus.register_codec import RegisterFormat, encode_text
from hil.devices.power.mains import PHASES
from hil.devices.power.meter import EmulatedMeter
from hil.plant.plant import Plant

NOT_IMPLEMENTED = 0x8000
_COMMON_ID, _COMMON_LENGTH, _METER_ID, _METER_LENGTH, _END = 1, 66, 203, 105, 0xFFFF
_INT16, _ACC32 = RegisterFormat("h", no_value=-0x8000), RegisterFormat("I")
_A_SF, _V_SF, _HZ_SF, _PF_SF, _ENERGY_SF = -2, -1, -2, -2, 1
_INT16_MAX = 32_767

A, A_SF, V, VLL, V_SF, HZ, HZ_SF, W, W_SF = 2, 6, 7, 11, 15, 16, 17, 18, 22
VA, VA_SF, VAR, VAR_SF, PF, PF_SF = 23, 27, 28, 32, 33, 37
EXPORT, IMPORT, ENERGY_SF = 38, 46, 54
"""Offsets from the model's first register, as in the model file."""


class SunSpec203(EmulatedMeter):
    """The meter with its map from `base`; fault besides those of `EmulatedMeter`:

    missing_points  offsets of the meter model that show "no value"
    """

    functions = frozenset((3, 6, 16))

    def __init__(
        self,
        plant: Plant,
        unit: int = 1,
        rng: Random | None = None,
        load_w: Callable[[], float] | None = None,
        base: int = 40_000,
    ) -> None:
        super().__init__(plant, unit, rng, load_w)
        self.missing_points: set[int] = set()
        self._model = base + 2 + 2 + _COMMON_LENGTH
        common = [
            *(_COMMON_ID, _COMMON_LENGTH),
            *encode_text("Coldloop", 16),
            *encode_text("Emulated 203", 16),
            *encode_text("", 8),
            *encode_text("1.0", 8),
            *encode_text("203-0001", 16),
            *(unit, NOT_IMPLEMENTED),
        ]
        words = [*encode_text("SunS", 2), *common, _METER_ID, _METER_LENGTH]
        words += [NOT_IMPLEMENTED] * _METER_LENGTH + [_END, 0]
        self.registers = {base + i: word for i, word in enumerate(words)}
        fixed = ((A_SF, _A_SF), (V_SF, _V_SF), (HZ_SF, _HZ_SF), (PF_SF, _PF_SF))
        for offset, factor in (*fixed, (ENERGY_SF, _ENERGY_SF)):
            self.registers[self._model + offset] = factor & 0xFFFF
        for offset in range(EXPORT, ENERGY_SF):
            self.registers[self._model + offset] = 0

    def update_registers(self, now: int) -> bool:
        """Update the meter model; return whether a register changed."""
        mains, lost_phase = self.mains, self.lost_phase
        changed = self._put_group(
            A, [None if p == lost_phase else mains.amps[p] for p in PHASES], _A_SF, sum
        )
        volts = [None if p == lost_phase else mains.volts[p] for p in PHASES]
        changed |= self._put_group(V, volts, _V_SF, _mean)
        changed |= self._put_group(VLL, [mains.line_voltage(p) for p in PHASES], _V_SF, _mean)
        changed |= self._put_value(HZ, mains.hertz, _HZ_SF)
        changed |= self._put_powers(W, W_SF, list(mains.watts))
        changed |= self._put_powers(VA, VA_SF, [mains.va(p) for p in PHASES])
        changed |= self._put_powers(VAR, VAR_SF, [mains.va(p) * mains.reactive for p in PHASES])
        changed |= self._put_group(PF, [100.0 * mains.power_factor] * 3, _PF_SF, _mean)
        for offset, energy in ((EXPORT, mains.export_wh), (IMPORT, mains.import_wh)):
            words = _ACC32.encode(int(energy / 10**_ENERGY_SF) % (1 << 32))
            for i, word in enumerate(words):
                changed |= self.set_register(self._model + offset + i, word)
        return changed

    def _put_group(
        self,
        offset: int,
        values: list[float | None],
        factor: int,
        combine: Callable[[list[float]], float],
    ) -> bool:
        """Put a total or mean, then the three phases."""
        known = [value for value in values if value is not None]
        changed = self._put_value(offset, combine(known), factor)
        for i, value in enumerate(values):
            changed |= self._put_value(offset + 1 + i, value, factor)
        return changed

    def _put_powers(self, offset: int, factor_at: int, values: list[float]) -> bool:
        """Put a power with the finest scale factor for its total."""
        factor = 0
        while abs(sum(values)) / 10**factor > _INT16_MAX:
            factor += 1
        changed = self.set_register(self._model + factor_at, factor)
        return self._put_group(offset, [*values], factor, sum) or changed

    def _put_value(self, offset: int, value: float | None, factor: int) -> bool:
        if offset in self.missing_points:
            value = None
        scaled = None if value is None else value / 10.0**factor
        return self.set_register(self._model + offset, _INT16.encode(scaled)[0])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
