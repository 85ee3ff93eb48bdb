# SPDX-License-Identifier: Apache-2.0
"""Integrity checks over several epochs: jamming, spoofing, wrong time scale.

For a technician at the terminal, in whole epochs and without a configuration. The checks of the
agent are stricter, know the site and act (docs/engineer/time.md). These checks only print:

    moved N m          more than 100 m from the mean of the first ten valid epochs
    signals weaker     the eight strongest lost 3 dB against their mean of the last minute
    signals alike      70 % of at least eight within 1 dB of the most frequent, over ten epochs
    time looks like X  the receiver is 4, 14 or 18 s ahead of the system clock

Sources of the figures: docs/engineer/time.md.
"""

from math import cos, hypot, radians

from drivers.gnss.epoch import Epoch
from protocols.time_units import SECOND

_REFERENCE_EPOCHS, _MAX_MOVE_M, _KM_FROM_M = 10, 100, 10_000
_M_PER_E7 = 0.011_132
_STRONGEST, _MIN_SIGNALS = 8, 8
_LEVEL_EPOCHS, _DROP_DB = 60, 3.0
_EQUAL_EPOCHS, _EQUAL_FRACTION = 10, 0.7
_TIME_SCALES = {4: "BDT", 14: "BDT as GPST", 18: "GPST"}
_TOLERANCE_US = 600_000


class EpochChecks:
    """The checks over several epochs, which are given in order."""

    def __init__(self) -> None:
        self._reference_positions: list[tuple[int, int]] = []
        self._recent_levels: list[float] = []
        self._equal_fractions: list[float] = []

    def check_epoch(self, epoch: Epoch, error_us: "int | None") -> "list[str]":
        """Return the findings of this epoch; `error_us` is system clock less receiver (us)."""
        found = [
            self._check_position(epoch),
            *self._check_signals(epoch),
            _check_time_scale(error_us),
        ]
        return [text for text in found if text]

    def _check_position(self, epoch: Epoch) -> str:
        if not epoch.valid or epoch.lat_e7 is None or epoch.lon_e7 is None:
            return ""
        if len(self._reference_positions) < _REFERENCE_EPOCHS:
            self._reference_positions.append((epoch.lat_e7, epoch.lon_e7))
            return ""
        north_e7 = (
            epoch.lat_e7
            - sum(reference[0] for reference in self._reference_positions) / _REFERENCE_EPOCHS
        )
        east_e7 = (
            epoch.lon_e7
            - sum(reference[1] for reference in self._reference_positions) / _REFERENCE_EPOCHS
        )
        metres = hypot(north_e7, east_e7 * cos(radians(epoch.lat_e7 / 1e7))) * _M_PER_E7
        if metres <= _MAX_MOVE_M:
            return ""
        return f"moved {metres / 1000:.0f} km" if metres > _KM_FROM_M else f"moved {metres:.0f} m"

    def _check_signals(self, epoch: Epoch) -> "list[str]":
        if not epoch.satellite_view.has_gsv or not epoch.complete:
            return []
        strengths = [
            cn0 for satellite in epoch.satellite_view.satellites for _, _, cn0 in satellite.signals
        ]
        strongest = sorted(strengths)[-_STRONGEST:]
        level = sum(strongest) / len(strongest) if strongest else 0.0
        mean_level = (
            sum(self._recent_levels) / len(self._recent_levels) if self._recent_levels else level
        )
        is_weaker = mean_level - level >= _DROP_DB
        if not is_weaker:
            self._recent_levels = [*self._recent_levels[1 - _LEVEL_EPOCHS :], level]
        self._equal_fractions = [
            *self._equal_fractions[1 - _EQUAL_EPOCHS :],
            _equal_fraction(strengths),
        ]
        is_equal = (
            len(self._equal_fractions) == _EQUAL_EPOCHS
            and sum(self._equal_fractions) >= _EQUAL_FRACTION * _EQUAL_EPOCHS
        )
        return [
            f"signals {mean_level - level:.0f} dB weaker" if is_weaker else "",
            "signals alike" if is_equal else "",
        ]


def _equal_fraction(strengths: "list[int]") -> float:
    """Return the share of signals within 1 dB of the most frequent strength; 0 for too few."""
    if len(strengths) < _MIN_SIGNALS:
        return 0.0
    counts = [sum(abs(other - strength) <= 1 for other in strengths) for strength in set(strengths)]
    return max(counts) / len(strengths)


def _check_time_scale(error_us: "int | None") -> str:
    """Return the time scale that fits the time error of a receiver; empty if none fits."""
    for seconds, name in _TIME_SCALES.items():
        if error_us is not None and abs(error_us + seconds * SECOND) < _TOLERANCE_US:
            return f"time looks like {name}"
    return ""
