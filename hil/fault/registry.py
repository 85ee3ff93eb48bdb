# SPDX-License-Identifier: Apache-2.0
"""All faults and events that a scenario can name, each with start and end.

Does not contain the faults themselves; each sets an attribute of an emulated device, the plant or a
line.
"""

from operator import attrgetter

from hil.bench.testbed import Testbed
from hil.bench.testbed_settings import LIMITS
from hil.fault.agent import AGENT_EVENTS
from hil.fault.base import FaultType, attribute_fault
from hil.fault.communication.bus import BUS_EVENTS
from hil.fault.communication.link import LINK_EVENTS
from hil.fault.communication.modem import MODEM_EVENTS
from hil.fault.config import CONFIG_EVENTS
from hil.fault.cooling import COOLING_EVENTS
from hil.fault.gnss import RECEIVER_EVENTS
from hil.fault.process.hazard import HAZARD_EVENTS
from hil.fault.process.load import LOAD_EVENTS
from hil.fault.process.plant import PLANT_EVENTS
from hil.fault.process.power import POWER_EVENTS
from hil.fault.register import REGISTER_EVENTS
from hil.fault.sensor import SENSOR_EVENTS
from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS
from hil.fault.store import STORE_EVENTS

__all__ = ["EVENTS", "FaultType"]


def _set_load(testbed: Testbed, value: float) -> None:
    testbed.plant.set_load(value * testbed.settings.size)


def _set_fws(testbed: Testbed, value: float) -> None:
    testbed.plant.set_fws(value)


EVENTS: dict[str, FaultType] = {
    "it_load": FaultType("the IT load steps to VALUE kW", _set_load, limits=LIMITS["it_kw"]),
    "fws_temperature": FaultType(
        "the temperature of the facility water steps to VALUE °C", _set_fws, limits=LIMITS["fws_c"]
    ),
    "bus_silent": FaultType(
        "no device on the field bus replies",
        *attribute_fault(attrgetter("bus"), "silent"),
    ),
    "rpu_dead": FaultType(
        "the RPU does not reply",
        *attribute_fault(attrgetter("rpu"), "dead"),
    ),
    "valve_dead": FaultType(
        "the valve does not reply",
        *attribute_fault(attrgetter("valve"), "dead"),
    ),
    "pump_trip": FaultType(
        "the drive of pump number VALUE trips",
        lambda testbed, value: testbed.drives[int(value) - 1].trip(),
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "receiver_outage": FaultType(
        "the receiver sends nothing",
        *attribute_fault(attrgetter("receiver"), "outage"),
    ),
    "receiver_no_fix": FaultType(
        "the receiver has no fix",
        *attribute_fault(attrgetter("receiver"), "no_fix"),
    ),
    "broker_down": FaultType(
        "the link to the broker is cut",
        lambda testbed, _: testbed.link.set_down(True),
        lambda testbed: testbed.link.set_down(False),
    ),
    **AGENT_EVENTS,
    **BUS_EVENTS,
    **LOAD_EVENTS,
    **CONFIG_EVENTS,
    **MODEM_EVENTS,
    **COOLING_EVENTS,
    **LINK_EVENTS,
    **PLANT_EVENTS,
    **POWER_EVENTS,
    **SENSOR_EVENTS,
    **RECEIVER_EVENTS,
    **STORE_EVENTS,
    **REGISTER_EVENTS,
    **HAZARD_EVENTS,
    **PAIR_EVENTS,
    **GROUP_EVENTS,
}
"""Name -> fault or event, for `do` in a scenario."""
