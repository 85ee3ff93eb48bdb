"""The words for what happens in a scenario: events and faults, each with how to do and undo it.

Not the devices: each word turns something that an emulated device, the plant or a line already
offers.
"""

from operator import attrgetter

from hil.faults_bus import BUS_EVENTS
from hil.faults_config import CONFIG_EVENTS
from hil.faults_cooling import COOLING_EVENTS
from hil.faults_link import LINK_EVENTS
from hil.faults_load import LOAD_EVENTS
from hil.faults_modem import MODEM_EVENTS
from hil.faults_plant import PLANT_EVENTS
from hil.faults_receiver import RECEIVER_EVENTS
from hil.faults_store import STORE_EVENTS
from hil.row import Row
from hil.setting import LIMITS
from hil.word import Word, held

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
