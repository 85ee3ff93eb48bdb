# SPDX-License-Identifier: Apache-2.0
"""The parts of a bus: its queue, the health of its units, its settings.

Does not send and does not evaluate replies; see `request_sender` and `bus`, which extend this
class. The framing is imported when a bus with it is made.
"""

from drivers.modbus.bus_state import CLOSED, WAIT_REPLY
from drivers.modbus.counters import BusCounters
from drivers.modbus.duplicate_filter import DuplicateFilter, ReplyParts
from drivers.modbus.line_timer import LineTimer
from drivers.modbus.recovery_probe import RecoveryProbe
from drivers.modbus.request_queue import RequestQueue
from drivers.modbus.stale_reply.guard import StaleReplyGuard
from drivers.modbus.transaction import (
    POLL,
    SUPERSEDED,
    Transaction,
    TransactionResult,
    supersedes,
)
from drivers.modbus.unit_health import UnitHealth
from protocols.errors import EncodeError
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from drivers.modbus.wire_time import WireTime
    from protocols.modbus import rtu, tcp
    from protocols.modbus.ascii_mode import AsciiClient

    Action = tuple[int, str, bytes]

UART_FIFO_CHARS = 16
"""A UART can hold back so many characters."""
_MIN_SERIAL_US = 40 * MILLISECOND  # USB adapters hold bytes back for up to 16 ms
_MIN_STREAM_US = 250 * MILLISECOND  # TCP repeats a lost segment after 200 ms
_LINE_UNITS, _STREAM_UNITS = (1, 247), (0, 255)


def _make_client(wire_time: "WireTime") -> "rtu.RtuClient | AsciiClient | tcp.TcpClient":
    """Import only the framing of this bus: a board has one."""
    if wire_time.ascii_mode:
        from protocols.modbus.ascii_mode import AsciiClient  # noqa: PLC0415

        return AsciiClient()
    if wire_time.serial:
        from protocols.modbus import rtu  # noqa: PLC0415

        return rtu.RtuClient()
    from protocols.modbus import tcp  # noqa: PLC0415

    return tcp.TcpClient()


class BusParts(BusCounters):
    """The queue and the wire of one port; times are in microseconds.

    `state` is one of `drivers.modbus.bus_state`. `queue_limit` bounds polls and urgent requests
    separately. `results`: see `take_results`. `wake_at` and `requests`: see `request_sender`.
    """

    def __init__(
        self,
        port: int,
        wire_time: "WireTime",
        timeout_us: int,
        queue_limit: int,
        flush_us: int,
        stale_us: int,
    ) -> None:
        self.serial = wire_time.serial
        self._is_network = not self.serial
        super().__init__(_make_client(wire_time))
        self.port = port
        self.queue_limit = queue_limit
        self.wire_time = wire_time
        self.state = CLOSED
        self.next_cycle_at = NEVER
        self._units = _LINE_UNITS if self.serial else _STREAM_UNITS
        self._max_timeout_us = timeout_us
        line_flush_us = max(flush_us, wire_time.gap_us) if self.serial else 0
        self._line_timer = LineTimer(wire_time.gap_us, line_flush_us)
        self._health: dict[int, UnitHealth] = {}
        self._recovery_probe = RecoveryProbe(wire_time, line_flush_us)
        self._stale_replies = StaleReplyGuard(stale_us)
        guard = self._stale_replies
        self.client.watch_owed(guard.is_owed, guard.is_own_echo)
        self._duplicate_filter = DuplicateFilter(wire_time, line_flush_us)
        self._request_queue = RequestQueue()
        self._polls = self._request_queue.polls
        self._urgent = self._request_queue.urgent
        self._transaction: Transaction | None = None
        self._sent_at = 0
        self._request_chars = 0
        self._earliest_end = 0
        self._timeout_listener: Callable[[], None] | None = None
        self._own_turn_until = 0
        self.other_until = 0  # end of the time in which another master counts as present
        self._bytes_since = 0  # arrival of the first byte that is not classified yet; 0: none
        self._is_cut_old = False
        self._timeout_at = 0
        self._parts = ReplyParts()
        self._deferred_at = 0
        self._fifo_us = wire_time.chars_us(UART_FIFO_CHARS)
        self._incremental_count = 0
        self.wake_at = NEVER
        self.requests: list[Action] = []
        self.results: list[TransactionResult] = []

    @property
    def open(self) -> bool:
        """Whether the port is open."""
        return self.state != CLOSED

    @property
    def pending_count(self) -> int:
        """Number of transactions that are queued or on the wire."""
        return len(self._polls) + len(self._urgent) + (self._transaction is not None)

    @property
    def offline_units(self) -> int:
        """Number of offline units."""
        return len(self._recovery_probe.offline)

    def unit_health(self, unit: int) -> UnitHealth:
        """Return the health of `unit`."""
        if unit not in self._health:
            min_us = _MIN_STREAM_US if self._is_network else _MIN_SERIAL_US
            self._health[unit] = UnitHealth(min_us, self._max_timeout_us)
        return self._health[unit]

    def limit_timeout(self, unit: int, timeout_us: int) -> None:
        """Wait at most `timeout_us` for the replies of `unit`, and forget that it is offline."""
        if unit in self._recovery_probe.offline:
            self._recovery_probe.unit_answered(unit)
        self._health[unit] = UnitHealth(min(_MIN_SERIAL_US, timeout_us), timeout_us)

    def set_gateway(self, max_unit: int, is_network: bool) -> None:
        """Set the highest unit address (247 or 255), and whether a network leads to the line.

        Replies through a network can take as long as on TCP, and a silent connection is closed.
        """
        self._units = (self._units[0], max_unit)
        self._is_network = is_network

    def reset_health(self) -> None:
        """Forget the response times and offline units; the guards against late replies stay.

        For a program that asks an operator between its requests. Only without a pending request.
        """
        self._health = {}
        self._recovery_probe.offline.clear()

    def reset_timing(self) -> None:
        """Measure again whether the line delivers in wire time; until then nothing is premature."""
        self._duplicate_filter.line_opened()

    def submit(
        self, unit: int, pdu: bytes, tag: "Any", priority: int = POLL, retries: int = 1
    ) -> bool:
        """Queue a request; return False if the bus rejects it.

        The bus rejects a request if the port is closed or the queue is full, and a poll if its
        unit is offline. `pdu` is a request of `protocols.modbus.pdu`. The result carries `tag`,
        which the bus does not interpret. Writes with the same tag are one sequence and do not
        supersede each other. `priority` is POLL, WRITE or STOP. `retries` are the attempts after
        the first one; the bus does not repeat a request after an exception. Raises `EncodeError`
        for a unit that the framing cannot address.
        """
        first_unit, last_unit = self._units
        if not first_unit <= unit <= last_unit:
            raise EncodeError("unit %r is not %d to %d" % (unit, first_unit, last_unit))
        health = self._health.get(unit) or self.unit_health(unit)
        if health.offline:
            if not priority:
                health.store_probe(pdu, tag)
                self.skipped_polls += 1
                return False
            retries = 0
        queue = self._urgent if priority else self._polls
        if self.state == CLOSED or len(queue) >= self.queue_limit:
            self.rejected += 1
            return False
        transaction = Transaction(unit, pdu, tag, priority, retries, health)
        if priority:
            self._add_urgent(transaction)
        else:
            queue.append(transaction)
        if self.state < WAIT_REPLY:
            line_free_at = self._line_timer.t35_at if priority else self._line_timer.drained_at
            if line_free_at < self.wake_at:
                self.wake_at = line_free_at
        return True

    def _add_urgent(self, transaction: Transaction) -> None:
        for superseded in self._request_queue.add_urgent(transaction):
            self._supersede(superseded)
        if self._transaction is not None and supersedes(transaction, self._transaction):
            self._transaction.retries = 0

    def _supersede(self, transaction: Transaction) -> None:
        self.superseded += 1
        self.results.append(
            TransactionResult(transaction.tag, transaction.unit, SUPERSEDED, 0, (), self._sent_at)
        )

    def _requeue(self, transaction: Transaction, at_front: bool) -> None:
        """Queue the transaction again, unless a newer write superseded it meanwhile."""
        self._transaction = None
        if not self._request_queue.requeue(transaction, at_front):
            self._supersede(transaction)

    def raise_queue_limit(self, limit: int) -> None:
        """Accept at least `limit` polls, and as many urgent requests, in the queue."""
        self.queue_limit = max(self.queue_limit, limit)

    def take_results(self) -> "list[TransactionResult]":
        """Remove and return the results since the last call, in order."""
        results = self.results
        if results:
            self.results = []
        return results
