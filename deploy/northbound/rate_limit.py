# SPDX-License-Identifier: Apache-2.0
"""Budget of requests for each address: a token bucket.

Does not wait and does not drop; the servers do. The number of addresses is bounded.
"""

from dataclasses import dataclass, field

_MAX_ADDRESSES = 1024


@dataclass(slots=True)
class _Bucket:
    tokens: float
    refilled_at_s: float


@dataclass(slots=True)
class RequestBudget:
    """`rate` requests a second, with a reserve of `burst`. Times are monotonic seconds.

    At most 1,024 addresses are known; the one that was not used for longest is forgotten first.
    """

    rate: float
    burst: float
    _buckets: dict[str, _Bucket] = field(default_factory=dict)

    def delay(self, address: str, now: float) -> float:
        """Take one request from the budget of an address; return how long it waits, s."""
        bucket = self._renew(address, now)
        bucket.tokens -= 1
        return max(0.0, -bucket.tokens / self.rate)

    def take(self, address: str, now: float) -> bool:
        """Take one request if there is one; return whether there was."""
        bucket = self._renew(address, now)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def spend(self, address: str, now: float, amount: float) -> None:
        """Take an amount that is known afterwards; the budget can be below 0 then."""
        self._renew(address, now).tokens -= amount

    def addresses(self) -> int:
        """Return the number of known addresses."""
        return len(self._buckets)

    def _renew(self, address: str, now: float) -> _Bucket:
        bucket = self._buckets.pop(address, None) or _Bucket(self.burst, now)
        self._buckets[address] = bucket
        if len(self._buckets) > _MAX_ADDRESSES:
            del self._buckets[next(iter(self._buckets))]
        bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.refilled_at_s) * self.rate)
        bucket.refilled_at_s = now
        return bucket
