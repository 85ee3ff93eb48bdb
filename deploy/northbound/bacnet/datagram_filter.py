# SPDX-License-Identifier: Apache-2.0
"""Limits of datagrams before bacpypes3 decodes them: length, rate, open transactions.

Does not know BACnet beyond the first bytes of a BVLC header (Annex J). Datagrams above a limit are
dropped and counted. UDP addresses can be forged, so a limit of one address is not enough: there is
one for all addresses too.
"""

import time
from collections.abc import Awaitable, Callable, Sized
from dataclasses import dataclass
from typing import Any

from deploy.northbound.rate_limit import RequestBudget

_BVLC, _MIN_BYTES, _MAX_BYTES = 0x81, 4, 1497
_ORIGINAL_UNICAST, _ORIGINAL_BROADCAST, _FORWARDED, _RESULT = 0x0A, 0x0B, 0x04, 0x00
_FUNCTIONS = (_ORIGINAL_UNICAST, _ORIGINAL_BROADCAST, _FORWARDED, _RESULT)
_PER_ADDRESS, _TOTAL = 200.0, 500.0
_MAX_TRANSACTIONS = 64


@dataclass(slots=True)
class DatagramCounters:
    """Datagrams since the start."""

    accepted: int = 0
    malformed: int = 0
    over_limit: int = 0
    failed: int = 0


class DatagramFilter:
    """Drops datagrams. `transactions`: the open transactions of the application."""

    def __init__(self, transactions: Sized, clock: Callable[[], float] = time.monotonic) -> None:
        self.counters = DatagramCounters()
        self._transactions, self._clock = transactions, clock
        self._each = RequestBudget(_PER_ADDRESS, _PER_ADDRESS)
        self._all = RequestBudget(_TOTAL, _TOTAL)

    def attach(self, server: Any, finish: Callable[[], Awaitable[None]]) -> None:
        """Stand in front of a datagram server of bacpypes3; `finish` runs after each datagram."""
        forward = server.confirmation

        async def confirm(pdu: Any) -> None:
            if self.accepts(bytes(pdu.pduData), str(pdu.pduSource)):
                try:
                    await forward(pdu)
                    await finish()
                except Exception:  # noqa: BLE001 - a bad datagram must not end the server
                    self.counters.failed += 1

        server.confirmation = confirm

    def accepts(self, data: bytes, source: str) -> bool:
        """Return whether a datagram is decoded; count it."""
        if not self._is_formed(data):
            self.counters.malformed += 1
            return False
        now, host = self._clock(), source.partition(":")[0]
        if len(self._transactions) >= _MAX_TRANSACTIONS or not (
            self._each.take(host, now) and self._all.take("", now)
        ):
            self.counters.over_limit += 1
            return False
        self.counters.accepted += 1
        return True

    @staticmethod
    def _is_formed(data: bytes) -> bool:
        return (
            _MIN_BYTES <= len(data) <= _MAX_BYTES
            and data[0] == _BVLC
            and data[1] in _FUNCTIONS
            and int.from_bytes(data[2:4], "big") == len(data)
        )
