# SPDX-License-Identifier: Apache-2.0
"""Health of one unit on a bus: response time, reply timeout, online or offline.

Does not send anything and does not hold a queue; see `bus` and `recovery_probe`.

The reply timeout follows from the unit's own response times, as in TCP (RFC 6298): smoothed mean
plus four times the smoothed deviation, within bounds. A reply to a retry is not a sample, because
it can belong to the first attempt (Karn's rule). After one timeout the retry gets 1.5 times the
limit, after more timeouts 2 times. The deviation grows with each timeout and falls slowly. Thus
the bus soon waits long enough for a unit that is sometimes slow. The timeout does not double
without end as in TCP, because a stop must not wait for it.

After `OFFLINE_AFTER` timeouts in a row the unit is offline. The bus then sends only probes. The
pause between probes doubles each time, up to `_PROBE_MAX_US`, until the unit replies.

A gateway that executes one request after another holds all later ones back while a slow unit has
not replied (`hold_us`). So it seems that no unit replies. The sign is a late reply of an offline
unit, with attempts of other units in between that timed out and with no good reply.
"""

from protocols.modbus.pdu import reply_length
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OFFLINE_AFTER = 4
_FLOOR_AFTER = 8
_PROBE_FIRST_US = SECOND // 2
_PROBE_MAX_US = 6 * SECOND
_HOLD_MAX_US = 6 * SECOND
_HOLD_SHARE = 24  # such a unit takes a twenty-fifth of the time from the others
_HOLD_PAUSE_US = 60 * SECOND
_PROBE_MIN_US = 40 * MILLISECOND
_FULL_WAIT_EVERY = 4  # one of so many probes waits for the longest allowed time


class UnitHealth:
    """Health of one unit address. Times are in microseconds.

    `timeout_us` is the time in which the reply to the next request must begin. `response_us` is
    the smoothed response time, -1 before the first reply. `fastest_us` is the shortest response
    time. A reply below `min_response_us` is premature; this limit is 0 until there are enough
    samples (`has_min_response`). `sends_duplicates`: the unit sent a reply twice. `offline`: the
    bus sends only probes, since `offline_since`. `probe_pdu` (empty: none) is the request that
    probes the unit, and `probe_tag` the tag of its result. `hold_us`: so long a request to this
    offline unit keeps those to others from their replies; 0 if it does not.
    """

    __slots__ = (
        "_attempt",
        "_deviation",
        "_max_us",
        "_min_us",
        "_probe_delay",
        "_samples",
        "consecutive_timeouts",
        "fastest_us",
        "has_min_response",
        "hold_us",
        "min_response_us",
        "offline",
        "offline_since",
        "probe_at",
        "probe_count",
        "probe_pdu",
        "probe_tag",
        "response_us",
        "sends_duplicates",
        "timeout_us",
    )

    def __init__(self, min_us: int, max_us: int) -> None:
        self._min_us = min(min_us, max_us)
        self._max_us = max_us
        self._deviation = 0
        self._attempt = (0, 0, 0)
        self._probe_delay = _PROBE_FIRST_US
        self._samples = 0
        self.hold_us = 0
        self.fastest_us = 0
        self.min_response_us = 0
        self.has_min_response = False
        self.timeout_us = max_us
        self.response_us = -1
        self.consecutive_timeouts = 0
        self.offline = False
        self.offline_since = 0
        self.sends_duplicates = False
        self.probe_count = 0
        self.probe_at = 0
        self.probe_pdu = b""
        self.probe_tag: Any = None

    def reply_received(
        self, response_us: int, is_first_attempt: bool, margin_us: int = NEVER
    ) -> None:
        """Record a reply, good or an exception, to the first attempt or to a retry.

        `margin_us`: so long after the earliest possible time came a part of the reply.
        """
        if self.consecutive_timeouts:
            self.consecutive_timeouts = 0
            self.offline = False
            self.hold_us = 0
            self.probe_count = 0
            self._probe_delay = _PROBE_FIRST_US
        if not is_first_attempt:
            return
        sample = response_us if response_us > 0 else 0
        fastest = sample if sample <= margin_us else max(0, margin_us)
        mean = self.response_us
        if mean < 0:
            self.response_us = mean = sample
            self._deviation = sample // 2
            self.set_fastest(fastest)
        else:
            error = sample - mean
            self.response_us = mean = mean + error // 8
            size = error if error >= 0 else -error
            self._deviation += (size - self._deviation) // (4 if size > self._deviation else 16)
        if not self.has_min_response:
            self._samples += 1
            self.has_min_response = self._samples >= _FLOOR_AFTER
            self.set_fastest(min(fastest, self.fastest_us))
        elif fastest < self.fastest_us:
            self.set_fastest(fastest)
        limit = mean + 4 * self._deviation
        if limit < self._min_us:
            limit = self._min_us
        self.timeout_us = limit if limit < self._max_us else self._max_us

    def set_fastest(self, fastest_us: int) -> None:
        """Set the shortest response time; `min_response_us` follows if there are enough samples."""
        self.fastest_us = fastest_us
        self.min_response_us = fastest_us * 7 // 8 if self.has_min_response else 0

    def _timeout_limit(self) -> int:
        limit = self.response_us + 4 * self._deviation
        return min(self._max_us, max(self._min_us, limit))

    def timed_out(self, now: int) -> None:
        """Record an attempt without a reply."""
        self.consecutive_timeouts += 1
        if self.response_us >= 0:
            self._deviation += self._timeout_limit() // 64
            self.timeout_us = min(
                self._max_us,
                self._timeout_limit() * (3 if self.consecutive_timeouts == 1 else 4) // 2,
            )
        if self.consecutive_timeouts == OFFLINE_AFTER:
            self.offline = True
            self.offline_since = now
            self.probe_pdu = b""
        if self.offline:
            self.probe_at = now + max(
                self._probe_delay, min(_HOLD_SHARE * self.hold_us, _HOLD_PAUSE_US)
            )
            self._probe_delay = min(2 * self._probe_delay, _PROBE_MAX_US)

    def attempt_ended(self, sent_at: int, good_count: int, timeout_count: int) -> None:
        """Record when the last attempt without a reply was sent, and the counters at its end.

        They are the good transactions and the timeouts of the bus.
        """
        self._attempt = (sent_at, good_count, timeout_count)

    def late_reply(self, now: int, good_count: int, timeout_count: int) -> None:
        """Record a late reply of this offline unit at `now`, with the counters of `attempt_ended`.

        It shows whether the line was held until then.
        """
        if not self.offline:
            return
        sent_at, good_before, timeouts_before = self._attempt
        if good_count != good_before:
            self.hold_us = 0
        elif self.hold_us or timeout_count > timeouts_before:
            self.hold_us = min(_HOLD_MAX_US, (now - sent_at) * 5 // 4)

    def probe_timeout_us(self) -> int:
        """Return the time in which the reply to the next probe must begin.

        A unit that replied before gets twice its response time, other units get a short time. One
        of `_FULL_WAIT_EVERY` probes gets the longest allowed time, because the unit can be slower
        than before.
        """
        if self.probe_count % _FULL_WAIT_EVERY == _FULL_WAIT_EVERY - 1:
            return self._max_us
        if self.response_us >= 0:
            return min(self._max_us, max(self._min_us, 2 * self.response_us))
        return min(self._max_us, _PROBE_MIN_US)

    def start_probe(self) -> int:
        """Count a probe; return the time in which its reply must begin."""
        timeout_us = self.probe_timeout_us()
        self.probe_count += 1
        return timeout_us

    def store_probe(self, pdu: bytes, tag: "Any") -> None:
        """Take a poll of the offline unit as its probe if it has the shortest reply so far."""
        if tag is None:
            return
        if not self.probe_pdu or reply_length(pdu) <= reply_length(self.probe_pdu):
            self.probe_pdu, self.probe_tag = pdu, tag

    def duplicate_seen(self) -> None:
        """Record that the unit sent a reply twice."""
        self.sends_duplicates = True
