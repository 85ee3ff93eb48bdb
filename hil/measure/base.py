"""What a word for a measure is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Testbed

Status = dict[str, Any]
ReadFunction = Callable[[Testbed, Status, str], float | None]
"""Reads a measure from the testbed, the status and the argument; None: not known."""


@dataclass(frozen=True)
class Measure:
    """One measure: unit, meaning, and how it is read from row, status and a word.

    `argument` is what follows the name after a colon: "pump" (its number from 1), "alarm" (a code
    of `ALARM_CODES`, with or without the name it was raised for), or nothing.
    """

    unit: str
    description: str
    read: ReadFunction
    argument: str = ""
