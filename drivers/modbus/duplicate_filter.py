"""Second copies of replies on a serial line: which reply is too early to be one, what must wait.

Not a matcher: it sees times, not bytes. A slave or a gateway may say its reply twice, and the copy
could be taken for the reply to the next request that looks the same. A copy gives itself away by
its time: it ends before the reply can have been sent, which takes the wire's time and at least the
unit's fastest response. But some gateways and pseudo-terminals hand bytes over faster than any
wire. So the line has to show `TIMING_VALID_AFTER` times in a row that its bytes take their time;
then what is too early is refused. Before that, what a copy could answer waits until the copy would
have come.
"""

from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.transaction import Transaction
    from drivers.modbus.wire_time import WireTime

TIMING_VALID_AFTER = 8
_DUPLICATE_US = 5 * MILLISECOND
_MAX_PREFIXES = 32


class DuplicateFilter:
    """One line. `flush_us`: how long after a reply its copy may come."""

    def __init__(self, wire_time: "WireTime", flush_us: int) -> None:
        self.timing_valid_count = 0
        self._wire_time = wire_time
        self._gap_us = wire_time.gap_us
        self._flush_us = flush_us
        self._rounding_us = wire_time.chars_us(2)  # how chunks are rounded
        self._window_us = min(
            flush_us, max(_DUPLICATE_US, wire_time.chars_us(16))
        ) - wire_time.chars_us(6)
        self._expected_until = 0
        self._expected: dict[bytes, int] = {}

    def is_premature(self, transaction: "Transaction", margin_us: int) -> bool:
        """Whether a reply that ended `margin_us` us after the wire's time came too early to be one."""
        margin_us += self._rounding_us
        if self.timing_valid_count < TIMING_VALID_AFTER:
            self.timing_valid_count = self.timing_valid_count + 1 if margin_us >= 0 else 0
            return False
        if margin_us >= transaction.health.min_response_us:
            return False
        transaction.is_premature = True
        transaction.margin_us = margin_us
        return True

    def accept_premature(self, transaction: "Transaction") -> None:
        """What was refused as too early for `transaction` was its reply after all: nothing better
        came.
        """
        transaction.health.set_fastest(max(0, transaction.margin_us))
        if transaction.margin_us < 0:
            self.timing_valid_count = 0

    def expect_duplicate(self, transaction: "Transaction", length: int, now: int) -> None:
        """`transaction` was answered at `now` by a reply of `length` bytes; it may come once more.

        On a line that shows true times a copy is mostly too early to be the reply to what is sent
        after t3.5, and then nothing has to wait.
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
        if now >= self._expected_until or len(self._expected) >= _MAX_PREFIXES:
            self._expected = {}
        prefix = transaction.reply_prefix()
        self._expected[prefix] = max(until, self._expected.get(prefix, 0))
        self._expected_until = max(self._expected_until, until)

    def blocked_until(self, transaction: "Transaction", now: int) -> int:
        """Until when `transaction` is held; 0 when it may go."""
        if now >= self._expected_until:
            return 0
        until = self._expected.get(transaction.reply_prefix(), 0)
        return until if until > now else 0

    def is_expected(self, prefix: bytes) -> bool:
        """Whether a copy that begins like this is remembered."""
        return prefix in self._expected
