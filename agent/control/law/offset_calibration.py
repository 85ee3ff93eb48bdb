# SPDX-License-Identifier: Apache-2.0
"""Offsets of the supply and the return sensor. Without heat load both have the same coolant.

Does not change the configuration; an operator decides this. It averages over one steady minute with
running pumps, a closed valve and no load. The result is `supply_offset_k` and `return_offset_k`, in
kelvin; with them both sensors show their common mean. The heat of the pumps (about 0.1 K at the
design flow) counts as a sensor error.
"""

# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_AVERAGE_S = 59.5
_TIMEOUT_S = 599.5
_STEADY_K = 25 / 100
_MAX_DIFFERENCE_K = 5.0
_CLOSED_PCT = 6.0

IDLE, RUNNING, DONE = "idle", "running", "done"


class OffsetCalibration:
    """`state`: idle, running, done, or the reason of the failure. Offsets in kelvin."""

    def __init__(self) -> None:
        self.state = IDLE
        self.supply_offset_k = self.return_offset_k = 0.0
        self._first: tuple[float, float] | None = None
        self._sums = [0.0, 0.0]
        self._count = 0
        self._averaged_s = self._elapsed_s = 0.0

    def begin(self) -> None:
        """Start the calibration. It ends after one steady minute, at the latest after 10 min."""
        self.state = RUNNING
        self._elapsed_s = 0.0
        self._restart()

    def _restart(self) -> None:
        self._first = None
        self._sums, self._count, self._averaged_s = [0.0, 0.0], 0, 0.0

    def add_reading(
        self,
        supply_c: "float | None",
        return_c: "float | None",
        valve_pct: "float | None",
        pumps_running: bool,
        dt: float,
    ) -> None:
        """Add the readings of one cycle without offsets: °C, valve position in percent, a pump
        runs.
        """
        if self.state != RUNNING:
            return
        self._elapsed_s += dt
        valve_closed = valve_pct is not None and valve_pct <= _CLOSED_PCT
        if supply_c is None or return_c is None or not pumps_running or not valve_closed:
            self._restart()
        else:
            self._add(supply_c, return_c, dt)
        if self.state == RUNNING and self._elapsed_s >= _TIMEOUT_S:
            self.state = "no steady minute with pumps running, valve shut and no load"

    def _add(self, supply_c: float, return_c: float, dt: float) -> None:
        first = self._first
        unchanged = (
            first is not None and _is_near(supply_c, first[0]) and _is_near(return_c, first[1])
        )
        if not unchanged or not -_MAX_DIFFERENCE_K < supply_c - return_c < _MAX_DIFFERENCE_K:
            self._restart()
            self._first = (supply_c, return_c)
        self._sums[0] += supply_c
        self._sums[1] += return_c
        self._count += 1
        self._averaged_s += dt
        if self._averaged_s >= _AVERAGE_S:
            half_difference = (self._sums[1] - self._sums[0]) / self._count / 2.0
            self.supply_offset_k, self.return_offset_k = half_difference, -half_difference
            self.state = DONE


def _is_near(a: float, b: float) -> bool:
    return -_STEADY_K < a - b < _STEADY_K
