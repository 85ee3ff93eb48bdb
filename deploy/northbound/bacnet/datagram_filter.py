# SPDX-License-Identifier: Apache-2.0
"""Limits of datagrams before bacpypes3 decodes them: length, rate, work, open transactions.

Does not know services: only the headers of BVLC (ANSI/ASHRAE 135, Annex J), of the network layer
(6.2) and the type of an APDU (20.1). Datagrams above a limit are dropped and counted. UDP addresses
can be forged, so a limit of one address is not enough: there is one for all addresses too. Clients
of the permitted networks, and recipients of alarms, have shares of their own of all limits, which
datagrams of other addresses do not use up; see `deploy.northbound.rate_limit`.

A Forwarded-NPDU names the address of its sender itself. Only broadcasts are forwarded (J.4.5), and
a broadcast is an unconfirmed request. All else in it is dropped: each host could else send requests
in the name of a permitted client.

Messages of the network layer are dropped: the device is no router and needs no route, see
`router_cache`. Any host could else change its routes or the number of its network.

A long answer is a transaction until its client has acknowledged all segments. Nothing is refused
for it: above a number, of one client or of all, the oldest one is aborted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bacpypes3.apdu import AbortReason
from bacpypes3.appservice import SEGMENTED_RESPONSE
from bacpypes3.pdu import PDU, IPv4Address

from deploy.northbound.bacnet.clients import sender_of
from deploy.northbound.process.supervisor import STOP_EXCEPTIONS
from deploy.northbound.rate_limit import OTHERS, ClientBudget, Quantity, ShareLimits, measured

_BVLC, _MIN_BYTES, _MAX_BYTES = 0x81, 4, 1497
_ORIGINAL_UNICAST, _ORIGINAL_BROADCAST, _FORWARDED, _RESULT = 0x0A, 0x0B, 0x04, 0x00
_FORWARDED_BYTES = 10  # with the address of the sender
_FUNCTIONS = (_ORIGINAL_UNICAST, _ORIGINAL_BROADCAST, _FORWARDED, _RESULT)
PERMITTED, RECIPIENTS = "permitted", "recipients"
"""Shares, beside that of others."""
LIMITS = {
    OTHERS: ShareLimits(Quantity(200, 200, 500, 500, 10), Quantity(100, 2000, 100, 4000, 4)),
    PERMITTED: ShareLimits(Quantity(200, 200, 500, 500, 50), Quantity(100, 2000, 150, 4000, 20)),
    RECIPIENTS: ShareLimits(Quantity(200, 200, 500, 500, 50), Quantity(100, 2000, 100, 4000, 20)),
}
"""Datagrams, and ms of the processor. The unit of systemd has 200 ms in each s for all servers."""
_MAX_TRANSACTIONS, _MAX_OF_CLIENT = 64, 16
_NPDU_VERSION, _NETWORK_MESSAGE, _HAS_DESTINATION, _HAS_SOURCE = 1, 0x80, 0x20, 0x08
_UNCONFIRMED = 1


@dataclass(slots=True)
class DatagramCounters:
    """Datagrams since the start."""

    accepted: int = 0
    malformed: int = 0
    over_limit: int = 0
    failed: int = 0


class DatagramFilter:
    """Drops datagrams. `transactions`: the open transactions of the application.

    `share_of`: the share of an IP address. `work_clock`: time of the processor that this thread has
    used, s.
    """

    def __init__(
        self,
        transactions: list[Any],
        share_of: Callable[[str], str] = lambda _host: OTHERS,
        clock: Callable[[], float] = time.monotonic,
        work_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self.counters = DatagramCounters()
        self._transactions, self._clock, self._work_clock = transactions, clock, work_clock
        self._share_of = share_of
        self._budget = ClientBudget(LIMITS, share_of)

    def attach(self, server: Any, finish: Callable[[], Awaitable[None]]) -> None:
        """Stand in front of a datagram server of bacpypes3; `finish` runs after each datagram."""
        forward = server.confirmation

        async def confirm(pdu: Any) -> None:
            if self.accepts(bytes(pdu.pduData), str(pdu.pduSource)):
                await run(pdu)

        async def run(pdu: Any) -> None:
            source = str(pdu.pduSource)
            pdu.pduUserData = _host(source)  # for `peer_of`
            work = self._execute(forward(pdu), finish)
            try:
                await measured(work, self._work_clock, lambda used_s: spend(source, used_s))
            except STOP_EXCEPTIONS:
                raise
            except BaseException:  # noqa: BLE001 - errors of bacpypes3 are not `Exception`
                self.counters.failed += 1

        def spend(source: str, used_s: float) -> None:
            self._budget.spend(_host(source), self._clock(), 1000 * used_s)

        def stand_in_front(task: "asyncio.Task[tuple[Any, Any]]") -> None:
            """Drop datagrams before the library makes an address, a message and a task of each."""
            if task.cancelled() or task.exception() is not None:
                return
            _, protocol = task.result()

            def receive(data: bytes, source: tuple[str, int]) -> None:
                if self.accepts(data, source[0]):
                    pdu = PDU(data, source=IPv4Address(source), destination=protocol.destination)
                    running.add(task := asyncio.ensure_future(run(pdu)))
                    task.add_done_callback(running.discard)

            protocol.datagram_received = receive

        running: set[asyncio.Future[None]] = set()
        server.confirmation = confirm
        for task in getattr(server, "_transport_tasks", ()):
            task.add_done_callback(stand_in_front)

    async def _execute(
        self, work: Awaitable[object], finish: Callable[[], Awaitable[None]]
    ) -> None:
        await work
        await finish()
        await self._make_room()

    def accepts(self, data: bytes, source: str) -> bool:
        """Return whether a datagram is decoded; count it."""
        if not _is_formed(data):
            self.counters.malformed += 1
            return False
        if not self._budget.take(_host(source), self._clock()):
            self.counters.over_limit += 1
            return False
        self.counters.accepted += 1
        return True

    async def _make_room(self) -> None:
        """Abort the oldest long answers of a client that has too many, and of all."""
        if len(self._transactions) <= _MAX_OF_CLIENT:
            return
        by_client: dict[str, list[Any]] = {}
        for transaction in self._waiting():
            by_client.setdefault(sender_of(transaction.pdu_address), []).append(transaction)
        ended = [old for found in by_client.values() for old in found[:-_MAX_OF_CLIENT]]
        for transaction in ended:
            await _abort(transaction)
        waiting = self._waiting()
        waiting.sort(key=lambda found: self._is_known(found.pdu_address))  # of others first
        for transaction in waiting[:-_MAX_TRANSACTIONS]:
            await _abort(transaction)

    def _is_known(self, address: Any) -> bool:
        return self._share_of(sender_of(address)) != OTHERS

    def _waiting(self) -> list[Any]:
        """Return the transactions that wait for the acknowledgement of a segment, oldest first."""
        return [found for found in self._transactions if found.state == SEGMENTED_RESPONSE]


async def _abort(transaction: Any) -> None:
    reason = AbortReason.preemptedByHigherPriorityTask
    await transaction.response(transaction.abort(reason))


def _host(source: str) -> str:
    return source.partition(":")[0]


def _is_formed(data: bytes) -> bool:
    """Return whether the headers are right, and the NPDU can be for this device."""
    is_formed = (
        _MIN_BYTES <= len(data) <= _MAX_BYTES
        and data[0] == _BVLC
        and data[1] in _FUNCTIONS
        and int.from_bytes(data[2:4], "big") == len(data)
    )
    if not is_formed or data[1] == _RESULT:
        return is_formed
    npdu = data[_FORWARDED_BYTES if data[1] == _FORWARDED else _MIN_BYTES :]
    if len(npdu) < 2 or npdu[0] != _NPDU_VERSION or npdu[1] & _NETWORK_MESSAGE:
        return False
    return data[1] != _FORWARDED or _is_broadcast(npdu)


def _is_broadcast(npdu: bytes) -> bool:
    """Return whether an NPDU is what can be broadcast: unconfirmed."""
    control, at = npdu[1], 2
    for flag in (_HAS_DESTINATION, _HAS_SOURCE):
        if control & flag:  # network number of two bytes, length of the address, address
            at += 3 + (npdu[at + 2] if at + 2 < len(npdu) else 0)
    at += 1 if control & _HAS_DESTINATION else 0  # hop count
    return at < len(npdu) and npdu[at] >> 4 == _UNCONFIRMED
