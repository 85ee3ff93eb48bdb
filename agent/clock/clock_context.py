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
