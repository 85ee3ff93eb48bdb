# SPDX-License-Identifier: Apache-2.0
"""Limits of the HTTP server, and its budgets for addresses and shares.

Does not know accounts; `deploy.northbound.access` has their lock-out. An address is known while a
login, a session or a token of it was right within `KNOWN_S`. Known addresses have a share of their
own of all budgets, which other addresses do not use up; see `deploy.northbound.rate_limit`.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

from microdot import Request

from deploy.northbound.rate_limit import OTHERS, ClientBudget, Quantity, ShareLimits

_T = TypeVar("_T")
KNOWN_S = 3600.0
_KNOWN = "known"
_MAX_KNOWN = 256
_FIRST_HANDSHAKE_MS, _MEAN_OF = 0.5, 16
"""Work of a TLS handshake until it is measured; handshakes of the mean."""
_WHOLE = 3.0
"""Work of a connection in handshakes, which are 0.47 ms each: there are also buffers, tasks and the
close. Measured 1.05 ms with nothing else, 1.7 ms in the whole server."""
WHOLE_READ = 3.0
"""Work of a record in its reads: there are also the socket, the buffers and the task that waits."""
_BYTES_OF_ONE = 16_384
"""Bytes of an answer that count as one more request: a long answer takes as much of the processor
as some short ones, which is not measured: TLS, and the copies of the kernel."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of the server. Sizes in bytes, times in seconds, rates in requests a second.

    `streams`: in each group; `address_streams`: of them for one address. `total_…`: of all
    addresses of a share; `spared_rate`: of one address, which they spare. `…_work_ms`: ms of the
    processor in each second for all addresses of a share, and `work_ms` for one, with a reserve of
    `work_burst_s`. The unit of systemd has 200 ms for all servers.
    """

    head: int = 8192
    fields: int = 64
    target: int = 2048
    body: int = 65536
    depth: int = 8
    connections: int = 32
    address_connections: int = 16
    streams: int = 4
    address_streams: int = 3
    handshake_s: float = 5.0
    request_s: float = 10.0
    idle_s: float = 30.0
    answer_s: float = 20.0
    address_rate: float = 100.0
    address_burst: float = 300.0
    total_rate: float = 200.0
    total_burst: float = 600.0
    spared_rate: float = 10.0
    work_ms: float = 150.0
    known_work_ms: float = 200.0
    other_work_ms: float = 100.0
    spared_work_ms: float = 10.0
    work_burst_s: float = 20.0


class HttpRateLimit:
    """Says whether a request of an address is permitted at `now` (seconds, monotonic)."""

    def __init__(self, limits: HttpLimits) -> None:
        requests = Quantity(
            limits.address_rate, limits.address_burst, limits.total_rate, limits.total_burst,
            limits.spared_rate,
        )  # fmt: skip
        # Twice the reserve: a client with a connection for each request gets 429 first.
        opened = Quantity(
            limits.address_rate, 2 * limits.address_burst, limits.total_rate,
            2 * limits.total_burst, limits.spared_rate,
        )  # fmt: skip
        connections = ShareLimits(opened)
        shares = {
            OTHERS: ShareLimits(requests, _work(limits, limits.other_work_ms)),
            _KNOWN: ShareLimits(requests, _work(limits, limits.known_work_ms)),
        }
        self._budget = ClientBudget(shares, self._share_of)
        self._connections = ClientBudget({OTHERS: connections, _KNOWN: connections}, self._share_of)
        self._known: dict[str, float] = {}
        self._now = 0.0
        self._handshake_ms = _FIRST_HANDSHAKE_MS
        self.refused = 0

    @property
    def addresses(self) -> int:
        """Number of known addresses."""
        return self._budget.addresses()

    def permit_connection(self, address: str, now: float) -> bool:
        """Take one new connection of an address, and the work of its TLS handshake.

        It is known only afterwards, and a client can end it before; so it is that of the others.
        """
        self._now = now
        if not self.is_known(address, now) and not self._budget.has_work(address, now):
            return False
        is_permitted = self._connections.take(address, now)
        if is_permitted:
            self._budget.spend(address, now, _WHOLE * self._handshake_ms)
        return is_permitted

    def has_work(self, address: str, now: float) -> bool:
        """Return whether an address has a rest of work."""
        self._now = now
        return self._budget.has_work(address, now)

    def note_handshake(self, work_ms: float) -> None:
        """Take over what a TLS handshake has used, for the mean of the newest ones."""
        self._handshake_ms += (work_ms - self._handshake_ms) / _MEAN_OF

    def spend(self, address: str, now: float, length: int, work_ms: float) -> None:
        """Take what an answer has used: further requests for its `length` in bytes, and work."""
        self._now = now
        self._budget.spend(address, now, work_ms, length // _BYTES_OF_ONE)

    def permit(self, address: str, now: float) -> bool:
        """Take one request of the address and of its share; False: one has none."""
        self._now = now
        if self._budget.take(address, now):
            return True
        self.refused += 1
        return False

    def prove(self, address: str, now: float) -> None:
        """Note that an account has used an address."""
        self._known.pop(address, None)
        self._known[address] = now + KNOWN_S
        if len(self._known) > _MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def is_known(self, address: str, now: float) -> bool:
        """Return whether an account has used an address lately."""
        return self._known.get(address, 0.0) > now

    def _share_of(self, address: str) -> str:
        return _KNOWN if self.is_known(address, self._now) else OTHERS


def _work(limits: HttpLimits, total: float) -> Quantity:
    burst_s, own = limits.work_burst_s, min(limits.work_ms, total)
    return Quantity(own, own * burst_s, total, 2 * total * burst_s, limits.spared_work_ms)


def mark_known(request: Request) -> None:
    """Note that the login, the session or the token of a request is right."""
    request.g.is_known = True


async def run_in_thread(
    request: Request, threads: Executor | None, work: Callable[..., _T], *arguments: Any
) -> _T:
    """Return what `work` returns in a thread; what it uses is work of the request.

    `threads` None: those of the event loop. A hash of a password takes about 50 ms of the
    processor: without this an address that logs in with wrong passwords would use none.
    """

    def run() -> _T:
        begin = time.thread_time()
        try:
            return work(*arguments)
        finally:
            request.g.thread_s = thread_time_of(request) + time.thread_time() - begin

    return await asyncio.get_running_loop().run_in_executor(threads, run)


def thread_time_of(request: Request) -> float:
    """Return the time of the processor that threads have used for a request, s."""
    used_s: float = getattr(request.g, "thread_s", 0.0)
    return used_s
