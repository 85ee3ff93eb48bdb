# SPDX-License-Identifier: Apache-2.0
"""Slow watch of the loop, once a cycle: coolant is lost, the filter clogs, the supply is off.

Stops nothing. A loss of flow is found by `agent.safety.flow_watch`.

    level_low         the static pressure (return side) has fallen by `_FALL_KPA` from its mean
    coolant_loss      both pressures fall by more than `_FAST_KPA_S`: the reserve lasts a minute.
                      The loads are limited, and in the next cycle switched off. The alarm stays
                      while the static pressure is low, because the coolant is missing
    filter_high       the pressure drop of the filter is above `_FILTER_KPA` for `_FILTER_COUNT`.
                      It ends at a low drop, but not only because less coolant flows: the drop
                      over the square of the flow must have fallen by a fifth
    supply_deviation  the supply is `_FAR_K` below its set-point, or above it and its target, for
                      `_FAR_COUNT`

The mean of the static pressure is slow. A step of the sensor by more than `_STEP_KPA` is no leak:
the sensor is false, or an operator fills up. The mean then starts again. A fall while no reading
came is no step: the coolant can have been lost meanwhile. A step ends no alarm:
`level_low` ends when the pressure is as before the fall for `_FILLED_COUNT` readings, or when a
person accepts the present pressure (`accept`): the loop is filled up higher, or has a new sensor.

A restart keeps a loss and the pressure before it (`words`, `restore`): a loop that has lost coolant
must not become the usual one.
"""

from agent.core.alarm_record import DEGRADED, NORMAL, SAFE, AlarmRecord
from agent.safety.raw_point import find_point, read
from protocols.rounding import round_half_away
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.control_context import ControlContext
    from agent.core.alarm_record import Condition
    from agent.core.context import LoadLimitsView

LEVEL_LOW = AlarmRecord("level_low", DEGRADED, "static pressure falls: coolant is lost", "", True)
COOLANT_LOSS = AlarmRecord(
    "coolant_loss", SAFE, "both pressures fall fast: coolant is lost", "", True
)
FILTER_HIGH = AlarmRecord("filter_high", NORMAL, "pressure drop of the filter is high", "", True)
SUPPLY_DEVIATION = AlarmRecord(
    "supply_deviation", NORMAL, "supply is far from its set-point", "", True
)

_FALL_KPA, _FALL_END_KPA, _STEP_KPA = 3.0, 1.0, 10.0
_FILLED_COUNT = 5
_LOWEST_KPA, _DIGITS = -100.0, 7
_NOT_READ_KPA = -1e6
_SMOOTH = 0.3
_FIRST_COUNT, _MEAN_COUNT, _RISE_COUNT = 10, 1800, 60
_FAST_KPA_S, _FAST_SPAN = 15 / 10, 4
"""A leak of 12 L/min on the bench, with 8 kPa a litre."""
_OFF_COUNT, _LOSS_COUNT = 2, 20
_FILTER_KPA, _FILTER_END_KPA = 100.0, 80.0
_FILTER_COUNT, _FAR_COUNT = 5, 20
_CLEANED = 8 / 10
_LEAST_LPM = 1.0
_FILTER_STALE_US = 120 * SECOND
_FAR_K, _FAR_END_K = 4.0, 2.0


class LoopWatch:
    """The states of the four alarms."""

    def __init__(self, agent: "ControlContext") -> None:
        config = agent.config
        unit = agent.fieldbus.session(config.supply.sensor)
        pressure_device = agent.fieldbus.session(config.pressure.sensor)
        self._agent = agent
        self._filter = find_point(unit, "FilterPressurekPa", 0.0, 1000.0)
        self._flow_lpm = find_point(unit, "FlowLitersPerMinute", 0.0, 20_000.0)
        self._clog = 0.0
        self._static = find_point(pressure_device, "ReturnPressurekPa", _LOWEST_KPA, 1600.0)
        self._supply_kpa = find_point(pressure_device, "SupplyPressurekPa", -100.0, 1600.0)
        self.fast_count = self._loss_left = 0
        self._is_unfilled = self._had_gap = False
        self._pressures: list[tuple[int, float, float]] = []
        self._supply_c = find_point(unit, "SupplyTemperatureCelsius", 3.0, 84.0)
        self.is_low = self.is_clogged = self.is_far = False
        self._usual = self._kpa = 0.0
        self._number = self._filter_count = self._far_count = self._filled_count = 0

    def step(self, now: int) -> None:
        """Take the readings of a cycle."""
        static_kpa = read(self._static, now)
        self._add_static(static_kpa)
        self._add_pressures(read(self._supply_kpa, now), static_kpa, now)
        kpa = None if self._filter is None else self._filter.value(now, _FILTER_STALE_US)
        if kpa is not None:
            self._add_filter(kpa, now)
        supply_c = read(self._supply_c, now)
        if supply_c is not None:
            # Hot loads lower the set-point to the coldest supply, and it rises from there slowly.
            # No plan of the site promises water for it.
            loop = self._agent.supply_loop
            above_k = supply_c - max(loop.setpoint, loop.target)
            away_k = max(above_k, loop.setpoint - supply_c)
            limit = _FAR_END_K if self.is_far else _FAR_K
            self._far_count = self._far_count + 1 if away_k > limit else 0
            self.is_far = self._far_count >= _FAR_COUNT

    def _add_filter(self, kpa: float, now: int) -> None:
        flow = read(self._flow_lpm, now)
        has_flow = flow is not None and flow >= _LEAST_LPM
        clog = kpa / (flow * flow) if flow is not None and has_flow else 0.0
        limit = _FILTER_END_KPA if self.is_clogged else _FILTER_KPA
        if kpa > limit:
            self._filter_count += 1
            if self._filter_count == _FILTER_COUNT:
                self._clog, self.is_clogged = clog, True
        elif not (self.is_clogged and self._clog) or (has_flow and clog < _CLEANED * self._clog):
            self._filter_count, self.is_clogged = 0, False

    @property
    def loss_order(self) -> int:
        """What a fast loss of coolant needs: 0 nothing, 1 limit the loads, 2 switch them off."""
        if not self._loss_left:
            return 0
        return 1 if self.fast_count < _OFF_COUNT else 2

    def order_loads(self, limits: "LoadLimitsView") -> None:
        """Limit the loads, or switch them off, during a fast loss of coolant."""
        if self.loss_order:
            limits.limit_all(COOLANT_LOSS.code)
        if self.loss_order > 1:
            limits.shed_all(COOLANT_LOSS.code)

    def _add_pressures(
        self, supply_kpa: "float | None", return_kpa: "float | None", now: int
    ) -> None:
        """Find a fast fall of both pressures in each of the last readings."""
        samples = self._pressures
        if self._loss_left:
            self._loss_left -= 1
        self._is_unfilled = self._loss_left > 0 or (self._is_unfilled and self.is_low)
        if supply_kpa is None or return_kpa is None:
            samples.clear()
            return
        samples.append((now, supply_kpa, return_kpa))
        if len(samples) < _FAST_SPAN:
            return
        least = True
        for last, new in zip(samples, samples[1:]):
            limit = _FAST_KPA_S * (new[0] - last[0]) / 1_000_000
            least = least and last[1] - new[1] > limit and last[2] - new[2] > limit
        samples.pop(0)
        # A step of a sensor, or another speed of the pumps, changes the difference.
        fall = (samples[0][1] - supply_kpa) - (samples[0][2] - return_kpa)
        if least and -_STEP_KPA < fall < _STEP_KPA:
            self.fast_count, self._loss_left = self.fast_count + 1, _LOSS_COUNT
        elif not self._loss_left:
            self.fast_count = 0

    def _add_static(self, kpa: "float | None") -> None:
        if kpa is None:
            self._had_gap = True
            return
        is_step = not self._loss_left and not -_STEP_KPA < kpa - self._kpa < _STEP_KPA
        if self._had_gap and self._number and kpa < self._kpa:
            is_step, self._kpa = False, kpa
        self._had_gap = False
        if not self._number or (is_step and not self.is_low):
            self._usual = self._kpa = kpa
            self._number = 1
            return
        self._kpa = kpa if is_step else self._kpa + (kpa - self._kpa) * _SMOOTH
        fall = self._usual - self._kpa
        if self.is_low:
            is_filled = -_STEP_KPA < fall <= _FALL_END_KPA
            self._filled_count = self._filled_count + 1 if is_filled else 0
            self.is_low = self._filled_count < _FILLED_COUNT
        else:
            self._filled_count, self.is_low = 0, fall > _FALL_KPA
        if self.is_low:
            return
        if fall < 0:
            self._usual -= fall / _RISE_COUNT
        else:
            self._number += 1
            self._usual -= fall / (self._number if self._number < _FIRST_COUNT else _MEAN_COUNT)

    def accept(self) -> bool:
        """Take the next static pressure as the usual one. Return False if no coolant is lost."""
        was_low = self.is_low
        if was_low:
            self._number, self.is_low = 0, False
        return was_low

    def words(self) -> str:
        """Return "low" or "loss", and the usual static pressure, Pa above `_LOWEST_KPA`; "": no
        coolant is lost.
        """
        if not self.is_low:
            return ""
        word = "loss" if self._loss_left or self._is_unfilled else "low"
        return "%s %d" % (word, round_half_away((self._usual - _LOWEST_KPA) * 1000))

    def restore(self, words: "list[str]") -> bool:
        """Continue as before the restart, with the words of `words`."""
        if len(words) != 2 or words[0] not in ("low", "loss"):
            return False
        if not words[1].isdigit() or len(words[1]) > _DIGITS:
            return False
        self._usual = int(words[1]) / 1000 + _LOWEST_KPA
        self._kpa, self._number, self._filled_count = _NOT_READ_KPA, 1, 0
        self.is_low, self._is_unfilled = True, words[0] == "loss"
        return True

    def active_conditions(self) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        found: list[Condition] = []
        if self.is_low:
            found.append((LEVEL_LOW, "", LEVEL_LOW.text))
        if self._loss_left or self._is_unfilled:
            found.append((COOLANT_LOSS, "", COOLANT_LOSS.text))
        if self.is_clogged:
            found.append((FILTER_HIGH, "", FILTER_HIGH.text))
        if self.is_far:
            found.append((SUPPLY_DEVIATION, "", SUPPLY_DEVIATION.text))
        return found
