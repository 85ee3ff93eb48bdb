"""What a word of a scenario's timeline is, and the most usual way to make one: `attribute_fault`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Testbed

Do = Callable[[Testbed, float], None]
Undo = Callable[[Testbed], None]


@dataclass(frozen=True)
class FaultType:
    """One word: what it means, how it is done and undone, the limits of its value if it has one.

    `is_pump`: the value is the number of a pump, from 1. `needs_dialect`: the row's receiver must
    be one with a maker's dialect.
    """

    description: str
    do: Do
    undo: Undo | None = None
    limits: tuple[float, float] | None = None
    is_pump: bool = False
    needs_dialect: bool = False


def attribute_fault(
    select: Callable[[Testbed], Any],
    name: str,
    reset_value: object = False,
    to_value: Callable[[float], object] = lambda _: True,
) -> tuple[Do, Undo]:
    """Inject fault `name` into the device of `select(row)`, or into each of a list; reset it."""

    def assign(row: Testbed, value: object) -> None:
        found = select(row)
        for one in found if isinstance(found, list) else [found]:
            one.inject(name, value)

    return lambda row, value: assign(row, to_value(value)), lambda row: assign(row, reset_value)
