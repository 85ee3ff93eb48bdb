# SPDX-License-Identifier: Apache-2.0
"""The record of an earlier start as the clock uses it: a protocol for the type checker."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class KeptTime(Protocol):
        """A stored time; see `agent.clock.persistence`."""

        utc_us: int
        leap_s: int
        rate_ppt: "int | None"

        def monotonic_continued(self, utc_us: int, now: int) -> bool:
            """Return whether the monotonic clock leads from the stored UTC to `utc_us` at `now`."""
            ...
