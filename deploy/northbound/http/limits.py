# SPDX-License-Identifier: Apache-2.0
"""Limits of the HTTP server, and its rate limit for each address and in total.

Does not know accounts; `deploy.northbound.access` has their lock-out.
"""

from dataclasses import dataclass

from deploy.northbound.rate_limit import RequestBudget

_BYTES_OF_ONE = 16_384
"""Bytes of an answer that count as one more request: a long answer takes as much of the processor
as some short ones."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of the server. Sizes in bytes, times in seconds, rates in requests a second.

    `streams`: in each group; `address_streams`: of them for one address.
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


class HttpRateLimit:
    """Says whether a request of an address is permitted at `now` (seconds, monotonic)."""

    def __init__(self, limits: HttpLimits) -> None:
        self._addresses = RequestBudget(limits.address_rate, limits.address_burst)
        self._total = RequestBudget(limits.total_rate, limits.total_burst)
        # Twice the reserve: a client with a connection for each request gets 429 first.
        self._connections = RequestBudget(limits.address_rate, 2 * limits.address_burst)
        self.refused = 0

    @property
    def addresses(self) -> int:
        """Number of known addresses."""
        return self._addresses.addresses()

    def permit_connection(self, address: str, now: float) -> bool:
        """Take one new connection of an address: a TLS handshake costs as much as a request."""
        return self._connections.take(address, now)

    def spend(self, address: str, now: float, length: int) -> None:
        """Take further requests from the budgets for an answer of `length` bytes."""
        for budget, name in ((self._addresses, address), (self._total, "")):
            budget.spend(name, now, length // _BYTES_OF_ONE)

    def permit(self, address: str, now: float) -> bool:
        """Take one request from the budget of the address and of all; False: one has none."""
        if self._addresses.take(address, now) and self._total.take("", now):
            return True
        self.refused += 1
        return False
