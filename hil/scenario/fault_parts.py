# SPDX-License-Identifier: Apache-2.0
"""The parts of a row that a fault needs, and the range and unit of its value.

Does not contain the faults; see `hil.fault.registry`. A fault of an absent part would raise, or do
nothing, and a test with it would show nothing.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from hil.bench.optional_sections import section_names
from hil.bench.testbed_settings import TestbedSettings, several_setting
from hil.fault.registry import EVENTS
from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS

VIRTUAL_FAULTS = (
    "power_cut",
    "disk_full",
    "store_bit_flip",
    "store_torn",
    "board_restart",
    "raise_in",
)
"""Faults of virtual time only: in real time the bench has no access to power, flash and agent."""

_UNIT = re.compile(r"VALUE (%|°C|K per hour|ns each second|dB each second|[a-zA-Z/]+)")
_UNITS = frozenset(
    (
        *("%", "°C", "K", "K per hour", "kPa", "kW", "km", "m", "s", "ms", "min", "Hz", "dB"),
        *("dBHz", "dB each second", "ns each second", "L/min", "bytes", "degrees"),
    )
)


class FaultPart(NamedTuple):
    """A part of the row: how a scenario adds it, and whether settings have it.

    `highest` gives the highest number of a device that the value can name; None: no such limit.
    """

    setting: str
    is_there: Callable[[TestbedSettings], bool]
    highest: Callable[[TestbedSettings], int] | None = None


def _section(name: str, setting: str) -> FaultPart:
    return FaultPart(setting, lambda settings: name in section_names(settings))


_LOADS = _section("throttle", 'parts = "throttle"')
_MODEM = _section("modem", 'parts = "modem, modem_store"')
_LOG = _section("log", 'parts = "log"')
_REMOTE = _section("remote", 'parts = "remote"')
_DIALECT = FaultPart(
    'receiver_dialect, such as "casic"', lambda settings: bool(settings.receiver_dialect)
)
_HUMIDITY = FaultPart(
    "humidity_sensors = 1",
    lambda settings: settings.humidity_sensors > 0,
    lambda settings: settings.humidity_sensors,
)
_FANS = FaultPart("fans = 1", lambda settings: settings.fans > 0, lambda settings: settings.fans)
_METERS = FaultPart("meters = 1", lambda settings: settings.meters > 0)
_OUTDOOR = FaultPart("outdoor_sensors = 1", lambda settings: settings.outdoor_sensors > 0)

_PAIR = FaultPart(
    "controllers = 2",
    lambda settings: settings.controllers > 1,
    lambda settings: settings.controllers,
)
_PAIR_LINK = FaultPart(
    "pair_link = true",
    lambda settings: settings.controllers > 1 and settings.pair_link,
    lambda settings: settings.controllers,
)
_PAIR_UPLINK = FaultPart(
    "pair_uplink = true",
    lambda settings: settings.controllers > 1 and settings.pair_uplink,
    lambda settings: settings.controllers,
)
_GROUP = FaultPart(
    "units = 2", lambda settings: settings.units > 1, lambda settings: settings.units
)
_BY_LINK = ("pair_link_cut", "pair_store_dead", "pair_swap", "pair_out")
_BY_UPLINK = ("pair_clock",)
_ABSENT_IN_PAIR = frozenset(
    (
        *VIRTUAL_FAULTS,
        *("broker_down", "receiver_outage", "receiver_no_fix"),
        *("link_cut_after", "link_half_open"),
    )
)
"""Faults of what a pair on the bench does not have: a receiver, a broker, other stores."""

_WORDS = {
    "bmc_busy bmc_refuses bmc_silent bmc_slow bmc_reboot optics_dirty loads_ignore loads_stay_on "
    "bmc_temperature bmc_power outlet_ignores": _LOADS,
    "sky_blocked sky_mask modem_success modem_dead modem_reset modem_reset_transfer "
    "modem_reset_session modem_reset_next modem_status modem_lost_acks modem_refuses "
    "modem_rings_at modem_ring modem_unplugged gateway_down ground_silent ground_forged "
    "ground_replays": _MODEM,
    "receipts_forged receipts_missing": _LOG,
    "confirm_config roll_back_config forged_setpoint push_dp push_setpoint": _REMOTE,
    "dew_frozen humidity_dead humidity_error humidity_stuck room_sensor_offset": _HUMIDITY,
    "fan_dead fan_lost fan_trip": _FANS,
    "meter_reset meter_rollover": _METERS,
    "outdoor_dead": _OUTDOOR,
    " ".join(word for word in PAIR_EVENTS if word not in (*_BY_LINK, *_BY_UPLINK)): _PAIR,
    " ".join(_BY_LINK): _PAIR_LINK,
    " ".join(_BY_UPLINK): _PAIR_UPLINK,
    " ".join(GROUP_EVENTS): _GROUP,
}
_PARTS = {word: part for words, part in _WORDS.items() for word in words.split()}

_OVER_BROKER = (
    *("autotune", "calibrate", "confirm_config", "forged_setpoint", "hand_valve", "hold_dp"),
    *("hold_flow", "prove_pumps", "prove_valve", "push_dp", "push_setpoint", "reset_causes"),
    *("roll_back_config", "rotate_pumps", "link_cut_after", "link_half_open", "modem_unplugged"),
    *("receipts_forged", "receipts_missing"),
)
"""Words that act on the virtual link or ground; a bench in real time does not have these."""
VIRTUAL_ONLY = frozenset((*VIRTUAL_FAULTS, *_OVER_BROKER, *PAIR_EVENTS, *GROUP_EVENTS))
"""Words of virtual time only."""


def find_part(name: str) -> FaultPart | None:
    """Return the part that a fault needs beyond the basic row."""
    part = _PARTS.get(name)
    return _DIALECT if part is None and EVENTS[name].needs_dialect else part


def find_refusal(name: str, settings: TestbedSettings, in_real_time: bool) -> str:
    """Return why a row with `settings` does not have the fault; "": it has."""
    part = find_part(name)
    if part is not None and not part.is_there(settings):
        return f"needs row.{part.setting}"
    several = several_setting(settings)
    if several and name not in PAIR_EVENTS and name not in GROUP_EVENTS:
        is_absent = name in _ABSENT_IN_PAIR or EVENTS[name].needs_dialect
        if settings.units > 1 or is_absent or name in VIRTUAL_ONLY:
            return f"is not available in a row with {several}"
    if in_real_time and name in VIRTUAL_ONLY:
        return "is available in virtual time only"
    return ""


def find_limits(name: str, settings: TestbedSettings) -> tuple[float, float] | None:
    """Return the range of the value on a row with `settings`; None: the fault takes no value."""
    fault_type, part = EVENTS[name], find_part(name)
    if fault_type.limits is None:
        return None
    low, high = fault_type.limits
    if fault_type.is_pump:
        return 1, settings.pumps
    if part is not None and part.highest is not None and "number VALUE" in fault_type.description:
        return low, min(high, part.highest(settings))
    return low, high


def find_unit(description: str) -> str:
    """Return the unit of VALUE in the description of a fault, or ""."""
    match = _UNIT.search(description)
    return match[1] if match is not None and match[1] in _UNITS else ""
