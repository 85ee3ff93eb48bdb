"""Which offsets two temperature sensors need: both see the same coolant when there is no heat.

Not a change of anything: it averages over a steady minute with the pumps running, the valve shut
and no load, and says what `supply_offset_k` and `return_offset_k` would make both show their mean.
Whoever reads that changes the configuration, or does not. What is left of the pumps' heat (about
0.1 K at the design flow) counts as an error of the sensors.
"""

# seconds end between two steps: see docs/project/decisions.md, thresholds
_FOR_S = 59.5
_GIVE_UP_S = 599.5
_MOVED_K = 25 / 100
_MOST_K = 5.0
_SHUT_PCT = 6.0

IDLE, RUNNING, DONE = "idle", "running", "done"


class Calibration:
    """`state` is idle, running, done, or why it was given up; the offsets are in kelvin."""

    def __init__(self) -> None:
        self.state = IDLE
        self.supply_k = self.return_k = 0.0
        self._first: tuple[float, float] | None = None
        self._sums = [0.0, 0.0]
        self._count = 0
        self._for_s = self._since_s = 0.0

    def begin(self) -> None:
        """Begin to average."""
        self.state = RUNNING
        self._since_s = 0.0
        self._anew()

    def _anew(self) -> None:
        self._first = None
        self._sums, self._count, self._for_s = [0.0, 0.0], 0, 0.0

    def take(
        self,
        supply: "float | None",
        back: "float | None",
        valve_pct: "float | None",
        turning: bool,
        dt: float,
    ) -> None:
        """Take a cycle's readings without any offset, °C, the valve's opening and whether a pump
        turns.
        """
        if self.state != RUNNING:
            return
        self._since_s += dt
        shut = valve_pct is not None and valve_pct <= _SHUT_PCT
        if supply is None or back is None or not turning or not shut:
            self._anew()
        else:
            self._add(supply, back, dt)
        if self.state == RUNNING and self._since_s >= _GIVE_UP_S:
            self.state = "no steady minute with pumps running, valve shut and no load"

    def _add(self, supply: float, back: float, dt: float) -> None:
        first = self._first
        near = first is not None and _near(supply, first[0]) and _near(back, first[1])
        if not near or not -_MOST_K < supply - back < _MOST_K:
            self._anew()
            self._first = (supply, back)
        self._sums[0] += supply
        self._sums[1] += back
        self._count += 1
        self._for_s += dt
        if self._for_s >= _FOR_S:
            half = (self._sums[1] - self._sums[0]) / self._count / 2.0
            self.supply_k, self.return_k = half, -half
            self.state = DONE


def _near(a: float, b: float) -> bool:
    return -_MOVED_K < a - b < _MOVED_K
