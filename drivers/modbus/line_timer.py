"""When a line has been silent long enough for the next frame.

Not a timer and not a queue: the bus asks. A frame may begin t3.5 after the last byte (`quiet_at`).
After a timeout the line is drained as well: `free_at` is `drain_us` after the last byte then. Bytes
that come while nothing is asked extend both, but not for ever: a line that is never silent must not
stop all polls, and a stop waits for it even less.

On TCP every silence is 0.
"""

from protocols.time_units import MILLISECOND, NEVER

_PATIENCE_US = 250 * MILLISECOND
_URGENT_PATIENCE_US = 20 * MILLISECOND


class Silence:
    """One line. Writes and stops wait for `quiet_at`, polls for `free_at`."""

    def __init__(self, gap_us: int, drain_us: int) -> None:
        self.gap_us = gap_us
        self.drain_us = drain_us
        self.quiet_at = 0
        self.free_at = 0
        self._wanted = gap_us
        self._patience = self._urgent_patience = NEVER

    def begin(self, now: int) -> None:
        """The line was opened."""
        self._wanted = self.gap_us
        self.free_at = self.quiet_at = now + self.gap_us

    def asked(self) -> None:
        """A request goes out: what was to be drained is over."""
        self._wanted = self.gap_us
        self._patience = self._urgent_patience = NEVER

    def heard(self, now: int) -> None:
        """Bytes came while a reply is waited for."""
        self.quiet_at = now + self.gap_us
        self.free_at = now + self._wanted

    def drain(self, now: int) -> None:
        """A reply did not come in time: what still comes is not to be taken for the next one."""
        self._wanted = self.drain_us
        self.free_at = max(self.quiet_at, now + self.drain_us)
        self._patience = now + _PATIENCE_US

    def disturbed(self, now: int, waiting: bool) -> None:
        """Bytes came while nothing was asked; `waiting`: something is to go out."""
        self.heard(now)
        if not waiting:
            self._patience = self._urgent_patience = NEVER
            return
        if self._patience == NEVER:
            self._patience = now + _PATIENCE_US
        if self._urgent_patience == NEVER:
            self._urgent_patience = now + _URGENT_PATIENCE_US
        self.free_at = min(self.free_at, self._patience)
        self.quiet_at = min(self.quiet_at, self._urgent_patience)

    def forget(self) -> None:
        """The port is gone."""
        self._patience = NEVER
