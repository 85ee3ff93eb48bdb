# SPDX-License-Identifier: Apache-2.0
"""Speed of a unit at a header: its bounds at a start and a stop, and how it follows the lead.

Does not command anything; see `agent.control.group.component`. Below some speed its pumps push
nothing, because the pressure of the header keeps its valves shut. Above it each percent adds flow.
So a unit goes through the first part of the speed of the others immediately, and through the rest
slowly: the others have the time to change theirs. A drive that keeps its last command reaches it
within seconds, and the pressure rose by 34 %. A unit that stopped immediately let it fall by 36 %.

What the lead changes, a follower changes too, in the same second. A difference that it already has
when it begins to follow closes slowly: all followers close theirs together, and the loop of the
lead must have the time to answer.
"""

from collections import namedtuple

HeaderView = namedtuple("HeaderView", ("others_pct", "others", "own_pct", "level", "pushes"))
"""What a unit sees of the header. `others_pct`: speed of the fastest other unit, percent; 0: not
known, or there is none. `others`: how many run. `own_pct`: own speed. `level`: pressure over the
set-point. `pushes`: the own flow is not zero; also if it is not known."""

_NEAR = 0.5
"""Part of the speed of the others below which a unit pushes nothing. The pressure opens its valves
at 0.75 with all units, and at 0.6 with two of three."""
_SHARE_PCT_S, _MOST_PCT_S, _IDLE_PCT_S = 0.2, 0.5, 1.0
"""Rates: for each other unit that must give way, and the most; of a unit that does not push yet.
The flow rises with the root of the speed above the opening, so the first percents count most."""
_LOW_PCT_S, _HIGH_PCT_S = 5.0, 0.05
"""Rates while the header is low, and while it is high: another unit starts too. A false reading
must not stop a start."""
_HIGH, _LOW, _EMPTY = 1.08, 0.75, 0.25
"""Levels above which the others have not given way yet, below which the header needs more flow, and
below which no other unit feeds it. Droop stays above the second."""
_UNKNOWN_PCT = 60.0
"""Taken for the speed of the others while no report says it, and the header is not empty."""
_BEHIND_PCT = 2.0
"""The ceiling rises while the unit is at most so far below it."""
_GONE_S = 4.0
"""After this time without a push the others have changed their speed: a new approach begins."""
_FULL_PCT = 100.0
_CLOSE_PCT_S = 0.25


class HeaderApproach:
    """The approach of one unit after a start. Begins again if its pumps push nothing."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again at the next call: the unit is stopped."""
        self._pct: float | None = None
        self._is_over = False
        self._gone_s = 0.0

    def ceiling(self, view: HeaderView, dt: float) -> "float | None":
        """Return the highest speed for now, percent; None: the approach is over.

        It ends at the speed of the others, and while the header is empty. `dt`: time since the last
        call, s.
        """
        # Its own last command is no speed of the others: at a start it is that of its first second.
        near = _NEAR * (view.others_pct or _UNKNOWN_PCT)
        own = view.own_pct
        self._gone_s = self._gone_s + dt if own < near else 0.0
        if self._pct is None or (self._is_over and self._gone_s >= _GONE_S):
            self._pct, self._is_over = own, False
        self._pct = max(self._pct, near)
        if own >= self._pct - _BEHIND_PCT:
            self._pct += _rate_pct_s(view) * dt
        if self._pct >= (view.others_pct or _FULL_PCT) or view.level < _EMPTY:
            self._is_over = True
        return None if self._is_over else self._pct


def _push_pct_s(view: HeaderView) -> float:
    """Return the rate that the others can follow, percent per second."""
    rate: float = min(_MOST_PCT_S, _SHARE_PCT_S * max(1, view.others))
    return rate


def _rate_pct_s(view: HeaderView) -> float:
    if view.level < _LOW:
        return _LOW_PCT_S
    if view.pushes and view.level > _HIGH:
        return _HIGH_PCT_S
    return _push_pct_s(view) if view.pushes else _IDLE_PCT_S


class HeaderLeave:
    """The way of one unit from the header to its stop."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin again at the next call: the unit runs."""
        self._pct: float | None = None
        self._is_over = False

    def ceiling(self, view: HeaderView, dt: float) -> "float | None":
        """Return the highest speed for now, percent; None: the unit can stop. It waits while the
        header is low. `dt`: time since the last call, s.
        """
        if self._pct is None:
            self._pct = view.own_pct
        if view.level >= _LOW:
            self._pct -= _push_pct_s(view) * dt
        # A flow that is read later is that of a valve that leaks: the pumps must not start for it.
        if not view.pushes or not self._pct > _NEAR * view.others_pct > 0:
            self._is_over = True
        return None if self._is_over else self._pct


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
