"""Replies that may still come: what a request that got none casts on the requests after it.

Not a queue and not a matcher. A reply to a read does not say which registers it holds, so the late
reply to one request may look like the good reply to another. A request that was given up leaves a
shadow for a while: until then the same unit is not asked anything whose good reply would look the
same, unless it is the very same request (whose late reply is the same block, or the same echo).

A shadow has two ends. Until `guard_min_us` nothing lifts it. After that it goes on until `until`,
unless there is proof: a device answers in the order it was asked, so the good reply to a later
request that cannot be confused says that what came before is over. `disambiguating_read` makes such
a request.
"""

from protocols.modbus.pdu import READS, reply_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import DuplicateFilter
    from drivers.modbus.transaction import Transaction


_MAX_STALE = 32
_UNPROVEN_FACTOR = 4
_SINGLE = (5, 6, 22)
_MULTIPLE = (15, 16)
_READ_WRITE = 23


def written_span(pdu: bytes) -> "tuple[int, int, int] | None":
    """(table, first address, count) that a request writes, or None; table 0 is coils, 1 registers.

    It is read from the bytes, so that what a newer command replaces is found whoever made it.
    """
    function = pdu[0]
    table = 0 if function in (5, 15) else 1
    if function in _SINGLE:
        return (table, pdu[1] << 8 | pdu[2], 1)
    if function in _MULTIPLE:
        return (table, pdu[1] << 8 | pdu[2], pdu[3] << 8 | pdu[4])
    if function == _READ_WRITE:
        return (table, pdu[5] << 8 | pdu[6], pdu[7] << 8 | pdu[8])
    return None


def spans_overlap(
    first: "tuple[int, int, int] | None", second: "tuple[int, int, int] | None"
) -> bool:
    """Whether two results of `written_span` have an address in common."""
    if first is None or second is None or first[0] != second[0]:
        return False
    return first[1] < second[1] + second[2] and second[1] < first[1] + first[2]


class StaleReply:
    """One request whose reply may come until `until`, and surely not before `guard_min_us` if
    proven.
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
        """Whether what may still come could be taken for the good reply to `transaction`."""
        return self.reply_prefix == transaction.reply_prefix() and self.pdu != transaction.pdu


class StaleReplyGuard:
    """The shadows on one line.

    `stale_us`: how long a shadow lasts with proof; without, `_UNPROVEN_FACTOR` times as long.
    """

    def __init__(self, stale_us: int) -> None:
        self._stale_us = stale_us
        self.stale_replies: list[StaleReply] = []

    def expire_later(self, unit: int, pdu: bytes, now: int) -> None:
        """A request was given up; its reply may still come."""
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
        """Forget what is over."""
        self.stale_replies = [stale for stale in self.stale_replies if stale.guard_max_us > now]

    def reply_received(
        self, transaction: "Transaction", timeout_at: int, is_first_attempt: bool
    ) -> None:
        """`transaction` was answered well, at its first attempt or a later one; `timeout_at` was
        its time limit.

        Of the same request one more reply may be under way; what was asked before is over.
        """
        prefix = transaction.reply_prefix()
        for stale in self.stale_replies:
            if stale.unit != transaction.unit:
                continue
            if stale.pdu == transaction.pdu:
                stale.guard_min_us = timeout_at + self._stale_us
                stale.guard_max_us = timeout_at + _UNPROVEN_FACTOR * self._stale_us
            elif is_first_attempt and stale.reply_prefix != prefix:
                stale.guard_max_us = min(stale.guard_max_us, stale.guard_min_us)

    def late_reply_seen(self, guard_until: int, unit: int = 0) -> None:
        """A late reply has come, of `unit` if that is known: it may come a second time."""
        for stale in self.stale_replies:
            if not unit or stale.unit == unit:
                stale.guard_min_us = max(stale.guard_min_us, guard_until)
                stale.guard_max_us = max(stale.guard_max_us, guard_until)

    def blocked_until(self, transaction: "Transaction", now: int) -> int:
        """Until when `transaction` is held; 0 when it may go."""
        blocked_until = 0
        for stale in self.stale_replies:
            if stale.guard_max_us > now and stale.could_match(transaction):
                blocked_until = max(
                    blocked_until,
                    stale.guard_min_us if now < stale.guard_min_us else stale.guard_max_us,
                )
        return blocked_until

    def is_ambiguous(self, transaction: "Transaction") -> bool:
        """Whether a late reply could be taken for the reply to `transaction`."""
        return True in [stale.could_match(transaction) for stale in self.stale_replies]

    def exception_ambiguous(self, transaction: "Transaction") -> bool:
        """Whether an exception could be the late reply to another request of this function."""
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
        """A read whose reply can be confused with no late one; None if there is none, or if it
        has been asked already.

        It reads a part of what `transaction` would read, so it asks for nothing new.
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
