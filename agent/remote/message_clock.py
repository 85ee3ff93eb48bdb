# SPDX-License-Identifier: Apache-2.0
"""Time for the age of messages: trusted UTC, or the time since the last accepted message.

Does not compare; see `agent.remote.message.verifier`.

A signed message contains the time of its signing, in its counter. So each accepted message is a
beacon: at its reception that time has certainly passed. Without trusted UTC, the time of the newest
beacon plus the monotonic time since its reception is a lower limit of UTC. A message that expires
before this limit is rejected. The counters in the store are the beacon after a restart; the
duration of the power cut is then missing from the limit.

A message is accepted without a date only in one case: the unit has no trusted UTC and has accepted
no message before.
"""

from agent.clock.clock_state import TRUSTED
from agent.remote.message.counter import epoch_of, seconds_of
from agent.remote.message.header import EPOCH_S
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.context import Context


class MessageClock:
    """`counters`: the last accepted counters after a start at the monotonic time `now`, us."""

    def __init__(self, agent: "Context") -> None:
        self._agent = agent
        self._epoch = 0
        self._seconds = 0
        self._at = 0

    def start(self, counters: "list[int]", now: int) -> None:
        """Take the newest of the stored counters as the beacon."""
        for counter in counters:
            self.on_accepted(counter, now)

    def on_accepted(self, counter: int, now: int) -> None:
        """Handle an accepted message: it is the beacon if it is newer."""
        is_newer = seconds_of(counter) > self._passed(now)
        if epoch_of(counter) > self._epoch or (epoch_of(counter) == self._epoch and is_newer):
            self._epoch, self._seconds, self._at = epoch_of(counter), seconds_of(counter), now

    def _passed(self, now: int) -> int:
        """Return the lower limit of UTC without a clock, seconds since 2026-01-01."""
        return self._seconds + (now - self._at) // SECOND if self._seconds else 0

    def utc_s(self, now: int) -> int:
        """Return the trusted UTC in seconds since 1970, 0 without one."""
        utc = self._agent.clock.utc(now)
        trusted = self._agent.clock.state(now) in TRUSTED
        return utc // SECOND if utc is not None and trusted else 0

    def passed_s(self, now: int) -> int:
        """Return the latest UTC that has certainly passed, seconds since 1970."""
        return self.utc_s(now) or EPOCH_S + self._passed(now)
