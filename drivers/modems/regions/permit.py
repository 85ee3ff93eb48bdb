# SPDX-License-Identifier: Apache-2.0
"""Whether a modem can transmit: the radio rule against licence, position and the modem's report.

Does not read the receiver and does not switch the radio; see `agent.satcom.component`. A unit that
is moved over a border is outside the polygons of its region for 10 s, by consecutive positions. It
is allowed again after 10 s inside, without a pause of a minute in it. Without a position the last
known one counts for `position_s`, then nothing is transmitted. A region without polygons needs no
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
DEFAULT_SYSTEMS = {"sbd": "sbd", "imt": "imt", "ntn": "ntn_l", "ip": "certus", "rdss": "rdss"}
"""Kind of modem -> system of its rule, without `system` in the configuration."""


class Permit:
    """The permission of one modem. `site_e7`: configured position, which counts at the start."""

    def __init__(
        self,
        region: str,
        system: str,
        licence: str,
        site_e7: "tuple[int, int] | None",
        position_s: int,
    ) -> None:
        self.name = region + "/" + system
        self._rule, self._polygons = load_rule(region, system)
        self._static = "there is no rule" if self._rule is None else self._rule.barred(licence)
        self._radio = ""
        self._timeout = position_s * SECOND
        self._inside = site_e7 is not None and self.is_inside(site_e7)
        self._known_at: int | None = None if site_e7 is None else 0
        self._differs_since: int | None = None
        self.reason = ""
        self.evaluate(0)

    def is_inside(self, position_e7: "tuple[int, int]") -> bool:
        """Return whether a position is in the region."""
        return not self._polygons or is_inside(self._polygons, position_e7[0], position_e7[1])

    def check(self, last_fix: "LastFix", now: int) -> str:
        """Take the position of the last fix, and evaluate."""
        if last_fix.latest_e7 is not None:
            self.set_position(last_fix.latest_e7, last_fix.latest_at)
        return self.evaluate(now)

    def set_position(self, position_e7: "tuple[int, int]", at: int) -> None:
        """Take the position that the receiver had at `at`."""
        if self._known_at is None:
            self._inside = self.is_inside(position_e7)
        elif at <= self._known_at:
            return
        elif self.is_inside(position_e7) == self._inside:
            self._differs_since = None
        elif self._differs_since is None or (not self._inside and at - self._known_at > _GAP_US):
            self._differs_since = at
        elif at - self._differs_since >= _CONFIRM_US:
            self._inside = not self._inside
            self._differs_since = None
        self._known_at = at

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


def make_permit(settings: "dict[str, Any]", site_e7: "tuple[int, int] | None") -> Permit:
    """Make the permission of the modem of a section `modem`."""
    system = settings.get("system", DEFAULT_SYSTEMS[settings["kind"]])
    licence = settings.get("licence", "")
    return Permit(settings["region"], system, licence, site_e7, settings["position_s"])
