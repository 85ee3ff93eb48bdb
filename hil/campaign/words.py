# SPDX-License-Identifier: Apache-2.0
"""Rules of random campaigns: faults to select at random, faults to leave out, and the invariants.

Does not select; see `hil.campaign.random_campaign`. Each fault of `hil.fault.registry` is in
`DRAWN` or in `NOT_DRAWN`; a test checks this. A fault in `DRAWN` ends, or the row tolerates it
permanently. So the invariants must hold. A rule names the optional sections that its fault needs.
"""

from dataclasses import dataclass

from hil.fault.several import GROUP_EVENTS, PAIR_EVENTS
from hil.scenario.model import Expectation


@dataclass(frozen=True)
class FaultRule:
    """Random selection of one fault: limits of its value (None: no value), longest duration.

    `max_duration_s` 0: the fault has no end. `components`: sections of the unit that the fault
    needs. `meters`, `humidity_sensors`, `fans`: devices that the fault needs on the bus. `texts`:
    the possible texts of a fault that takes one.
    """

    fault: str
    low: float | None = None
    high: float | None = None
    max_duration_s: int = 60
    is_integer: bool = False
    components: tuple[str, ...] = ()
    meters: int = 0
    humidity_sensors: int = 0
    fans: int = 0
    texts: tuple[str, ...] = ()


_LOG = ("log",)
_MODEM = ("modem", "modem_store")
_REMOTE = ("remote",)
_INTEGRITY = ("integrity",)
_LOADS = ("throttle",)
_COOLING = ("cooling", "safety")
_OPERATED = ("cooling", "safety", "remote")

_PIECES = (
    "supply",
    "pressure",
    "bus",
    "bus memory",
    "receiver",
    "broker",
    "rpu",
    "valve",
    "pump1",
    "cooling",
    "safety",
    "throttle",
    "log",
    "remote",
    "integrity",
    "modem",
)
"""Pieces of the agent; on a unit without the piece the fault has no effect."""
_FRAMES = (
    "0703000000c8443a",  # another master reads more registers than a reply can hold
    "0c03ff0000000000",
    "0c2b0e0101000080",
    "00" * 256,
    "0c03" * 128,
    "ff" * 300,
)

_TESTBED_RULES: tuple[FaultRule, ...] = (
    FaultRule("it_load", 20, 110, 0),
    FaultRule("fws_temperature", 18, 27, 0),
    FaultRule("bus_silent", max_duration_s=40),
    FaultRule("bus_echo", max_duration_s=60),
    FaultRule("other_master", 200, 5000, 60),
    FaultRule("rpu_dead", max_duration_s=60),
    FaultRule("rpu_slow", 1, 400, 60),
    FaultRule("rpu_twice", max_duration_s=60),
    FaultRule("rpu_wrong_unit", 40, 200, 30, is_integer=True),
    FaultRule("rpu_noise", 1, 20, 60, is_integer=True),
    FaultRule("rpu_bad_crc", 1, 40, 60, is_integer=True),
    FaultRule("rpu_cut", 1, 40, 60, is_integer=True),
    FaultRule("rpu_busy", 1, 200, 60, is_integer=True),
    FaultRule("rpu_refuses", 1, 6, 40, is_integer=True),
    FaultRule("rpu_no_value", max_duration_s=40),
    FaultRule("rpu_reboot", max_duration_s=0),
    FaultRule("valve_dead", max_duration_s=60),
    FaultRule("valve_ignores_writes", max_duration_s=60),
    FaultRule("valve_delays_writes", 100, 3000, 60),
    FaultRule("pump_dead", 1, 1, 60, is_integer=True),
    FaultRule("pump_ignores_writes", 1, 1, 60, is_integer=True),
    FaultRule("pump_reboot", 1, 2, 0, is_integer=True),
    FaultRule("pump_nrv_open", 2, 2, 60, is_integer=True),
    FaultRule("supply_noise", 0, 1, 60),
    FaultRule("supply_offset", -1.5, 1.5, 60),
    FaultRule("supply_drift", -60, 60, 60),
    FaultRule("supply_stuck", max_duration_s=40),
    FaultRule("return_offset", -3, 3, 60),
    FaultRule("dp_offset", -10, 10, 60),
    FaultRule("dp_stuck", max_duration_s=40),
    FaultRule("flow_stuck", max_duration_s=60),
    FaultRule("return_register", 30, 50, 60),
    FaultRule("flow_register", 100, 200, 60),
    FaultRule("rack_blocked", 1, 4, 3, is_integer=True),
    FaultRule("valve_stuck", max_duration_s=40),
    FaultRule("valve_stiction", 0.5, 2, 60),
    FaultRule("air_in_loop", 0.5, 5, 0),
    FaultRule("filter_clog", 5, 30, 60),
    FaultRule("hx_fouling", 1, 15, 0),
    FaultRule("fws_pressure", 70, 120, 60),
    FaultRule("weather_step", -5, 3, 0),
    FaultRule("room_temperature", 15, 40, 0),
    FaultRule("grid_frequency", 48.5, 51.5, 60),
    FaultRule("grid_dip", 70, 110, 5),
    FaultRule("raw_frame", max_duration_s=0, texts=_FRAMES),
    FaultRule("raise_in", 1, 200, 0, is_integer=True, texts=_PIECES),
)
_RECEIVER_RULES: tuple[FaultRule, ...] = (
    FaultRule("receiver_outage", max_duration_s=200),
    FaultRule("receiver_no_fix", max_duration_s=200),
    FaultRule("receiver_corrupt", 1, 50, 60, is_integer=True),
    FaultRule("receiver_jamming", 0.1, 5, 60),
    FaultRule("receiver_antenna_open", max_duration_s=60),
    FaultRule("receiver_antenna_short", max_duration_s=60),
    FaultRule("receiver_desense", 1, 8, 60, components=_INTEGRITY),
    FaultRule("receiver_heat", 30, 95, 60, components=_INTEGRITY),
    FaultRule("receiver_jump", 50, 500, 60, components=_INTEGRITY),
    FaultRule("receiver_equal_power", 40, 50, 60, components=_INTEGRITY),
    FaultRule("receiver_deaf", max_duration_s=60, components=_INTEGRITY),
)
_LINK_RULES: tuple[FaultRule, ...] = (
    FaultRule("broker_down", max_duration_s=80),
    FaultRule("link_half_open", max_duration_s=60),
    FaultRule("link_cut_after", 1, 20_000, 60, is_integer=True),
    FaultRule("session_lost", max_duration_s=60),
    FaultRule("broker_acks_slow", 0.1, 8, 60),
    FaultRule("receipts_missing", max_duration_s=80, components=_LOG),
    FaultRule("receipts_forged", max_duration_s=80, components=_LOG),
    FaultRule("power_cut", max_duration_s=15, components=_LOG),
    FaultRule("sky_blocked", max_duration_s=200, components=_MODEM),
    FaultRule("sky_mask", 10, 80, 0, components=_MODEM),
    FaultRule("modem_success", 20, 100, 200, components=_MODEM),
    FaultRule("modem_dead", max_duration_s=100, components=_MODEM),
    FaultRule("modem_reset", max_duration_s=0, components=_MODEM),
    FaultRule("modem_reset_transfer", max_duration_s=0, components=_MODEM),
    FaultRule("modem_reset_session", max_duration_s=0, components=_MODEM),
    FaultRule("modem_status", 0, 65, 0, is_integer=True, components=_MODEM),
    FaultRule("modem_lost_acks", 1, 3, 0, is_integer=True, components=_MODEM),
    FaultRule("modem_refuses", 1, 3, 0, is_integer=True, components=_MODEM),
    FaultRule("modem_rings_at", 0, 12, 100, is_integer=True, components=_MODEM),
    FaultRule("modem_ring", max_duration_s=0, components=_MODEM),
    FaultRule("modem_unplugged", max_duration_s=100, components=_MODEM),
    FaultRule("gateway_down", max_duration_s=100, components=_MODEM),
    FaultRule("ground_silent", max_duration_s=100, components=_MODEM),
    FaultRule("ground_forged", max_duration_s=100, components=_MODEM),
    FaultRule("ground_replays", max_duration_s=0, components=_MODEM),
)
_SITE_RULES: tuple[FaultRule, ...] = (
    FaultRule("forged_setpoint", 15, 45, 0, components=_REMOTE),
    FaultRule("push_setpoint", 31, 34, 0, components=_REMOTE),
    FaultRule("push_dp", 72, 88, 0, components=_REMOTE),
    FaultRule("confirm_config", max_duration_s=0, components=_REMOTE),
    FaultRule("roll_back_config", max_duration_s=0, components=_REMOTE),
    FaultRule("rotate_pumps", max_duration_s=0, components=_OPERATED),
    FaultRule("prove_valve", max_duration_s=0, components=_OPERATED),
    FaultRule("reset_causes", max_duration_s=0, components=_OPERATED),
    FaultRule("prove_pumps", max_duration_s=0, components=_OPERATED),
    FaultRule("room_humidity", 20, 60, 0, components=_COOLING, humidity_sensors=2),
    FaultRule("humidity_error", -3, 3, 60, components=_COOLING, humidity_sensors=2),
    FaultRule("fan_lost", 1, 2, 60, is_integer=True, components=_COOLING, fans=2),
    FaultRule("fan_dead", 1, 2, 60, is_integer=True, components=_COOLING, fans=2),
    FaultRule("fan_trip", 1, 2, 0, is_integer=True, components=_COOLING, fans=2),
    FaultRule("outdoor_temperature", 5, 20, 0, components=_COOLING, fans=2),
    FaultRule("bmc_busy", 1, 10, 40, components=_LOADS),
    FaultRule("bmc_silent", max_duration_s=40, components=_LOADS),
    FaultRule("bmc_refuses", max_duration_s=40, components=_LOADS),
    FaultRule("bmc_slow", 1, 3000, 40, components=_LOADS),
    FaultRule("bmc_reboot", max_duration_s=0, components=_LOADS),
    FaultRule("optics_dirty", 1, 15, 60, components=_LOADS),
    FaultRule("dew_frozen", max_duration_s=60, components=_COOLING, humidity_sensors=2),
    FaultRule("outlet_ignores", max_duration_s=60, components=_LOADS),
    FaultRule("loads_stay_on", max_duration_s=60, components=_LOADS),
    FaultRule("loads_ignore", max_duration_s=60, components=_LOADS),
    FaultRule("board_restart", max_duration_s=0, components=("log",)),
    FaultRule("meter_rollover", max_duration_s=200, components=("ledger",), meters=2),
    FaultRule("meter_reset", max_duration_s=0, components=("ledger",), meters=2),
)

DRAWN: tuple[FaultRule, ...] = _TESTBED_RULES + _RECEIVER_RULES + _LINK_RULES + _SITE_RULES
"""All rules."""

_STOPS_COOLING = "stops the cooling by design until an operator resets it"
_FALSE_TIME = "false time without other evidence is accepted; scenarios test its detection"
_EXCEEDS_HEAT = "exceeds the limits of heat by design"
_HAZARD = "stops or misleads the cooling by design; `coldloop hil hazard` draws it"
_MANUAL = "takes an actuator from its loop by design; scenarios test it"
_LONG_REACTION = "needs a response of many minutes; a scenario tests it"

_OF_PAIR = "needs a pair of controllers; `coldloop hil takeover` draws its faults"
_OF_GROUP = "needs a group of CDUs; `coldloop hil group` draws its failures"

NOT_DRAWN: dict[str, str] = {
    **dict.fromkeys(PAIR_EVENTS, _OF_PAIR),
    **dict.fromkeys(GROUP_EVENTS, _OF_GROUP),
    "leak": _STOPS_COOLING,
    "leak_detector": _STOPS_COOLING,
    "emergency_stop": _STOPS_COOLING,
    "reservoir_low": "degrades the unit until the reservoir is filled",
    "heat_rejection_lost": _EXCEEDS_HEAT,
    "facility_flow_lost": _EXCEEDS_HEAT,
    "grid_outage": "stops all pumps, so that the differential pressure is lost by design",
    "grid_generator": "stops all pumps until the generator supplies",
    "pump_trip": "trips a drive permanently: the unit stays degraded",
    "pump_seized": "trips a drive permanently: the unit stays degraded",
    "pumps_seized": _HAZARD,
    "pumps_tripped": _HAZARD,
    "pump_uncoupled": _HAZARD,
    "valve_reversed": _HAZARD,
    "isolating_valve": _HAZARD,
    "hidden_leak": _HAZARD,
    "foreign_write": _HAZARD,
    "supply_register": _HAZARD,
    "supply_scale": _HAZARD,
    "facility_flow_register": _HAZARD,
    "facility_flow_scale": _HAZARD,
    "facility_supply_register": _HAZARD,
    "facility_supply_offset": _HAZARD,
    "facility_return_register": _HAZARD,
    "facility_return_offset": _HAZARD,
    "facility_sensors_swapped": _HAZARD,
    "valve_position_register": _HAZARD,
    "room_sensor_offset": _HAZARD,
    "drive_speed_register": _HAZARD,
    "bmc_temperature": _HAZARD,
    "bmc_power": _HAZARD,
    "dp_register": _HAZARD,
    "suction_register": _HAZARD,
    "sensors_swapped": _HAZARD,
    "hand_valve": _MANUAL,
    "autotune": "needs a loop without a model, which no generated row has",
    "load_wave": "swings the supply more than the invariant allows; a scenario tests it",
    "pump_local": _MANUAL,
    "valve_clamps": "writes stay rejected until the loop requests less",
    "disk_full": "drops data by design, with a report; a scenario tests it",
    "hold_flow": "selects another control mode, which does not hold the differential pressure",
    "hold_dp": "ends hold_flow, which campaigns do not use",
    "calibrate": "needs a loop without heat, which no generated row has",
    "outdoor_dead": "needs the sensor of the optimiser, which no generated row has",
    "humidity_dead": _LONG_REACTION,
    "humidity_stuck": _LONG_REACTION,
    "receiver_late": _FALSE_TIME,
    "receiver_creep": _FALSE_TIME,
    "receiver_meaconing": _FALSE_TIME,
    "receiver_time_step": _FALSE_TIME,
    "receiver_week_rollover": _FALSE_TIME,
    "receiver_time_drag": _FALSE_TIME,
    "receiver_leap_second": "acts at midnight, which no generated hour reaches",
    "receiver_cold_start": _FALSE_TIME,
    "receiver_rate": "delays sentences by seconds on a full line; no receiver in use does this",
    "modem_reset_next": "needs another kind of modem than the generated one",
    "store_bit_flip": "destroys durable data, which the invariants of the log forbid",
    "store_torn": "destroys durable data, which the invariants of the log forbid",
}
"""Faults that campaigns do not select -> reason."""

SAFETY: tuple[Expectation, ...] = (
    Expectation("missed_ticks", min=1, never=True, requirement="SAFE-4"),
    Expectation("utc_beyond_bound_ms", "ms", min=0.001, never=True, requirement="TIME-1"),
    Expectation("supply_c", "Cel", min=46.001, never=True, requirement="COOL-1"),
    Expectation("supply_c", "Cel", max=13.999, never=True, requirement="COOL-2"),
    Expectation("case_c", "Cel", min=90.001, never=True, requirement="HEAT-1"),
    Expectation("rows_dropped", min=1, never=True, requirement="LINK-1"),
    Expectation("log_lost", min=1, never=True, requirement="LINK-3"),
    Expectation("ground_differing", min=1, never=True, requirement="LINK-3"),
)
"""Must hold at all times. A unit without power sends nothing, so that nothing is judged."""

DEW = Expectation("dew_margin_k", "K", max=-0.001, never=True, requirement="COOL-2")
"""Must hold at all times in rows with humidity sensors."""

STATE = Expectation("state", max=0, requirement="SAFE-1")
"""The unit is normal. After air in the loop `hil.campaign.random_campaign` asks something else: the
air takes coolant, and no run fills it up."""

LIVENESS: tuple[Expectation, ...] = (
    STATE,
    Expectation("dp_kpa", "kPa", min=65, max=95, requirement="COOL-1"),
    Expectation("supply_c", "Cel", min=28, max=36, requirement="COOL-1"),
    Expectation("rows_waiting", max=10, requirement="LINK-1"),
)
"""Must hold in the last 30 s."""
