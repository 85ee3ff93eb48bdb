# SPDX-License-Identifier: Apache-2.0
"""Whether a modem can transmit: the radio rule against licence, position and the modem's report.

Does not read the receiver and does not switch the radio; see `agent.satcom.component`. A unit that
is moved over a border is outside the polygons of its region for 10 s. Time inside between counts
half against it: a unit whose position jumps to and fro is outside. It is allowed again after 10 s
inside, by consecutive positions without a pause of a minute. Without a position the last
known one counts for `position_s`, then nothing is transmitted. At the start that is the configured
one, unless the unit was outside before (`place`); a unit with a receiver waits two minutes for a
fix first, because it can have been moved while it was off. A region without polygons needs no
position.
"""

from drivers.modems import load_rule
from drivers.modems.regions.rule import is_inside
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class LastFix(Protocol):
        """The last position of the receiver."""

        latest_e7: "tuple[int, int] | None"
        latest_at: int


_CONFIRM_US = 10 * SECOND
_GAP_US = 60 * SECOND
"""After a longer pause of the positions, those before it do not count for being inside again."""
_FIRST_FIX_US = 120 * SECOND
"""The usual time to the first fix after a cold start is below 40 s; see docs/engineer/satcom.md."""
DEFAULT_SYSTEMS = {"sbd": "sbd", "imt": "imt", "ntn": "ntn_l", "ip": "certus", "rdss": "rdss"}
"""Kind of modem -> system of its rule, without `system` in the configuration."""


class Permit:
    """The permission of one modem. `site_e7`: configured position. `has_receiver`: fixes come."""

    def __init__(
        self,
        region: str,
        system: str,
        licence: str,
        site_e7: "tuple[int, int] | None",
        position_s: int,
        has_receiver: bool = False,
    ) -> None:
        self.name = region + "/" + system
        place = "" if site_e7 is None else "%s %d %d" % (region, site_e7[0], site_e7[1])
        self._place = place.encode()
        self._rule, self._polygons = load_rule(region, system)
        self._static = "there is no rule" if self._rule is None else self._rule.barred(licence)
        self._radio = ""
        self._timeout = position_s * SECOND
        self._inside = site_e7 is not None and self.is_inside(site_e7)
        self._known_at: int | None = None if site_e7 is None else 0
        self._inside_since: int | None = None
        self._outside_us = 0
        self._was_outside = False
        self._waits_for_fix = bool(self._polygons) and has_receiver
        self._started_at = 0
        self._has_fix = False
        self.reason = ""
        self.evaluate(0)

    def is_inside(self, position_e7: "tuple[int, int]") -> bool:
        """Return whether a position is in the region."""
        return not self._polygons or is_inside(self._polygons, position_e7[0], position_e7[1])

    def start(self, now: int) -> None:
        """The agent starts: the configured position counts from now on."""
        self._started_at = now
        if self._known_at is not None:
            self._known_at = now
        self.evaluate(now)

    def allows(self, now: int) -> bool:
        """Return whether something can be transmitted: no rule bars it, and no fix is awaited."""
        waits = self._waits_for_fix and now - self._started_at < _FIRST_FIX_US
        return not self.reason and not waits

    def restore(self, place: bytes) -> None:
        """Take the stored `place`, before the first fix: the unit was outside of its region.

        It does not count if region or configured position are others now.
        """
        if place and place == self._place and not self._has_fix:
            self._inside = False

    @property
    def place(self) -> bytes:
        """Return the region and the configured position while the unit is outside, else empty."""
        return b"" if self._inside else self._place

    def check(self, last_fix: "LastFix", now: int) -> str:
        """Take the position of the last fix, and evaluate."""
        if last_fix.latest_e7 is not None:
            self.set_position(last_fix.latest_e7, last_fix.latest_at)
        return self.evaluate(now)

    def set_position(self, position_e7: "tuple[int, int]", at: int) -> None:
        """Take the position that the receiver had at `at`."""
        self._has_fix = True
        inside = self.is_inside(position_e7)
        if self._known_at is None:
            self._inside = inside
        elif at <= self._known_at:
            return
        elif inside:
            self._on_position_inside(at, self._known_at)
        else:
            self._on_position_outside(at, self._known_at)
        self._was_outside = not inside
        self._known_at = at

    def _on_position_inside(self, at: int, before: int) -> None:
        """Take a position in the region; `before`: when the last one was."""
        self._outside_us = max(0, self._outside_us - (at - before) // 2)
        if self._inside:
            self._waits_for_fix = False
        elif self._inside_since is None or at - before > _GAP_US:
            self._inside_since = at
        elif at - self._inside_since >= _CONFIRM_US:
            self._set_inside(True)

    def _on_position_outside(self, at: int, before: int) -> None:
        """Take a position outside; a single one has no effect."""
        if self._was_outside:
            self._outside_us += at - before
        self._inside_since = None
        if not self._inside:
            self._waits_for_fix = False
        elif self._outside_us >= _CONFIRM_US:
            self._set_inside(False)

    def _set_inside(self, inside: bool) -> None:
        self._inside = inside
        self._inside_since = None
        self._outside_us = 0
        self._waits_for_fix = False

    def set_radio(self, now: int, low_khz: int, high_khz: int, power_mw: "int | None") -> None:
        """Take the band and the power that the modem reports."""
        if self._rule is not None:
            self._radio = self._rule.barred_radio(low_khz, high_khz, power_mw)
            self.evaluate(now)  # before the first message

    def evaluate(self, now: int) -> str:
        """Return why nothing must be transmitted, with the name of the rule; empty if allowed."""
        reason = self._static or self._radio or self._position_reason(now)
        self.reason = self.name + ": " + reason if reason else ""
        return self.reason

    def _position_reason(self, now: int) -> str:
        if not self._polygons:
            return ""
        if self._known_at is None:
            return "the position is not known"
        if not self._inside:
            return "the position is outside the region"
        if now - self._known_at > self._timeout:
            hours = (now - self._known_at) // (3_600 * SECOND)
            return "the position is not known for %d h" % hours
        return ""


def make_permit(
    settings: "dict[str, Any]", site_e7: "tuple[int, int] | None", has_receiver: bool
) -> Permit:
    """Make the permission of the modem of a section `modem`."""
    system = settings.get("system", DEFAULT_SYSTEMS[settings["kind"]])
    licence = settings.get("licence", "")
    return Permit(
        settings["region"], system, licence, site_e7, settings["position_s"], has_receiver
    )
