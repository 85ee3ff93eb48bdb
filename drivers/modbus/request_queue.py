"""The jobs that wait on one bus, in the order in which they may go out.

Not a clock and not a wire: when the line is free is the bus's affair. Two queues. `polls` are
served first come, first served. `urgent` holds writes and stops, the more urgent in front. A newer
write to the same registers makes an older one that waits pointless: it is taken out, so that an old
value never goes out after a newer one.

Both lists stay the same objects for good: the bus looks at them at every turn.
"""

from drivers.modbus.transaction import POLL, Transaction, same_reply_shape, supersedes
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import DuplicateFilter
    from drivers.modbus.stale_reply_guard import StaleReplyGuard


class RequestQueue:
    """What waits; it bounds nothing, the bus refuses what is too much."""

    def __init__(self) -> None:
        self.polls: list[Transaction] = []
        self.urgent: list[Transaction] = []

    def add_urgent(self, transaction: Transaction) -> "list[Transaction]":
        """Queue a write or a stop; returns the older writes that it replaces, taken out."""
        urgent = self.urgent
        superseded = [other for other in urgent if supersedes(transaction, other)]
        for other in superseded:
            urgent.remove(other)
        urgent.insert(
            len([1 for other in urgent if other.priority >= transaction.priority]), transaction
        )
        return superseded

    def requeue(self, transaction: Transaction, at_front: bool) -> bool:
        """Queue a job from the wire once more; False if a newer write has replaced it meanwhile."""
        queue = self.urgent if transaction.priority else self.polls
        at = 0
        if transaction.priority:
            for other in queue:
                if supersedes(other, transaction):
                    return False
            at = len([1 for other in queue if other.priority > transaction.priority])
        queue.insert(at if at_front else len(queue), transaction)
        return True

    def take_polls(self, unit: int) -> "list[Transaction]":
        """Take out every poll of a unit."""
        polls = [transaction for transaction in self.polls if transaction.unit == unit]
        for transaction in polls:
            self.polls.remove(transaction)
        return polls

    def take_all(self) -> "list[Transaction]":
        """Take out everything."""
        transactions = self.urgent + self.polls
        self.urgent.clear()
        self.polls.clear()
        return transactions

    def take_first_ready(
        self, now: int, stale_replies: "StaleReplyGuard", duplicates: "DuplicateFilter"
    ) -> "tuple[Transaction | None, int]":
        """Take out the first job that neither a pause, a shadow nor a second copy holds.

        Without one: a read that proves a shadow to be over, if there is such a read, else None and
        when to look again.
        """
        blocked: list[Transaction] = []
        ready_at = NEVER
        for queue in (self.urgent, self.polls):
            for i, transaction in enumerate(queue):
                blocked_until = transaction.not_before
                if not transaction.priority:
                    blocked_until = max(
                        blocked_until,
                        stale_replies.blocked_until(transaction, now),
                        duplicates.blocked_until(transaction, now),
                    )
                    if [1 for other in blocked if same_reply_shape(other, transaction)]:
                        blocked_until = NEVER  # it must not overtake what looks the same
                if blocked_until <= now:
                    return queue.pop(i), 0
                blocked.append(transaction)
                ready_at = min(ready_at, blocked_until)
        for transaction in blocked:
            probe_pdu = (
                None
                if transaction.not_before > now
                else stale_replies.disambiguating_read(transaction, now, duplicates)
            )
            if probe_pdu is not None:
                return Transaction(
                    transaction.unit, probe_pdu, None, POLL, 0, transaction.health
                ), 0
        return None, ready_at
