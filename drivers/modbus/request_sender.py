# SPDX-License-Identifier: Apache-2.0
"""The sending half of a bus: chooses the next request and puts it on the wire.

Does not queue requests and does not evaluate replies; see `bus`, which extends this class.
`bus_parts` has the queue and the other parts.

The line must be idle first (`line_timer`). If another master has just sent a request on the line,
the bus leaves it the time of the reply. After that its reply counts as a late one. Urgent requests
go out first, then polls, then probes of offline units. A poll waits while a late or duplicate reply
could match it.
"""

from drivers.modbus.bus_parts import UART_FIFO_CHARS, BusParts
from drivers.modbus.bus_state import AFTER_SENT, CLOSED, DEFER, WAIT_REPLY, next_state
from drivers.modbus.duplicate_filter import TIMING_VALID_AFTER
from drivers.modbus.transaction import POLL, Transaction, exception_prefix_of
from protocols.modbus.crc import with_crc
from protocols.modbus.expected_reply import ECHO_FUNCTIONS
from protocols.modbus.pdu import EXCEPTION
from protocols.time_units import MILLISECOND, NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.modbus.bus_parts import Action
    from protocols.modbus.pdu import ReplyResult

_OTHER_MASTER_US = 100 * MILLISECOND  # for the reply to another master
_OTHER_SEEN_US = 30 * SECOND  # so long another master can be the reason of an "unsure" reply
INCREMENTAL_AFTER = TIMING_VALID_AFTER
_CUT_US = 500 * MILLISECOND  # so long after its first bytes the rest of a frame can come


class RequestSender(BusParts):
    """The sending half of a bus; times are in microseconds.

    `wake_at`: see `deadline`. `requests`: see `outbox`.
    """

    def set_timeout_listener(self, listener: "Callable[[], None]") -> None:
        """Call `listener` after each timeout, before the next request; see `submit_first`."""
        self._timeout_listener = listener

    def submit_first(self, unit: int, pdu: bytes) -> None:
        """Queue a poll without a result in front of polls and writes, unless the port is closed."""
        if self.state == CLOSED:
            return
        queue = self._urgent or self._polls
        queue.insert(0, Transaction(unit, pdu, None, POLL, 0, self.unit_health(unit)))
        if self.state < WAIT_REPLY:
            self.wake_at = min(self.wake_at, self._line_timer.drained_at)

    def deadline(self) -> int:
        """Return when to call `wake`; NEVER if there is nothing to send or to wait for."""
        return self.wake_at

    def outbox(self) -> "list[Action]":
        """Remove and return the actions for the port: (port, "write" or "close", data)."""
        actions = self.requests
        if actions:
            self.requests = []
        return actions

    def handle(self, event: int) -> None:
        """Change the state by an event of `drivers.modbus.bus_state`."""
        self.state = next_state(self.state, event)

    def expect_cycle(self, at: int) -> None:
        """Take the time of the next polls, so that no probe delays them."""
        self.next_cycle_at = at

    def hold_writes(self, held: bool, now: int) -> None:
        """Keep writes and stops in the queue, or release them; polls go on."""
        if self._request_queue.hold_urgent(held) and self.state != CLOSED:
            self.wake_at = min(self.wake_at, now)

    def hold_polls(self, until: int) -> None:
        """Keep polls back until `until`; writes and stops go on. The next byte ends it."""
        if self.state != CLOSED:
            self._line_timer.hold_polls(max(until, self._line_timer.drained_at))

    def is_at_rest(self, now: int) -> bool:
        """Return whether no request is on the wire, and no write waits; a closed port rests."""
        if self.state == CLOSED:
            return True
        is_idle = self.state < WAIT_REPLY and now >= self._line_timer.t35_at
        return is_idle and not self._urgent

    def _send_on_line(self, now: int) -> None:
        """Send the next request if the line is free, else set the deadline."""
        if self.state == CLOSED:
            self.wake_at = NEVER
            return
        if self._urgent and self._has_ready_write(now):
            if now < self._line_timer.t35_at:
                self.wake_at = self._line_timer.t35_at
                return
        elif now < self._line_timer.drained_at:
            has_pending = self._urgent or self._polls or self._recovery_probe.offline
            self.wake_at = self._line_timer.drained_at if has_pending else NEVER
            return
        elif self._polls and self._has_received() and self._yield_to_master(now):
            return
        transaction = self._next_transaction(now)
        if transaction is not None:
            self._start_on_line(transaction, now)

    def _has_ready_write(self, now: int) -> bool:
        """Return whether a write or a stop can be sent.

        One that its busy unit keeps back lets polls go first, and these wait for another master.
        """
        return True in [transaction.not_before <= now for transaction in self._urgent]

    def _has_received(self) -> bool:
        """Return whether there are bytes to classify, or requests of another master to note."""
        client = self.client
        return bool(client.buffer or client.others or client.lost_units or client.request_seen)

    def _send_on_stream(self, now: int) -> None:
        """Send the next request on TCP: a stream is always free and needs no guard.

        Few calls, because they are a large part of the time of a transaction.
        """
        if self.state == CLOSED:
            self.wake_at = NEVER
            return
        queue = self._urgent or self._polls
        if now < self._line_timer.drained_at and not self._urgent:
            self.wake_at = self._line_timer.drained_at
            return
        if queue and not (queue[0].not_before or self._recovery_probe.offline):  # the usual case
            transaction = queue.pop(0)
        else:
            delayed = self._next_transaction(now)
            if delayed is None:
                return
            transaction = delayed
        frame = self.client.start(transaction.unit, transaction.pdu)
        self.requests.append((self.port, "write", frame))
        self._transaction = transaction
        self.state = AFTER_SENT[self.state]
        self._sent_at = now
        health = transaction.health
        timeout_us = health.start_probe() if transaction.is_probe else health.timeout_us
        self.wake_at = self._timeout_at = now + timeout_us

    def _yield_to_master(self, now: int) -> bool:
        """If another master has sent a request, wait for the reply to it.

        After each wait the bus has the line for as long: a master that sends without a pause must
        not keep all polls back.
        """
        has_request = self._note_other_master(now)
        self._forget_arrival(now)
        if not has_request or now < self._own_turn_until:
            return False
        self.wake_at = now + _OTHER_MASTER_US
        self._line_timer.hold_polls(self.wake_at)
        self._own_turn_until = self.wake_at + _OTHER_MASTER_US
        return True

    def _note_other_master(self, now: int) -> bool:
        """Guard against the reply to another master; return whether one is due."""
        guard = self._stale_replies
        others = [
            body
            for body in self.client.unanswered_others()
            if not guard.is_own_echo(body[0], body[1:])
        ]
        beside, frames = self.client.beside, self.client.late_frames
        for body in others:
            if body[1] in ECHO_FUNCTIONS:  # its frame is the request, not the reply to it
                frame = with_crc(body)
                if frame in frames:
                    frames.remove(frame)
            if body in beside:  # it came before the frames of the idle line
                guard.expect_foreign(body[0], body[1:], now, self._sent_at)
        seen_at = self._bytes_since or now
        self._check_late_frames(now)
        for body in others:
            if body not in beside:
                guard.expect_foreign(body[0], body[1:], now, seen_at)
        self.client.beside = ()
        if others or self.client.request_seen:  # also one that has its reply already
            self.other_until = now + _OTHER_SEEN_US
            self.client.request_seen = False
        for unit in self.client.lost_units:
            guard.expect_many(unit, now)
        self.client.lost_units = ()
        return bool(others)

    def _discard_input(self, now: int, goes_on: bool = False) -> None:
        """Discard the received bytes. Beside another master, requests of it can be among them.

        `goes_on`: the port stays open.
        """
        guard = self._stale_replies
        unclassified = [
            body for body in self.client.unclassified() if not guard.is_own_echo(body[0], body[1:])
        ]
        if unclassified or self.client.request_seen:
            self.other_until = now + _OTHER_SEEN_US
            self.client.request_seen = False
        if now < self.other_until or self.client.others:
            for unit in self._health:
                guard.expect_many(unit, now)
        self.client.reset(goes_on)
        self._forget_arrival(now)

    def _open_if_behind(self, transaction: "Transaction", now: int) -> None:
        """Open a request whose reply is not clear, if the unit owes older ones too."""
        if transaction.unit in self._stale_replies.units:
            self._stale_replies.expect_late(transaction.unit, transaction.pdu, now, transaction)

    def _start_on_line(self, transaction: "Transaction", now: int) -> None:
        """Send a request on a serial line."""
        client = self.client
        exception_ambiguous = False
        is_urgent = transaction.priority or transaction.is_probe
        if is_urgent and self._has_received():
            self._note_other_master(now)
        if self._stale_replies.units:
            exception_ambiguous = self._stale_replies.exception_ambiguous(transaction)
        frame = client.start(transaction.unit, transaction.pdu, exception_ambiguous)
        client.beside = ()
        if client.late_frames:
            self._check_late_frames(now)
        if self._bytes_since:
            self._forget_arrival(now)
        if self._parts.chars:
            self._parts.clear()
        if client.duplicate_unit:
            self.unit_health(client.take_duplicate()).duplicate_seen()
        self.requests.append((self.port, "write", frame))
        self._transaction = transaction
        self.state = AFTER_SENT[self.state]
        self._sent_at = now
        self._line_timer.request_sent()
        health = transaction.health
        timeout_us = health.start_probe() if transaction.is_probe else health.timeout_us
        transaction.reply_prefix = client.reply_prefix
        request_chars, reply_chars = len(frame), client.reply_length
        self._request_chars = request_chars
        self._earliest_end = now + self.wire_time.chars_us(request_chars + reply_chars)
        self.wake_at = self._timeout_at = self._earliest_end + timeout_us
        self._stale_replies.due_at = self._timeout_at
        if self._incremental_count >= INCREMENTAL_AFTER and reply_chars > UART_FIFO_CHARS:
            self.wake_at = (
                now + timeout_us + self.wire_time.chars_us(request_chars + UART_FIFO_CHARS)
            )

    def _forget_arrival(self, now: int) -> None:
        """Forget when the classified bytes came, unless the rest of a frame can follow them.

        That frame then counts as seen when its first byte came. After a longer pause it counts as
        older than all requests, however many more parts it has.
        """
        is_old = self._is_cut_old or now - self._bytes_since > _CUT_US
        self._is_cut_old = is_old and self.client.cut != b""
        if is_old or not self.client.cut:
            self._bytes_since = 0

    def _date_cut(self, transaction: "Transaction") -> None:
        """Take the arrival of the frame that the time-out cuts; its rest can come after it.

        If it began too early for the reply to our request, it is the second copy of the reply
        before. Then it counts as older than our request.
        """
        size, parts = len(self.client.cut), self._parts
        if not size or parts.chars < size:
            return
        self._bytes_since = parts.began_at(parts.chars - size, self._bytes_since)
        sent = self._sent_at + self.wire_time.chars_us(self._request_chars)
        margin = parts.least_margin(parts.chars - size, size + 1, sent, self.wire_time)
        if self._duplicate_filter.is_too_early(transaction, margin):
            self._bytes_since = min(self._bytes_since, self._sent_at)

    def _note_part(self, transaction: "Transaction", size: int, now: int) -> None:
        """Record `size` bytes during a transaction that do not complete its reply."""
        self.wake_at = self._timeout_at
        transaction.has_partial_reply = True
        if not self.serial:
            return
        if not self._bytes_since:
            self._bytes_since = now
        self._parts.add(size, now)
        if self.client.is_deferred:  # it can be a part of a longer frame
            self.handle(DEFER)
            self._deferred_at = now
            self.wake_at = now + self._line_timer.gap_us + self._fifo_us

    def _next_transaction(self, now: int) -> "Transaction | None":
        """Remove the first request that can be sent; None (and a later deadline) without one."""
        queue = self._urgent or self._polls
        if self._recovery_probe.offline and not self._urgent:
            probe = self._next_probe(now)
            if probe is not None or not queue:
                return probe
        if not queue:
            self.wake_at = NEVER
            return None
        first, has_stale = queue[0], self._stale_replies.units
        if not first.not_before and (
            first.priority or not (has_stale or self._duplicate_filter.blocked_until(first, now))
        ):
            return queue.pop(0)
        if has_stale:
            self._stale_replies.update(now)
        transaction, self.wake_at = self._request_queue.take_first_ready(
            now, self._stale_replies, self._duplicate_filter, self.client.echo_known
        )
        return transaction

    def _next_probe(self, now: int) -> "Transaction | None":
        """Return a probe of an offline unit if one is due, else None.

        Polls that wait are a cycle that begins now.
        """
        transaction, self.wake_at = self._recovery_probe.next_probe(
            self._health, now, now if self._polls else self.next_cycle_at
        )
        if transaction is None:
            return None
        if self.serial:
            blocked_until = self._duplicate_filter.blocked_until(transaction, now)
            if blocked_until > now:
                self.wake_at = blocked_until
                return None
        self.probes += 1
        return transaction

    def _check_late_frames(self, now: int, last_at: int = 0) -> None:
        """Pass the frames that were not the reply to the guard; a duplicate of each can follow.

        Frames are classified later than they arrive. Whether a frame is a duplicate is decided by
        the arrival of its first byte at the earliest, because a duplicate comes soon after its
        reply. The duplicate of this frame is expected from the last byte on, which came at
        `last_at`; without it, that of the line counts.
        """
        frames = self.client.late_frames
        seen_at = self._bytes_since or now
        good_count = self.transactions - self.errors
        for unit in [frame[0] for frame in frames]:
            if unit in self._health and self._recovery_probe.late_reply(unit, good_count):
                self._health[unit].late_reply(seen_at, good_count, self.timeouts)
        if self._stale_replies.units:
            last_at = last_at or min(now, self._line_timer.last_byte_at)
            for frame in frames:
                # It can be the reply to another master of the same shape, which has its own copy.
                shape: bytes | None = frame[: 2 if frame[1] & 0x80 else 3]
                if not self._duplicate_filter.is_expected(frame, seen_at):
                    is_old = self._is_cut_old and frame is self.client.joined
                    began_at = 0 if is_old else seen_at
                    shape = self._stale_replies.frame_seen(frame, now, began_at)
                if shape is not None:
                    size = len(frame)
                    until = self._duplicate_due(seen_at, 2 * size + 3)
                    until = max(until, self._duplicate_due(last_at, size))
                    self._duplicate_filter.expect(shape, until, seen_at)
                    self._stale_replies.expect_copy(shape, until)
        frames.clear()

    def _expect_exception(self, transaction: "Transaction", now: int) -> None:
        """Expect a second copy of an exception, on a line."""
        if not self.serial:
            return
        prefix, length = exception_prefix_of(transaction), self.client.exception_length
        self._duplicate_filter.expect_duplicate(transaction, length, now, prefix)
        if transaction.unit in self._stale_replies.units:
            self._duplicate_filter.expect(prefix, self._duplicate_due(now, length), now)

    def _duplicate_due(self, now: int, length: int) -> int:
        """Return the time until which a duplicate of a frame of `length` characters can come."""
        return now + self.wire_time.chars_us(length) + self._line_timer.flush_us

    def _reply_chars(self, result: "ReplyResult") -> int:
        """Return the characters of a reply: of an exception, or of the expected reply."""
        client = self.client
        return client.exception_length if result[0] == EXCEPTION else client.reply_length

    def _earliest_reply_end(self, result: "ReplyResult") -> int:
        """Return the end of a reply that takes only the time of its characters."""
        if result[0] != EXCEPTION:
            return self._earliest_end
        chars = self._request_chars + self._reply_chars(result)
        return self._sent_at + self.wire_time.chars_us(chars)

    def _reply_margin(self, result: "ReplyResult", now: int) -> int:
        """Return the end of the reply less its earliest possible end; below 0 if it is too early.

        If an earlier part of the reply has a smaller margin, this is the result: a duplicate can
        begin too early and end late. Other bytes, an echo too, can be before the reply.
        """
        wire, trailing = self.wire_time, self.client.trailing_bytes
        end = now - wire.chars_us(trailing) if trailing else now  # later bytes can follow it
        margin = end - self._earliest_reply_end(result)
        if not self._parts.chars:
            return margin
        size, sent = self._reply_chars(result), wire.chars_us(self._request_chars)
        begin = self._parts.chars - trailing - size
        return min(margin, self._parts.least_margin(begin, size, self._sent_at + sent, wire))

    def _is_own_reply(self, transaction: "Transaction", result: "ReplyResult", now: int) -> bool:
        """Record a reply that arrived at `now`; return whether it can only be the own one."""
        guard, began_at = self._stale_replies, now
        if guard.copies and self._parts.chars:
            before = self._parts.chars - self.client.trailing_bytes - self._reply_chars(result)
            began_at = self._parts.began_at(before, now)
        return guard.reply_accepted(transaction, result[0] == EXCEPTION, now, began_at)

    def _on_unexpected(self, now: int) -> None:
        """Handle bytes without a transaction: wait for idle line, but not without end."""
        has_pending = bool(self._polls or self._urgent)
        if self.serial and not self._bytes_since:
            self._bytes_since = now
        waits_for_line = self.wake_at == self._line_timer.drained_at
        self._line_timer.unexpected_bytes(now, has_pending)
        if has_pending:
            line_free_at = self._line_timer.t35_at if self._urgent else self._line_timer.drained_at
            self.wake_at = line_free_at if waits_for_line else max(self.wake_at, line_free_at)

    def _book_time(self, transaction: "Transaction", until: int) -> None:
        """Add the wire time of a transaction; after a probe the next one waits for its share."""
        duration_us = until - self._sent_at + self._line_timer.gap_us
        self.busy_us += duration_us
        if transaction.is_probe:
            self.probe_us += duration_us
            self._recovery_probe.probe_done(until, duration_us, len(self._health))
