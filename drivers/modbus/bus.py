"""A Modbus line or stream: a bounded queue of requests, one of them on the wire at a time.

Not a device: it knows no registers, and not a port: it opens nothing. It decides when a request
may go out, how long its reply may take, and what becomes of it.

Theory of operation, RTU. A request waits until the line has been silent for t3.5
(`drivers.modbus.wire_time`). Its reply must come within the unit's own time limit
(`drivers.modbus.unit_health`), counted from the end of the request on the wire, and the time of its
own characters. On a line that hands bytes over as they come (it is watched; some gateways hold
whole frames back) the reply must begin within that limit, and gets the time of its characters once
it has. After a timeout the line must be silent for `flush_us` (`drivers.modbus.line_timer`).

Order. Three levels: STOP, then WRITE, then POLL (`drivers.modbus.request_queue`). STOP and WRITE
wait for no drain, only for t3.5, and are not held by shadows; so a stop leaves one transaction and
t3.5 after it was asked for at the latest. A newer write replaces an older one to the same registers
(or the retries of the one on the wire), which then is "superseded".

Truth. What may still come from a request that was given up is kept apart by
`drivers.modbus.stale_reply_guard`. A write whose echo could be an older one's is "unsure", not
"ok". Second copies of a reply are kept apart by `drivers.modbus.duplicate_filter`. Exceptions 05
and 06 mean "busy": asked again after a pause, `_BUSY_TRIES` times.

Dead units. A unit that is silent `drivers.modbus.unit_health.OFFLINE_AFTER` times in a row gets no
more polls: `submit` returns False at once. The bus itself probes it
(`drivers.modbus.recovery_probe`); a good probe is handed out as the poll's result. Writes are still
tried, once.

TCP needs no silence and no shadows: transaction numbers tell replies apart. A stream out of step,
cut inside a reply or silent for long is closed ("close" in the outbox), and everything that waits
is lost until the port is reported open again.
"""

from drivers.modbus.counters import NO_REPLY_STATUSES, BusCounters
from drivers.modbus.duplicate_filter import TIMING_VALID_AFTER, DuplicateFilter
from drivers.modbus.line_timer import LineTimer
from drivers.modbus.recovery_probe import RecoveryProbe, store_probe
from drivers.modbus.request_queue import RequestQueue
from drivers.modbus.stale_reply_guard import StaleReplyGuard
from drivers.modbus.transaction import (
    AMBIGUOUS,
    BUSY,
    INVALID_REPLY,
    POLL,
    PORT_CLOSED,
    SUPERSEDED,
    TIMEOUT,
    Transaction,
    TransactionResult,
    supersedes,
)
from drivers.modbus.unit_health import OFFLINE_AFTER, UnitHealth
from drivers.modbus.wire_time import WireTime
from protocols.errors import EncodeError
from protocols.modbus import rtu, tcp
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from protocols.modbus.pdu import ReplyResult

    Values = tuple[int, ...]
    Action = tuple[int, str, bytes]

__all__ = ("Bus", "TransactionResult")

_OTHER_MASTER_US = 100 * MILLISECOND  # for the reply to another master's request
_MIN_SERIAL_US = 40 * MILLISECOND  # USB adapters hold bytes back for up to 16 ms
_MIN_STREAM_US = 250 * MILLISECOND  # one lost segment is sent again after 200 ms
_UART_FIFO_CHARS = 16  # characters a UART may hold back before the first is seen
_TIMING_MIN_CHARS = 32  # a reply of more characters shows whether a line holds frames back
_INCREMENTAL_AFTER = TIMING_VALID_AFTER
_BUSY_TRIES = 4
_BUSY_US = 50 * MILLISECOND
_MAX_FRAME = 256  # bytes of the longest frame
_EXCEPTION_SIZE = 5  # and of an exception's
_STREAM_TIMEOUTS = 2 * OFFLINE_AFTER
_REPLY_STATUSES = (GOOD, EXCEPTION)


class Bus(BusCounters):
    """One port's queue and clockwork. Times in microseconds; `queue_limit` jobs of each urgency.

    `timeout_us` is the longest a reply may take to begin; a unit's own limit is mostly shorter.
    `bits_per_char` counts start, data, parity and stop bits. `queue_limit` may be raised for a bus
    with more polls. `next_cycle_at` may be set to when the next polls come, so that no probe is in
    their way. What is counted is in `drivers.modbus.counters`.
    """

    def __init__(
        self,
        port: int,
        framing: str,
        baud: int = 19200,
        bits_per_char: int = 10,
        timeout_us: int = 300_000,
        queue_limit: int = 64,
        flush_us: int = 10_000,
        stale_us: int = 500_000,
    ) -> None:
        super().__init__(rtu.RtuClient() if framing == "rtu" else tcp.TcpClient())
        self.port = port
        self.serial = framing == "rtu"
        self.wire_time = WireTime(baud, bits_per_char, serial=self.serial)
        self.open = False
        self.next_cycle_at = NEVER
        self._units = rtu.UNITS if self.serial else tcp.UNITS
        self._max_timeout_us = timeout_us
        self.queue_limit = queue_limit
        line_flush_us = max(flush_us, self.wire_time.gap_us) if self.serial else 0
        self._line_timer = LineTimer(self.wire_time.gap_us, line_flush_us)
        self._mismatches_before = 0
        self._health: dict[int, UnitHealth] = {}
        self._recovery_probe = RecoveryProbe(self.wire_time, line_flush_us)
        self._stale_replies = StaleReplyGuard(stale_us)
        self._duplicate_filter = DuplicateFilter(self.wire_time, line_flush_us)
        self._request_queue = RequestQueue()
        self._polls = self._request_queue.polls
        self._urgent = self._request_queue.urgent
        self._transaction: Transaction | None = None
        self._sent_at = 0
        self._request_chars = 0
        self._earliest_end = 0
        self._timeout_at = 0
        self._timeouts_in_row = 0
        self._incremental_count = 0
        self._wake_at = NEVER
        self._results: list[TransactionResult] = []
        self._actions: list[Action] = []

    @property
    def pending_count(self) -> int:
        """Jobs that are queued or on the wire."""
        return len(self._polls) + len(self._urgent) + (self._transaction is not None)

    @property
    def offline_units(self) -> int:
        """Units that get no more polls, only probes."""
        return len(self._recovery_probe.offline)

    def unit_health(self, unit: int) -> UnitHealth:
        """How `unit` has been answering."""
        if unit not in self._health:
            min_us = _MIN_SERIAL_US if self.serial else _MIN_STREAM_US
            self._health[unit] = UnitHealth(min_us, self._max_timeout_us)
        return self._health[unit]

    def submit(
        self, unit: int, pdu: bytes, tag: "Any", priority: int = POLL, retries: int = 1
    ) -> bool:
        """Queue a request; False when the port is closed, the queue full, or a polled unit dead.

        `pdu` is one of `protocols.modbus.pdu`'s requests. The result comes with `tag`, which is not
        looked at, except that writes with the same tag are one sequence and do not replace each
        other. `priority` is POLL, WRITE or STOP. `retries` are attempts after the first;
        exceptions are not retried. Raises `EncodeError` for a unit that the framing cannot address.
        """
        if not self._units[0] <= unit <= self._units[1]:
            raise EncodeError("unit %r is not %d to %d" % ((unit,) + self._units))
        health = self._health.get(unit) or self.unit_health(unit)
        if health.offline:
            if not priority:
                store_probe(health, pdu, tag)
                self.skipped_polls += 1
                return False
            retries = 0
        queue = self._urgent if priority else self._polls
        if not self.open or len(queue) >= self.queue_limit:
            self.rejected += 1
            return False
        transaction = Transaction(unit, pdu, tag, priority, retries, health)
        if priority:
            self._add_urgent(transaction)
        else:
            queue.append(transaction)
        if self._transaction is None:
            line_free_at = self._line_timer.t35_at if priority else self._line_timer.drained_at
            if line_free_at < self._wake_at:
                self._wake_at = line_free_at
        return True

    def _add_urgent(self, transaction: Transaction) -> None:
        for superseded in self._request_queue.add_urgent(transaction):
            self._supersede(superseded)
        if self._transaction is not None and supersedes(transaction, self._transaction):
            self._transaction.retries = 0

    def _supersede(self, transaction: Transaction) -> None:
        self.superseded += 1
        self._results.append(
            TransactionResult(transaction.tag, transaction.unit, SUPERSEDED, 0, (), self._sent_at)
        )

    def deadline(self) -> int:
        """When `wake` is wanted; NEVER while there is nothing to send and nothing to wait for."""
        return self._wake_at

    def outbox(self) -> "list[Action]":
        """What the port is to do: (port, "write" or "close", data). Drained."""
        actions = self._actions
        if actions:
            self._actions = []
        return actions

    def take_results(self) -> "list[TransactionResult]":
        """What has been decided since the last call, in order. Drained."""
        results = self._results
        if results:
            self._results = []
        return results

    def event(self, kind: str, now: int) -> None:
        """Take "opened", "closed" or "failed"; what else a port reports is of no concern here."""
        if kind == "opened":
            self._fail_all(now, "reopened")
            self.open = True
            self._line_timer.line_opened(now)
            self._duplicate_filter.timing_valid_count = 0
            self._incremental_count = 0
            self._timeouts_in_row = 0
            self._wake_at = self._recovery_probe.next_at()
        elif kind in ("closed", "failed"):
            self._fail_all(now, "port " + kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take bytes; `now` is the arrival of the last one."""
        client = self.client
        result = client.feed(data)
        transaction = self._transaction
        self._timeouts_in_row = 0
        if transaction is None:
            self._on_unexpected(now)
        else:
            self._line_timer.bytes_received(now)
            if result is None:
                self._wake_at = self._timeout_at
                transaction.has_partial_reply = True
            else:
                self._on_reply(transaction, result, now)
        if client.stream_error:
            self._close(now, "stream broken: " + client.stream_error)
        elif result is not None and self._transaction is None:
            self._send(now)

    def _on_reply(self, transaction: Transaction, result: "ReplyResult", now: int) -> None:
        """A final reply has come, good or not."""
        earliest_end = self._sent_at
        if self.serial:
            earliest_end = self._earliest_reply_end(result)
            while self._duplicate_filter.is_premature(
                transaction, self._reply_end(now) - earliest_end
            ):
                self.premature += 1
                next_result = self.client.discard()
                if next_result is None:
                    return
                result = next_result
                earliest_end = self._earliest_reply_end(result)
            if result[0] == GOOD and self.client.reply_length > _TIMING_MIN_CHARS:
                self._incremental_count = (
                    self._incremental_count + 1 if transaction.has_partial_reply else 0
                )
        verdict, code, values = result
        if verdict not in _REPLY_STATUSES:
            self._retry(transaction, now)
            return
        if transaction.health.offline:
            self._recovery_probe.offline.remove(transaction.unit)
        transaction.health.reply_received(now - earliest_end, transaction.is_first_attempt)
        if verdict == EXCEPTION and code in (5, 6):
            self._retry_busy(transaction, code, now)
        else:
            self._finish(transaction, verdict, code, values, now)

    def _earliest_reply_end(self, result: "ReplyResult") -> int:
        """When a reply like `result` ends that takes no longer than its bytes."""
        if result[0] != EXCEPTION:
            return self._earliest_end
        return self._sent_at + self.wire_time.chars_us(self._request_chars + _EXCEPTION_SIZE)

    def _reply_end(self, now: int) -> int:
        """When the reply's own last byte came."""
        trailing = self.client.trailing_bytes
        return now - self.wire_time.chars_us(trailing) if trailing else now

    def wake(self, now: int) -> None:
        """Take the passing of the deadline: give up a reply, or send the next request."""
        transaction = self._transaction
        if transaction is not None:
            if now < self._wake_at:
                return
            self._time_out(transaction, now)
        self._send(now)

    def _on_unexpected(self, now: int) -> None:
        """Bytes came while nothing was asked: wait on, but not for ever."""
        has_pending = bool(self._polls or self._urgent)
        self._line_timer.unexpected_bytes(now, has_pending)
        if has_pending:
            line_free_at = self._line_timer.t35_at if self._urgent else self._line_timer.drained_at
            self._wake_at = max(self._wake_at, line_free_at)

    def _send(self, now: int) -> None:
        """Put the next job on the wire if the line is free, else set the deadline."""
        if not self.open:
            self._wake_at = NEVER
            return
        if self._urgent:
            if now < self._line_timer.t35_at:
                self._wake_at = self._line_timer.t35_at
                return
        elif now < self._line_timer.drained_at:
            has_pending = self._polls or self._recovery_probe.offline
            self._wake_at = self._line_timer.drained_at if has_pending else NEVER
            return
        elif self.client.buffer and self.serial and self._polls and self._yield_to_master(now):
            return
        transaction = self._next_transaction(now)
        if transaction is not None:
            self._start_transaction(transaction, now)

    def _yield_to_master(self, now: int) -> bool:
        """Let another master have the reply to what it has just asked."""
        unsolicited = self.client.unsolicited
        request = self.client.pending_request()
        if self.client.unsolicited != unsolicited:
            self._stale_replies.late_reply_seen(self._duplicate_due(now))
        if request is None:
            return False
        self._stale_replies.expire_later(request[0], request[1], now)
        self._wake_at = self._line_timer.drained_at = now + _OTHER_MASTER_US
        return True

    def _start_transaction(self, transaction: Transaction, now: int) -> None:
        client = self.client
        exception_ambiguous = False
        if self._stale_replies.stale_replies:
            exception_ambiguous = self._stale_replies.exception_ambiguous(transaction)
            transaction.is_ambiguous = (
                transaction.priority > 0 and self._stale_replies.is_ambiguous(transaction)
            )
        frame = client.start(transaction.unit, transaction.pdu, exception_ambiguous)
        if client.duplicate_unit and self.serial:
            self.unit_health(client.take_duplicate()).sends_duplicates = True
        self._mismatches_before = client.mismatches
        self._actions.append((self.port, "write", frame))
        self._transaction = transaction
        self._sent_at = now
        self._line_timer.request_sent()
        timeout = transaction.health.timeout_us
        if transaction.is_probe:
            timeout = transaction.health.probe_timeout_us()
            transaction.health.probe_count += 1
        if not self.serial:
            self._wake_at = self._timeout_at = now + timeout
            return
        request_chars, reply_chars = len(frame), client.reply_length
        self._request_chars = request_chars
        self._earliest_end = now + self.wire_time.chars_us(request_chars + reply_chars)
        self._wake_at = self._timeout_at = self._earliest_end + timeout
        if self._incremental_count >= _INCREMENTAL_AFTER and reply_chars > _UART_FIFO_CHARS:
            self._wake_at = (
                now + timeout + self.wire_time.chars_us(request_chars + _UART_FIFO_CHARS)
            )

    def _next_transaction(self, now: int) -> "Transaction | None":
        """Take the first job that may go; None (and a later deadline) if there is none."""
        queue = self._urgent or self._polls
        if not queue:
            return self._next_probe(now)
        first, has_stale = queue[0], self._stale_replies.stale_replies
        if not first.not_before and (
            first.priority or not (has_stale or self._duplicate_filter.blocked_until(first, now))
        ):
            return queue.pop(0)
        if has_stale:
            self._stale_replies.drop_expired(now)
        transaction, self._wake_at = self._request_queue.take_first_ready(
            now, self._stale_replies, self._duplicate_filter
        )
        return transaction

    def _next_probe(self, now: int) -> "Transaction | None":
        """A probe, if there is a dead unit and this is the time for it."""
        transaction, self._wake_at = None, NEVER
        if self._recovery_probe.offline:
            transaction, self._wake_at = self._recovery_probe.next_probe(
                self._health, now, self.next_cycle_at
            )
        if transaction is None:
            return None
        if self.serial:
            blocked_until = max(
                self._stale_replies.blocked_until(transaction, now),
                self._duplicate_filter.blocked_until(transaction, now),
            )
            if blocked_until > now:
                self._wake_at = blocked_until
                return None
        self.probes += 1
        return transaction

    def _book_time(self, transaction: Transaction, until: int) -> None:
        """Book the time that a transaction took; a probe must then pause for its share."""
        duration_us = until - self._sent_at + self._line_timer.gap_us
        self.busy_us += duration_us
        if transaction.is_probe:
            self.probe_us += duration_us
            self._recovery_probe.probe_done(until, duration_us)

    def _finish(
        self, transaction: Transaction, status: str, code: int, values: "Values", now: int
    ) -> None:
        """Hand over the result of the job on the wire."""
        self._book_time(transaction, now)
        self._transaction = None
        reason = ""
        if status == GOOD:
            if self.serial:
                if self._stale_replies.stale_replies and not transaction.is_ambiguous:
                    self._update_stale(transaction, now)
                self._duplicate_filter.expect_duplicate(transaction, self.client.reply_length, now)
        elif status in NO_REPLY_STATUSES:
            reason = self.client.reason
        if transaction.tag is None:
            return
        self.count_result(status, transaction.is_probe)
        if transaction.is_ambiguous and status == GOOD:
            status = AMBIGUOUS
        if not transaction.is_probe or status in _REPLY_STATUSES:
            self._results.append(
                TransactionResult(
                    transaction.tag, transaction.unit, status, code, values, now, reason
                )
            )

    def _update_stale(self, transaction: Transaction, now: int) -> None:
        """A good reply says something about those that may still come."""
        self._stale_replies.reply_received(
            transaction, self._timeout_at, transaction.is_first_attempt
        )
        if self.client.mismatches != self._mismatches_before:
            self._stale_replies.late_reply_seen(self._duplicate_due(now), transaction.unit)

    def _duplicate_due(self, now: int) -> int:
        """When a late reply that has just come would have come once more."""
        return now + self.wire_time.chars_us(_MAX_FRAME) + self._line_timer.flush_us

    def _retry_busy(self, transaction: Transaction, code: int, now: int) -> None:
        """The device is busy: ask again later, and let the others go on."""
        self.busy_replies += 1
        if transaction.busy_count >= _BUSY_TRIES or transaction.is_probe or transaction.tag is None:
            self._finish(transaction, BUSY, code, (), now)
            return
        self._book_time(transaction, now)
        transaction.not_before = now + (_BUSY_US << transaction.busy_count)
        transaction.busy_count += 1
        transaction.is_first_attempt = True
        self._requeue(transaction, False)

    def _requeue(self, transaction: Transaction, at_front: bool) -> None:
        """Put the job from the wire back, unless a newer write has replaced it meanwhile."""
        self._transaction = None
        if not self._request_queue.requeue(transaction, at_front):
            self._supersede(transaction)

    def _time_out(self, transaction: Transaction, now: int) -> None:
        """No reply in time: drain the line, remember that the reply may still come."""
        self.client.stop()
        if transaction.is_premature:  # what was refused was the reply after all
            self._duplicate_filter.accept_premature(transaction)
        health = transaction.health
        if not self.client.reason:
            was_offline = health.offline
            health.timed_out(now)
            if health.offline and not was_offline:
                self._set_offline(transaction, now)
        if self.serial:
            self._line_timer.reply_timed_out(now)
            self._stale_replies.expire_later(transaction.unit, transaction.pdu, now)
        self._retry(transaction, now)
        self._timeouts_in_row += 1
        if self.client.has_partial_frame:
            self._close(now, "stream cut inside a reply")
        elif not self.serial and self._timeouts_in_row >= _STREAM_TIMEOUTS:
            self._close(now, "stream silent")

    def _set_offline(self, transaction: Transaction, now: int) -> None:
        """A unit has died: its waiting polls are given up at once."""
        self._recovery_probe.offline.append(transaction.unit)
        transaction.retries = 0
        health = transaction.health
        health.probe = None
        if not transaction.priority:
            store_probe(health, transaction.pdu, transaction.tag)
        for other in self._request_queue.take_polls(transaction.unit):
            store_probe(health, other.pdu, other.tag)
            self.count_result(TIMEOUT, False)
            self._results.append(TransactionResult(other.tag, other.unit, TIMEOUT, 0, (), now))

    def _retry(self, transaction: Transaction, now: int) -> None:
        """Queue the job once more in front, or give it up."""
        status = INVALID_REPLY if self.client.reason else TIMEOUT
        if self.client.reason:
            self.invalid_replies += 1
        else:
            self.timeouts += 1
        if transaction.retries <= 0:
            self._finish(transaction, status, 0, (), now)
            return
        self._book_time(transaction, now)
        transaction.retries -= 1
        transaction.is_first_attempt = False
        transaction.is_premature = False
        self.retries += 1
        self._requeue(transaction, True)

    def _close(self, now: int, reason: str) -> None:
        """The stream is of no use any more: have it closed, count, lose what waits."""
        if self.open:
            self.stream_closes += 1
            self._actions.append((self.port, "close", b""))
            self._fail_all(now, reason)

    def _fail_all(self, now: int, reason: str) -> None:
        """The port is gone: everything that waits is lost, the shadows stay."""
        transactions = self._request_queue.take_all()
        if self._transaction is not None:
            transactions.insert(0, self._transaction)
            if self.serial:
                self._stale_replies.expire_later(self._transaction.unit, self._transaction.pdu, now)
        transactions = [
            transaction
            for transaction in transactions
            if transaction.tag is not None and not transaction.is_probe
        ]
        for transaction in transactions:
            self._results.append(
                TransactionResult(
                    transaction.tag, transaction.unit, PORT_CLOSED, 0, (), now, reason
                )
            )
        self.port_closed += len(transactions)
        self.open = False
        self._transaction = None
        self._wake_at = NEVER
        self._line_timer.line_closed()
        self.client.reset()
