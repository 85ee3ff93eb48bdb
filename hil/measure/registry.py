# SPDX-License-Identifier: Apache-2.0
"""All measures that a scenario can name, each with its unit and its source.

Does not judge; see `hil.scenario.judge`. A measure comes from the plant (the true value, without
sensor errors) or from the last status of the agent. A name can have an argument after a colon, such
as `alarm:bus_lost`.
"""

from functools import cache

from agent.core.alarm_record import DEGRADED, STATES
from agent.tools.alarm_list import all_records
from hil.bench.testbed import Testbed
from hil.measure.base import Measure, ReadFunction, Status
from hil.measure.config import CONFIG_MEASURES
from hil.measure.cooling import COOLING_MEASURES
from hil.measure.hazard import HAZARD_MEASURES
from hil.measure.link import LINK_MEASURES
from hil.measure.load import LOAD_MEASURES
from hil.measure.modem import MODEM_MEASURES
from hil.measure.several import GROUP_MEASURES, PAIR_MEASURES
from protocols.telemetry.schema import CLOCKS

__all__ = ["MEASURES", "Measure", "read"]

_RECORDS = all_records()  # a look at all modules takes a millisecond
ALARM_CODES = tuple(_RECORDS)


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


def _count_degrading(_: Testbed, status: Status, code: str) -> float:
    """Count the alarms, other than `code`, that degrade the unit."""
    found = [alarm["code"].split(":")[0] for alarm in status["alarms"]]
    return float(sum(_RECORDS[name].state >= DEGRADED for name in found if name != code))


def _plant_value(name: str) -> ReadFunction:
    return lambda testbed, _, __: float(getattr(testbed.plant, name))


def utc_error_ms(testbed: Testbed, status: Status) -> float | None:
    """Return the error of the agent's UTC at the time of its status, ms, signed; None: no UTC."""
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
    "case_c": Measure("Cel", "highest case temperature of the IT", _plant_value("case_c")),
    "dp_kpa": Measure("kPa", "true differential pressure", _plant_value("dp_kpa")),
    "flow_lpm": Measure("L/min", "flow of the secondary loop", _plant_value("flow_true_lpm")),
    "valve_pct": Measure("%", "true position of the valve", _plant_value("valve_position_pct")),
    "pump_pct": Measure(
        "%", "true speed of the pump with the number in the argument", _pump_speed, "pump"
    ),
    "utc_error_ms": Measure("ms", "absolute error of the agent's UTC", _abs_utc_error_ms),
    "clock_bound_ms": Measure("ms", "error bound of UTC that the agent states", _clock_bound_ms),
    "utc_beyond_bound_ms": Measure(
        "ms", "absolute UTC error minus the stated bound", _excess_over_bound
    ),
    "clock": Measure(
        "",
        "0 free 1 sync 2 holdover 3 untrusted",
        lambda _, s, __: CLOCKS.index(s["clock"]["state"]),
    ),
    "state": Measure(
        "", "0 normal 1 degraded 2 safe 3 stopped", lambda _, s, __: STATES.index(s["state"])
    ),
    "alarm": Measure("", "active alarms with the code in the argument", _count_alarms, "alarm"),
    "degrading": Measure(
        "",
        "active alarms that degrade the unit, without the code in the argument",
        _count_degrading,
        "alarm",
    ),
    "alarms": Measure("", "active alarms", lambda _, s, __: len(s["alarms"])),
    "ticks": Measure("", "executed ticks", lambda _, s, __: s["ticks"]["count"]),
    "missed_ticks": Measure("", "missed ticks", lambda _, s, __: s["ticks"]["missed"]),
    "modbus_errors": Measure(
        "", "failed Modbus transactions", lambda _, s, __: s["modbus"]["errors"]
    ),
    "acknowledged_pct": Measure(
        "%", "fraction of the published messages that the broker confirmed", _read_acknowledged_pct
    ),
    "rows_waiting": Measure("", "queued telemetry rows", lambda _, s, __: s["telemetry"]["queued"]),
    **CONFIG_MEASURES,
    **LINK_MEASURES,
    "rows_dropped": Measure(
        "", "dropped telemetry rows", lambda _, s, __: s["telemetry"]["dropped"]
    ),
    **MODEM_MEASURES,
    **COOLING_MEASURES,
    **LOAD_MEASURES,
    **HAZARD_MEASURES,
    **PAIR_MEASURES,
    **GROUP_MEASURES,
}
"""Name -> measure, for `measure` of an expectation."""


def read(testbed: Testbed, status: Status | None, name: str) -> float | None:
    """Read one measure; None: it is not known, or the agent has sent no status yet."""
    if status is None:
        return None
    measure, argument = _find(name)
    return measure.read(testbed, status, argument)


@cache
def _find(name: str) -> tuple[Measure, str]:
    """Return the measure of a name with its argument."""
    key, _, argument = name.partition(":")
    return MEASURES[key], argument
