# SPDX-License-Identifier: Apache-2.0
"""What a row's unit tells of its heat: one reading, and the age of readings.

Does not fetch; see `deploy.orchestrate.sources`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

STATES = ("free", "derated", "limited", "lost", "shed")
"""States of the power limits, as the agent names them."""
UNIT_STATES = ("normal", "degraded", "safe", "stopped")
_MAX_W = 1e12
"""The largest `rated_kw` of a configuration. A larger power is no measurement."""


@dataclass(frozen=True, slots=True)
class RowReading:
    """Heat of a row in W; None: not known.

    `headroom_w`: heat that the row can remove in addition; below 0, it must remove less. `state`
    is of `STATES`, `unit_state` of `UNIT_STATES`, "": not known. `age_s`: age of the values.
    """

    headroom_w: float | None
    heat_w: float | None
    state: str
    unit_state: str
    age_s: float
    source: str

    @property
    def capacity_w(self) -> float | None:
        """Return the heat that the row can remove now, W."""
        if self.headroom_w is None or self.heat_w is None:
            return None
        return max(0.0, self.heat_w + self.headroom_w)


def make_reading(
    headroom: object, heat: object, state: object, unit_state: object, age_s: float, source: str
) -> RowReading:
    """Return a reading of values that may be anything. A value that is no power is not known.

    A state that is not of `STATES` and `UNIT_STATES` is not taken as a good one: the reading has no
    powers. A heat below 0 is an error of the meter: it counts as 0, and reduces the headroom.
    """
    limits, unit = _word(state, STATES), _word(unit_state, UNIT_STATES)
    headroom_w, heat_w = power_w(headroom), power_w(heat)
    if not limits or not unit:
        headroom_w = heat_w = None
    if headroom_w is not None and heat_w is not None and heat_w < 0.0:
        headroom_w, heat_w = headroom_w + heat_w, 0.0
    return RowReading(headroom_w, heat_w, limits, unit, age_s, source)


def power_w(value: object) -> float | None:
    """Return a power in W; None: not a finite number of at most 1e12 W."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if -_MAX_W <= value <= _MAX_W and not math.isnan(value) else None


def _word(value: object, words: tuple[str, ...]) -> str:
    return value if isinstance(value, str) and value in words else ""


def limits_state(alarm_codes: set[str], headroom_w: float | None) -> str:
    """Return the state of the power limits by the active alarms of a unit, one of `STATES`."""
    if "load_shed" in alarm_codes:
        return "shed"
    if "heat_lost" in alarm_codes:
        return "lost"
    if "throttled" in alarm_codes:
        return "limited" if headroom_w is not None and headroom_w < 0 else "derated"
    return "free"


class AgeTracker:
    """Age of a record by this machine's monotonic clock.

    A wall clock can be set; so only the first age of a record comes from it. Later the age counts
    from the moment at which the mark of the record (a counter of the unit) changed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._mark: object = None
        self._since = 0.0

    def age_s(self, mark: object, first_age_s: float) -> float:
        """Return the age in s; `first_age_s`: the age that the record itself shows."""
        now = self._clock()
        if mark != self._mark:
            is_first = self._mark is None
            self._mark = mark
            self._since = now - (max(0.0, first_age_s) if is_first else 0.0)
        return now - self._since
