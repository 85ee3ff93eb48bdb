"""The lowest supply temperature that condenses nothing: the dew point of the room, and a margin.

Not a sensor driver: air temperature and relative humidity come in, a floor for the set-point goes
out. Dew point by Magnus' formula with 17.62 and 243.12 °C (WMO Guide to Instruments, 2008, annex
4.B): within 0.05 K from 0 to 50 °C. Sensors err more: +3 % RH is +0.7 K at 32 °C and 70 %, +0.3 K
is +0.3 K; `allowance_k` is for that and for the loop's own error, `margin_k` is what must remain.

The worst (highest) of the sensors that can be believed counts. One that is out of range, silent or
falls by more than `_JUMP_K` between readings is left out until it has been calm again for
`_CALM_US` (one that rises is believed at once: that is the safe side), or until another that fell
too, within `_TOGETHER_US`, shows the same: then it is the room that became dry, a door or an air
handler. Should they lie as one, the floor still falls by no more than `_FALL_K_S`. With fewer than
two the allowance doubles. With none the floor rises to `fallback_c` (32 °C is above any dew point
of the region). The floor rises with the dew point at once.
"""

from agent.control.law.deterministic_math import log
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MAGNUS_A, _MAGNUS_B = 1762 / 100, 24312 / 100
_AIR_LOW_C, _AIR_HIGH_C = 0.0, 60.0
_RH_LOW, _RH_HIGH = 3.0, 101.0
_JUMP_K = 4.0
_CALM_US = 600 * SECOND
_TOGETHER_US = 120 * SECOND
_STALE_US = 180 * SECOND
_APART_K = 25 / 10
_FALL_K_S = 1 / 1000


def dew_point(air_c: float, rh_pct: float) -> float:
    """Give the dew point, degrees Celsius, for an air temperature and 1 to 100 % RH."""
    g = log((rh_pct if rh_pct < 100.0 else 100.0) / 100.0) + _MAGNUS_A * air_c / (_MAGNUS_B + air_c)
    return _MAGNUS_B * g / (_MAGNUS_A - g)


class _Probe:
    """One humidity sensor: its last dew point, when it fell by half a jump, when by a whole."""

    def __init__(self) -> None:
        self.dew: float | None = None
        self.at = 0
        self.fell: int | None = None
        self.doubted: int | None = None


class Dew:
    """The floor of the supply set-point; call `read` when a sensor was read, `floor` each step.

    `settings`: `sensors` (their number), `margin_k`, `allowance_k`, `fallback_c`.
    """

    def __init__(self, settings: "dict[str, Any]") -> None:
        self.margin_k: float = settings["margin_k"]
        self.allowance_k: float = settings["allowance_k"]
        self.fallback_c: float = settings["fallback_c"]
        self.dew: float | None = None
        self.believed = 0
        self.apart = False
        self._probes = [_Probe() for _ in range(settings["sensors"])]
        self._floor: float | None = None

    def read(self, i: int, air_c: "float | None", rh_pct: "float | None", now: int) -> None:
        """Take a reading of sensor `i`; None for what it does not give."""
        probe = self._probes[i]
        if (
            air_c is None
            or rh_pct is None
            or not _AIR_LOW_C <= air_c <= _AIR_HIGH_C
            or not _RH_LOW <= rh_pct <= _RH_HIGH
        ):
            return
        dew = dew_point(air_c, rh_pct)
        fall = 0.0 if probe.dew is None else probe.dew - dew
        if fall > _JUMP_K:
            probe.doubted = now
        elif probe.doubted is not None and now - probe.doubted >= _CALM_US:
            probe.doubted = None
        if fall > _JUMP_K / 2:
            probe.fell = now
        probe.dew, probe.at = dew, now
        for other in self._probes:
            if other is not probe:
                self._confirm(probe, other, now)

    def _confirm(self, one: _Probe, other: _Probe, now: int) -> None:
        """Believe two that fell together and show the same."""
        if one.doubted is None and other.doubted is None:
            return
        if one.fell is None or other.fell is None or one.dew is None or other.dew is None:
            return
        if (
            -_TOGETHER_US <= one.fell - other.fell <= _TOGETHER_US
            and now - other.at <= _TOGETHER_US
            and -_APART_K <= one.dew - other.dew <= _APART_K
        ):
            one.doubted = other.doubted = None

    def floor(self, now: int, dt: float) -> float:
        """Give the lowest set-point allowed, degrees Celsius."""
        dew: float | None = None
        lowest = 0.0
        believed = 0
        for probe in self._probes:
            value = probe.dew
            if value is None or probe.doubted is not None or now - probe.at > _STALE_US:
                continue
            believed += 1
            if dew is None or value > dew:
                dew = value
            if believed == 1 or value < lowest:
                lowest = value
        self.believed, self.dew = believed, dew
        self.apart = dew is not None and dew - lowest > _APART_K
        if dew is None:
            wanted = self.fallback_c
        else:
            spare = self.allowance_k if believed > 1 else 2.0 * self.allowance_k
            wanted = dew + self.margin_k + spare
        floor = self._floor
        if floor is None or wanted >= floor:
            floor = wanted
        elif floor - wanted > _FALL_K_S * dt:
            floor -= _FALL_K_S * dt
        else:
            floor = wanted
        self._floor = floor
        return floor
