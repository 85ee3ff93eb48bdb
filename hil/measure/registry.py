"""The words for what is measured in a scenario: each with its unit and where it comes from.

Not the judging. A measure is read either from the plant (the truth, which no sensor error touches)
or from what the agent last said of itself (its status). A name may take an argument after a colon,
such as `alarm:bus_lost`.
"""

from agent.clock.evidence import CHECKS
from agent.gnss.detectors import ADVISORIES, DETECTORS
from agent.safety.supervisor import ALARM_RECORDS
from hil.bench.testbed import Testbed
from hil.measure.base import Measure, ReadFunction, Status
from hil.measure.config import CONFIG_MEASURES
from hil.measure.cooling import CODES as COOLING_CODES
from hil.measure.cooling import COOLING_MEASURES
from hil.measure.link import LINK_MEASURES
from hil.measure.load import LOAD_ALARMS, LOAD_MEASURES
from hil.measure.modem import MODEM_MEASURES

__all__ = ["MEASURES", "Measure", "read"]

STATES = ("normal", "degraded", "safe", "stopped")
CLOCK_STATES = ("free", "sync", "holdover", "untrusted")
ALARM_CODES = (
    *[code for code, _, _ in ALARM_RECORDS],
    *[code for _, code, _, _ in (*CHECKS, *DETECTORS, *ADVISORIES)],
    *COOLING_CODES,
    *LOAD_ALARMS,
    "gnss_setup",
    "port",
    "modem",
)


def _read_acknowledged_pct(_: Testbed, status: Status, __: str) -> float | None:
    telemetry = status["telemetry"]
    if not telemetry or not telemetry["published"]:
        return None
    return 100.0 * float(telemetry["acknowledged"]) / float(telemetry["published"])


def _count_alarms(_: Testbed, status: Status, code: str) -> float:
    codes = [alarm["code"] for alarm in status["alarms"]]
    return float(
        sum(active_code == code or active_code.split(":")[0] == code for active_code in codes)
    )


def _plant_value(name: str) -> ReadFunction:
    return lambda testbed, _, __: float(getattr(testbed.plant, name))


def utc_error_ms(testbed: Testbed, status: Status) -> float | None:
    """How far the agent's UTC was off at the moment of its status, signed, milliseconds."""
    if status["utc_us"] is None:
        return None
    return (int(status["utc_us"]) - testbed.utc_at(int(status["mono_us"]))) / 1000


def _abs_utc_error_ms(testbed: Testbed, status: Status, _: str) -> float | None:
    error = utc_error_ms(testbed, status)
    return None if error is None else abs(error)


def _clock_bound_ms(_: Testbed, status: Status, __: str) -> float | None:
    bound = status["clock"]["bound_us"]
    return None if bound is None else float(bound) / 1000


def _excess_over_bound(testbed: Testbed, status: Status, _: str) -> float | None:
    error, bound = utc_error_ms(testbed, status), status["clock"]["bound_us"]
    return None if error is None or bound is None else abs(error) - bound / 1000


def _pump_speed(testbed: Testbed, _: Status, number: str) -> float:
    return float(testbed.plant.pumps[int(number) - 1].speed_pct)


MEASURES: dict[str, Measure] = {
    "supply_c": Measure("Cel", "true supply temperature", _plant_value("supply_true_c")),
    "case_c": Measure("Cel", "hottest case of the IT", _plant_value("case_c")),
    "dp_kpa": Measure("kPa", "true differential pressure", _plant_value("dp_kpa")),
    "flow_lpm": Measure("L/min", "flow of the secondary loop", _plant_value("flow_true_lpm")),
    "valve_pct": Measure("%", "true position of the valve", _plant_value("valve_position_pct")),
    "pump_pct": Measure("%", "true speed of the pump whose number follows", _pump_speed, "pump"),
    "utc_error_ms": Measure("ms", "how far the agent's UTC is off", _abs_utc_error_ms),
    "clock_bound_ms": Measure(
        "ms", "how far the agent says that its UTC may be off", _clock_bound_ms
    ),
    "utc_beyond_bound_ms": Measure("ms", "UTC error minus the stated bound", _excess_over_bound),
    "clock": Measure(
        "",
        "0 free 1 sync 2 holdover 3 untrusted",
        lambda _, s, __: CLOCK_STATES.index(s["clock"]["state"]),
    ),
    "state": Measure(
        "", "0 normal 1 degraded 2 safe 3 stopped", lambda _, s, __: STATES.index(s["state"])
    ),
    "alarm": Measure("", "active alarms of the code that follows", _count_alarms, "alarm"),
    "alarms": Measure("", "active alarms", lambda _, s, __: len(s["alarms"])),
    "ticks": Measure("", "ticks run", lambda _, s, __: s["ticks"]["count"]),
    "missed_ticks": Measure("", "ticks missed", lambda _, s, __: s["ticks"]["missed"]),
    "modbus_errors": Measure("", "failed transactions", lambda _, s, __: s["modbus"]["errors"]),
    "acknowledged_pct": Measure("%", "share of what was published", _read_acknowledged_pct),
    "rows_waiting": Measure(
        "", "telemetry rows waiting", lambda _, s, __: s["telemetry"]["queued"]
    ),
    **CONFIG_MEASURES,
    **LINK_MEASURES,
    "rows_dropped": Measure("", "telemetry rows lost", lambda _, s, __: s["telemetry"]["dropped"]),
    **MODEM_MEASURES,
    **COOLING_MEASURES,
    **LOAD_MEASURES,
}
"""Every word an expectation's `measure` may use."""


def read(testbed: Testbed, status: Status | None, name: str) -> float | None:
    """Read one measure; None when it is not known (or the agent has said nothing yet)."""
    key, _, argument = name.partition(":")
    if status is None:
        return None
    return MEASURES[key].read(testbed, status, argument)
