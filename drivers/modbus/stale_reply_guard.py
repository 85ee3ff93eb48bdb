# SPDX-License-Identifier: Apache-2.0
"""Late replies to requests that timed out, kept apart from later requests.

Does not queue requests and does not match bytes. The reply to a read does not name its registers.
The late reply to one request can therefore look like the good reply to another. While a late reply
is possible, the bus does not send a request with the same reply shape to that unit. The same
request is permitted, because its late reply holds the same block or the same echo.

A guard ends at `guard_max_us`, but after `guard_min_us` a good reply can end it earlier. A unit
replies in the order of the requests. A good reply to a later request that is not ambiguous thus
shows that the earlier reply will not come. `disambiguating_read` makes such a request.
"""

from drivers.modbus.transaction import reply_prefix_of
from protocols.modbus.pdu import READS, reply_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import DuplicateFilter
    from drivers.modbus.transaction import Transaction

_MAX_STALE = 32
_UNPROVEN_FACTOR = 4


class StaleReply:
    """A request without a reply; the reply can still come until `guard_max_us`.

    Until `guard_min_us` no later reply can end the guard. `read_sent`: a disambiguating read went
    out. Times are monotonic microseconds.
    """

    __slots__ = ("guard_max_us", "guard_min_us", "pdu", "read_sent", "reply_prefix", "unit")

    def __init__(self, unit: int, pdu: bytes, guard_min_us: int, guard_max_us: int) -> None:
        self.unit = unit
        self.pdu = pdu
        self.reply_prefix = bytes((unit,)) + reply_prefix(pdu)
        self.guard_min_us = guard_min_us
        self.guard_max_us = guard_max_us
        self.read_sent = False

    def could_match(self, transaction: "Transaction") -> bool:
        """Return whether the late reply could match `transaction`."""
        return self.reply_prefix == reply_prefix_of(transaction) and self.pdu != transaction.pdu


class StaleReplyGuard:
    """Stale replies of one line.

    A guard lasts at least `stale_us` microseconds. Without a reply that ends it, it lasts
    `_UNPROVEN_FACTOR` times as long.
    """

    def __init__(self, stale_us: int) -> None:
        self._stale_us = stale_us
        self.stale_replies: list[StaleReply] = []

    def expire_later(self, unit: int, pdu: bytes, now: int) -> None:
        """Guard against the late reply to a request that timed out or was cut off at `now`."""
        guard_min_us, guard_max_us = now + self._stale_us, now + _UNPROVEN_FACTOR * self._stale_us
        for stale in self.stale_replies:
            if stale.unit == unit and stale.pdu == pdu:
                stale.guard_min_us = guard_min_us
                stale.guard_max_us = guard_max_us
                stale.read_sent = False
                return
        if len(self.stale_replies) >= _MAX_STALE:
            self.stale_replies.pop(0)
        self.stale_replies.append(StaleReply(unit, pdu, guard_min_us, guard_max_us))

    def drop_expired(self, now: int) -> None:
        """Remove guards that have ended."""
        self.stale_replies = [stale for stale in self.stale_replies if stale.guard_max_us > now]

    def reply_received(
        self, transaction: "Transaction", timeout_at: int, is_first_attempt: bool
    ) -> None:
        """Record a good reply to `transaction`, whose time limit was `timeout_at`.

        A second reply to the same request can still come. A reply to the first attempt shows that
        no reply to an earlier request will come.
        """
        prefix = reply_prefix_of(transaction)
        for stale in self.stale_replies:
            if stale.unit != transaction.unit:
                continue
            if stale.pdu == transaction.pdu:
                stale.guard_min_us = timeout_at + self._stale_us
                stale.guard_max_us = timeout_at + _UNPROVEN_FACTOR * self._stale_us
            elif is_first_attempt and stale.reply_prefix != prefix:
                stale.guard_max_us = min(stale.guard_max_us, stale.guard_min_us)

    def late_reply_seen(self, guard_until: int, unit: int = 0) -> None:
        """Record a late reply, from `unit` if known; a duplicate can come until `guard_until`."""
        for stale in self.stale_replies:
            if not unit or stale.unit == unit:
                stale.guard_min_us = max(stale.guard_min_us, guard_until)
                stale.guard_max_us = max(stale.guard_max_us, guard_until)

    def blocked_until(self, transaction: "Transaction", now: int) -> int:
        """Return the time until which `transaction` must wait; 0 if it can be sent."""
        blocked_until = 0
        for stale in self.stale_replies:
            if stale.guard_max_us > now and stale.could_match(transaction):
                blocked_until = max(
                    blocked_until,
                    stale.guard_min_us if now < stale.guard_min_us else stale.guard_max_us,
                )
        return blocked_until

    def is_ambiguous(self, transaction: "Transaction") -> bool:
        """Return whether a late reply could match `transaction`."""
        return True in [stale.could_match(transaction) for stale in self.stale_replies]

    def exception_ambiguous(self, transaction: "Transaction") -> bool:
        """Return whether an exception could belong to another request of this function."""
        for stale in self.stale_replies:
            if (
                stale.unit == transaction.unit
                and stale.pdu[0] == transaction.pdu[0]
                and stale.pdu != transaction.pdu
            ):
                return True
        return False

    def disambiguating_read(
        self, transaction: "Transaction", now: int, duplicates: "DuplicateFilter"
    ) -> "bytes | None":
        """Return a read whose reply no late reply can match.

        Return None if there is no such read or if it was sent already. The read takes a part of
        the registers of `transaction`.
        """
        if transaction.pdu[0] not in READS:
            return None
        prefixes = []
        for stale in self.stale_replies:
            if stale.unit == transaction.unit:
                if stale.read_sent or now < stale.guard_min_us:
                    return None
                prefixes.append(stale.reply_prefix)
        if not prefixes:
            return None
        for count in range(1, transaction.pdu[4]):
            pdu = transaction.pdu[:3] + bytes((0, count))
            prefix = bytes((transaction.unit,)) + reply_prefix(pdu)
            if prefix not in prefixes and not duplicates.is_expected(prefix):
                for stale in self.stale_replies:
                    stale.read_sent = stale.read_sent or stale.unit == transaction.unit
                return pdu
        return None
