# SPDX-License-Identifier: Apache-2.0
"""Oscillation and travel of the valve and of the lead pump, before a trial and during it.

Does not use alarms: the check of a valve for oscillation needs many minutes. A gain that is too
high shows in the output first. A half wave is a movement of at least `_BAND_PCT` between two
turning points. An output oscillates if `_HALF_WAVES` of them follow one another and are larger than
before the trial by `_GROWTH`. Its travel is too large if the mean rate is more than
`_TRAVEL_GROWTH` times that before, plus `_TRAVEL_PCT_MIN`: an output that was at rest may move to
its new place.
"""

from agent.control.watch.turning_points import TurningPoints
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context

_BAND_PCT = 10.0
_HALF_WAVES = 5
_SHORTEST_S, _LONGEST_S = 1.5, 900.5
_GROWTH = 13 / 10
_TRAVEL_GROWTH, _TRAVEL_PCT_MIN = 3.0, 60.0
_LEAST_MINUTES = 1.0
NAMES = ("valve", "pump")


class OutputOscillation:
    """Samples once a second. `tick` can be called more often."""

    def __init__(self) -> None:
        self._turns = [TurningPoints(_BAND_PCT, _SHORTEST_S, _LONGEST_S) for _ in NAMES]
        self._last: list[float | None] = [None, None]
        self._travel = [0.0, 0.0]
        self._minutes = 0.0
        self._due = 0

    def tick(self, agent: "Context", now: int) -> None:
        """Add the present outputs."""
        if now < self._due:
            return
        self._due = now + SECOND
        self._minutes += 1.0 / 60.0
        pumps = agent.pressure_loop.pumps
        values = (agent.supply_loop.valve.command_pct, pumps[0].command_pct if pumps else None)
        for i, value in enumerate(values):
            last, self._last[i] = self._last[i], value
            if value is None:
                self._turns[i].reset()
                continue
            self._turns[i].step(value, 1.0)
            if last is not None:
                self._travel[i] += value - last if value > last else last - value

    def amplitude(self, i: int) -> float:
        """Return the last amplitude of output `i` in percent, 0 if it does not oscillate."""
        turns = self._turns[i]
        return turns.swing if turns.count >= _HALF_WAVES else 0.0

    def travel_rate(self, i: int) -> float:
        """Return the travel of output `i`, percent per minute, 0 before a minute."""
        return self._travel[i] / self._minutes if self._minutes >= _LEAST_MINUTES else 0.0

    def find_degraded(self, before: "OutputOscillation | None") -> str:
        """Return the output that oscillates or travels more than before, or an empty text."""
        for i, name in enumerate(NAMES):
            amplitude, rate = (
                (0.0, 0.0) if before is None else (before.amplitude(i), before.travel_rate(i))
            )
            if self.amplitude(i) > _GROWTH * amplitude:
                return name + " swings"
            if self.travel_rate(i) > _TRAVEL_GROWTH * rate + _TRAVEL_PCT_MIN:
                return name + " travel"
        return ""
