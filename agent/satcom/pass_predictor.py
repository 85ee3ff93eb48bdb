"""When a satellite stands high enough: contact windows ahead, and what experience corrects.

Not the radio. A sky is either a whole constellation (seven numbers) or element sets; an obstruction
mask says from which elevation on a sector of azimuth is open. Windows are looked for in slices of a
few evaluations, `HORIZON` ahead, to 15 s; a satellite whose distance says that it cannot be seen
for a while is not looked at until then, so that 66 of them cost hardly more than three.

Corrected by what happened: where the modem hears though the mask says no, the sector's edge is
lowered; where it is deaf in a window it is raised, by a degree each time, within -15 to +30.
"""

from math import acos, cos, pi, sqrt

from protocols.orbit.look_angle import Site
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.orbit.sgp4 import Vector

_STEP = 15 * SECOND
HORIZON = 6 * 3_600 * SECOND
MOST_AHEAD = 6
_LOWEST, _HIGHEST = -15, 30
_EARTH_TURNS = 7.292115e-5
_EARTH_KM = 6371.0
_RAD = pi / 180.0


class Sky:
    """Satellites by number: `place(i, utc_us)`, `count`, `rate` (rad/s), `radius` (km)."""

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
            from protocols.orbit.sgp4 import EARTH_KM, Satellite  # noqa: PLC0415
            from protocols.orbit.tle import parse  # noqa: PLC0415

            lines = settings["elements"]
            elements = [parse(lines[i], lines[i + 1]) for i in range(0, len(lines) - 1, 2)]
            self._satellites = [Satellite(each) for each in elements]
            self.count = len(elements)
            motion = max([each.motion for each in elements]) / 60.0
            slowest = min([each.motion for each in elements]) / 60.0
            self.rate = motion * 1.02
            self.radius = (398600.8 / slowest / slowest) ** (1.0 / 3.0) + EARTH_KM * 0.02

    def place(self, index: int, utc_us: int) -> "Vector | None":
        """Give a satellite's position, TEME km."""
        if self._walker is not None:
            found: Vector = self._walker.at(index, utc_us)
            return found
        place: Vector | None = self._satellites[index].at(utc_us)
        return place


class Passes:
    """Windows over the site. `ahead` holds (start_us, end_us, peak in degrees), UTC, in order."""

    def __init__(self, sky: Sky, site: Site, mask: "list[int]") -> None:
        self.ahead: list[tuple[int, int, int]] = []
        self.mask = mask
        self.offsets = [0] * len(mask)
        self._sky = sky
        self._site = site
        self._asleep = [0] * sky.count
        self._at: int | None = None
        self._index = 0
        self._best = -90.0
        self._open_since: int | None = None
        self._peak = -90.0
        self.evaluations = 0

    def edge(self, azimuth: float) -> int:
        """Give the elevation from which on `azimuth` is open, degrees."""
        sector = self.sector(azimuth)
        return min(85, max(0, self.mask[sector] + self.offsets[sector]))

    def sector(self, azimuth: float) -> int:
        """Give the number of the sector of `azimuth`."""
        return int(azimuth * len(self.mask) / 360.0) % len(self.mask)

    def _reach(self) -> float:
        """The widest angle, site to satellite at the Earth's centre, at which one is in view."""
        low = max(0, min(self.mask) + min(self.offsets)) * _RAD
        return acos(min(1.0, _EARTH_KM / self._sky.radius * cos(low))) - low + 0.01

    def _view(self, index: int, utc_us: int) -> "tuple[float, float] | None":
        """Give elevation and azimuth if the satellite may be in view; else note until when not."""
        self.evaluations += 1
        place = self._sky.place(index, utc_us)
        if place is None:
            self._asleep[index] = utc_us + HORIZON
            return None
        x, y, z = place
        up = self._site.zenith(utc_us)
        far = sqrt(x * x + y * y + z * z)
        beyond = (
            acos(max(-1.0, min(1.0, (x * up[0] + y * up[1] + z * up[2]) / far))) - self._reach()
        )
        if beyond > 0.0:
            self._asleep[index] = utc_us + int(beyond / (self._sky.rate + _EARTH_TURNS) * SECOND)
            return None
        return self._site.look(place, utc_us)

    def step(self, utc_us: int, evaluations: int) -> None:
        """Go on looking, `evaluations` positions at the most."""
        at = self._at
        if at is None or utc_us - at > _STEP or utc_us < at - 2 * HORIZON:
            self.restart(utc_us)
            at = utc_us
        while self.ahead and self.ahead[0][1] < utc_us:
            self.ahead.pop(0)
        while evaluations > 0 and at < utc_us + HORIZON and len(self.ahead) < MOST_AHEAD:
            while self._index < self._sky.count and evaluations > 0:
                index = self._index
                self._index += 1
                if self._asleep[index] > at:
                    continue
                evaluations -= 1
                view = self._view(index, at)
                if view is not None and view[0] >= self.edge(view[1]):
                    self._best = max(self._best, view[0])
            if self._index < self._sky.count:
                break
            self._end_of_step(at)
            at += _STEP
        self._at = at

    def restart(self, utc_us: int) -> None:
        """Forget what is ahead, as after a step of the clock."""
        self.ahead = []
        self._at = utc_us
        self._asleep = [0] * self._sky.count
        self._index = 0
        self._best = self._peak = -90.0
        self._open_since = None

    def _end_of_step(self, at: int) -> None:
        if self._best >= 0.0:
            if self._open_since is None:
                self._open_since = at
                self._peak = -90.0
            self._peak = max(self._peak, self._best)
        elif self._open_since is not None:
            self.ahead.append((self._open_since, at, int(self._peak)))
            self._open_since = None
        self._index = 0
        self._best = -90.0

    def open(self, utc_us: int, lead_us: int = 0) -> bool:
        """Say whether a window is open now, or opens within `lead_us`."""
        since = self._open_since
        if since is not None and since <= utc_us + lead_us:
            return True
        soon = utc_us + lead_us
        return any(start <= soon and utc_us < end for start, end, _ in self.ahead)

    def open_since(self) -> "int | None":
        """Give the start of a window whose end has not been found yet."""
        return self._open_since

    def peak(self) -> int:
        """Give the highest elevation of that window so far, degrees."""
        return int(self._peak)

    def next_start(self, utc_us: int) -> "int | None":
        """Give the start of the next window that is not open yet."""
        for start, _, _ in self.ahead:
            if start > utc_us:
                return start
        since = self._open_since
        return since if since is not None and since > utc_us else None

    def highest(self, utc_us: int) -> "tuple[float, float] | None":
        """Give elevation and azimuth of the satellite that stands highest now."""
        best: tuple[float, float] | None = None
        for index in range(self._sky.count):
            place = self._sky.place(index, utc_us)
            if place is not None:
                view = self._site.look(place, utc_us)
                if view[0] > (0.0 if best is None else best[0]):
                    best = view
        return best

    def learn(self, utc_us: int, heard: bool) -> None:
        """Correct the mask by what the modem hears or does not hear now."""
        view = self.highest(utc_us)
        if view is None:
            return
        sector = self.sector(view[1])
        edge = self.edge(view[1])
        if heard and view[0] < edge:
            self.offsets[sector] = max(_LOWEST, int(view[0]) - self.mask[sector])
        elif not heard and view[0] >= edge:
            self.offsets[sector] = min(_HIGHEST, self.offsets[sector] + 1)
