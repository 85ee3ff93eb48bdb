# SPDX-License-Identifier: Apache-2.0
"""What a second source of time leaves of a drag: limits of the offset that no spoofer can move.

Does not compare UTC; see `agent.clock.cross_check`. Does not discipline the clock.

A spoofer moves all receivers of a site, but not an NTP server of the site. One of the two sources
can be false, not both at the same time:

    the receiver is true    the offset is in its interval without what a drag could do
    the receiver is false   the offset is in the interval of the second source

So of what a drag could do only the part inside the second interval counts. That interval grows by
the data sheet's limit of the oscillator, because a rate that was learned can be that of a drag. An
interval that no longer meets that of the receiver says nothing here: `agent.clock.cross_check`
finds that they disagree. After a disagreement there are no limits until both agree again.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.error_budget import Range

_PPT_PER_UNIT = 1_000_000_000
"""Converts ns per µs to parts per 10^12: ns = ppt * us / 10^9."""


class SecondSource:
    """The limits. `limit_ppt`: largest rate of the oscillator, parts per 10^12."""

    def __init__(self, limit_ppt: int) -> None:
        self._limit_ppt = limit_ppt
        self._range: Range | None = None
        self._at = 0

    def add(self, low_ns: int, high_ns: int, now: int) -> None:
        """The second source agrees: the offset is from `low_ns` to `high_ns` at `now` (µs)."""
        before = self.at(now)
        if before is not None and low_ns <= before[1] and high_ns >= before[0]:
            low_ns, high_ns = max(low_ns, before[0]), min(high_ns, before[1])
        self._range, self._at = (low_ns, high_ns), now

    def drop(self) -> None:
        """It disagrees, or is away: there are no limits."""
        self._range = None

    def at(self, now: int) -> "Range | None":
        """Return the lowest and highest offset at `now`, ns; None: no limits."""
        if self._range is None:
            return None
        growth = self._limit_ppt * (now - self._at) // _PPT_PER_UNIT + 1
        return self._range[0] - growth, self._range[1] + growth
