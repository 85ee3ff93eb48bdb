"""What a word of a scenario's timeline is, and the most usual way to make one: `attribute_fault`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Testbed

FaultAction = Callable[[Testbed, float], None]
FaultReset = Callable[[Testbed], None]


@dataclass(frozen=True)
class FaultType:
    """One word: what it means, how it is done and undone, the limits of its value if it has one.

    `is_pump`: the value is the number of a pump, from 1. `needs_dialect`: the row's receiver must
    be one with a maker's dialect.
    """

    description: str
    do: FaultAction
    undo: FaultReset | None = None
    limits: tuple[float, float] | None = None
    is_pump: bool = False
    needs_dialect: bool = False


def attribute_fault(
    select: Callable[[Testbed], Any],
    name: str,
    reset_value: object = False,
    to_value: Callable[[float], object] = lambda _: True,
) -> tuple[FaultAction, FaultReset]:
    """Set an attribute of what `of(row)` gives (of each, if it gives a list), and set it back."""

    def assign(testbed: Testbed, value: object) -> None:
        targets = select(testbed)
        for target in targets if isinstance(targets, list) else [targets]:
            setattr(target, name, value)

    return lambda testbed, value: assign(testbed, to_value(value)), lambda testbed: assign(
        testbed, reset_value
    )
