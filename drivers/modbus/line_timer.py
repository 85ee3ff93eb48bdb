# SPDX-License-Identifier: Apache-2.0
"""Idle time of a serial line: the earliest time of the next request.

Does not wait and does not send; see `bus`. A request can begin t3.5 after the last byte
(`t35_at`). After a timeout the line must also be idle for `flush_us` (`drained_at`). Bytes without
a pending transaction extend both times. If the line is never idle, polls continue after 250 ms and
urgent writes after 20 ms.

On TCP all idle times are 0.
"""

from protocols.time_units import MILLISECOND, NEVER

_MAX_POLL_WAIT_US = 250 * MILLISECOND
_MAX_URGENT_WAIT_US = 20 * MILLISECOND


class LineTimer:
    """Idle times of one line, in microseconds.

    Writes and stops wait until `t35_at`, polls until `drained_at` (monotonic time). `last_byte_at`
    is the arrival of the last byte.
    """

    def __init__(self, gap_us: int, flush_us: int) -> None:
        self.gap_us = gap_us
        self.flush_us = flush_us
        self.t35_at = 0
        self.drained_at = 0
        self.last_byte_at = 0
        self._required_us = gap_us
        self._poll_limit_at = self._urgent_limit_at = NEVER

    def line_opened(self, now: int) -> None:
        """Record that the port opened."""
        self._required_us = self.gap_us
        self.drained_at = self.t35_at = now + self.gap_us

    def request_sent(self) -> None:
        """Record that a request was sent; this ends the flush time."""
        self._required_us = self.gap_us
        self._poll_limit_at = self._urgent_limit_at = NEVER

    def bytes_received(self, now: int) -> None:
        """Record bytes during a transaction."""
        self.last_byte_at = now
        self.t35_at = now + self.gap_us
        self.drained_at = now + self._required_us

    def reply_timed_out(self, now: int) -> None:
        """Start the flush time, so that a late reply does not match the next request."""
        self._required_us = self.flush_us
        self.drained_at = max(self.drained_at, self.t35_at, now + self.flush_us)
        self._poll_limit_at = now + _MAX_POLL_WAIT_US

    def unexpected_bytes(self, now: int, has_pending: bool) -> None:
        """Record bytes without a transaction; `has_pending`: requests are queued."""
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

    def hold_polls(self, until: int) -> None:
        """Keep polls back until `until`, for the reply to another master."""
        self.drained_at = until

    def line_closed(self) -> None:
        """Record that the port closed."""
        self._poll_limit_at = NEVER
