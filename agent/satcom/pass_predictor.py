# SPDX-License-Identifier: Apache-2.0
"""Prediction of contact windows: times when a satellite is above the horizon mask.

Does not control the radio; see `agent.satcom.component`.

The satellites are either a Walker constellation (seven numbers) or element sets. The horizon mask
gives the lowest unobstructed elevation of each sector of azimuth. Windows are searched in slices of
a few evaluations, up to `SEARCH_AHEAD_US` ahead, with a resolution of 15 s. A satellite that is too
far below the horizon is skipped until it can rise. A search computes few positions of 66
satellites; a test counts them.

Observations correct the mask. If the modem has a signal below the mask, the sector is lowered to
that elevation. If it has none in a window, the sector is raised by one degree. The corrections stay
within -15 to +30 degrees.
"""

from collections import namedtuple
from math import acos, cos, pi, sqrt

from protocols.orbit.look_angle import GroundSite
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.orbit.sgp4 import Vector

_STEP_US = 15 * SECOND
SEARCH_AHEAD_US = 6 * 3_600 * SECOND
MAX_WINDOWS = 6
_MIN_OFFSET, _MAX_OFFSET = -15, 30
_EARTH_RATE = 7.292115e-5  # rad/s (WGS 84)
_MU_KM3_S2 = 398600.8  # gravity of the Earth, WGS 72, as in SGP4
_RATE_MARGIN, _RADIUS_MARGIN = 102 / 100, 2 / 100
"""For eccentric orbits: a satellite is faster and higher than its mean motion says."""
_EARTH_KM = 6371.0
_DEG = pi / 180.0


ContactWindow = namedtuple("ContactWindow", ("start_us", "end_us", "peak_deg"))
"""A contact window, UTC, with its highest elevation."""
_FOLLOW_INTERVAL_US = 10 * SECOND


class ConstellationModel:
    """Satellites by number: `position(i, utc_us)`, `count`, `rate` (rad/s), `radius` (km)."""

    def __init__(self, settings: "dict[str, Any]") -> None:
        shape = settings.get("constellation")
        self._satellites: list[Any] = []
        self._walker: Any = None
        if shape is not None:
            from protocols.orbit.walker import Walker  # noqa: PLC0415 - only one of the two

            self._walker = walker = Walker(
                shape["planes"],
                shape["per_plane"],
                shape["altitude_km"],
                shape["inclination_mdeg"] / 1000.0,
                spread_deg=shape["spread_deg"],
                phasing_half=shape["phasing_half"],
                first=(
                    shape["node_mdeg"] / 1000.0,
                    shape["phase_mdeg"] / 1000.0,
                    shape["epoch_s"] * SECOND,
                ),
            )
            self.count, self.rate, self.radius = walker.count, walker.rate, walker.radius_km
        else:
            from protocols.orbit.sgp4 import EARTH_KM, Sgp4Orbit  # noqa: PLC0415
            from protocols.orbit.tle import parse  # noqa: PLC0415

            lines = settings["elements"]
            elements = [parse(lines[i], lines[i + 1]) for i in range(0, len(lines) - 1, 2)]
            self._satellites = [Sgp4Orbit(element) for element in elements]
            self.count = len(elements)
            motion = max([element.motion for element in elements]) / 60.0
            slowest = min([element.motion for element in elements]) / 60.0
            self.rate = motion * _RATE_MARGIN
            self.radius = (_MU_KM3_S2 / slowest / slowest) ** (1.0 / 3.0)
            self.radius += EARTH_KM * _RADIUS_MARGIN

    def position(self, index: int, utc_us: int) -> "Vector | None":
        """Return the position of a satellite, TEME km."""
        if self._walker is not None:
            vector: Vector = self._walker.position_at(index, utc_us)
            return vector
        vector_or_none: Vector | None = self._satellites[index].position_at(utc_us)
        return vector_or_none


class ContactPredictor:
    """Contact windows of the site, in the order of time.

    `positions_computed`: all positions so far, a measure of the cost.
    """

    def __init__(
        self, constellation: ConstellationModel, site: GroundSite, mask: "list[int]"
    ) -> None:
        self.windows: list[ContactWindow] = []
        self.mask = mask
        self.mask_offsets = [0] * len(mask)
        self._constellation = constellation
        self._site = site
        self._below_until = [0] * constellation.count
        self._follow_due = 0
        self._search_time: int | None = None
        self._index = 0
        self._best_elevation = -90.0  # -90: no satellite is above its horizon mask
        self._open_since: int | None = None
        self._peak = -90.0
        self.positions_computed = 0

    def use_offsets(self, offsets: "list[int]") -> "list[int]":
        """Use stored corrections of the mask if they fit it. Return the list in use."""
        if len(offsets) == len(self.mask_offsets):
            self.mask_offsets = offsets
        return self.mask_offsets

    def horizon_deg(self, azimuth: float) -> int:
        """Return the lowest unobstructed elevation at `azimuth`, degrees."""
        sector = self.sector(azimuth)
        return min(85, max(0, self.mask[sector] + self.mask_offsets[sector]))

    def sector(self, azimuth: float) -> int:
        """Return the sector of `azimuth`."""
        return int(azimuth * len(self.mask) / 360.0) % len(self.mask)

    def _max_central_angle(self) -> float:
        """Return the largest angle between site and visible satellite at the Earth's centre."""
        low = max(0, min(self.mask) + min(self.mask_offsets)) * _DEG
        return acos(min(1.0, _EARTH_KM / self._constellation.radius * cos(low))) - low + 0.01

    def _angles_if_near(self, index: int, utc_us: int) -> "tuple[float, float] | None":
        """Return elevation and azimuth of a satellite that can be above the horizon.

        Otherwise return None and store how long it stays below.
        """
        self.positions_computed += 1
        position = self._constellation.position(index, utc_us)
        if position is None:
            self._below_until[index] = utc_us + SEARCH_AHEAD_US
            return None
        x, y, z = position
        zenith = self._site.zenith(utc_us)
        distance = sqrt(x * x + y * y + z * z)
        excess_angle = (
            acos(max(-1.0, min(1.0, (x * zenith[0] + y * zenith[1] + z * zenith[2]) / distance)))
            - self._max_central_angle()
        )
        if excess_angle > 0.0:
            self._below_until[index] = utc_us + int(
                excess_angle / (self._constellation.rate + _EARTH_RATE) * SECOND
            )
            return None
        return self._site.look_angles(position, utc_us)

    def step(self, utc_us: int, max_positions: int) -> None:
        """Continue the search with at most `max_positions` positions."""
        time_us = self._search_time
        if time_us is None or utc_us - time_us > _STEP_US or utc_us < time_us - 2 * SEARCH_AHEAD_US:
            self.restart(utc_us)
            time_us = utc_us
        while self.windows and self.windows[0].end_us < utc_us:
            self.windows.pop(0)
        while (
            max_positions > 0
            and time_us < utc_us + SEARCH_AHEAD_US
            and len(self.windows) < MAX_WINDOWS
        ):
            while self._index < self._constellation.count and max_positions > 0:
                index = self._index
                self._index += 1
                if self._below_until[index] > time_us:
                    continue
                max_positions -= 1
                angles = self._angles_if_near(index, time_us)
                if angles is not None and angles[0] >= self.horizon_deg(angles[1]):
                    self._best_elevation = max(self._best_elevation, angles[0])
            if self._index < self._constellation.count:
                break
            self._end_of_step(time_us)
            time_us += _STEP_US
        self._search_time = time_us

    def restart(self, utc_us: int) -> None:
        """Restart the search, for example after a step of the clock."""
        self.windows = []
        self._search_time = utc_us
        self._below_until = [0] * self._constellation.count
        self._index = 0
        self._best_elevation = self._peak = -90.0
        self._open_since = None

    def _end_of_step(self, time_us: int) -> None:
        if self._best_elevation >= 0.0:
            if self._open_since is None:
                self._open_since = time_us
                self._peak = -90.0
            self._peak = max(self._peak, self._best_elevation)
        elif self._open_since is not None:
            self.windows.append(ContactWindow(self._open_since, time_us, int(self._peak)))
            self._open_since = None
        self._index = 0
        self._best_elevation = -90.0

    def is_open(self, utc_us: int, lead_us: int = 0) -> bool:
        """Return whether a window is open now, or opens within `lead_us`."""
        since = self._open_since
        if since is not None and since <= utc_us + lead_us:
            return True
        soon = utc_us + lead_us
        return any(window.start_us <= soon and utc_us < window.end_us for window in self.windows)

    def open_start(self) -> "int | None":
        """Return the start of a window without a known end."""
        return self._open_since

    def open_peak(self) -> int:
        """Return the highest elevation of that window so far, degrees."""
        return int(self._peak)

    def next_start(self, utc_us: int) -> "int | None":
        """Return the start of the next window that is not open yet."""
        for window in self.windows:
            if window.start_us > utc_us:
                start: int = window.start_us
                return start
        since = self._open_since
        return since if since is not None and since > utc_us else None

    def highest_satellite(self, utc_us: int) -> "tuple[float, float] | None":
        """Return elevation and azimuth of the highest satellite now."""
        best: tuple[float, float] | None = None
        for index in range(self._constellation.count):
            position = self._constellation.position(index, utc_us)
            if position is not None:
                angles = self._site.look_angles(position, utc_us)
                if angles[0] > (0.0 if best is None else best[0]):
                    best = angles
        return best

    def follow_service(self, utc: "int | None", predicted: bool, service: bool, now: int) -> None:
        """Correct the mask, every 10 s at most, if service and prediction differ."""
        if utc is None or now < self._follow_due:
            return
        self._follow_due = now + _FOLLOW_INTERVAL_US
        if predicted != service:
            self.correct_mask(utc, service)

    def correct_mask(self, utc_us: int, has_signal: bool) -> None:
        """Correct the mask by the present signal."""
        angles = self.highest_satellite(utc_us)
        if angles is None:
            return
        elevation, azimuth = angles
        sector = self.sector(azimuth)
        horizon = self.horizon_deg(azimuth)
        if has_signal and elevation < horizon:
            self.mask_offsets[sector] = max(_MIN_OFFSET, int(elevation) - self.mask[sector])
        elif not has_signal and elevation >= horizon:
            self.mask_offsets[sector] = min(_MAX_OFFSET, self.mask_offsets[sector] + 1)


def make_predictor(settings: "dict[str, Any]", place_e7: "tuple[int, int]") -> ContactPredictor:
    """Return the predictor of a site. `settings`: the section `modem`; `place_e7`: 1e-7 degrees."""
    site = GroundSite(place_e7[0], place_e7[1])
    return ContactPredictor(ConstellationModel(settings), site, settings["mask_deg"])
