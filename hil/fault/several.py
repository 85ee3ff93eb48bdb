# SPDX-License-Identifier: Apache-2.0
"""Faults of a controller of a redundant pair, and of a unit of a group of CDUs.

Does not contain the faults; see `hil.run.several.pair_run` and `hil.run.several.group_run`. They
exist in virtual time, in a row with `controllers = 2` or with `units` above 1. The value is the
number of the controller (1: a, 2: b) or of the unit. So the end of a fault restores this one.
"""

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import FaultType

_PAIR = (1.0, LIMITS["controllers"][1])
_GROUP = (1.0, LIMITS["units"][1])


def _fault(
    name: str, description: str, limits: tuple[float, float], has_end: bool = True
) -> FaultType:
    """Make a fault with the name `name` of `SeveralControl`."""

    def begin(testbed: Testbed, value: float) -> None:
        testbed.several.begin(name, value)

    def end(testbed: Testbed, value: float) -> None:
        testbed.several.end(name, value)

    return FaultType(description, begin, end if has_end else None, limits=limits, is_numbered=True)


PAIR_EVENTS: dict[str, FaultType] = {
    "node_power": _fault("power", "controller number VALUE of the pair loses its power", _PAIR),
    "node_pause": _fault("pause", "controller number VALUE stands still; its ports buffer", _PAIR),
    "port_deaf": _fault("receiver", "controller number VALUE receives nothing on the line", _PAIR),
    "port_mute": _fault("driver", "controller number VALUE sends nothing on the line", _PAIR),
    "port_stuck": _fault(
        "stuck", "the driver of controller number VALUE holds the line: no frame passes", _PAIR
    ),
    "port_babble": _fault(
        "babble", "the port of controller number VALUE sends requests without end", _PAIR
    ),
    "pair_link_cut": _fault(
        "link", "messages of controller number VALUE over the link are lost", _PAIR
    ),
    "pair_store_dead": _fault("store", "the store of controller number VALUE fails", _PAIR),
    "pair_key": _fault(
        "key", "controller number VALUE restarts with another key of the pair", _PAIR
    ),
    "pair_version": _fault(
        "version",
        "controller number VALUE restarts with software whose beacons have another version",
        _PAIR,
    ),
    "pair_clock": _fault(
        "clock", "the receiver of controller number VALUE gives a UTC that is 5 s late", _PAIR
    ),
    "pair_swap": _fault(
        "swap", "a person commands a planned swap at controller number VALUE", _PAIR, False
    ),
    "pair_out": _fault(
        "out", "a person takes controller number VALUE out of the pair; the end: in again", _PAIR
    ),
}
"""Faults of a row with `controllers = 2`."""

GROUP_EVENTS: dict[str, FaultType] = {
    "unit_power": _fault("power", "unit number VALUE of the group loses its power", _GROUP),
    "unit_pumps": _fault("pumps", "both pumps of unit number VALUE are blocked", _GROUP),
    "unit_rpu_dead": _fault("rpu", "the sensors (RPU) of unit number VALUE do not reply", _GROUP),
    "unit_return_dead": _fault(
        "return",
        "the return sensor of unit number VALUE gives no value: its heat is not known",
        _GROUP,
    ),
    "unit_pressure_low": _fault(
        "low", "the pressure sensor of unit number VALUE shows 40 kPa less", _GROUP
    ),
    "unit_pressure_high": _fault(
        "high", "the pressure sensor of unit number VALUE shows 40 kPa more", _GROUP
    ),
    "unit_alone": _fault(
        "alone",
        "unit number VALUE and the others receive nothing of each other",
        _GROUP,
    ),
    "unit_deaf": _fault("deaf", "unit number VALUE receives nothing of the other units", _GROUP),
    "group_split": _fault(
        "split", "units up to number VALUE and the others receive nothing of each other", _GROUP
    ),
    "group_loss": _fault("loss", "VALUE % of the datagrams of the group are lost", (1, 100)),
    "group_load": _fault(
        "load", "the heat of the group steps to VALUE kW for each unit", LIMITS["it_kw"], False
    ),
}
"""Faults of a row with `units` above 1."""
