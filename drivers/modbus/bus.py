# SPDX-License-Identifier: Apache-2.0
"""A Modbus serial line or TCP stream: a bounded queue of requests, one on the wire at a time.

Does not know registers; see `drivers.device.device`. Does not open a port: the owner carries out
`outbox` and reports bytes and events. The bus decides when a request can go out and how long its
reply can take, and gives the result.

RTU timing. A request waits until the line has been idle for t3.5 (`wire_time`). The reply must
begin within the timeout of the unit (`unit_health`), counted from the end of the request on the
wire. It then gets the time of its characters. Some gateways hold whole frames back, others deliver
incrementally. If `INCREMENTAL_AFTER` long replies in a row came in more than one chunk, the line
delivers incrementally. The first characters must then arrive within the timeout. If they do not,
the next replies get the time of the whole frame again. After a timeout the line must be idle for
`flush_us` (`line_timer`).

Order. There are three priorities: STOP, WRITE and POLL (`request_queue`). STOP and WRITE wait for
t3.5 only. They wait neither for the flush time nor for late replies. Thus a stop goes out at most
one transaction and t3.5 after its request. A newer write to the same registers supersedes an older
one that waits, and the retries of the one on the wire.

Late and duplicate replies. A late reply to a timed-out request must not match a new request
(`stale_reply.guard`). If a reply can be a late echo, the echo of the line or that to another
master, the result is "unsure". The bus discards duplicates (`duplicate_filter`). Exceptions 5 and 6
mean "busy": the bus repeats the request after a pause, at most `_BUSY_TRIES` times.

Offline units. After `unit_health.OFFLINE_AFTER` timeouts in a row a unit is offline and gets no
polls: `submit` returns False. The bus sends probes (`recovery_probe`). The reply to a probe is the
result of a poll. Writes to the unit are still tried, once. After the probe of a unit that holds the
replies of the others back (`UnitHealth.hold_us`), polls wait until its late reply, or that time.

TCP needs neither idle time nor a guard, because transaction numbers identify replies. The bus
closes a stream that is out of step, ends inside a reply or is silent too long ("close" in the
outbox). All pending requests are then "lost", until the port is open again (see `bus_state`).
"""

from drivers.modbus.bus_state import (
    AFTER_REPLY,
    CLOSED,
    DECIDED,
    DEFER,
    DEFERRED,
    OPENED,
    PORT_LOST,
    TIMED_OUT,
    WAIT_REPLY,
)
from drivers.modbus.counters import NO_REPLY_STATUSES
from drivers.modbus.request_sender import RequestSender
from drivers.modbus.transaction import (
    AMBIGUOUS,
    BUSY,
    INVALID_REPLY,
    POLL,
    PORT_CLOSED,
    TIMEOUT,
    Transaction,
    TransactionResult,
    reply_prefix_of,
)
from drivers.modbus.unit_health import OFFLINE_AFTER
from drivers.modbus.wire_time import WireTime
from protocols.modbus.expected_reply import OTHER_MASTER
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.modbus.pdu import ReplyResult

    Values = tuple[int, ...]

__all__ = ("Bus", "TransactionResult")

_TIMING_MIN_CHARS = 32  # a longer reply shows whether the line delivers incrementally
_BUSY_TRIES = 4
_BUSY_US = 50 * MILLISECOND
_RECOVERY_US = 50 * MILLISECOND
_STREAM_TIMEOUTS = 2 * OFFLINE_AFTER
_REPLY_STATUSES = (GOOD, EXCEPTION)
_REASON_STATUSES = NO_REPLY_STATUSES + (AMBIGUOUS,)


class Bus(RequestSender):
    """The bus on one port; `framing` is "rtu", "ascii" or "tcp". Times are in microseconds.

    `timeout_us` is the longest time in which a reply must begin; the timeout of a unit is mostly
    shorter. `bits_per_char` counts start, data, parity and stop bits. `queue_limit` bounds polls
    and urgent requests separately. `results`: see `take_results`. For the counters see
    `drivers.modbus.counters`.
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
        wire_time = WireTime(
            baud, bits_per_char, serial=framing != "tcp", ascii_mode=framing == "ascii"
        )
        RequestSender.__init__(self, port, wire_time, timeout_us, queue_limit, flush_us, stale_us)
        self._timeouts_in_row = 0

    def event(self, kind: str, now: int) -> None:
        """Handle the port events "opened", "closed" and "failed"; ignore others."""
        if kind == "opened":
            self._fail_all(now, "reopened")
            self.handle(OPENED)
            self._line_timer.line_opened(now)
            self._duplicate_filter.line_opened()
            self._incremental_count = 0
            self._timeouts_in_row = 0
            self.wake_at = self._recovery_probe.next_at()
        elif kind in ("closed", "failed"):
            self._fail_all(now, "port " + kind)

    def drop_input(self, now: int) -> None:
        """Recover after an exception in this object: discard the received bytes, wake soon."""
        self._discard_input(now, True)
        if self.state == CLOSED:
            self.wake_at = NEVER
            return
        if self._transaction is not None:  # its handling was interrupted: it times out
            self.state = WAIT_REPLY
        self.wake_at = now + _RECOVERY_US

    def receive(self, data: bytes, now: int) -> None:
        """Handle received bytes; `now` is the arrival of the last one."""
        client = self.client
        result = client.feed(data)
        transaction = self._transaction
        self._timeouts_in_row = 0
        if client.late_frames:
            self._check_late_frames(now, now)
            if not client.buffer:
                self._forget_arrival(now)
        if self.serial:
            self._receive_on_line(transaction, result, len(data), now)
        elif transaction is None:
            self._on_unexpected(now)
        elif result is None:
            self._note_part(transaction, len(data), now)
        elif (
            result[0] == GOOD
            and not (transaction.health.offline or transaction.is_probe)
            and transaction.tag is not None
        ):
            self._finish_usual(transaction, result[2], now)
        else:
            self._on_reply(transaction, result, now)
        if client.stream_error:
            self._close(now, "stream broken: " + client.stream_error)
        elif result is not None and self._transaction is None:
            if not (self._polls or self._urgent or self._recovery_probe.offline):
                self.wake_at = NEVER
            elif self.serial:
                self._send_on_line(now)
            else:
                self._send_on_stream(now)

    def _receive_on_line(
        self, transaction: "Transaction | None", result: "ReplyResult | None", size: int, now: int
    ) -> None:
        """Handle `size` bytes on a serial line; `result` is that of the reply in them."""
        if self.state == DEFERRED:
            self.handle(DECIDED)
        if transaction is None:
            self._on_unexpected(now)
            return
        self._line_timer.bytes_received(now)
        if result is None:
            self._note_part(transaction, size, now)
            return
        self._bytes_since = now if self.client.trailing_bytes else 0
        if self._parts.chars:
            self._parts.add(size, now)
        self._on_reply(transaction, result, now)

    def _finish_usual(self, transaction: Transaction, values: "Values", now: int) -> None:
        """The same as `_on_reply` and `_finish` for a good reply of a stream, in one call."""
        self.state = AFTER_REPLY[self.state]
        self._transaction = None
        duration_us = now - self._sent_at
        transaction.health.reply_received(duration_us, transaction.is_first_attempt)
        self.busy_us += duration_us + self._line_timer.gap_us
        self.transactions += 1
        self.results.append(
            TransactionResult(transaction.tag, transaction.unit, GOOD, 0, values, now)
        )

    def _on_reply(self, transaction: Transaction, result: "ReplyResult", now: int) -> None:
        """Handle a complete reply, valid or not."""
        earliest_end, margin = self._sent_at, NEVER
        if self.serial:
            is_usual = result[0] == GOOD and not (self.client.trailing_bytes or self._parts.chars)
            earliest_end = self._earliest_end if is_usual else self._earliest_reply_end(result)
            margin = now - earliest_end if is_usual else self._reply_margin(result, now)
            while self._duplicate_filter.is_premature(transaction, margin):
                self.premature += 1
                next_result = self.client.discard()
                if next_result is None:
                    if self.client.is_deferred:
                        self.handle(DEFER)
                    return
                result = next_result
                earliest_end = self._earliest_reply_end(result)
                margin = self._reply_margin(result, now)
            if result[0] == GOOD and self.client.reply_length > _TIMING_MIN_CHARS:
                self._incremental_count = (
                    self._incremental_count + 1 if transaction.has_partial_reply else 0
                )
        self.state = AFTER_REPLY[self.state]
        verdict, code, values = result
        if verdict not in _REPLY_STATUSES:
            self._retry(transaction, now)
            return
        if self.client.is_unproven:
            self._finish_unproven(transaction, now)
            return
        if self.serial and (self._stale_replies.units or self._stale_replies.copies):
            transaction.is_ambiguous = not self._is_own_reply(transaction, result, now)
        if transaction.health.offline:
            self._recovery_probe.unit_answered(transaction.unit)
        is_sample = transaction.is_first_attempt and not transaction.is_ambiguous
        transaction.health.reply_received(now - earliest_end, is_sample, margin)
        if transaction.is_ambiguous and transaction.is_probe and transaction.tag is not None:
            self._repeat_probe(transaction, now)
        elif verdict == EXCEPTION and code in (5, 6):
            self._retry_busy(transaction, code, now)
        else:
            self._finish(transaction, verdict, code, values, now)

    def _finish_unproven(self, transaction: Transaction, now: int) -> None:
        """The "reply" can be the echo of the line: it proves nothing, and the reply can follow."""
        transaction.is_ambiguous = True
        self._stale_replies.expect_late(transaction.unit, transaction.pdu, now, transaction)
        self._finish(transaction, GOOD, 0, (), now)

    def _repeat_probe(self, transaction: Transaction, now: int) -> None:
        """Poll a unit that is online again: the reply can belong to an earlier probe.

        The poll is a new transaction, so that a reply to the probe itself is not its own.
        """
        self._book_time(transaction, now)
        until = self._duplicate_due(now, self.client.reply_length)
        self._duplicate_filter.expect(reply_prefix_of(transaction), until, now)
        unit, health = transaction.unit, transaction.health
        poll = Transaction(unit, transaction.pdu, transaction.tag, POLL, 0, health)
        self._requeue(poll, False)

    def wake(self, now: int) -> None:
        """Handle the deadline: end the wait for a reply, or send the next request."""
        transaction = self._transaction
        if transaction is not None:
            if now < self.wake_at:
                return
            while self.state == DEFERRED:  # the next part of the bytes can wait again
                self.handle(DECIDED)
                result = self.client.settle()
                self.wake_at = self._timeout_at
                self._check_late_frames(self._deferred_at)  # they came before the reply
                if result is not None:
                    self._on_reply(transaction, result, self._deferred_at)
                if self._transaction is not None and now < self._timeout_at:
                    return
            if self._transaction is not None:
                self._time_out(transaction, now)
        if self.serial:
            self._send_on_line(now)
        else:
            self._send_on_stream(now)

    def _finish(
        self, transaction: Transaction, status: str, code: int, values: "Values", now: int
    ) -> None:
        """End the transaction on the wire and store its result."""
        if transaction.is_probe:
            self._book_time(transaction, now)
        else:  # without a call for speed
            self.busy_us += now - self._sent_at + self._line_timer.gap_us
        self._transaction = None
        reason = ""
        if status == GOOD:
            if self.serial:
                length = self.client.reply_length
                self._duplicate_filter.expect_duplicate(transaction, length, now)
                if transaction.unit in self._stale_replies.units:
                    until = self._duplicate_due(now, length)
                    self._duplicate_filter.expect(reply_prefix_of(transaction), until, now)
        elif status == EXCEPTION:
            self._expect_exception(transaction, now)
        elif status in _REASON_STATUSES:
            reason = self.client.reason
        if transaction.tag is None:
            return
        if status == GOOD:
            self.transactions += 1  # without a call for speed
            if transaction.is_ambiguous:
                status = AMBIGUOUS
                reason = OTHER_MASTER if now < self.other_until else ""
        else:
            self.count_result(status, transaction.is_probe)
        if not transaction.is_probe or status in _REPLY_STATUSES:
            self.results.append(
                TransactionResult(
                    transaction.tag, transaction.unit, status, code, values, now, reason
                )
            )

    def _retry_busy(self, transaction: Transaction, code: int, now: int) -> None:
        """Repeat a request later, because the device is busy; others go on meanwhile."""
        self.busy_replies += 1
        self._expect_exception(transaction, now)
        if transaction.busy_count >= _BUSY_TRIES or transaction.is_probe or transaction.tag is None:
            self._finish(transaction, BUSY, code, (), now)
            return
        self._book_time(transaction, now)
        transaction.not_before = now + (_BUSY_US << transaction.busy_count)
        transaction.busy_count += 1
        transaction.is_first_attempt = True
        self._requeue(transaction, False)

    def _time_out(self, transaction: Transaction, now: int) -> None:
        """End the wait for a reply: flush the line and guard against a late reply."""
        self.handle(TIMED_OUT)
        if self.wake_at < self._timeout_at:  # perhaps the gateway holds the whole frame back
            self._incremental_count = 0
        self.client.stop()
        if self.serial:  # before those of another master that came after it
            unit, pdu = transaction.unit, transaction.pdu
            self._stale_replies.expect_late(unit, pdu, now, transaction, self._sent_at)
        if self.client.late_frames or self.client.others:
            self._note_other_master(now)
        self._date_cut(transaction)
        self._forget_arrival(now)
        if transaction.is_premature:  # the discarded reply was genuine
            self._duplicate_filter.accept_premature(transaction)
        health = transaction.health
        if not self.client.reason:
            was_offline = health.offline
            health.timed_out(now)
            if health.offline and not was_offline:
                self._set_offline(transaction, now)
            health.attempt_ended(self._sent_at, self.transactions - self.errors, self.timeouts + 1)
        if self.serial:
            self._line_timer.reply_timed_out(now)
        if transaction.is_probe and health.hold_us:
            self.hold_polls(self._sent_at + health.hold_us)
        self._retry(transaction, now)
        if self._timeout_listener is not None:
            self._timeout_listener()
        self._timeouts_in_row += 1
        if self.client.has_partial_frame:
            self._close(now, "stream cut inside a reply")
        elif self._is_network and self._timeouts_in_row >= _STREAM_TIMEOUTS:
            self._close(now, "stream silent")

    def _set_offline(self, transaction: Transaction, now: int) -> None:
        """A unit went offline: end its queued polls immediately as timeouts."""
        self._recovery_probe.unit_lost(transaction.unit)
        transaction.retries = 0
        health = transaction.health
        if not transaction.priority:
            health.store_probe(transaction.pdu, transaction.tag)
        for other in self._request_queue.take_polls(transaction.unit):
            health.store_probe(other.pdu, other.tag)
            self.count_result(TIMEOUT, False)
            if other.tag is not None:
                self.results.append(TransactionResult(other.tag, other.unit, TIMEOUT, 0, (), now))

    def _retry(self, transaction: Transaction, now: int) -> None:
        """Queue the transaction again in front, or end it if it has no retries."""
        status = INVALID_REPLY if self.client.reason else TIMEOUT
        if self.client.reason == OTHER_MASTER:
            self._open_if_behind(transaction, now)
            self._note_other_master(now)
            status = AMBIGUOUS
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
        """Close an unusable stream; all pending requests are lost."""
        if self.state != CLOSED:
            self.stream_closes += 1
            self.requests.append((self.port, "close", b""))
            self._fail_all(now, reason)

    def _fail_all(self, now: int, reason: str) -> None:
        """End all requests as "lost", because the port closed; the reply guards stay."""
        transactions = self._request_queue.take_all()
        if self._transaction is not None:
            transactions.insert(0, self._transaction)
            if self.serial:
                self._stale_replies.expect_late(self._transaction.unit, self._transaction.pdu, now)
        transactions = [t for t in transactions if t.tag is not None and not t.is_probe]
        for transaction in transactions:
            self.results.append(
                TransactionResult(
                    transaction.tag, transaction.unit, PORT_CLOSED, 0, (), now, reason
                )
            )
        self.port_closed += len(transactions)
        self.handle(PORT_LOST)
        self._transaction = None
        self.wake_at = NEVER
        self._line_timer.line_closed()
        self._discard_input(now)
