# SPDX-License-Identifier: Apache-2.0
"""Requests to one NTP server and its replies (RFC 5905, client mode).

Does not compare the replies with the clock; see `agent.clock.ntp.component`.

A request has 48 bytes. Its transmit timestamp is a nonce; a reply must return it. The reply gives
UTC at its arrival: the transmit time of the server plus half the delay. Its uncertainty is half the
delay, half the root delay and the root dispersion of the server, and the configured error. A server
that is not synchronized, or has an uncertainty above `_MAX_UNCERTAINTY_US`, is not used.
"""

import struct

from agent.clock.estimate.selection import TimeSample
from protocols.time_units import SECOND

_PACKET = ">BBbbII4sIIIIIIII"
_SIZE = 48
_CLIENT = 0x23
"""Version 4, mode 3."""
_SERVER_MODE = 4
_UNSYNCHRONIZED = 3
_MAX_STRATUM = 15
_EPOCH_S = 2_208_988_800
"""From 1900 to 1970, s."""
_ERA_S = 1 << 32
_MAX_UNCERTAINTY_US = SECOND
_TIMEOUT_US = 5 * SECOND


def utc_of(seconds: int, fraction: int) -> int:
    """Return an NTP timestamp as UTC µs; before 1970 it is of the era from 2036 on."""
    if seconds < _EPOCH_S:
        seconds += _ERA_S
    return (seconds - _EPOCH_S) * SECOND + (fraction * SECOND >> 32)


class NtpExchange:
    """The exchange with one server. `error_us`: error of the server beyond what it states, µs.

    `replies` are usable, `refused` are not. `sample`: the last usable reply, None: none yet.
    """

    def __init__(self, error_us: int) -> None:
        self.sent = self.replies = self.refused = 0
        self.sample: TimeSample | None = None
        self._error_us = error_us
        self._sent_at: int | None = None
        self._nonce = 0

    def make_request(self, now: int) -> bytes:
        """Return a request that is sent at the monotonic time `now`, µs."""
        self._sent_at = now
        # distinguishes late replies; the server returns it unchanged
        self._nonce = (self._nonce * 1_103_515_245 + now) & 0xFFFFFFFF
        self.sent += 1
        stamp = (self._nonce, now & 0xFFFFFFFF)
        return struct.pack(_PACKET, _CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, 0, 0, 0, *stamp)

    def receive(self, data: bytes, now: int) -> bool:
        """Handle a reply that arrived at `now`. Return whether it is usable: `sample` is new."""
        sent_at = self._sent_at
        if len(data) >= _SIZE and sent_at is not None and now - sent_at <= _TIMEOUT_US:
            sample = self._decode(struct.unpack(_PACKET, data[:_SIZE]), sent_at, now)
            if sample is not None:
                self.sample = sample
                self.replies += 1
                return True
        self.refused += 1
        return False

    def _decode(self, f: "tuple[int, ...]", sent_at: int, now: int) -> "TimeSample | None":
        """Return the time in the fields `f` of a reply; None if it is not usable."""
        is_own = (f[9], f[10]) == (self._nonce, sent_at & 0xFFFFFFFF)
        is_synchronized = f[0] >> 6 != _UNSYNCHRONIZED and 0 < f[1] <= _MAX_STRATUM
        if not is_own or f[0] & 7 != _SERVER_MODE or not is_synchronized:
            return None
        self._sent_at = None
        received, transmitted = utc_of(f[11], f[12]), utc_of(f[13], f[14])
        delay = now - sent_at - (transmitted - received)
        root_us = (f[4] // 2 + f[5]) * SECOND >> 16
        uncertainty = delay // 2 + root_us + self._error_us
        if delay < 0 or not transmitted or uncertainty > _MAX_UNCERTAINTY_US:
            return None
        return TimeSample(transmitted + delay // 2 - now, uncertainty, now)
