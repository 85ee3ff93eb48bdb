"""Resets of tripped drives: after a while, a few times an hour, one at a time. Not who carries."""

from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.control.pump import Pump

_AFTER = 5 * SECOND
_HOUR = 3600 * SECOND


class Resets:
    """Of `drives`, `most` times an hour in all."""

    def __init__(self, drives: "list[Pump]", most: int) -> None:
        self.drives = drives
        self._most = most
        self._at: list[int] = []
        self._tripped_at: list[int | None] = [None] * len(drives)

    def step(self, now: int) -> int:
        """Reset a drive whose time has come; give its index, or -1. Not to be asked before more."""
        self._at = [at for at in self._at if now - at < _HOUR]
        for i, drive in enumerate(self.drives):
            at = self._tripped_at[i]
            if not drive.tripped():
                self._tripped_at[i] = None
            elif at is None:
                self._tripped_at[i] = now
            elif now - at >= _AFTER and len(self._at) < self._most:
                self._at.append(now)
                self._tripped_at[i] = now
                drive.reset()
                return i
        return -1
