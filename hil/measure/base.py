# SPDX-License-Identifier: Apache-2.0
"""The record type of a measure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hil.bench.testbed import Testbed

Status = dict[str, Any]
ReadFunction = Callable[[Testbed, Status, str], float | None]
"""Reads a measure from the testbed, the agent's status and the argument; None: not known."""


def component_status(status: Status, name: str) -> Status:
    """Return the status of a component of the agent; {} without it, or if it has just failed."""
    return status.get(name) or {}


@dataclass(frozen=True)
class Measure:
    """One measure: unit, meaning, and the function that reads it.

    `argument` is the kind of argument after a colon in the name: "pump" (number of the pump, from
    1), "alarm" (a code of `ALARM_CODES`, with or without the name of its source), "event" (nothing
    or @WORD, a word of the scenario's events), "alarm_event" (CODE or CODE@WORD), or "" for none.
    """

    unit: str
    description: str
    read: ReadFunction
    argument: str = ""
