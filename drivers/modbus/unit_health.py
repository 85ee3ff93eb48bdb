"""How a device on a bus answers: its response time, its time limit, and whether it is dead.

Not a bus: it sends nothing and holds no queue. One `Health` a unit address.

The time limit of a reply comes from the device's own response times, as in TCP (RFC 6298): smoothed
mean plus four times the smoothed deviation, within bounds. A reply after a retry is no sample: it
may belong to the first attempt (Karn's rule). After a silence the retry has half as much time
again, after a second one twice, and the deviation grows; it falls slowly, so that a device that is
slow now and then is soon waited for. It is not doubled over and over as in TCP: a stop must not
wait behind it.

After `DEAD_AFTER` silent attempts in a row a unit is dead. It is then asked by probes alone, each
later than the last by twice the time, up to `_PROBE_MAX_US`, until it answers.
"""

from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEAD_AFTER = 4
_KNOWN_AFTER = 8
_PROBE_FIRST_US = SECOND // 2
_PROBE_MAX_US = 6 * SECOND
_PROBE_SHORT_US = 40 * MILLISECOND
_FULL_EVERY = 4  # one probe in so many waits as long as allowed


class Health:
    """One unit. `timeout_us` is how long the reply to the next request may take to begin.

    `response_us` is the smoothed response time, -1 before the first; `floor_us` that below which a
    reply is not believed, 0 until the unit has answered `known` often enough; `stutters`: it has
    answered twice; `dead` whether only probes go
    out to it; `since` when it died; `probe` the request that probes it, with its tag.
    """

    __slots__ = (
        "_delay",
        "_deviation",
        "_least",
        "_most",
        "_samples",
        "dead",
        "fastest_us",
        "floor_us",
        "known",
        "misses",
        "probe",
        "probe_at",
        "probes",
        "response_us",
        "since",
        "stutters",
        "timeout_us",
    )

    def __init__(self, least_us: int, most_us: int) -> None:
        self._least = min(least_us, most_us)
        self._most = most_us
        self._deviation = 0
        self._delay = _PROBE_FIRST_US
        self._samples = 0
        self.fastest_us = 0
        self.floor_us = 0
        self.known = False
        self.timeout_us = most_us
        self.response_us = -1
        self.misses = 0
        self.dead = False
        self.since = 0
        self.stutters = False
        self.probes = 0
        self.probe_at = 0
        self.probe: tuple[bytes, Any] | None = None

    def answered(self, response_us: int, first: bool) -> None:
        """A reply has come, good or an exception; `first`: to the first attempt."""
        if self.misses:
            self.misses = 0
            self.dead = False
            self.probes = 0
            self._delay = _PROBE_FIRST_US
        if not first:
            return
        response = response_us if response_us > 0 else 0
        smooth = self.response_us
        if smooth < 0:
            self.response_us = smooth = response
            self._deviation = response // 2
            self.correct(response)
        else:
            error = response - smooth
            self.response_us = smooth = smooth + error // 8
            size = error if error >= 0 else -error
            self._deviation += (size - self._deviation) // (4 if size > self._deviation else 16)
        if not self.known:
            self._samples += 1
            self.known = self._samples >= _KNOWN_AFTER
            self.correct(min(response, self.fastest_us))
        elif response < self.fastest_us:
            self.correct(response)
        limit = smooth + 4 * self._deviation
        if limit < self._least:
            limit = self._least
        self.timeout_us = limit if limit < self._most else self._most

    def correct(self, fastest_us: int) -> None:
        """The fastest response there has been is this; `floor_us` follows once the unit is known.

        A reply below the floor is not believed.
        """
        self.fastest_us = fastest_us
        self.floor_us = fastest_us * 7 // 8 if self.known else 0

    def _limit(self) -> int:
        limit = self.response_us + 4 * self._deviation
        return min(self._most, max(self._least, limit))

    def silent(self, now: int) -> None:
        """An attempt was not answered."""
        self.misses += 1
        if self.response_us >= 0:
            self._deviation += self._limit() // 64
            self.timeout_us = min(self._most, self._limit() * (3 if self.misses == 1 else 4) // 2)
        if self.misses == DEAD_AFTER:
            self.dead = True
            self.since = now
        if self.dead:
            self.probe_at = now + self._delay
            self._delay = min(2 * self._delay, _PROBE_MAX_US)

    def probe_timeout_us(self) -> int:
        """How long to wait for the reply to a probe.

        A unit that has answered before is given its own time, one that never has a short one; now
        and then each is given all it may take, as it may have become slower.
        """
        if self.probes % _FULL_EVERY == _FULL_EVERY - 1:
            return self._most
        if self.response_us >= 0:
            return min(self._most, max(self._least, 2 * self.response_us))
        return min(self._most, _PROBE_SHORT_US)
