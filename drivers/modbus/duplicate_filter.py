# SPDX-License-Identifier: Apache-2.0
"""Duplicate replies on a serial line: discard premature replies, delay ambiguous requests.

Does not compare bytes. A unit or gateway can send its reply twice. The duplicate could match the
next request with the same reply shape. A duplicate arrives too early: it ends before the wire time
of the request and the shortest response time of the unit have passed. The filter discards such a
reply.

A duplicate can come in parts, the last of them long after the first. Then its first part comes too
early; `ReplyParts` knows when it came.

Some gateways and pseudo-terminals deliver bytes faster than the wire. The filter therefore first
needs `TIMING_VALID_AFTER` replies in a row that took their wire time. Until then, requests that a
duplicate could match wait until the duplicate would have come.
"""

from drivers.modbus.transaction import exception_prefix_of, reply_prefix_of
from protocols.time_units import MILLISECOND, NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.transaction import Transaction
    from drivers.modbus.wire_time import WireTime

TIMING_VALID_AFTER = 8
_DUPLICATE_US = 5 * MILLISECOND
_MAX_PREFIXES = 32
_MAX_PARTS = 24  # chunks of which the arrival is kept


class ReplyParts:
    """Arrival of the chunks since the request that did not complete the reply (us).

    `chars` counts their characters, of an echo too. The reply begins anywhere in them.
    """

    __slots__ = ("_arrivals", "chars")

    def __init__(self) -> None:
        self.chars = 0
        self._arrivals: list[tuple[int, int]] = []  # characters so far, arrival of the last one

    def clear(self) -> None:
        """Forget all chunks: the next request begins."""
        self.chars = 0
        self._arrivals = []

    def add(self, size: int, now: int) -> None:
        """Record a chunk of `size` characters."""
        self.chars += size
        if len(self._arrivals) < _MAX_PARTS:
            self._arrivals.append((self.chars, now))

    def began_at(self, begin: int, now: int) -> int:
        """Return the arrival of the first chunk with more than the first `begin` characters."""
        for chars, at in self._arrivals:
            if chars > begin:
                return at
        return now

    def least_margin(self, begin: int, length: int, earliest_us: int, wire: "WireTime") -> int:
        """Return by how much the earliest part came after the earliest possible time.

        The reply has `length` characters after the first `begin` ones; its first character cannot
        begin before `earliest_us`. Chunks after its last character do not count: the bus can decide
        on a reply after later bytes. `NEVER`: no part of the reply is recorded.
        """
        least = NEVER
        for chars, at in self._arrivals:
            if chars > begin:
                least = min(least, at - earliest_us - wire.chars_us(chars - begin))
                if chars - begin >= length:
                    break
        return least


class DuplicateFilter:
    """Duplicates on one line; a duplicate can come until `flush_us` after its reply (us)."""

    def __init__(self, wire_time: "WireTime", flush_us: int) -> None:
        self.timing_valid_count = 0
        self._wire_time = wire_time
        self._gap_us = wire_time.gap_us
        self._flush_us = flush_us
        self._rounding_us = wire_time.chars_us(2)  # chunks are timed to within two characters
        self._window_us = min(
            flush_us, max(_DUPLICATE_US, wire_time.chars_us(16))
        ) - wire_time.chars_us(6)
        self._expected_until = 0
        self._expected: dict[bytes, int] = {}

    def line_opened(self) -> None:
        """Forget the timing of the line; the port was opened again."""
        self.timing_valid_count = 0

    def is_premature(self, transaction: "Transaction", margin_us: int) -> bool:
        """Return whether a reply came too early to be the reply to `transaction`.

        `margin_us` is the end of the reply less its earliest possible end, in microseconds, or the
        same of an earlier part of the reply if it is less.
        """
        margin_us += self._rounding_us
        if self.timing_valid_count < TIMING_VALID_AFTER:
            self.timing_valid_count = self.timing_valid_count + 1 if margin_us >= 0 else 0
            return False
        if margin_us >= transaction.health.min_response_us:
            return False
        transaction.is_premature = True
        transaction.margin_us = margin_us
        return True

    def is_too_early(self, transaction: "Transaction", margin_us: int) -> bool:
        """Return the same for a frame that is not whole yet; it changes nothing."""
        is_valid = self.timing_valid_count >= TIMING_VALID_AFTER
        return is_valid and margin_us + self._rounding_us < transaction.health.min_response_us

    def accept_premature(self, transaction: "Transaction") -> None:
        """Accept a discarded reply as genuine after all, because no other reply came.

        The unit is then faster than its shortest response time so far.
        """
        transaction.health.set_fastest(max(0, transaction.margin_us))
        if transaction.margin_us < 0:
            self.timing_valid_count = 0

    def expect_duplicate(
        self, transaction: "Transaction", length: int, now: int, prefix: bytes = b""
    ) -> None:
        """Record a reply of `length` bytes that arrived at `now`; a duplicate can follow.

        It begins with `prefix`, or as each good reply.

        If the timing of the line is valid, a duplicate usually is premature for a request that
        is sent after t3.5. No request has to wait then.
        """
        health = transaction.health
        if (
            self.timing_valid_count >= TIMING_VALID_AFTER
            and health.has_min_response
            and not health.sends_duplicates
        ):
            until = now + self._window_us - health.min_response_us
            if until <= now + self._gap_us:
                return
        else:
            until = now + self._wire_time.chars_us(length) + self._flush_us
        self.expect(prefix or reply_prefix_of(transaction), until, now)

    def expect(self, prefix: bytes, until: int, now: int) -> None:
        """Record that a duplicate that begins with `prefix` can come until `until`."""
        expected = self._expected
        if now >= self._expected_until or len(expected) >= _MAX_PREFIXES:
            expected = self._expected = {}
        if until > expected.get(prefix, 0):
            expected[prefix] = until
        if until > self._expected_until:
            self._expected_until = until

    def blocked_until(self, transaction: "Transaction", now: int) -> int:
        """Return the time until which `transaction` must wait; 0 if it can be sent."""
        if now >= self._expected_until:
            return 0
        expected = self._expected
        until = expected.get(reply_prefix_of(transaction), 0)
        until = max(until, expected.get(exception_prefix_of(transaction), 0))
        return until if until > now else 0

    def is_expected(self, start: bytes, now: int) -> bool:
        """Return whether a duplicate can come that begins like `start`."""
        if now >= self._expected_until:
            return False
        for prefix, until in self._expected.items():
            if until > now and start.startswith(prefix):
                return True
        return False
