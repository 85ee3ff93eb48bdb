# SPDX-License-Identifier: Apache-2.0
"""The supply loop watches itself: oscillation, stiction and travel of the valve; gentle mode.

Does not check the position of a stuck valve (`agent.control.component`) and does not tune the loop
(`agent.control.watch.autotune`). Each cycle, `step` reads error, command and position, and tells
the loop how to move (`SupplyLoop.set_care`):

    finding        alarm            reaction while it holds
    oscillation    valve_cycling    gentle mode: half of the gain, slower integral
    stiction       valve_sticks     moves that such a valve can do (`sticky_moves`)
    travel         valve_travel     the deadband of the valve grows with the travel, up to 4 times

Each change of the mode is bumpless: the present output stays. While another claimant has the valve
or limits it, nothing is found. Swings until its direction was found are no limit cycle.
"""

from agent.control.watch.oscillation import OscillationDetector
from agent.control.watch.stiction import StictionEstimate
from agent.core.alarm_record import DEGRADED, NORMAL, AlarmRecord
from protocols.rounding import round_half_away

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.core.alarm_record import Condition
    from agent.core.context import ArbiterView, ValveView

    class LoopReadings(Protocol):
        """Supply and return temperature of a cycle, °C."""

        supply_c: "float | None"
        return_c: "float | None"

    class WatchedLoop(Protocol):
        """The supply loop; see `agent.control.loop.supply_loop`."""

        setpoint: float
        at_fail_safe: bool
        in_wave: bool

        @property
        def valve(self) -> "ValveView":
            """The valve of the loop."""
            ...

        @property
        def arbiter(self) -> "ArbiterView | None":
            """The arbiter of the valve."""
            ...

        def set_care(self, is_gentle: bool, deadband_scale: float, stiction_pct: float) -> None:
            """Set how to move the valve."""
            ...


VALVE_CYCLING = AlarmRecord(
    "valve_cycling", DEGRADED, "limit cycle of the valve: +-%d mK of supply, period %d s", "", True
)
VALVE_STICKS = AlarmRecord(
    "valve_sticks", DEGRADED, "the valve sticks: %d.%d %% of its stroke", "", True
)
VALVE_TRAVEL = AlarmRecord("valve_travel", NORMAL, "the valve travels %d %% an hour", "", True)

_LOOP = "loop"
_BUDGET_PCT_H = 200.0
"""Travel at which the deadband begins to grow: 18,000 full strokes a year. Actuators of control
valves are specified for about 100,000."""
_MOST_SCALE = 4.0
_MOVES_PCT = 3.0
"""Below it, the steps of the valve are smaller than the permitted deviation of the supply."""
_ALARM_PCT_H, _CALM_PCT_H = 600.0, 400.0


class ValveWatch:
    """Watches `loop`. The owner fills `readings`."""

    def __init__(self, loop: "WatchedLoop", readings: "LoopReadings") -> None:
        self.loop, self.readings = loop, readings
        self.oscillation = OscillationDetector()
        self.stiction = StictionEstimate()
        self.travels = self._was_reversed = False

    def step(self, dt: float, is_estimate: bool = False) -> None:
        """Add the readings of a cycle. `is_estimate`: of the supply; its swings are no proof."""
        loop, readings = self.loop, self.readings
        oscillation, stiction = self.oscillation, self.stiction
        position = loop.valve.position()
        decision = None if loop.arbiter is None else loop.arbiter.decision
        is_own = decision is not None and decision.owner == _LOOP and not loop.at_fail_safe
        oscillation.add_position(position, is_own, dt)
        if readings.supply_c is None or not is_own:
            oscillation.reset()
            loop.set_care(False, 1.0, 0.0)
            return
        rise_k = None if readings.return_c is None else readings.return_c - readings.supply_c
        if loop.in_wave or is_estimate or loop.valve.is_reversed != self._was_reversed:
            self._was_reversed = loop.valve.is_reversed
            oscillation.reset()
        else:
            oscillation.step(readings.supply_c - loop.setpoint, rise_k, dt)
        stiction.step(loop.valve.command_pct, position, dt)
        rate = oscillation.travel_pct_h
        self.travels = rate > (_CALM_PCT_H if self.travels else _ALARM_PCT_H)
        scale = min(max(rate / _BUDGET_PCT_H, 1.0), _MOST_SCALE)
        pct = stiction.stiction_pct if stiction.active else 0.0
        loop.set_care(oscillation.active, scale, pct if pct > _MOVES_PCT else 0.0)

    def active_conditions(self) -> "list[Condition]":
        """Return the findings."""
        conditions: list[Condition] = []
        oscillation, stiction = self.oscillation, self.stiction
        if oscillation.active:
            text = VALVE_CYCLING.text % (
                int(1000 * oscillation.amplitude_k),
                int(oscillation.period_s),
            )
            conditions.append((VALVE_CYCLING, "", text))
        if stiction.active:
            tenths = int(10 * stiction.stiction_pct)
            conditions.append((VALVE_STICKS, "", VALVE_STICKS.text % (tenths // 10, tenths % 10)))
        if self.travels:
            text = VALVE_TRAVEL.text % int(oscillation.travel_pct_h)
            conditions.append((VALVE_TRAVEL, "", text))
        return conditions

    def status(self) -> "list[tuple[str, object]]":
        """Return the findings for the status."""
        oscillation = self.oscillation
        return [
            ("swing_milli_k", round_half_away(1000 * oscillation.amplitude_k)),
            ("swing_s", int(oscillation.period_s)),
            ("stiction_milli_pct", round_half_away(1000 * self.stiction.stiction_pct)),
            ("travel_pct_h", int(oscillation.travel_pct_h)),
            ("gentle", oscillation.active),
        ]
