"""The budget with its memory: bytes are made durable before they are spent, and so are numbers.

Not the counting (agent.satcom.budget) and not the records (agent.satcom.persistence): here the two
are kept in step. A 64th of the day is set aside by one write, so that a small budget costs few
writes and a power cut costs little of it.
"""

from agent.satcom.persistence import NUMBERS_PER_WRITE
from protocols.datagram import SEQUENCE_MODULUS as ALL_NUMBERS
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.satcom.budget import Budget
    from agent.satcom.persistence import SatcomStore

_SECONDS_PER_NUMBER = 8
"""With both records broken, numbers go on from UTC seconds divided by this: ahead of any count of
one message in eight seconds."""
_NUMBER_EPOCH_S = 1_700_000_000


class SpendGuard:
    """May so many bytes be spent now? `number_limit`: messages may use numbers below this."""

    def __init__(self, budget: "Budget", store: "SatcomStore | None") -> None:
        self.budget = budget
        self.store = store
        self.offsets: list[int] = []
        self.first_number: int | None = None
        self._requested_limit = 0

    def set_store(self, store: "SatcomStore | None") -> None:
        """Take the store in which bytes and numbers are made durable."""
        self.store = store

    @property
    def number_limit(self) -> int:
        """The first number that may not be used yet."""
        return 0 if self.store is None else self.store.durable.numbers

    def restore(self, utc_us: "int | None") -> bool:
        """Take over what was remembered; True when that is done."""
        if self.first_number is not None:
            return True
        store, budget = self.store, self.budget
        if store is None or not store.loaded:
            return False
        record = store.durable
        budget.day, budget.spent = record.day, record.spent
        number = record.numbers
        if store.damaged_records:
            if utc_us is None:
                return False
            if record.sequence:
                number += NUMBERS_PER_WRITE
                budget.spent += budget.limit // 64 + 1
            else:
                number = (utc_us // SECOND - _NUMBER_EPOCH_S) // _SECONDS_PER_NUMBER
                budget.day = utc_us // SECOND // 86_400
                budget.spent = budget.limit
        self.offsets = list(record.offsets)
        self.first_number = number % ALL_NUMBERS
        self._requested_limit = self.first_number
        self.reserve(0, self.first_number)
        return True

    def may_spend(self, cost: int, alarm: bool) -> bool:
        """Say whether `cost` may be spent; if it is not durable yet, that is asked for."""
        if cost > self.budget.available(alarm):
            return False
        return self._is_durable(cost) or self.reserve(cost, self._requested_limit)

    def _is_durable(self, cost: int) -> bool:
        store, budget = self.store, self.budget
        if store is None:
            return False
        record = store.durable
        return record.day == budget.day and record.spent >= budget.spent + cost

    def release_reserve(self, number: int) -> None:
        """After a session: give back what was set aside for it, if that is much of the day."""
        store, budget = self.store, self.budget
        if store is None:
            return
        record = store.durable
        if record.day == budget.day and record.spent > budget.spent + budget.limit // 32:
            self.reserve(0, number)

    def reserve(self, cost: int, number: int) -> bool:
        """Ask for more to be made durable, and for numbers beyond `number`; False: not yet."""
        store, budget = self.store, self.budget
        if store is None or self.first_number is None:
            return False
        spent = min(budget.limit, budget.spent + cost + budget.limit // 64)
        self._requested_limit = max(self._requested_limit, number + NUMBERS_PER_WRITE)
        store.request_record(budget.day, spent, self._requested_limit, self.offsets)
        return False
