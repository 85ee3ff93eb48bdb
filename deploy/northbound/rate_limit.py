# SPDX-License-Identifier: Apache-2.0
"""Budgets of the clients of all servers: requests and time of the processor, by address and share.

Does not wait and does not drop; the servers do. Each quantity is a token bucket: a rate, and a
reserve that fills while nothing is used. `RequestBudget` counts the requests of each address alone.
`ClientBudget` has two quantities and shares:

    share      addresses of one kind, such as permitted ones; it has totals of its own, which
               addresses of another kind do not use
    request    counted when it comes
    work       time of the processor, counted afterwards as it was measured; a request needs a
               rest of any size

The total of a share spares addresses that send little: an address above its spared rate can use
only the upper half of the reserve. So a few addresses that send much stop none that sends little.
A host owns all IPv6 addresses of its /64. So these are spared together, at `_NETWORK_FACTOR` times
the rate; what an address sends above its own spared rate does not count there, so it takes nothing
from its neighbours.
"""

import math
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.northbound.access.networks import client_network

OTHERS = "others"
"""The share of addresses that no rule permits."""
_MAX_ADDRESSES = 1024
_LEAST_WORK_MS = 1e-3
_SPARED_S = 2.0
"""Reserve of the spared rate, s."""
_NETWORK_FACTOR = 4


@dataclass(slots=True)
class TokenBucket:
    """`rate` tokens a second, at most `burst`. Times are monotonic seconds."""

    rate: float
    burst: float
    tokens: float
    refilled_at_s: float

    def rest(self, now: float) -> float:
        """Return the tokens now."""
        self.tokens = min(self.burst, self.tokens + (now - self.refilled_at_s) * self.rate)
        self.refilled_at_s = now
        return self.tokens


def full_bucket(rate: float, burst: float, now: float) -> TokenBucket:
    """Return a bucket with its whole reserve."""
    return TokenBucket(rate, burst, burst, now)


@dataclass(slots=True)
class RequestBudget:
    """`rate` requests a second of each address, with a reserve of `burst`.

    At most 1,024 addresses are known; the one that was not used for longest is forgotten first.
    """

    rate: float
    burst: float
    _buckets: dict[str, TokenBucket] = field(default_factory=dict)

    def take(self, address: str, now: float) -> bool:
        """Take one request if there is one; return whether there was."""
        bucket = self._renew(address, now)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _renew(self, address: str, now: float) -> TokenBucket:
        bucket = self._buckets.pop(address, None) or full_bucket(self.rate, self.burst, now)
        self._buckets[address] = bucket
        _drop_oldest(self._buckets)
        bucket.rest(now)
        return bucket


@dataclass(frozen=True, slots=True)
class Quantity:
    """Limits of requests, or of ms of work: a rate in each s and a reserve.

    `rate`, `burst`: of one address. `total`, `total_burst`: of all of a share. `spared`: rate of
    one address that the total spares.
    """

    rate: float
    burst: float
    total: float
    total_burst: float
    spared: float


UNLIMITED = Quantity(math.inf, math.inf, math.inf, math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class ShareLimits:
    """Limits of a share. `work`: in ms of the processor."""

    requests: Quantity
    work: Quantity = UNLIMITED


class _Fair:
    """One quantity of a share: the buckets of its addresses, and that of all."""

    def __init__(self, limits: Quantity) -> None:
        self._limits = limits
        self._all = full_bucket(limits.total, limits.total_burst, 0.0)
        self._own: dict[str, tuple[TokenBucket, TokenBucket]] = {}
        self._networks: dict[str, TokenBucket] = {}

    def has(self, address: str, now: float, least: float) -> bool:
        own, spared = self._buckets(address, now)
        shared = self._shared(address, now)
        is_spared = spared.rest(now) >= least and (shared is None or shared.rest(now) >= least)
        kept = 0.0 if is_spared else self._limits.total_burst / 2
        return own.rest(now) >= least and self._all.rest(now) >= least + kept

    def spend(self, address: str, now: float, amount: float) -> None:
        own, spared = self._buckets(address, now)
        shared = self._shared(address, now)
        if amount and shared is not None and spared.rest(now) > 0:
            shared.tokens = max(-amount, shared.rest(now) - amount)
        for bucket in (own, spared, self._all):
            bucket.rest(now)
            bucket.tokens -= amount
        if amount:  # what an address has used above its spared rate costs it no more than this
            spared.tokens = max(-amount, spared.tokens)

    def _buckets(self, address: str, now: float) -> tuple[TokenBucket, TokenBucket]:
        limits, found = self._limits, self._own.pop(address, None)
        if found is None:
            rate = limits.spared
            found = (
                full_bucket(limits.rate, limits.burst, now),
                full_bucket(rate, rate * _SPARED_S, now),
            )
        self._own[address] = found
        _drop_oldest(self._own)
        return found

    def _shared(self, address: str, now: float) -> TokenBucket | None:
        """Return what the addresses of an IPv6 network are spared together; None: it is alone."""
        network = client_network(address)
        if not network.endswith("/64"):
            return None
        rate = self._limits.spared * _NETWORK_FACTOR
        found = self._networks.pop(network, None) or full_bucket(rate, rate * _SPARED_S, now)
        self._networks[network] = found
        _drop_oldest(self._networks)
        return found

    @property
    def addresses(self) -> int:
        return len(self._own)


class ClientBudget:
    """The budgets of a server. `share_of`: the share of an address, a key of `limits`.

    At most 1,024 addresses of a share are known, as in `RequestBudget`.
    """

    def __init__(
        self,
        limits: Mapping[str, ShareLimits],
        share_of: Callable[[str], str] = lambda _address: OTHERS,
    ) -> None:
        self._share_of = share_of
        self._shares = {
            name: (_Fair(share.requests), _Fair(share.work)) for name, share in limits.items()
        }

    def take(self, address: str, now: float) -> bool:
        """Take one request if the address and its share have one, and a rest of work."""
        requests, work = self._shares[self._share_of(address)]
        if not work.has(address, now, _LEAST_WORK_MS) or not requests.has(address, now, 1):
            return False
        requests.spend(address, now, 1)
        return True

    def has_work(self, address: str, now: float) -> bool:
        """Return whether the address and its share have a rest of work."""
        _, work = self._shares[self._share_of(address)]
        return work.has(address, now, _LEAST_WORK_MS)

    def spend(self, address: str, now: float, work_ms: float, requests: int = 0) -> None:
        """Take what a request has used; a budget can be below 0 then."""
        counted, work = self._shares[self._share_of(address)]
        counted.spend(address, now, requests)
        work.spend(address, now, work_ms)

    def addresses(self) -> int:
        """Return the number of known addresses of all shares."""
        return sum(requests.addresses for requests, _work in self._shares.values())


@types.coroutine
def measured(
    work: Coroutine[Any, Any, Any], clock: Callable[[], float], spend: Callable[[float], object]
) -> Generator[Any, Any, Any]:
    """Await `work`; give to `spend` what `clock` has counted in its own steps, not in its waits."""
    value, problem = None, None
    while True:
        begin = clock()
        try:
            wait = work.send(value) if problem is None else work.throw(problem)
        except StopIteration as end:
            return end.value
        finally:
            spend(clock() - begin)
        value, problem = None, None
        try:
            value = yield wait
        except BaseException as error:  # noqa: BLE001 - it belongs to the work
            problem = error


def _drop_oldest(known: dict[str, Any]) -> None:
    if len(known) > _MAX_ADDRESSES:
        del known[next(iter(known))]
