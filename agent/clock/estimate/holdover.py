# SPDX-License-Identifier: Apache-2.0
"""Limits of the oscillator's rate: how far it can be from a rate that was measured.

Does not estimate; see `agent.clock.estimate.offset_interval`.

A rate that was measured at one temperature holds at another one within the temperature coefficient.
With a sensor the difference of the temperatures is known to `_SENSOR_CENTI_C`, and the sensor can
lag behind the oscillator by a minute or two: the change of the last two minutes is added. Without a
sensor the temperature is assumed to change by `_SLEW_CENTI_C_PER_MIN`, up to `_RANGE_CENTI_C`. The
rate also ages. It never leaves the limit of the data sheet, `drift_ppb`, which includes temperature
and ageing. A host that slews its monotonic clock adds `host_slew_ppb`.

Frequencies are parts per billion (ppb) or 10^12 (ppt), temperatures hundredths of a degree Celsius.
"""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.temperature_model import TempcoModel

_SLEW_CENTI_C_PER_MIN = 100
_RANGE_CENTI_C = 5_500
"""Without a sensor: 1 degree a minute, 0 to 55 degrees (a cabinet whose cooling fails)."""
_SENSOR_CENTI_C = 15
"""Largest difference between oscillator and sensor over some minutes, and its resolution."""
_SENSOR_FAR_CENTI_C = 50
_FAR_US = 1800 * SECOND
_SENSOR_AGE_US = 300 * SECOND
_LAG_US = 60 * SECOND
_AGEING_PPT_PER_S = 2
"""0.17 ppm a day; crystals age by 1 to 5 ppm in the first year (Vig, Quartz Crystal Tutorial)."""
_PPT_PER_PPB = 1_000


def ramp_mean(end: int, limit: int) -> int:
    """Return the mean of a ramp from 0 towards `end` that stops at `limit`."""
    return (end + 1) // 2 if end <= limit else limit - limit * limit // (2 * end)


def mean_distance(cold: int, warm: int, mean: int, reference: int) -> int:
    """Return the largest mean distance from `reference` of values with that range and that mean.

    Between `cold` and `warm` the distance is convex: the farthest values are those at both ends.
    """
    if reference <= cold or reference >= warm:
        return abs(mean - reference)
    mean = max(cold, min(warm, mean))
    far = (warm - mean) * (reference - cold) + (mean - cold) * (warm - reference)
    return far // (warm - cold) + 1


class Holdover:
    """Limits for an oscillator: `tempco_ppb_per_c` and `drift_ppb` (all-in)."""

    def __init__(self, drift_ppb: int, tempco_ppb_per_c: int, host_slew_ppb: int = 0) -> None:
        self.drift_ppb = drift_ppb
        self.tempco_ppb_per_c = tempco_ppb_per_c
        self.host_ppt = host_slew_ppb * _PPT_PER_PPB
        self.limit_ppt = drift_ppb * _PPT_PER_PPB + self.host_ppt
        self.tempco_model: TempcoModel | None = None
        self.centi_c: int | None = None
        """The last temperature."""
        self.gaps = 0
        """Number of interruptions of the sensor."""
        self.moved_centi_c = 0
        """Sum of the changes from minute to minute, up and down."""
        self._sensed_at = 0
        self._integral = 0
        self._minute_at = 0
        self._minute: int | None = None
        self._minute_before: int | None = None

    def use_model(self, model: "TempcoModel") -> None:
        """Correct the time with `model` from now on."""
        self.tempco_model = model

    def add_temperature(self, centi_c: int, now: int) -> None:
        """Add the temperature near the oscillator, hundredths of a degree Celsius."""
        if self.centi_c is not None:
            self._integral += self.centi_c * (now - self._sensed_at)
            if now - self._sensed_at > _SENSOR_AGE_US:
                self.gaps += 1
                self._minute = self._minute_before = None
        self.centi_c = centi_c
        self._sensed_at = now
        if self._minute is None or now - self._minute_at >= _LAG_US:
            if self._minute is not None:
                self.moved_centi_c += abs(centi_c - self._minute)
            self._minute_before = self._minute
            self._minute = centi_c
            self._minute_at = now

    def current_temperature(self, now: int) -> "int | None":
        """Return the present temperature, None without a sensor or after an interruption."""
        return self.centi_c if now - self._sensed_at <= _SENSOR_AGE_US else None

    def temperature_integral(self, now: int) -> int:
        """Return the integral of the temperature, hundredths of a degree Celsius times µs."""
        return self._integral + (self.centi_c or 0) * (now - self._sensed_at)

    def lag_centi_c(self) -> int:
        """Return the change of the last two minutes, by which the sensor can lag behind."""
        earlier = self._minute if self._minute_before is None else self._minute_before
        return abs((self.centi_c or 0) - (earlier or 0))

    def lag_excess(self, moved_centi_c: int, elapsed: int) -> int:
        """Return the mean difference between oscillator and sensor in a time, by their lag.

        `moved_centi_c` is `moved_centi_c` two minutes before that time.
        """
        moved = self.moved_centi_c - moved_centi_c
        if self._minute is not None:
            moved += abs((self.centi_c or 0) - self._minute)
        return moved * 2 * _LAG_US // elapsed

    def mean_change_ppt(self, elapsed: int, excess_centi_c: "int | None") -> int:
        """Return the largest mean of `change_ppt` over a time that ends or begins with no change.

        `excess_centi_c`: mean difference of the temperatures with `lag_excess`; None: no sensor.
        """
        if excess_centi_c is None:
            assumed = elapsed * _SLEW_CENTI_C_PER_MIN // (60 * SECOND) + 1
            excess_centi_c = ramp_mean(assumed, _RANGE_CENTI_C)
        else:
            excess_centi_c += _SENSOR_CENTI_C if elapsed < _FAR_US else _SENSOR_FAR_CENTI_C
        change = self.tempco_ppb_per_c * excess_centi_c * (_PPT_PER_PPB // 100)
        change += elapsed // SECOND * _AGEING_PPT_PER_S // 2 + 2 * self.host_ppt
        return min(change, 2 * self.limit_ppt)

    def change_ppt(self, elapsed: int, excess_centi_c: "int | None") -> int:
        """Return the largest change of the rate in `elapsed` µs, ppt.

        `excess_centi_c`: largest difference of the temperatures in this time, by the sensor; None:
        no sensor.
        """
        if excess_centi_c is None:
            assumed = elapsed * _SLEW_CENTI_C_PER_MIN // (60 * SECOND) + 1
            excess_centi_c = min(assumed, _RANGE_CENTI_C)
        else:
            excess_centi_c += _SENSOR_CENTI_C if elapsed < _FAR_US else _SENSOR_FAR_CENTI_C
            excess_centi_c += self.lag_centi_c()
        change = self.tempco_ppb_per_c * excess_centi_c * (_PPT_PER_PPB // 100)
        change += elapsed // SECOND * _AGEING_PPT_PER_S + 2 * self.host_ppt
        return min(change, 2 * self.limit_ppt)

    def temperature_mark(self, at: int) -> "tuple[int, int, int, int | None]":
        """Return time, integral, interruptions and temperature of a fit; see `drift_since`."""
        return at, self.temperature_integral(at), self.gaps, self.current_temperature(at)

    def drift_since(self, mark: "tuple[int, int, int, int | None]", now: int) -> int:
        """Return the known time error due to temperature since a mark, ns; 0 if it is unknown."""
        at, integral, gaps, reference = mark
        model = self.tempco_model
        if model is None or model.slope is None or reference is None or now <= at:
            return 0
        if self.current_temperature(now) is None or gaps != self.gaps:
            return 0
        excess = self.temperature_integral(now) - integral - reference * (now - at)
        return model.slope * excess // 100_000_000_000
