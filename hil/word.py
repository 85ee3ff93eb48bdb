"""What a word of a scenario's timeline is."""

from collections.abc import Callable
from dataclasses import dataclass

from hil.row import Row


@dataclass(frozen=True)
class Word:
    """One word: what it means, how it is done and undone, the limits of its value if it has one.

    `is_pump`: the value is the number of a pump, from 1. `needs_dialect`: the row's receiver must
    be one with a maker's dialect.
    """

    about: str
    do: Callable[[Row, float], None]
    undo: Callable[[Row], None] | None = None
    limits: tuple[float, float] | None = None
    is_pump: bool = False
    needs_dialect: bool = False
