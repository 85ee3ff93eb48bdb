"""What a watcher of the sky can tell beyond one epoch: jamming, spoofing, a wrong time scale.

For a technician at the terminal, in whole epochs and without a configuration; the agent's own
checks are stricter, know the site, and act (docs/engineer/time.md). A verdict here acts on nothing.

    moved N m          from the mean of the first ten valid epochs, by more than 100 m
    signals weaker     the strongest eight have lost 3 dB against their mean of the last minute
    signals alike      70 % of at least eight within 1 dB of the commonest, over ten epochs
    time looks like X  the receiver is 4, 14 or 18 s ahead of the system's clock

Sources of the figures: docs/engineer/time.md.
"""

from math import cos, hypot, radians

from drivers.gnss.epoch import Epoch
from protocols.time_units import SECOND

_LEARN, _RADIUS_M, _FAR_M = 10, 100, 10_000
_M_PER_E7 = 0.011_132
_STRONGEST, _LEAST = 8, 8
_MINUTE, _DROP_DB = 60, 3.0
_ALIKE_EPOCHS, _ALIKE = 10, 0.7
_SCALES = {4: "BDT", 14: "BDT as GPST", 18: "GPST"}
_NEAR_US = 600_000


class Verdicts:
    """Takes epochs in order; `lines` says what is wrong now."""

    def __init__(self) -> None:
        self._places: list[tuple[int, int]] = []
        self._levels: list[float] = []
        self._alike: list[float] = []

    def take(self, epoch: Epoch, error_us: "int | None") -> "list[str]":
        """What is wrong with this epoch and those before it; `error_us`: system less receiver."""
        found = [self._moved(epoch), *self._signals(epoch), _scale(error_us)]
        return [text for text in found if text]

    def _moved(self, epoch: Epoch) -> str:
        if not epoch.valid or epoch.lat_e7 is None or epoch.lon_e7 is None:
            return ""
        if len(self._places) < _LEARN:
            self._places.append((epoch.lat_e7, epoch.lon_e7))
            return ""
        north = epoch.lat_e7 - sum(p[0] for p in self._places) / _LEARN
        east = epoch.lon_e7 - sum(p[1] for p in self._places) / _LEARN
        metres = hypot(north, east * cos(radians(epoch.lat_e7 / 1e7))) * _M_PER_E7
        if metres <= _RADIUS_M:
            return ""
        return f"moved {metres / 1000:.0f} km" if metres > _FAR_M else f"moved {metres:.0f} m"

    def _signals(self, epoch: Epoch) -> "list[str]":
        if not epoch.sky.has_view or not epoch.complete:
            return []
        strengths = [cn0 for one in epoch.sky.satellites for _, _, cn0 in one.signals]
        top = sorted(strengths)[-_STRONGEST:]
        level = sum(top) / len(top) if top else 0.0
        usual = sum(self._levels) / len(self._levels) if self._levels else level
        weaker = usual - level >= _DROP_DB
        if not weaker:
            self._levels = [*self._levels[1 - _MINUTE :], level]
        self._alike = [*self._alike[1 - _ALIKE_EPOCHS :], _share_alike(strengths)]
        alike = len(self._alike) == _ALIKE_EPOCHS and sum(self._alike) >= _ALIKE * _ALIKE_EPOCHS
        return [
            f"signals {usual - level:.0f} dB weaker" if weaker else "",
            "signals alike" if alike else "",
        ]


def _share_alike(strengths: "list[int]") -> float:
    """Share of the signals within 1 dB of the commonest strength; 0 for too few."""
    if len(strengths) < _LEAST:
        return 0.0
    near = [sum(abs(other - one) <= 1 for other in strengths) for one in set(strengths)]
    return max(near) / len(strengths)


def _scale(error_us: "int | None") -> str:
    """The time scale that a receiver prints by mistake, told by how far it is ahead."""
    for seconds, name in _SCALES.items():
        if error_us is not None and abs(error_us + seconds * SECOND) < _NEAR_US:
            return f"time looks like {name}"
    return ""
