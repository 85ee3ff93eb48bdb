# SPDX-License-Identifier: Apache-2.0
"""Requests that wait on one bus, in the order in which they can be sent.

Does not know whether the line is free; the bus does. There are two queues. `polls` is first in,
first out. `urgent` holds writes and stops, the highest priority in front. A newer write removes an
older one to the same registers from the queue. Thus an old value never follows a newer one.

`hold_urgent` keeps writes and stops back, for a controller that is not the active one of a pair;
polls go on. Both lists stay the same objects, because the bus keeps references to them.
"""

from drivers.modbus.transaction import POLL, Transaction, same_reply_shape, supersedes
from protocols.time_units import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.modbus.duplicate_filter import DuplicateFilter
    from drivers.modbus.stale_reply.guard import StaleReplyGuard


class RequestQueue:
    """The requests of one bus. Does not limit their number; see `Bus.submit`."""

    def __init__(self) -> None:
        self.polls: list[Transaction] = []
        self.urgent: list[Transaction] = []
        self._held: list[Transaction] | None = None

    def hold_urgent(self, held: bool) -> bool:
        """Keep writes and stops back, or release them. Return whether one can be sent now."""
        if held and self._held is None:
            self._held = self.urgent[:]
            self.urgent.clear()
        elif not held and self._held is not None:
            self.urgent.extend(self._held)
            self._held = None
            return bool(self.urgent)
        return False

    def add_urgent(self, transaction: Transaction) -> "list[Transaction]":
        """Queue a write or a stop; remove and return the older writes that it supersedes."""
        urgent = self.urgent if self._held is None else self._held
        superseded = [other for other in urgent if supersedes(transaction, other)]
        for other in superseded:
            urgent.remove(other)
        urgent.insert(
            len([1 for other in urgent if other.priority >= transaction.priority]), transaction
        )
        return superseded

    def requeue(self, transaction: Transaction, at_front: bool) -> bool:
        """Queue a transaction again; return False if a newer write superseded it meanwhile."""
        urgent = self.urgent if self._held is None else self._held
        queue = urgent if transaction.priority else self.polls
        at = 0
        if transaction.priority:
            for other in queue:
                if supersedes(other, transaction):
                    return False
            at = len([1 for other in queue if other.priority > transaction.priority])
        queue.insert(at if at_front else len(queue), transaction)
        return True

    def take_polls(self, unit: int) -> "list[Transaction]":
        """Remove and return the polls of a unit."""
        polls = [transaction for transaction in self.polls if transaction.unit == unit]
        for transaction in polls:
            self.polls.remove(transaction)
        return polls

    def take_all(self) -> "list[Transaction]":
        """Remove and return all requests."""
        transactions = (self._held or []) + self.urgent + self.polls
        if self._held is not None:
            self._held.clear()
        self.urgent.clear()
        self.polls.clear()
        return transactions

    def take_first_ready(
        self,
        now: int,
        stale_replies: "StaleReplyGuard",
        duplicates: "DuplicateFilter",
        diagnostics: bool,
    ) -> "tuple[Transaction | None, int]":
        """Remove the first request that can be sent; return (request, 0).

        A request cannot be sent during its pause, or while a late or duplicate reply could match
        it. If there is no request, return a disambiguating request, or (None, time of the next
        call). `diagnostics` permits function 8 for it.
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
                        blocked_until = (
                            NEVER  # keeps the order of requests with the same reply shape
                        )
                if blocked_until <= now:
                    if not transaction.priority and stale_replies.is_retry_due(transaction, now):
                        request = self._disambiguate(
                            transaction, now, stale_replies, duplicates, diagnostics
                        )
                        if request is not None:
                            return request, 0
                    return queue.pop(i), 0
                blocked.append(transaction)
                ready_at = min(ready_at, blocked_until)
        for transaction in blocked:
            if transaction.not_before <= now:
                request = self._disambiguate(
                    transaction, now, stale_replies, duplicates, diagnostics
                )
                if request is not None:
                    return request, 0
        return None, ready_at

    def _disambiguate(
        self,
        transaction: Transaction,
        now: int,
        stale_replies: "StaleReplyGuard",
        duplicates: "DuplicateFilter",
        diagnostics: bool,
    ) -> "Transaction | None":
        """Return a request of the bus itself whose reply ends the ambiguity, or None."""
        pdu = stale_replies.proof_request(transaction, now, duplicates, diagnostics)
        if pdu is None:
            return None
        return Transaction(transaction.unit, pdu, None, POLL, 0, transaction.health)
