# SPDX-License-Identifier: Apache-2.0
"""Proof tests: each shows that a rarely used actuator still moves, and makes a record.

Does not raise alarms. `step_valve` and `step_pumps` are called once a cycle during a test. At its
end the test adds a record to `records`: (monotonic microseconds, "valve" or "pumps", result,
seconds). The list holds the last `_MAX_RECORDS` records.

    valve   partial stroke: `_STROKE_PCT` away and back; the feedback must follow
    pumps   the lag pump becomes the lead; it must turn, and dP must be reached
"""

_STROKE_PCT = 5.0
_HIGH_PCT = 90.0  # above it the stroke is towards closed
_LEAST_MOVE_PCT = 3.0
_RETURN_BAND_PCT = 1.0
# between whole steps of 1 s: see docs/project/decisions.md, thresholds
_VALVE_TIMEOUT_S = 29.5
_PUMPS_TIMEOUT_S = 239.5
_DP_FRACTION = 9 / 10
_TURNS_PCT = 20.0
_TAKE_OVER_S = 30.0
_MAX_RECORDS = 8

PASSED, FAILED, ABORTED = "passed", "failed", "broken off"


class ProofTests:
    """Runs one test at a time. `running`: valve, pumps or empty."""

    def __init__(self) -> None:
        self.running = ""
        self.records: list[tuple[int, str, str, int]] = []
        self._elapsed_s = 0.0
        self._start_pct = 0.0
        self._target_pct = 0.0
        self._returning = False

    def begin_valve(self, position: float) -> None:
        """Start a partial stroke from `position`, percent."""
        self.running, self._elapsed_s, self._returning = "valve", 0.0, False
        self._start_pct = position
        self._target_pct = (
            position + _STROKE_PCT if position < _HIGH_PCT else position - _STROKE_PCT
        )

    def begin_pumps(self) -> None:
        """Start to observe a change of the lead pump."""
        self.running, self._elapsed_s = "pumps", 0.0

    def step_valve(self, position: "float | None", now: int, dt: float) -> "float | None":
        """Return the valve position for the test, percent; None: no test of the valve runs."""
        if self.running != "valve":
            return None
        self._elapsed_s += dt
        if position is None or self._elapsed_s > _VALVE_TIMEOUT_S:
            self._finish(FAILED, now)
            return None
        target_pct = self._start_pct if self._returning else self._target_pct
        moved = (
            position - self._start_pct
            if self._target_pct > self._start_pct
            else self._start_pct - position
        )
        if not self._returning and moved >= _LEAST_MOVE_PCT:
            self._returning = True
            self._elapsed_s = 0.0
        elif self._returning and moved < _LEAST_MOVE_PCT - _RETURN_BAND_PCT:
            self._finish(PASSED, now)
            return None
        return target_pct

    def step_pumps(
        self, speed: "float | None", dp_fraction: "float | None", now: int, dt: float
    ) -> None:
        """Check the speed of the new lead, percent, and dP divided by its set-point."""
        if self.running != "pumps":
            return
        self._elapsed_s += dt
        dp_reached = dp_fraction is not None and dp_fraction >= _DP_FRACTION
        if (
            speed is not None
            and speed > _TURNS_PCT
            and dp_reached
            and self._elapsed_s > _TAKE_OVER_S
        ):
            self._finish(PASSED, now)
        elif self._elapsed_s > _PUMPS_TIMEOUT_S:
            self._finish(FAILED, now)

    def abort(self, now: int, is_valve_stuck: bool = False) -> None:
        """Abort the test, because the unit is not in its normal state.

        `is_valve_stuck`: the unit has found that the valve does not move; so a test of it fails.
        """
        if self.running:
            is_failed = is_valve_stuck and self.running == "valve"
            self._finish(FAILED if is_failed else ABORTED, now)

    def _finish(self, result: str, now: int) -> None:
        self.records.append((now, self.running, result, int(self._elapsed_s)))
        if len(self.records) > _MAX_RECORDS:
            self.records.pop(0)
        self.running = ""
