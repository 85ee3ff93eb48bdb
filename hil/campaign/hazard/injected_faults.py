# SPDX-License-Identifier: Apache-2.0
"""Injected faults of the hazard generator: event words with values, from the registry and
`injected.toml`.

Does not draw; see `hil.campaign.hazard.case_generator`. Each word of `hil.fault.registry` is a
fault or has a reason in the table. A fault is a false value (only a measured value is false),
neutral (it does not act on the cooling), or a failure.
"""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

from hil.fault.communication.link import LINK_EVENTS
from hil.fault.communication.modem import MODEM_EVENTS
from hil.fault.config import CONFIG_EVENTS
from hil.fault.gnss import RECEIVER_EVENTS
from hil.fault.register import REGISTER_EVENTS
from hil.fault.registry import EVENTS
from hil.fault.sensor import SENSOR_EVENTS
from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS

FALSE_VALUE, NEUTRAL, FAILURE = "false", "neutral", "failure"

_NEEDS_PAIR = "needs a pair of controllers; `coldloop hil takeover` draws its faults"
_NEEDS_GROUP = "needs a group of CDUs; `coldloop hil group` draws its failures"
_FALSE_OF_LOADS = ("bmc_temperature", "bmc_power")
_FALSE_VALUES = {*SENSOR_EVENTS, *REGISTER_EVENTS, *_FALSE_OF_LOADS, "rpu_no_value"}
_NEUTRAL = {*RECEIVER_EVENTS, *LINK_EVENTS, *MODEM_EVENTS, *CONFIG_EVENTS, "broker_down"} - {
    "push_setpoint",
    "push_dp",
}


@dataclass(frozen=True, order=True)
class InjectedFault:
    """One event: word, value, and its duration if it always ends."""

    word: str
    value: float | None = None
    for_s: float | None = None

    @property
    def is_permanent(self) -> bool:
        """Whether it changes the row for the rest of the run."""
        return self.word in load_table("injected_faults")["permanent"]

    @property
    def kind(self) -> str:
        """FALSE_VALUE, NEUTRAL or FAILURE."""
        if self.word in _FALSE_VALUES:
            return FALSE_VALUE
        return NEUTRAL if self.word in _NEUTRAL else FAILURE

    def text(self) -> str:
        """Write the fault, such as "leak 5"."""
        value = "" if self.value is None else f" {self.value:g}"
        end = "" if self.for_s is None else f" for {self.for_s:g} s"
        return f"{self.word}{value}{end}"


@functools.cache
def load_table(name: str) -> dict[str, Any]:
    """Read a table of this package."""
    text = (resources.files("hil.campaign.hazard") / f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@functools.cache
def excluded_words() -> dict[str, str]:
    """Give the words that are no fault here, with the reason: those of several controllers, and the
    table `excluded`.
    """
    reasons: dict[str, str] = load_table("injected_faults")["excluded"]
    return {
        **dict.fromkeys(PAIR_EVENTS, _NEEDS_PAIR),
        **dict.fromkeys(GROUP_EVENTS, _NEEDS_GROUP),
        **reasons,
    }


@functools.cache
def faults_by_word() -> dict[str, tuple[InjectedFault, ...]]:
    """Give the faults of each word that is not excluded."""
    table = load_table("injected_faults")
    faults = {
        word: [InjectedFault(word, value) for value in _injected_values(word, table["values"])]
        for word in sorted(EVENTS)
        if word not in excluded_words()
    }
    for combination in table["cell"]:
        if combination.get("for_s"):
            value = combination.get("value")
            value = None if value is None else float(value)
            faults[combination["do"]].append(
                InjectedFault(combination["do"], value, float(combination["for_s"]))
            )
    return {word: tuple(group) for word, group in faults.items()}


def _injected_values(word: str, table: dict[str, list[float]]) -> list[float | None]:
    fault_type = EVENTS[word]
    if fault_type.limits is None:
        return [None]
    if word in table:
        return [float(value) for value in table[word]]
    low, high = fault_type.limits
    if fault_type.is_pump or (high - low <= 2 and float(low).is_integer()):
        return [float(value) for value in range(int(low), int(high) + 1)]
    return [float(low), float(int((low + high) / 2)), float(high)]
