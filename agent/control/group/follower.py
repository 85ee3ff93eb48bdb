# SPDX-License-Identifier: Apache-2.0
"""The speed of a unit that follows the lead of its header.

Does not command anything; see `agent.control.group.component`. What the lead changes, the follower
changes too, in the same second. A difference that it already has when it begins to follow closes
slowly: all followers close theirs together, and the loop of the lead must have the time to answer.
"""

_CLOSE_PCT_S = 0.25


class LeadFollower:
    """Follows one lead after another, with no step when the lead changes."""

    def __init__(self) -> None:
        self._lead: int | None = None
        self._lead_pct = 0.0

    def stop(self) -> None:
        """Forget the lead: this unit follows none now."""
        self._lead = None

    def speed(self, lead: int, lead_pct: float, own_pct: float, dt: float) -> float:
        """Return the speed for now, percent.

        `lead`: number of the unit, with its speed. `own_pct`: the last speed of this unit. `dt`:
        time since the last call, s.
        """
        moved = lead_pct - self._lead_pct if lead == self._lead else 0.0
        self._lead, self._lead_pct = lead, lead_pct
        pct = own_pct + moved
        step = _CLOSE_PCT_S * dt
        return pct + max(-step, min(step, lead_pct - pct))
