"""What a word of a scenario's timeline is, and the most usual way to make one: `held`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Row

Do = Callable[[Row, float], None]
Undo = Callable[[Row], None]


@dataclass(frozen=True)
class Word:
    """One word: what it means, how it is done and undone, the limits of its value if it has one.

    `is_pump`: the value is the number of a pump, from 1. `needs_dialect`: the row's receiver must
    be one with a maker's dialect.
    """

    about: str
    do: Do
    undo: Undo | None = None
    limits: tuple[float, float] | None = None
    is_pump: bool = False
    needs_dialect: bool = False


def held(
    of: Callable[[Row], Any],
    name: str,
    off: object = False,
    on: Callable[[float], object] = lambda _: True,
) -> tuple[Do, Undo]:
    """Set an attribute of what `of(row)` gives (of each, if it gives a list), and set it back."""

    def put(row: Row, value: object) -> None:
        found = of(row)
        for one in found if isinstance(found, list) else [found]:
            setattr(one, name, value)

    return lambda row, value: put(row, on(value)), lambda row: put(row, off)
