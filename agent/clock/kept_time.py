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
            """Say whether the controller never stopped since: `utc_us` is its UTC at `now`."""
            ...
