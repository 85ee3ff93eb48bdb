"""The words for what happens in a scenario: events and faults, each with how to do and undo it.

Not the devices: each word turns something that an emulated device, the plant or a line already
offers.
"""

from operator import attrgetter

from hil.bench.testbed import Row
from hil.bench.testbed_settings import LIMITS
from hil.fault.base import Word, held
from hil.fault.bus import BUS_EVENTS
from hil.fault.config import CONFIG_EVENTS
from hil.fault.cooling import COOLING_EVENTS
from hil.fault.gnss import RECEIVER_EVENTS
from hil.fault.link import LINK_EVENTS
from hil.fault.load import LOAD_EVENTS
from hil.fault.modem import MODEM_EVENTS
from hil.fault.plant import PLANT_EVENTS
from hil.fault.store import STORE_EVENTS

__all__ = ["EVENTS", "Word"]


def _set_load(row: Row, value: float) -> None:
    row.plant.set_load(value * row.setting.size)


def _set_fws(row: Row, value: float) -> None:
    row.plant.set_fws(value)


EVENTS: dict[str, Word] = {
    "it_load": Word("the IT load steps to value kW", _set_load, limits=LIMITS["it_kw"]),
    "fws_temperature": Word(
        "the facility water steps to value °C", _set_fws, limits=LIMITS["fws_c"]
    ),
    "bus_silent": Word(
        "nothing on the field bus answers",
        *held(attrgetter("bus"), "silent"),
    ),
    "rpu_dead": Word(
        "the RPU does not answer",
        *held(attrgetter("rpu"), "dead"),
    ),
    "valve_dead": Word(
        "the valve does not answer",
        *held(attrgetter("valve"), "dead"),
    ),
    "pump_trip": Word(
        "the drive of pump number value trips",
        lambda row, value: row.drives[int(value) - 1].trip(),
        limits=LIMITS["pumps"],
        is_pump=True,
    ),
    "receiver_outage": Word(
        "the receiver says nothing",
        *held(attrgetter("receiver"), "outage"),
    ),
    "receiver_no_fix": Word(
        "the receiver has no fix",
        *held(attrgetter("receiver"), "no_fix"),
    ),
    "broker_down": Word(
        "the link to the broker is cut",
        lambda row, _: row.set_link_down(True),
        lambda row: row.set_link_down(False),
    ),
    **BUS_EVENTS,
    **LOAD_EVENTS,
    **CONFIG_EVENTS,
    **MODEM_EVENTS,
    **COOLING_EVENTS,
    **LINK_EVENTS,
    **PLANT_EVENTS,
    **RECEIVER_EVENTS,
    **STORE_EVENTS,
}
"""Every word a scenario's `do` may use."""
