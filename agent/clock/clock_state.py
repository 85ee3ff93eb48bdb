# SPDX-License-Identifier: Apache-2.0
"""The states of the clock and their transitions.

Does not decide whether an input is good; see `agent.clock.utc_clock`.

    free        UTC was never set
    sync        fixes agree
    holdover    no accepted fix for some periods: the oscillator holds UTC
    untrusted   an input contradicts the clock. UTC follows what the oscillator supports
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class KeptTime(Protocol):
        """A stored time as `agent.clock.utc_clock` uses it; see `agent.clock.persistence`."""

        utc_us: int
        leap_s: int
        mono_us: int
        bound_us: "int | None"
        """Error bound of `utc_us` at the monotonic time `mono_us`, µs."""
        leap_suspect: "int | None"
        """1: the last second of a month was suspect."""
        rate_ppt: "int | None"
        """Rate of the oscillator, parts per 10^12."""

        def is_on_same_monotonic(self, utc_us: int, now: int) -> bool:
            """Return whether the monotonic clock leads from the stored UTC to `utc_us` at `now`."""
            ...


FREE, SYNC, HOLDOVER, UNTRUSTED = "free", "sync", "holdover", "untrusted"
TRUSTED = (SYNC, HOLDOVER)
"""States in which certificates, messages and schedules are judged by UTC."""

SET = "set"
"""Fixes that agree have set UTC, or an operator's or modem's time did (`SET_COARSELY`)."""
SET_COARSELY = "set coarsely"
GOOD = "good fix"
SILENT = "no fix"
CONTRADICTED = "contradicted"
AGREED = "agreed"
"""`time_source.CONSISTENT_COUNT` good fixes, and no source is rejected."""
RESET = "reset"

# fmt: off
TABLE = (
    (FREE,      SET,          SYNC),
    (FREE,      SET_COARSELY, HOLDOVER),
    (SYNC,      SILENT,       HOLDOVER),
    (SYNC,      CONTRADICTED, UNTRUSTED),
    (SYNC,      SET_COARSELY, HOLDOVER),
    (HOLDOVER,  GOOD,         SYNC),
    (HOLDOVER,  CONTRADICTED, UNTRUSTED),
    (UNTRUSTED, AGREED,       SYNC),
    (SYNC,      RESET,        FREE),
    (HOLDOVER,  RESET,        FREE),
    (UNTRUSTED, RESET,        FREE),
)
# fmt: on
"""(state, event, next state). Every other event leaves the state as it is."""


def next_state(state: str, event: str) -> str:
    """Return the state after an event."""
    for before, cause, after in TABLE:
        if before == state and cause == event:
            return after
    return state
