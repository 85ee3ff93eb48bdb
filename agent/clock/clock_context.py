# SPDX-License-Identifier: Apache-2.0
"""The agent as the components of time and GNSS use it: protocols for the type checker."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.clock.utc_clock import UtcClock
    from agent.core.context import Context

    class ClockContext(Context, Protocol):
        """The agent with its clock."""

        @property
        def clock(self) -> "UtcClock":
            """The UTC clock."""
            ...

    class KeptTime(Protocol):
        """A stored time as the clock uses it; see `agent.clock.persistence`."""

        utc_us: int
        leap_s: int
        rate_ppt: "int | None"

        def monotonic_continued(self, utc_us: int, now: int) -> bool:
            """Return whether the monotonic clock leads from the stored UTC to `utc_us` at `now`."""
            ...
