"""How a device on a bus answers: its response time, its time limit, and whether it is dead.

Not a bus: it sends nothing and holds no queue. One `UnitHealth` a unit address.

The time limit of a reply comes from the device's own response times, as in TCP (RFC 6298): smoothed
mean plus four times the smoothed deviation, within bounds. A reply after a retry is no sample: it
may belong to the first attempt (Karn's rule). After a silence the retry has half as much time
again, after a second one twice, and the deviation grows; it falls slowly, so that a device that is
slow now and then is soon waited for. It is not doubled over and over as in TCP: a stop must not
wait behind it.

After `OFFLINE_AFTER` silent attempts in a row a unit is dead. It is then asked by probes alone,
each later than the last by twice the time, up to `_PROBE_MAX_US`, until it answers.
"""

from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OFFLINE_AFTER = 4
_FLOOR_AFTER = 8
_PROBE_FIRST_US = SECOND // 2
_PROBE_MAX_US = 6 * SECOND
_PROBE_MIN_US = 40 * MILLISECOND
_FULL_WAIT_EVERY = 4  # one probe in so many waits as long as allowed


class UnitHealth:
    """One unit. `timeout_us` is how long the reply to the next request may take to begin.

    `response_us` is the smoothed response time, -1 before the first; `min_response_us` that below
    which a reply is not believed, 0 until the unit has answered `has_min_response` often enough;
    `sends_duplicates`: it has answered twice; `offline` whether only probes go out to it;
    `offline_since` when it died; `probe` the request that probes it, with its tag.
    """

    __slots__ = (
        "_deviation",
        "_max_us",
        "_min_us",
        "_probe_delay",
        "_samples",
        "consecutive_timeouts",
        "fastest_us",
        "has_min_response",
        "min_response_us",
        "offline",
        "offline_since",
        "probe",
        "probe_at",
        "probe_count",
        "response_us",
        "sends_duplicates",
        "timeout_us",
    )

    def __init__(self, min_us: int, max_us: int) -> None:
        self._min_us = min(min_us, max_us)
        self._max_us = max_us
        self._deviation = 0
        self._probe_delay = _PROBE_FIRST_US
        self._samples = 0
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
        self.probe: tuple[bytes, Any] | None = None

    def reply_received(self, response_us: int, is_first_attempt: bool) -> None:
        """A reply has come, good or an exception; `is_first_attempt`: to the first attempt."""
        if self.consecutive_timeouts:
            self.consecutive_timeouts = 0
            self.offline = False
            self.probe_count = 0
            self._probe_delay = _PROBE_FIRST_US
        if not is_first_attempt:
            return
        sample = response_us if response_us > 0 else 0
        mean = self.response_us
        if mean < 0:
            self.response_us = mean = sample
            self._deviation = sample // 2
            self.set_fastest(sample)
        else:
            error = sample - mean
            self.response_us = mean = mean + error // 8
            size = error if error >= 0 else -error
            self._deviation += (size - self._deviation) // (4 if size > self._deviation else 16)
        if not self.has_min_response:
            self._samples += 1
            self.has_min_response = self._samples >= _FLOOR_AFTER
            self.set_fastest(min(sample, self.fastest_us))
        elif sample < self.fastest_us:
            self.set_fastest(sample)
        limit = mean + 4 * self._deviation
        if limit < self._min_us:
            limit = self._min_us
        self.timeout_us = limit if limit < self._max_us else self._max_us

    def set_fastest(self, fastest_us: int) -> None:
        """The fastest response there has been is this; `min_response_us` follows once the unit is
        known.

        A reply below the floor is not believed.
        """
        self.fastest_us = fastest_us
        self.min_response_us = fastest_us * 7 // 8 if self.has_min_response else 0

    def _timeout_limit(self) -> int:
        limit = self.response_us + 4 * self._deviation
        return min(self._max_us, max(self._min_us, limit))

    def timed_out(self, now: int) -> None:
        """An attempt was not answered."""
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
        if self.offline:
            self.probe_at = now + self._probe_delay
            self._probe_delay = min(2 * self._probe_delay, _PROBE_MAX_US)

    def probe_timeout_us(self) -> int:
        """How long to wait for the reply to a probe.

        A unit that has answered before is given its own time, one that never has a short one; now
        and then each is given all it may take, as it may have become slower.
        """
        if self.probe_count % _FULL_WAIT_EVERY == _FULL_WAIT_EVERY - 1:
            return self._max_us
        if self.response_us >= 0:
            return min(self._max_us, max(self._min_us, 2 * self.response_us))
        return min(self._max_us, _PROBE_MIN_US)
