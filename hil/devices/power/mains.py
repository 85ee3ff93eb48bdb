# SPDX-License-Identifier: Apache-2.0
"""Three-phase mains in front of a load, as measured by the electricity meters.

Does not model a network: voltages and frequency vary a little around their nominal values. The load
has fixed fractions on the phases and one power factor. Reactive and apparent power, currents and
energies are computed from them. Phases are 0, 1, 2.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from random import Random

from hil.devices.base import SECOND

PHASES = range(3)
_PHASE_FRACTIONS = (0.345, 0.325, 0.33)
_HOUR_S = 3600.0
# volts a second; fraction of the deviation that returns in a second
_WANDER_V, _RETURN_FRACTION = 0.15, 0.02
_HZ_WANDER = 0.003


class Mains:
    """Voltages V, currents A, powers W, var, VA, energies Wh; as of the last whole second."""

    def __init__(
        self,
        rng: Random,
        load_w: Callable[[], float],
        volts: float = 230.0,
        hertz: float = 50.0,
        power_factor: float = 0.96,
        import_wh: float = 1_234_567.0,
    ) -> None:
        """`load_w` returns the active power, W; negative power is counted as export."""
        self._rng = rng
        self._load = load_w
        self._grid_v, self._hertz = volts, hertz
        self._rated_v = volts
        self.power_factor = power_factor
        self.volts = [volts] * 3
        self.hertz = hertz
        self.watts = [0.0] * 3
        self.amps = [0.0] * 3
        self.import_wh, self.export_wh = import_wh, 0.0
        self.consumed_wh = 0.0
        """Energy since the start, Wh; not in a register and not changed by a fault."""
        self.rollover_wh: float | None = None
        """Value at which the import counter restarts from 0, Wh."""
        self._grid: Callable[[], tuple[float, float]] | None = None
        self._grid_state = (1.0, hertz)
        self._updated_at = -1
        self._sample()

    def connect_grid(self, grid: Callable[[], tuple[float, float]]) -> None:
        """Follow `grid`: it returns voltage (fraction of nominal) and frequency (Hz)."""
        self._grid = grid

    def set_rollover(self, rollover_wh: float | None) -> None:
        """Set the rollover value of the import counter, Wh; None for no rollover."""
        self.rollover_wh = rollover_wh

    def reset_import(self) -> None:
        """Reset the import counter to 0 (a fault)."""
        self.import_wh = 0.0

    def advance(self, now: int) -> None:
        """Step to `now` (µs); energies use the power since the last second."""
        if self._updated_at < 0:
            self._updated_at = now
        elapsed = (now - self._updated_at) // SECOND
        if elapsed <= 0:
            return
        self._updated_at += elapsed * SECOND
        energy = self.total_w * elapsed / _HOUR_S
        if energy >= 0.0:
            self.import_wh += energy
            self.consumed_wh += energy
            if self.rollover_wh is not None and self.import_wh >= self.rollover_wh:
                self.import_wh -= self.rollover_wh
        else:
            self.export_wh -= energy
        if self._grid is not None and self._grid() != self._grid_state:
            self._apply_grid_state(self._grid())
        rng = self._rng
        for i in PHASES:
            difference = self._grid_v - self.volts[i]
            self.volts[i] += rng.gauss(0.0, _WANDER_V) + _RETURN_FRACTION * difference
        self.hertz += rng.gauss(0.0, _HZ_WANDER) + 0.1 * (self._hertz - self.hertz)
        self._sample()

    def _apply_grid_state(self, state: tuple[float, float]) -> None:
        """Set the state of the grid: voltage as a fraction of nominal, and frequency in Hz."""
        self._grid_state = state
        self._grid_v, self._hertz = self._rated_v * state[0], state[1]
        self.volts = [self._grid_v] * 3
        self.hertz = state[1]

    def _sample(self) -> None:
        load = self._load()
        for i, fraction in enumerate(_PHASE_FRACTIONS):
            self.watts[i] = load * fraction
            volts = self.volts[i]
            self.amps[i] = abs(load) * fraction / self.power_factor / volts if volts > 1.0 else 0.0

    @property
    def total_w(self) -> float:
        """Active power of all phases, W."""
        return sum(self.watts)

    @property
    def total_va(self) -> float:
        """Apparent power of all phases, VA."""
        return abs(self.total_w) / self.power_factor

    @property
    def total_var(self) -> float:
        """Reactive power of all phases, var, inductive."""
        return self.total_va * self.reactive

    @property
    def reactive(self) -> float:
        """Reactive over apparent power."""
        return sqrt(1.0 - self.power_factor**2)

    def va(self, phase: int) -> float:
        """Return the apparent power of a phase, VA."""
        return self.volts[phase] * self.amps[phase]

    def line_voltage(self, phase: int) -> float:
        """Return the voltage from a phase to the next, V, for angles of 120 degrees."""
        a, b = self.volts[phase], self.volts[(phase + 1) % 3]
        return sqrt(a * a + b * b + a * b)

    @property
    def neutral_a(self) -> float:
        """Current in the neutral, A, of three currents 120 degrees apart."""
        a, b, c = self.amps
        return sqrt(max(0.0, a * a + b * b + c * c - a * b - b * c - c * a))
