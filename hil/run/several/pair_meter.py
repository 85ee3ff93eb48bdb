# SPDX-License-Identifier: Apache-2.0
"""What the devices and the plant see of a pair: gaps without a writer, writers, steps, the supply.

Does not judge. `PairRun` calls `sample` each 20 ms and `add_write` for each write that reached a
device. There are totals since the start of the measurement, and the worst values since `roll`.
"""

from __future__ import annotations

from hil.plant.plant import Plant

CYCLE_US = 1_000_000
"""One bus cycle: two controllers must not write within it."""


class PairMeter:
    """The measurement. Totals: `longest_gap_us`, `largest_step_pct`, `supply_error_k`.

    In the last second: `gap_us`, `step_pct`, `writers`; see `roll`.
    """

    def __init__(self, plant: Plant, setpoint_c: float) -> None:
        self.longest_gap_us = 0
        self.largest_step_pct = self.supply_error_k = 0.0
        self.gap_us, self.step_pct, self.writers = 0, 0.0, 0
        self._plant = plant
        self._setpoint_c = setpoint_c
        self._written_at: dict[int, int] = {}
        self._last_active_at = 0
        self._commands: list[float] = []
        self._second = (0, 0.0, 0)

    def start(self, now: int) -> None:
        """Begin: a time without a writer counts from `now`, µs."""
        self._last_active_at = now
        self._commands = []

    def sample(self, now: int, has_active: bool, has_whole: bool) -> None:
        """Take one sample. `has_whole`: a controller without a fault is there."""
        gap = 0
        if has_active or not has_whole:
            self._last_active_at = now
        else:
            gap = now - self._last_active_at
        plant = self._plant
        commands = [plant.valve_command_pct, *(pump.target_pct for pump in plant.pumps)]
        steps = [abs(b - a) for a, b in zip(self._commands, commands, strict=False)]
        self._commands = commands
        step = max(steps, default=0.0)
        error_k = abs(plant.supply_true_c - self._setpoint_c)
        self.longest_gap_us = max(self.longest_gap_us, gap)
        self.largest_step_pct = max(self.largest_step_pct, step)
        self.supply_error_k = max(self.supply_error_k, error_k)
        worst_gap, worst_step, writers = self._second
        self._second = (max(worst_gap, gap), max(worst_step, step), writers)

    def add_write(self, node: int, now: int) -> None:
        """Count a write of controller `node`, and the others within one bus cycle before it."""
        self._written_at[node] = now
        count = sum(now - at < CYCLE_US for at in self._written_at.values())
        gap, step, writers = self._second
        self._second = (gap, step, max(writers, count))

    def roll(self) -> None:
        """End a second: its worst values can be read until the next call."""
        self.gap_us, self.step_pct, self.writers = self._second
        self._second = (0, 0.0, 0)
