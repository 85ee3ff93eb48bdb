# SPDX-License-Identifier: Apache-2.0
"""When a row acts: levels, hysteresis and the lost signal.

Does not know a scheduler; see `deploy.orchestrate.slurm.actuator`. It has no clock: `step(now,
reading)`.

    FREE      only the licences follow the capacity
    DRAIN     no new job on the nodes of the row
    SUSPEND   jobs that tolerate it are suspended, one after the other
    DOWN      its partitions are down

Up, without a delay between levels:

    DRAIN     the headroom is below `act_pct` for `act_s`, or the heat is not rejected
    SUSPEND   the loads are limited, or the heat is not rejected, for `suspend_after_s`
    DOWN      the heat is not rejected for `down_after_s`

Down, one level at most once in `change_s`: the headroom is above `release_pct` for `release_s`.
Without a valid reading for `lost_age_s` the level stays for `hold_s`. After that the row has no
headroom: DRAIN, or a higher level that it has. A lost signal alone suspends nothing.

"The heat is not rejected" is the state lost or shed of the power limits, or the unit state safe or
stopped. The unit has its own protection; nothing here is necessary for it.
"""

from dataclasses import dataclass

from deploy.orchestrate.reading import RowReading
from deploy.orchestrate.settings import RowSettings, RuleSettings

FREE, DRAIN, SUSPEND, DOWN = 0, 1, 2, 3
LEVELS = ("free", "drain", "suspend", "down")
_LOST_STATES = ("lost", "shed")
_LOST_UNIT_STATES = ("safe", "stopped")


@dataclass(frozen=True, slots=True)
class RowDecision:
    """What a row wants. `headroom_w`, `capacity_w`: in use, so 0 after a lost signal, W.

    `is_new`: the level is another one than before. `reason`: for the scheduler and for people.
    """

    row: RowSettings
    level: int
    headroom_w: float
    capacity_w: float
    reason: str
    reading: RowReading | None
    is_new: bool = False


class _Condition:
    """Time since which a condition is true."""

    def __init__(self) -> None:
        self._since: float | None = None

    def seconds(self, is_true: bool, now: float) -> float:
        """Return how long the condition is true, s; -1: it is false."""
        if not is_true:
            self._since = None
            return -1.0
        if self._since is None:
            self._since = now
        return now - self._since


class RowRules:
    """The level of one row. `level`: that in force before, after a restart."""

    def __init__(self, row: RowSettings, rules: RuleSettings, level: int = FREE) -> None:
        self.row = row
        self.level = level
        self._rules = rules
        self._reason = "start"
        self._low, self._limited, self._lost, self._good = (_Condition() for _ in range(4))
        self._signal_lost = _Condition()
        self._changed_at: float | None = None
        self._last: tuple[float, float] | None = None

    def step(self, now: float, reading: RowReading | None) -> RowDecision:
        """Return the decision at `now` (monotonic, s)."""
        before = self.level
        limit_s = (
            self._rules.store_age_s
            if reading is not None and reading.source == "store"
            else self._rules.lost_age_s
        )
        if reading is None or not _is_valid(reading, limit_s):
            self._step_lost(now)
        else:
            self._signal_lost.seconds(False, now)
            self._step_known(now, reading)
        if self.level != before:
            self._changed_at = now
        headroom_w, capacity_w = self._last or (0.0, 0.0)
        return RowDecision(
            self.row,
            self.level,
            headroom_w,
            capacity_w,
            self._reason,
            reading,
            self.level != before,
        )

    def _step_lost(self, now: float) -> None:
        lost_s = self._signal_lost.seconds(True, now)
        self._good.seconds(False, now)
        self._low.seconds(False, now)
        if lost_s >= self._rules.hold_s:
            self._last = (0.0, 0.0)
            self._raise_to(DRAIN, "no reading of the unit")

    def _step_known(self, now: float, reading: RowReading) -> None:
        rules, rated_w = self._rules, self.row.rated_kw * 1000.0
        headroom_w = min(0.0 if reading.headroom_w is None else reading.headroom_w, rated_w)
        is_heat_lost = _is_heat_lost(reading)
        if is_heat_lost:
            headroom_w = min(headroom_w, 0.0)
        self._last = (headroom_w, 0.0 if is_heat_lost else min(reading.capacity_w or 0.0, rated_w))
        part = 100.0 * headroom_w / rated_w
        low_s = self._low.seconds(part < rules.act_pct, now)
        heat_lost_s = self._lost.seconds(is_heat_lost, now)
        is_limited = is_heat_lost or (reading.state == "limited" and headroom_w < 0.0)
        limited_s = self._limited.seconds(is_limited, now)
        good_s = self._good.seconds(part > rules.release_pct and not is_limited, now)
        text = f"headroom {headroom_w / 1000.0:.1f} of {self.row.rated_kw:g} kW"
        if low_s >= rules.act_s or heat_lost_s >= 0.0:
            self._raise_to(DRAIN, "heat is not rejected" if heat_lost_s >= 0.0 else text)
        if limited_s >= rules.suspend_after_s:
            self._raise_to(SUSPEND, "heat is not rejected" if heat_lost_s >= 0.0 else text)
        if heat_lost_s >= rules.down_after_s:
            self._raise_to(DOWN, "heat is not rejected")
        is_due = self._changed_at is None or now - self._changed_at >= rules.change_s
        if self.level > FREE and good_s >= rules.release_s and is_due:
            self.level -= 1
            self._reason = text

    def _raise_to(self, level: int, reason: str) -> None:
        if level > self.level:
            self.level = level
            self._reason = reason


def _is_valid(reading: RowReading, limit_s: float) -> bool:
    """Return whether a reading says something now."""
    return reading.age_s <= limit_s and (reading.capacity_w is not None or _is_heat_lost(reading))


def _is_heat_lost(reading: RowReading) -> bool:
    """Return whether the heat is not rejected."""
    return reading.state in _LOST_STATES or reading.unit_state in _LOST_UNIT_STATES
