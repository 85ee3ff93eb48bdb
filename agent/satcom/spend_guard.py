"""The budget with its memory: bytes are made durable before they are spent, and so are numbers.

Not the counting (agent.satcom.budget) and not the records (agent.satcom.persistence): here the two are
kept in step. A 64th of the day is set aside by one write, so that a small budget costs few
writes and a power cut costs little of it.
"""

from agent.satcom.persistence import NUMBERS
from protocols.datagram import NUMBERS as ALL_NUMBERS
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.satcom.budget import Budget
    from agent.satcom.persistence import Memory

_NUMBER_S = 8
"""With both records broken, numbers go on from UTC seconds divided by this: ahead of any count of
one message in eight seconds."""
_SINCE_S = 1_700_000_000


class Purse:
    """May so many bytes be spent now? `numbers`: messages may use numbers below this."""

    def __init__(self, budget: "Budget", memory: "Memory | None") -> None:
        self.budget = budget
        self.memory = memory
        self.offsets: list[int] = []
        self.first_number: int | None = None
        self._asked_numbers = 0

    @property
    def numbers(self) -> int:
        """The first number that may not be used yet."""
        return 0 if self.memory is None else self.memory.durable.numbers

    def load(self, utc_us: "int | None") -> bool:
        """Take over what was remembered; True when that is done."""
        if self.first_number is not None:
            return True
        memory, budget = self.memory, self.budget
        if memory is None or not memory.loaded:
            return False
        record = memory.durable
        budget.day, budget.spent = record.day, record.spent
        number = record.numbers
        if memory.broken:
            if utc_us is None:
                return False
            if record.turn:
                number += NUMBERS
                budget.spent += budget.limit // 64 + 1
            else:
                number = (utc_us // SECOND - _SINCE_S) // _NUMBER_S
                budget.day = utc_us // SECOND // 86_400
                budget.spent = budget.limit
        self.offsets = list(record.offsets)
        self.first_number = number % ALL_NUMBERS
        self._asked_numbers = self.first_number
        self.ask(0, self.first_number)
        return True

    def may(self, cost: int, alarm: bool) -> bool:
        """Say whether `cost` may be spent; if it is not durable yet, that is asked for."""
        if cost > self.budget.room(alarm):
            return False
        return self._durable(cost) or self.ask(cost, self._asked_numbers)

    def _durable(self, cost: int) -> bool:
        memory, budget = self.memory, self.budget
        if memory is None:
            return False
        record = memory.durable
        return record.day == budget.day and record.spent >= budget.spent + cost

    def settle(self, number: int) -> None:
        """After a session: give back what was set aside for it, if that is much of the day."""
        memory, budget = self.memory, self.budget
        if memory is None:
            return
        record = memory.durable
        if record.day == budget.day and record.spent > budget.spent + budget.limit // 32:
            self.ask(0, number)

    def ask(self, cost: int, number: int) -> bool:
        """Ask for more to be made durable, and for numbers beyond `number`; False: not yet."""
        memory, budget = self.memory, self.budget
        if memory is None or self.first_number is None:
            return False
        spent = min(budget.limit, budget.spent + cost + budget.limit // 64)
        self._asked_numbers = max(self._asked_numbers, number + NUMBERS)
        memory.want(budget.day, spent, self._asked_numbers, self.offsets)
        return False
