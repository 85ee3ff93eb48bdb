# SPDX-License-Identifier: Apache-2.0
"""Limits of the HTTP server, and the rate limit by token bucket for each address and in total.

Does not know accounts; see `deploy.northbound.accounts` for the lock-out. The table of addresses
has a fixed size. When it is full, the entry that was used least recently is dropped.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of the server. Sizes in bytes, times in seconds, rates in requests a second."""

    head: int = 8192
    fields: int = 64
    target: int = 2048
    body: int = 65536
    depth: int = 8
    connections: int = 32
    address_connections: int = 16
    streams: int = 4
    handshake_s: float = 5.0
    request_s: float = 10.0
    idle_s: float = 30.0
    answer_s: float = 20.0
    address_rate: float = 100.0
    address_burst: float = 300.0
    total_rate: float = 200.0
    total_burst: float = 600.0


class _Bucket:
    """A token bucket. `now` in seconds, monotonic."""

    __slots__ = ("_burst", "_last", "_rate", "_tokens")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._last = now

    def fill(self, now: float) -> float:
        """Return the number of tokens at `now`."""
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate)
        self._last = now
        return self._tokens

    def take(self) -> None:
        """Take one token."""
        self._tokens -= 1


class RateLimiter:
    """Says whether a request of an address is permitted at `now` (seconds, monotonic)."""

    MAX_ADDRESSES = 1024

    def __init__(self, limits: HttpLimits, now: float = 0.0) -> None:
        self._limits = limits
        self._total = _Bucket(limits.total_rate, limits.total_burst, now)
        self._addresses: OrderedDict[str, _Bucket] = OrderedDict()
        self.refused = 0

    def permit(self, address: str, now: float) -> bool:
        """Take one token of the address and one of the total; False: one of them has none."""
        bucket = self._addresses.pop(address, None)
        if bucket is None:
            bucket = _Bucket(self._limits.address_rate, self._limits.address_burst, now)
            if len(self._addresses) >= self.MAX_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses[address] = bucket
        if bucket.fill(now) < 1 or self._total.fill(now) < 1:
            self.refused += 1
            return False
        bucket.take()
        self._total.take()
        return True
