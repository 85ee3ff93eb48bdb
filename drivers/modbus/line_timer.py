"""When a line has been silent long enough for the next frame.

Not a timer and not a queue: the bus asks. A frame may begin t3.5 after the last byte (`t35_at`).
After a timeout the line is drained as well: `drained_at` is `flush_us` after the last byte then.
Bytes that come while nothing is asked extend both, but not for ever: a line that is never silent
must not stop all polls, and a stop waits for it even less.

On TCP every silence is 0.
"""

from protocols.time_units import MILLISECOND, NEVER

_MAX_POLL_WAIT_US = 250 * MILLISECOND
_MAX_URGENT_WAIT_US = 20 * MILLISECOND


class LineTimer:
    """One line. Writes and stops wait for `t35_at`, polls for `drained_at`."""

    def __init__(self, gap_us: int, flush_us: int) -> None:
        self.gap_us = gap_us
        self.flush_us = flush_us
        self.t35_at = 0
        self.drained_at = 0
        self._required_us = gap_us
        self._poll_limit_at = self._urgent_limit_at = NEVER

    def line_opened(self, now: int) -> None:
        """The line was opened."""
        self._required_us = self.gap_us
        self.drained_at = self.t35_at = now + self.gap_us

    def request_sent(self) -> None:
        """A request goes out: what was to be drained is over."""
        self._required_us = self.gap_us
        self._poll_limit_at = self._urgent_limit_at = NEVER

    def bytes_received(self, now: int) -> None:
        """Bytes came while a reply is waited for."""
        self.t35_at = now + self.gap_us
        self.drained_at = now + self._required_us

    def reply_timed_out(self, now: int) -> None:
        """A reply did not come in time: what still comes is not to be taken for the next one."""
        self._required_us = self.flush_us
        self.drained_at = max(self.t35_at, now + self.flush_us)
        self._poll_limit_at = now + _MAX_POLL_WAIT_US

    def unexpected_bytes(self, now: int, has_pending: bool) -> None:
        """Bytes came while nothing was asked; `has_pending`: something is to go out."""
        self.bytes_received(now)
        if not has_pending:
            self._poll_limit_at = self._urgent_limit_at = NEVER
            return
        if self._poll_limit_at == NEVER:
            self._poll_limit_at = now + _MAX_POLL_WAIT_US
        if self._urgent_limit_at == NEVER:
            self._urgent_limit_at = now + _MAX_URGENT_WAIT_US
        self.drained_at = min(self.drained_at, self._poll_limit_at)
        self.t35_at = min(self.t35_at, self._urgent_limit_at)

    def line_closed(self) -> None:
        """The port is gone."""
        self._poll_limit_at = NEVER
