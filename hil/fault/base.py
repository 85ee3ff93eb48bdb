# SPDX-License-Identifier: Apache-2.0
"""The record type of a fault or event, and `attribute_fault`, which makes most of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Testbed

FaultAction = Callable[..., None]
"""Called with the testbed, the value and, if the fault takes one, the text of the event."""
FaultReset = Callable[..., None]
"""Called with the testbed and, if the fault has a number (`is_numbered`), with its value."""


@dataclass(frozen=True)
class FaultType:
    """A type of fault or event: description, start, end, and limits of its value.

    `description` has the word VALUE at the place of the value, and TEXT at that of the text.

    undo            ends it; None: it does not end
    limits          lowest and highest value; None: it takes no value
    is_pump         the value is the number of a pump, from 1
    is_numbered     the value is a whole number, which names what the end of the fault restores
    needs_dialect   the receiver of the row must have a vendor dialect
    check_text      the fault takes a text; returns the problem of a text, or ""
    """

    description: str
    do: FaultAction
    undo: FaultReset | None = None
    limits: tuple[float, float] | None = None
    is_pump: bool = False
    is_numbered: bool = False
    needs_dialect: bool = False
    check_text: Callable[[str], str] | None = None


def attribute_fault(
    select: Callable[[Testbed], Any],
    name: str,
    reset_value: object = False,
    to_value: Callable[[float], object] = lambda _: True,
) -> tuple[FaultAction, FaultReset]:
    """Make start and end of a fault that is an attribute of an emulated object.

    `select` gives the object (a `FaultTarget`), or a list of objects. The start injects
    `to_value(value)`, the end injects `reset_value`.
    """

    def assign(testbed: Testbed, value: object) -> None:
        targets = select(testbed)
        for target in targets if isinstance(targets, list) else [targets]:
            target.inject(name, value)

    return lambda testbed, value: assign(testbed, to_value(value)), lambda testbed: assign(
        testbed, reset_value
    )
