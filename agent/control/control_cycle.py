# SPDX-License-Identifier: Apache-2.0
"""One control cycle: the components prepare it and make claims, then the loops step once.

Does not poll the devices (`agent.fieldbus.fieldbus`) and does not set the unit state
(`agent.safety.supervisor`). The loops step when all polls of the cycle are answered, at the latest
after half the cycle.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.control.actuator.arbiter import Arbiter
    from agent.control.fan_group import FanGroup
    from agent.control.loop.pressure_loop import PressureLoop
    from agent.control.loop.supply_loop import SupplyLoop
    from agent.core.component.base import Component
    from agent.core.fault.guard import Guard
    from agent.core.tick_scheduler import TickScheduler
    from agent.fieldbus.fieldbus import Fieldbus

    class Loop(Protocol):
        """A control loop."""

        def step(self, now: int, dt: float) -> None:
            """Advance by `dt` seconds and request the outputs."""
            ...


_FIRST_READING_US = 3 * SECOND
"""Time to wait for the first readings after a start. Then the loops request fail-safe outputs. So a
restart of the agent does not move an actuator."""


class ControlCycle:
    """Steps the loops. `last_step`: monotonic microseconds; None before the first step.

    `is_pending`: the loops have not stepped in this cycle.
    """

    def __init__(
        self,
        ticks: "TickScheduler",
        fieldbus: "Fieldbus",
        loops: "tuple[SupplyLoop, PressureLoop, FanGroup | None]",
        arbiters: "dict[str, Arbiter]",
        components: "list[Component]",
        guard: "Guard",
    ) -> None:
        self.last_step: int | None = None
        self._ticks = ticks
        self._fieldbus = fieldbus
        self._supply_loop, self._pressure_loop, fan_group = loops
        self._loops: tuple[Loop, ...] = loops[:2]
        if fan_group is not None:
            self._loops = (fan_group,) + loops[:2]
        self._arbiters = arbiters
        self._components = components
        self._guard = guard
        self.is_pending = False
        self._started = 0

    def start(self, now: int) -> None:
        """Start to wait for the first readings."""
        self._started = now

    def begin(self) -> None:
        """Begin a cycle: the loops step once in it."""
        self.is_pending = True

    def step_when_ready(self, now: int) -> bool:
        """Step the loops once in this cycle when it is ready. Return True if they step now."""
        if not self.is_pending:
            return False
        ticks = self._ticks
        half = ticks.cycle_index >= ticks.per_cycle // 2
        if not half and not self._fieldbus.polls_complete():
            return False
        self.is_pending = False
        if now - self._started < _FIRST_READING_US and not self._has_readings(now):
            return False
        cycle_us = ticks.period * ticks.per_cycle
        elapsed = cycle_us if self.last_step is None else min(now - self.last_step, 3 * cycle_us)
        self.last_step = now
        self._step(now, elapsed / 1_000_000)
        return True

    def _has_readings(self, now: int) -> bool:
        supply, pressure = self._supply_loop.sensor, self._pressure_loop.sensor
        return supply.value(now) is not None and pressure.value(now) is not None

    def _step(self, now: int, dt: float) -> None:
        """Call the components, then step the loops. `dt` is in seconds."""
        for actuator in self._arbiters:
            self._arbiters[actuator].begin_cycle()
        for component in self._components:
            try:
                component.read_inputs(now, dt)
            except Exception as error:
                self._guard.handle(component, error, now)
        for i, component in enumerate(self._components):
            try:
                component.before_control(now, dt)
            except Exception as error:
                self._guard.handle(component, error, now)
                try:  # its stand-in makes the safe claims from the next cycle on
                    component.while_off(now, dt)
                except Exception as second:
                    self._guard.handle(self._components[i], second, now)
        for loop in self._loops:
            try:
                loop.step(now, dt)
            except Exception as error:
                self._guard.handle(loop, error, now)
