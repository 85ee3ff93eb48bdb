"""What a campaign draws, what it does not and why, and what must hold whatever was drawn.

Not the drawing (`hil.campaign.draw`). Every word of `hil.fault.registry` stands in `DRAWN` or in `NOT_DRAWN`;
a test sees to it. Drawn are faults that end, or that the row can stand for good, so that the
invariants rightly hold; a word that asks for an optional part brings it along.
"""

from dataclasses import dataclass

from hil.scenario.model import Expectation


@dataclass(frozen=True)
class Draw:
    """How a word is drawn: limits of its value (None: it has none) and the longest it may last.

    `longest_s` 0: it does not end by itself. `needs`: parts of the unit without which the word
    does nothing. `meters`, `humidity`, `fans`: what must be on the bus.
    """

    word: str
    low: float | None = None
    high: float | None = None
    longest_s: int = 60
    whole: bool = False
    needs: tuple[str, ...] = ()
    meters: int = 0
    humidity: int = 0
    fans: int = 0


_LOG = ("log",)
_MODEM = ("modem", "modem_store")
_REMOTE = ("remote",)
_SKY = ("integrity",)
_LOADS = ("throttle",)
_COOLING = ("cooling", "safety")
_OPERATED = ("cooling", "safety", "remote")

_ROW: tuple[Draw, ...] = (
    Draw("it_load", 20, 110, 0),
    Draw("fws_temperature", 18, 27, 0),
    Draw("bus_silent", longest_s=40),
    Draw("bus_echo", longest_s=60),
    Draw("other_master", 200, 5000, 60),
    Draw("rpu_dead", longest_s=60),
    Draw("rpu_slow", 1, 400, 60),
    Draw("rpu_twice", longest_s=60),
    Draw("rpu_wrong_unit", 40, 200, 30, whole=True),
    Draw("rpu_noise", 1, 20, 60, whole=True),
    Draw("rpu_bad_crc", 1, 40, 60, whole=True),
    Draw("rpu_cut", 1, 40, 60, whole=True),
    Draw("rpu_busy", 1, 200, 60, whole=True),
    Draw("rpu_refuses", 1, 6, 40, whole=True),
    Draw("rpu_no_value", longest_s=40),
    Draw("rpu_reboot", longest_s=0),
    Draw("valve_dead", longest_s=60),
    Draw("valve_ignores_writes", longest_s=60),
    Draw("valve_delays_writes", 100, 3000, 60),
    Draw("pump_dead", 1, 1, 60, whole=True),
    Draw("pump_ignores_writes", 1, 1, 60, whole=True),
    Draw("pump_reboot", 1, 2, 0, whole=True),
    Draw("pump_nrv_open", 2, 2, 60, whole=True),
    Draw("supply_noise", 0, 1, 60),
    Draw("supply_offset", -1.5, 1.5, 60),
    Draw("supply_drift", -60, 60, 60),
    Draw("supply_stuck", longest_s=40),
    Draw("return_offset", -3, 3, 60),
    Draw("dp_offset", -10, 10, 60),
    Draw("dp_stuck", longest_s=40),
    Draw("flow_stuck", longest_s=60),
    Draw("valve_stuck", longest_s=40),
    Draw("valve_stiction", 0.5, 2, 60),
    Draw("air_in_loop", 0.5, 5, 0),
    Draw("filter_clog", 5, 30, 60),
    Draw("hx_fouling", 1, 15, 0),
    Draw("fws_pressure", 70, 120, 60),
    Draw("weather_step", -5, 3, 0),
    Draw("room_temperature", 15, 40, 0),
    Draw("grid_frequency", 48.5, 51.5, 60),
    Draw("grid_dip", 70, 110, 5),
)
_SKIES: tuple[Draw, ...] = (
    Draw("receiver_outage", longest_s=200),
    Draw("receiver_no_fix", longest_s=200),
    Draw("receiver_corrupt", 1, 50, 60, whole=True),
    Draw("receiver_jamming", 0.1, 5, 60),
    Draw("receiver_antenna_open", longest_s=60),
    Draw("receiver_antenna_short", longest_s=60),
    Draw("receiver_desense", 1, 8, 60, needs=_SKY),
    Draw("receiver_heat", 30, 95, 60, needs=_SKY),
    Draw("receiver_jump", 50, 500, 60, needs=_SKY),
    Draw("receiver_equal_power", 40, 50, 60, needs=_SKY),
    Draw("receiver_deaf", longest_s=60, needs=_SKY),
)
_LINK: tuple[Draw, ...] = (
    Draw("broker_down", longest_s=80),
    Draw("link_half_open", longest_s=60),
    Draw("link_cut_after", 1, 20_000, 60, whole=True),
    Draw("session_lost", longest_s=60),
    Draw("broker_acks_slow", 0.1, 8, 60),
    Draw("receipts_missing", longest_s=80, needs=_LOG),
    Draw("receipts_forged", longest_s=80, needs=_LOG),
    Draw("power_cut", longest_s=15, needs=_LOG),
    Draw("sky_blocked", longest_s=200, needs=_MODEM),
    Draw("sky_mask", 10, 80, 0, needs=_MODEM),
    Draw("modem_success", 20, 100, 200, needs=_MODEM),
    Draw("modem_dead", longest_s=100, needs=_MODEM),
    Draw("modem_reset", longest_s=0, needs=_MODEM),
    Draw("modem_reset_transfer", longest_s=0, needs=_MODEM),
    Draw("modem_reset_session", longest_s=0, needs=_MODEM),
    Draw("modem_status", 0, 65, 0, whole=True, needs=_MODEM),
    Draw("modem_lost_acks", 1, 3, 0, whole=True, needs=_MODEM),
    Draw("modem_refuses", 1, 3, 0, whole=True, needs=_MODEM),
    Draw("modem_rings_at", 0, 12, 100, whole=True, needs=_MODEM),
    Draw("modem_ring", longest_s=0, needs=_MODEM),
    Draw("modem_unplugged", longest_s=100, needs=_MODEM),
    Draw("gateway_down", longest_s=100, needs=_MODEM),
    Draw("ground_silent", longest_s=100, needs=_MODEM),
    Draw("ground_forged", longest_s=100, needs=_MODEM),
    Draw("ground_replays", longest_s=0, needs=_MODEM),
)
_SITE: tuple[Draw, ...] = (
    Draw("forged_setpoint", 15, 45, 0, needs=_REMOTE),
    Draw("push_setpoint", 31, 34, 0, needs=_REMOTE),
    Draw("push_dp", 72, 88, 0, needs=_REMOTE),
    Draw("confirm_config", longest_s=0, needs=_REMOTE),
    Draw("roll_back_config", longest_s=0, needs=_REMOTE),
    Draw("rotate_pumps", longest_s=0, needs=_OPERATED),
    Draw("prove_valve", longest_s=0, needs=_OPERATED),
    Draw("reset_causes", longest_s=0, needs=_OPERATED),
    Draw("prove_pumps", longest_s=0, needs=_OPERATED),
    Draw("room_humidity", 20, 60, 0, needs=_COOLING, humidity=2),
    Draw("humidity_error", -3, 3, 60, needs=_COOLING, humidity=2),
    Draw("fan_lost", 1, 2, 60, whole=True, needs=_COOLING, fans=2),
    Draw("fan_dead", 1, 2, 60, whole=True, needs=_COOLING, fans=2),
    Draw("fan_trip", 1, 2, 0, whole=True, needs=_COOLING, fans=2),
    Draw("outdoor_temperature", 5, 20, 0, needs=_COOLING, fans=2),
    Draw("bmc_busy", 1, 10, 40, needs=_LOADS),
    Draw("bmc_silent", longest_s=40, needs=_LOADS),
    Draw("bmc_refuses", longest_s=40, needs=_LOADS),
    Draw("bmc_slow", 1, 3000, 40, needs=_LOADS),
    Draw("bmc_reboot", longest_s=0, needs=_LOADS),
    Draw("optics_dirty", 1, 15, 60, needs=_LOADS),
    Draw("meter_rollover", longest_s=200, needs=("ledger",), meters=2),
    Draw("meter_reset", longest_s=0, needs=("ledger",), meters=2),
)

DRAWN: tuple[Draw, ...] = _ROW + _SKIES + _LINK + _SITE
"""What is drawn."""

_STOPS = "stops the cooling on purpose, and stays so until somebody resets it"
_LIES = "a lie about time that nothing contradicts is believed: scenarios say when it is seen"
_HEAT = "after it the limits of heat are rightly reached"
_HELD = "needs an answer of many minutes; a scenario of its own holds it"

NOT_DRAWN: dict[str, str] = {
    "leak": _STOPS,
    "leak_detector": _STOPS,
    "emergency_stop": _STOPS,
    "reservoir_low": "degrades the unit until somebody has filled the reservoir",
    "heat_rejection_lost": _HEAT,
    "facility_flow_lost": _HEAT,
    "grid_outage": "no pump turns, so that the differential pressure is rightly lost",
    "grid_generator": "no pump turns until the generator has taken over",
    "pump_trip": "a tripped drive stays so: the unit is degraded for good",
    "pump_seized": "a blocked shaft trips the drive: the unit is degraded for good",
    "valve_clamps": "what is asked for stays refused until the loop asks for less",
    "disk_full": "what finds no room for so long is given up, and said so: a scenario holds it",
    "hold_flow": "another law of the pumps, under which dP is rightly not held",
    "hold_dp": "undoes hold_flow, which is not drawn",
    "calibrate": "is for a loop without heat, which no drawn row is",
    "outdoor_dead": "of the optimiser's sensor, which no drawn row has",
    "humidity_dead": _HELD,
    "humidity_stuck": _HELD,
    "receiver_late": _LIES,
    "receiver_creep": _LIES,
    "receiver_meaconing": _LIES,
    "receiver_time_step": _LIES,
    "receiver_week_rollover": _LIES,
    "receiver_time_drag": _LIES,
    "receiver_leap_second": "acts at midnight, which no drawn hour reaches",
    "receiver_cold_start": _LIES,
    "receiver_rate": "a saturated line makes sentences late by seconds, as no receiver in use does",
    "modem_reset_next": "of other kinds of modem than the one drawn",
    "store_bit_flip": "takes away what was durable, which the invariants of the log forbid",
    "store_torn": "takes away what was durable, which the invariants of the log forbid",
}
"""What is not drawn, and why."""

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
"""What never happens. A unit that has no power says nothing, and is held to nothing."""

DEW = Expectation("dew_margin_k", "K", max=-0.001, never=True, requirement="COOL-2")
"""What never happens where there are humidity sensors."""

LIVENESS: tuple[Expectation, ...] = (
    Expectation("state", max=0, requirement="SAFE-1"),
    Expectation("dp_kpa", "kPa", min=65, max=95, requirement="COOL-1"),
    Expectation("supply_c", "Cel", min=28, max=36, requirement="COOL-1"),
    Expectation("rows_waiting", max=10, requirement="LINK-1"),
)
"""What holds in the last 30 seconds."""
