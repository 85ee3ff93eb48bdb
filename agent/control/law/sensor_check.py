"""Whether a sensor can be believed, beyond what its device and its range say.

Not a filter: values pass unchanged, or are doubted and named. What is looked at, once a cycle:

    rate      it moved faster than the plant can, and has not been calm for `_CALM_S` since
    stuck     not a count of change for `_STUCK_S`, while what belongs to it moved
    apart     it and its spare differ by more than `apart` for `_APART_S`
    balance   heat by one side of the exchanger and by the other differ, see `Balance`

A doubted sensor with a spare is replaced by it; of two that differ the one that asks for more
cooling counts, since heat outranks condensation.
"""

# seconds end between two steps: see docs/project/decisions.md, thresholds
_CALM_S = 19.5
_STUCK_S = 899.5
_MOVED = 15 / 10
_APART_S = 29.5
_BALANCE_S = 299.5
_LEAST_KW_K = 2.0


class Doubt:
    """Watches one sensor; `rate` is the fastest believable change a second, in its unit."""

    def __init__(self, rate: float, apart: float) -> None:
        self.rate = rate
        self.apart_limit = apart
        self.jumped = self.stuck = self.apart = False
        self._last: float | None = None
        self._jump_left = 0.0
        self._same_s = 0.0
        self._other_at: float | None = None
        self._apart_s = 0.0

    def judge(
        self, value: "float | None", spare: "float | None", other: "float | None", dt: float
    ) -> "float | None":
        """Give what may be used: the value, its spare, or None; `other` should move with it."""
        last, self._last = self._last, value
        if value is not None and last is not None:
            change = value - last if value > last else last - value
            self._jump(change, dt)
            self._stand(change, other, dt)
        self.jumped = self._jump_left > 0
        if value is None or spare is None:
            self._apart_s = 0.0
            self.apart = False
        else:
            differ = not -self.apart_limit < value - spare < self.apart_limit
            self._apart_s = self._apart_s + dt if differ else 0.0
            self.apart = self._apart_s >= _APART_S
        if value is None or self.jumped or self.stuck:
            return spare
        if self.apart and spare is not None and spare > value:
            return spare
        return value

    def _jump(self, change: float, dt: float) -> None:
        if change > self.rate * dt:
            self._jump_left = _CALM_S
        elif self._jump_left > 0:
            self._jump_left -= dt

    def _stand(self, change: float, other: "float | None", dt: float) -> None:
        if change > 0 or other is None:
            self._same_s = 0.0
            self._other_at = other
            self.stuck = False
            return
        self._same_s += dt
        if self._other_at is None:
            self._other_at = other
        moved = not -_MOVED < other - self._other_at < _MOVED
        if self._same_s >= _STUCK_S and moved:
            self.stuck = True


class Balance:
    """Heat into the exchanger against heat out of it; both from sensors of their own."""

    def __init__(self, tolerance_pct: float) -> None:
        self.tolerance = tolerance_pct / 100.0
        self.off = False
        self.share: float | None = None
        self._off_s = 0.0
        self._in = self._out = 0.0

    def judge(self, into_w: float, out_w: float, dt: float) -> None:
        """Take both in watts; compared after smoothing, since coolant takes its time."""
        k = dt / (dt + 60.0)
        self._in += k * (into_w - self._in)
        self._out += k * (out_w - self._out)
        more = self._in if self._in > self._out else self._out
        if more < 1000.0 * _LEAST_KW_K:
            self._off_s = 0.0
            self.off = False
            return
        self.share = (self._in - self._out) / more
        wrong = not -self.tolerance < self.share < self.tolerance
        self._off_s = self._off_s + dt if wrong else 0.0
        self.off = self._off_s >= _BALANCE_S
