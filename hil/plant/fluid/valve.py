# SPDX-License-Identifier: Apache-2.0
"""The two-way control valve on the facility water, with its actuator.

The characteristic is equal-percentage: at stroke x the inherent flow is R^(x-1) of Kvs. When the
valve opens, the pressure drop moves from the valve to the pipes (authority). This bends the curve.
Both formulas are usual in valve sizing guides. The actuator moves at constant speed and does not
start for an error inside its dead band. Without power or command it keeps its position.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from hil.plant.fluid.parameters import PlantParameters


def inherent_flow_fraction(p: PlantParameters, position_pct: float) -> float:
    """Return the fraction of Kvs (leak to 1) at a stroke of 0 to 100 %."""
    seat = p.valve_seat_pct
    if position_pct >= seat:
        return float(p.valve_rangeability ** (position_pct / 100.0 - 1.0))
    at_seat = float(p.valve_rangeability ** (seat / 100.0 - 1.0))
    return p.valve_leak_fraction + (at_seat - p.valve_leak_fraction) * max(position_pct, 0.0) / seat


def valve_flow_lpm(p: PlantParameters, position_pct: float) -> float:
    """Return the facility water flow at a stroke of 0 to 100 %, L/min, at constant pressure."""
    fraction = inherent_flow_fraction(p, position_pct)
    a = p.valve_authority
    return p.fws_open_lpm / sqrt(1.0 - a + a / (fraction * fraction))


@dataclass(slots=True)
class Actuator:
    """A valve actuator: `command_pct` is the commanded, `position_pct` the actual position, in %.

    Faults: `stuck`, the position does not follow the command; `reversed`, the valve opens when the
    actuator closes.
    """

    stroke_s: float
    deadband_pct: float
    position_pct: float
    command_pct: float
    moving: bool = False
    stuck: bool = False
    travel_pct: float = 0.0
    reversed: bool = False

    def command(self, percent: float) -> None:
        """Set the command, 0 to 100 %."""
        self.command_pct = min(max(percent, 0.0), 100.0)

    def set_stuck(self, is_stuck: bool) -> None:
        """Hold the position (a fault), or release it."""
        self.stuck = is_stuck

    def set_reversed(self, is_reversed: bool) -> None:
        """Reverse the valve against its actuator (a fault), or mount it correctly.

        The stem stays where it is: the actuator shows its position from the other end.
        """
        if is_reversed != self.reversed:
            self.position_pct = 100.0 - self.position_pct
        self.reversed = is_reversed

    @property
    def opening_pct(self) -> float:
        """Stroke of the valve itself, %: the actuator's, or its reverse."""
        return 100.0 - self.position_pct if self.reversed else self.position_pct

    def set_deadband(self, percent: float) -> None:
        """Set the dead band, % of the stroke."""
        self.deadband_pct = percent

    def step(self, dt_s: float) -> bool:
        """Step by `dt_s`; return whether the position changed."""
        difference = self.command_pct - self.position_pct
        if difference == 0.0 or self.stuck:
            self.moving = False
            return False
        if not self.moving and abs(difference) < self.deadband_pct:
            return False
        max_step = 100.0 / self.stroke_s * dt_s
        self.moving = abs(difference) > max_step
        move = difference if not self.moving else (max_step if difference > 0.0 else -max_step)
        self.position_pct = self.position_pct + move if self.moving else self.command_pct
        self.travel_pct += abs(move)
        return True
