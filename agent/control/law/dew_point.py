# SPDX-License-Identifier: Apache-2.0
"""Minimum of the supply set-point: the dew point of the room plus margins, against condensation.

Does not read sensors: it gets air temperature and relative humidity. Dew point by the Magnus
formula with 17.62 and 243.12 °C (WMO Guide to Instruments, 2008, annex 4.B): error below 0.05 K
from 0 to 50 °C. Sensor errors are larger. At 32 °C and 70 %, +3 % RH is +0.7 K of dew point. An air
error of +0.3 K is +0.3 K. `uncertainty_k` covers this and the error of the loop; `margin_k` is the
distance that must remain.

The highest dew point of the valid sensors counts. Four checks exclude a sensor: a value out of
range, no reading for `_STALE_US`, a humidity that stands still, or a fall of more than
`_MAX_FALL_K` between two readings.

Standing still means `_STILL_US`. For a sensor with noise above its resolution (`_LIVELY` changes,
each within `_MOVE_US`) it is `_LIVELY_STILL_US`. The sensor is valid again after two changes.

After a fall it is valid again after `_STEADY_US`. It is valid earlier if another sensor fell too,
within `_COINCIDENCE_US`, and both agree within `_DISAGREE_K`: then the air of the room became drier
(a door, an air handler). It is also valid after it has agreed with a valid sensor for `_AGREE_US`:
an error has ended, and the highest dew point counts anyway. A sensor with a rising dew point is
valid immediately, because this is the safe direction.

The limit rises immediately with the dew point. It falls by at most `_FALL_RATE_K_S`, also if all
sensors have the same fault. With fewer than two valid sensors the uncertainty doubles. With none
the limit is `fallback_c` (32 °C is above any dew point of the region). At the start, until the
first reading and for at most `_START_S`, there is no limit yet: None.
"""

from agent.control.law.deterministic_math import log
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAGNUS_A, _MAGNUS_B = 1762 / 100, 24312 / 100
_AIR_LOW_C, _AIR_HIGH_C = 0.0, 60.0
_RH_LOW, _RH_HIGH = 3.0, 101.0
_MAX_FALL_K = 4.0
_STEADY_US = 600 * SECOND
_COINCIDENCE_US = 120 * SECOND
_AGREE_US = 60 * SECOND
_STALE_US = 180 * SECOND
_DISAGREE_K = 25 / 10
_FALL_RATE_K_S = 1 / 1000
_STILL_US, _LIVELY_STILL_US = 899 * SECOND, 117 * SECOND
_MOVE_US, _LIVELY = 30 * SECOND, 12
_START_S = 14.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds


def dew_point(air_c: float, rh_pct: float) -> float:
    """Return the dew point, °C, for an air temperature in °C and 1 to 100 % RH."""
    g = log((rh_pct if rh_pct < 100.0 else 100.0) / 100.0) + _MAGNUS_A * air_c / (_MAGNUS_B + air_c)
    return _MAGNUS_B * g / (_MAGNUS_A - g)


class _HumiditySensor:
    """One sensor: last dew point, and times of its reading and of its last falls."""

    def __init__(self) -> None:
        self.dew_c: float | None = None
        self.read_at = 0
        self.fell_at: int | None = None
        self.suspect_since: int | None = None
        self.agrees_since: int | None = None
        self.frozen = False
        self._rh_pct: float | None = None
        self._moved_at = 0
        self._moves = 0

    def watch(self, rh_pct: float, now: int) -> None:
        """Find out whether the humidity stands still."""
        still = now - self._moved_at
        if rh_pct != self._rh_pct:
            self._moves = self._moves + 1 if self.frozen or still <= _MOVE_US else 1
            self.frozen = self.frozen and self._moves < 2
            self._rh_pct, self._moved_at = rh_pct, now
        elif not self.frozen and still >= (
            _LIVELY_STILL_US if self._moves >= _LIVELY else _STILL_US
        ):
            self.frozen, self._moves = True, 0


class DewPointLimit:
    """Lower limit of the supply set-point. Call `add_reading` after each reading, and
    `min_setpoint_c` in each step.

    `settings`: `sensors` (number of sensors), `margin_k`, `allowance_k`, `fallback_c`. `dew_c`: the
    highest valid dew point; None: none. `guard_c`: the same, or the dew point that the fallback
    stands for; None before the first limit.
    """

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.margin_k: float = settings["margin_k"]
        self.uncertainty_k: float = settings["allowance_k"]
        self.fallback_c: float = settings["fallback_c"]
        self.dew_c: float | None = None
        self.guard_c: float | None = None
        self.valid_count = 0
        self.sensors_disagree = False
        self._sensors = [_HumiditySensor() for _ in range(settings["sensors"])]
        self._min_setpoint_c: float | None = None
        self._start_s = 0.0

    def frozen_sensors(self) -> "list[int]":
        """Return the numbers of the sensors whose humidity stands still."""
        return [i for i, sensor in enumerate(self._sensors) if sensor.frozen]

    def restore_frozen(self, number: str) -> bool:
        """Suspect a sensor as before the restart, until its humidity moves again."""
        if not number.isdigit() or len(number) > 2 or int(number) >= len(self._sensors):
            return False
        self._sensors[int(number)].frozen = True
        return True

    def add_reading(self, i: int, air_c: "float | None", rh_pct: "float | None", now: int) -> None:
        """Add a reading of sensor `i`: °C and % RH. None or a value out of range: no reading."""
        sensor = self._sensors[i]
        if (
            air_c is None
            or rh_pct is None
            or not _AIR_LOW_C <= air_c <= _AIR_HIGH_C
            or not _RH_LOW <= rh_pct <= _RH_HIGH
        ):
            return
        sensor.watch(rh_pct, now)
        dew_c = dew_point(air_c, rh_pct)
        fall = 0.0 if sensor.dew_c is None else sensor.dew_c - dew_c
        if fall > _MAX_FALL_K:
            sensor.suspect_since = now
        elif sensor.suspect_since is not None and now - sensor.suspect_since >= _STEADY_US:
            sensor.suspect_since = None
        if fall > _MAX_FALL_K / 2:
            sensor.fell_at = now
        sensor.dew_c, sensor.read_at = dew_c, now
        for other in self._sensors:
            if other is not sensor:
                self._confirm(sensor, other, now)
        self._check_agreement(sensor, now)

    def _check_agreement(self, sensor: _HumiditySensor, now: int) -> None:
        """Accept a sensor again that agrees with a valid one for `_AGREE_US`."""
        agrees = sensor.suspect_since is not None and True in [
            self._is_valid(other, now)
            and -_DISAGREE_K <= (sensor.dew_c or 0.0) - (other.dew_c or 0.0) <= _DISAGREE_K
            for other in self._sensors
        ]
        if not agrees:
            sensor.agrees_since = None
        elif sensor.agrees_since is None:
            sensor.agrees_since = now
        elif now - sensor.agrees_since >= _AGREE_US:
            sensor.suspect_since = sensor.agrees_since = None

    @staticmethod
    def _is_valid(sensor: _HumiditySensor, now: int) -> bool:
        return (
            sensor.dew_c is not None
            and sensor.suspect_since is None
            and not sensor.frozen
            and now - sensor.read_at <= _STALE_US
        )

    def _confirm(self, sensor: _HumiditySensor, other: _HumiditySensor, now: int) -> None:
        """Accept two sensors if both fell at about the same time and agree."""
        if sensor.suspect_since is None and other.suspect_since is None:
            return
        if (
            sensor.fell_at is None
            or other.fell_at is None
            or sensor.dew_c is None
            or other.dew_c is None
        ):
            return
        if (
            -_COINCIDENCE_US <= sensor.fell_at - other.fell_at <= _COINCIDENCE_US
            and now - other.read_at <= _COINCIDENCE_US
            and -_DISAGREE_K <= sensor.dew_c - other.dew_c <= _DISAGREE_K
        ):
            sensor.suspect_since = other.suspect_since = None

    def min_setpoint_c(self, now: int, dt: float) -> "float | None":
        """Return the lowest permitted set-point, °C; None: no sensor was read since the start."""
        highest_c: float | None = None
        lowest_c = 0.0
        valid_count = 0
        for sensor in self._sensors:
            dew_c = sensor.dew_c
            if dew_c is None or not self._is_valid(sensor, now):
                continue
            valid_count += 1
            if highest_c is None or dew_c > highest_c:
                highest_c = dew_c
            if valid_count == 1 or dew_c < lowest_c:
                lowest_c = dew_c
        self.valid_count, self.dew_c = valid_count, highest_c
        if highest_c is not None and valid_count > 1:  # one sensor shows no agreement
            self.sensors_disagree = highest_c - lowest_c > _DISAGREE_K
        if highest_c is None and self._min_setpoint_c is None and self._start_s < _START_S:
            self._start_s += dt
            return None
        if highest_c is None:
            target_c = self.fallback_c
            self.guard_c = target_c - self.margin_k - self.uncertainty_k
        else:
            uncertainty_k = self.uncertainty_k if valid_count > 1 else 2.0 * self.uncertainty_k
            target_c = highest_c + self.margin_k + uncertainty_k
            self.guard_c = highest_c
        limit_c = self._min_setpoint_c
        if limit_c is None or target_c >= limit_c:
            limit_c = target_c
        elif limit_c - target_c > _FALL_RATE_K_S * dt:
            limit_c -= _FALL_RATE_K_S * dt
        else:
            limit_c = target_c
        self._min_setpoint_c = limit_c
        return limit_c
