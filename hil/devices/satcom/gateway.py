# SPDX-License-Identifier: Apache-2.0
"""The message gateway of a satellite provider: datagrams from and to modems, and billing.

It does no I/O. It identifies modems by serial number and stores downlink messages until a session
fetches them. It bills each successful session, each direction, in steps of `billing_step_bytes`
bytes, at least `min_billed_bytes`. A session without content is billed as the shortest one and
counted separately.

Results for the evaluation: `messages`, `billed` (UTC day -> bytes), `sessions`, `empty_sessions`.
Observers get each uplink datagram, also duplicates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from hil.devices.base import FaultTarget

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class UplinkDatagram:
    """One uplink datagram: time (µs), modem, number of its session, content."""

    at_us: int
    serial: str
    number: int
    content: bytes


class MessageGateway(FaultTarget):
    """The gateway; `utc` converts bench time to UTC, both in µs.

    Fault: `down` (no session succeeds). `max_messages` limits the stored uplink messages.
    """

    FAULTS: ClassVar = frozenset(("down",))

    def __init__(
        self,
        utc: Callable[[int], int],
        min_billed_bytes: int = 50,
        billing_step_bytes: int = 50,
        max_messages: int = 4096,
    ) -> None:
        self.down = False
        self.messages: list[UplinkDatagram] = []
        self.billed: dict[int, int] = {}
        self.sessions = 0
        self.empty_sessions = 0
        self._observers: list[Callable[[UplinkDatagram], None]] = []
        self._utc = utc
        self._min_billed_bytes = min_billed_bytes
        self._billing_step_bytes = billing_step_bytes
        self._max_messages = max_messages
        self._waiting: dict[str, list[bytes]] = {}

    def observe_messages(self, observer: Callable[[UplinkDatagram], None]) -> None:
        """Call `observer` with each uplink datagram, in the order of registration."""
        self._observers.append(observer)

    def queue_downlink(self, serial: str, content: bytes) -> None:
        """Queue a datagram for a modem."""
        self._waiting.setdefault(serial, []).append(content)

    def queued_count(self, serial: str) -> int:
        """Return the number of downlink messages that wait for a modem."""
        return len(self._waiting.get(serial, []))

    def run_session(self, serial: str, number: int, content: bytes, at: int) -> tuple[bytes, int]:
        """Run a successful session: take `content`; return (downlink or b"", number waiting)."""
        self.sessions += 1
        waiting = self._waiting.get(serial, [])
        down = waiting.pop(0) if waiting else b""
        if not content and not down:
            self.empty_sessions += 1
        self._bill(len(content), at, bool(content) or not down)
        self._bill(len(down), at, bool(down))
        if content:
            self.receive(serial, number, content, at, billed=True)
        return down, len(waiting)

    def receive(
        self, serial: str, number: int, content: bytes, at: int, billed: bool = False
    ) -> None:
        """Take an uplink datagram, of a session or without one."""
        if not billed:
            self._bill(len(content), at, True)
        datagram = UplinkDatagram(at, serial, number, content)
        self.messages.append(datagram)
        if len(self.messages) > self._max_messages:
            self.messages.pop(0)
        for observer in self._observers:
            observer(datagram)

    def _bill(self, size: int, at: int, due: bool) -> None:
        if due:
            day = self._utc(at) // _DAY_US
            cost = max(
                self._min_billed_bytes,
                -(-size // self._billing_step_bytes) * self._billing_step_bytes,
            )
            self.billed[day] = self.billed.get(day, 0) + cost

    def max_day_bytes(self) -> int:
        """Return the largest number of billed bytes in one day."""
        return max(self.billed.values(), default=0)
