# SPDX-License-Identifier: Apache-2.0
"""Spend guard: bytes and message numbers are stored before they are used.

Does not count (see `agent.satcom.budget`) and does not store (see `agent.satcom.persistence`); it
keeps the two consistent. One write reserves 1/64 of the day. So a small budget needs few writes,
and a power cut costs little of it.
"""

from agent.satcom.persistence import NUMBERS_PER_WRITE
from protocols.datagram import SEQUENCE_MODULUS
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.satcom.budget import Budget
    from agent.satcom.persistence import SatcomStore
    from drivers.modems.regions.permit import Permit

_SECONDS_PER_NUMBER = 8
"""If both records are damaged, numbers continue from UTC in s divided by this. That is above any
count of one message in eight seconds."""
_NUMBER_EPOCH_S = 1_700_000_000


class SpendGuard:
    """Decides whether bytes can be spent. `number_limit`: messages can use numbers below this."""

    def __init__(self, budget: "Budget", store: "SatcomStore | None") -> None:
        self.budget = budget
        self.store = store
        self.offsets: list[int] = []
        self.first_number: int | None = None
        self._requested_limit = 0

    def set_store(self, store: "SatcomStore | None") -> None:
        """Store the state in `store`."""
        self.store = store

    def keep_place(self, permit: "Permit") -> None:
        """Store whether the unit is outside of its region, once there is a store."""
        if self.store is not None:
            self.store.keep_place(permit)

    def use_offsets(self, offsets: "list[int]") -> None:
        """Store `offsets`, the corrections of the horizon mask, with each write from now on."""
        self.offsets = offsets

    @property
    def number_limit(self) -> int:
        """The first number that is not stored yet."""
        return 0 if self.store is None else self.store.durable.numbers

    def restore(self, utc_us: "int | None") -> bool:
        """Restore the stored state. Return True when that is done."""
        if self.first_number is not None:
            return True
        store, budget = self.store, self.budget
        if store is None or not store.loaded:
            return False
        record = store.durable
        day, spent, number = record.day, record.spent, record.numbers
        budget.restore(day, spent)
        if store.damaged_records:
            if utc_us is None:
                return False
            if record.sequence:
                number += NUMBERS_PER_WRITE
                spent += budget.limit // 64 + 1
            else:
                number = (utc_us // SECOND - _NUMBER_EPOCH_S) // _SECONDS_PER_NUMBER
                day, spent = utc_us // SECOND // 86_400, budget.limit
            budget.restore(day, spent)
        self.offsets = list(record.offsets)
        self.first_number = number % SEQUENCE_MODULUS
        self._requested_limit = self.first_number
        self.reserve(0, self.first_number)
        return True

    def may_spend(self, cost: int, alarm: bool) -> bool:
        """Return whether `cost` can be spent. If it is not stored yet, request that.

        An alarm does not wait for a store that fails, for example a full one. It needs a stored
        number, so after a restart nothing is sent before the store works.
        """
        if cost > self.budget.available(alarm):
            return False
        if self._is_durable(cost):
            return True
        self.reserve(cost, self._requested_limit)
        return alarm and self.store is not None and self.store.has_failed

    def _is_durable(self, cost: int) -> bool:
        store, budget = self.store, self.budget
        if store is None:
            return False
        record = store.durable
        return record.day == budget.day and record.spent >= budget.spent + cost

    def release_reserve(self, number: int) -> None:
        """After a session return its reserve, if that is a large part of the day."""
        store, budget = self.store, self.budget
        if store is None:
            return
        record = store.durable
        if record.day == budget.day and record.spent > budget.spent + budget.limit // 32:
            self.reserve(0, number)

    def reserve(self, cost: int, number: int) -> bool:
        """Request that more bytes, and numbers beyond `number`, are stored. Returns False."""
        store, budget = self.store, self.budget
        if store is None or self.first_number is None:
            return False
        spent = min(budget.limit, budget.spent + cost + budget.limit // 64)
        self._requested_limit = max(self._requested_limit, number + NUMBERS_PER_WRITE)
        store.store_state(budget.day, spent, self._requested_limit, self.offsets)
        return False
