"""Proof tests: that what will be needed one day still moves; each with a record.

Not an alarm by itself: `step` is called once a cycle while a test runs and says what the actuator
has to do; at its end there is one more line in `records`: (microseconds, what, result, seconds).

    valve   partial stroke: `_STROKE` away from where it is and back; the feedback must follow
    pumps   the lag pump takes the lead; it must turn, and dP must be there
"""

_STROKE = 5.0
_FOLLOWED = 3.0
# seconds end between two steps: see docs/project/decisions.md, thresholds
_VALVE_S = 29.5
_PUMPS_S = 239.5
_DP_SHARE = 9 / 10
_MOST = 8

PASSED, FAILED, BROKEN_OFF = "passed", "failed", "broken off"


class Proofs:
    """Runs one test at a time."""

    def __init__(self) -> None:
        self.running = ""
        self.records: list[tuple[int, str, str, int]] = []
        self._for_s = 0.0
        self._from = 0.0
        self._to = 0.0
        self._back = False

    def begin_valve(self, position: float) -> None:
        """Begin a partial stroke from `position`, percent."""
        self.running, self._for_s, self._back = "valve", 0.0, False
        self._from = position
        self._to = position + _STROKE if position < 90.0 else position - _STROKE

    def begin_pumps(self) -> None:
        """Begin to watch a change of the lead."""
        self.running, self._for_s = "pumps", 0.0

    def valve(self, position: "float | None", now: int, dt: float) -> "float | None":
        """Give the opening that the test asks for; None when there is none (any more)."""
        if self.running != "valve":
            return None
        self._for_s += dt
        if position is None or self._for_s > _VALVE_S:
            self._end(FAILED, now)
            return None
        goal = self._from if self._back else self._to
        moved = position - self._from if self._to > self._from else self._from - position
        if not self._back and moved >= _FOLLOWED:
            self._back = True
            self._for_s = 0.0
        elif self._back and moved < _FOLLOWED - 1.0:
            self._end(PASSED, now)
            return None
        return goal

    def pumps(self, speed: "float | None", dp_share: "float | None", now: int, dt: float) -> None:
        """Watch the new lead's speed and the share of dP that is there."""
        if self.running != "pumps":
            return
        self._for_s += dt
        there = dp_share is not None and dp_share >= _DP_SHARE
        if speed is not None and speed > 20.0 and there and self._for_s > 30.0:
            self._end(PASSED, now)
        elif self._for_s > _PUMPS_S:
            self._end(FAILED, now)

    def break_off(self, now: int) -> None:
        """Give up: something more important has come."""
        if self.running:
            self._end(BROKEN_OFF, now)

    def _end(self, result: str, now: int) -> None:
        self.records.append((now, self.running, result, int(self._for_s)))
        if len(self.records) > _MOST:
            self.records.pop(0)
        self.running = ""
