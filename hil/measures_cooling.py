"""The words for what is measured of the cooling's control: set-points, floors, wear of the valve.

From the status of the parts `cooling` and `safety`, and from the plant's truth.
"""

from typing import TYPE_CHECKING, Any

from agent.interlock import CAUSES
from hil.row import Row

if TYPE_CHECKING:
    from hil.measures import Measure

Status = dict[str, Any]

CODES = (
    *[code for code, _, _ in CAUSES],
    "input_lost",
    "sensor_rate",
    "sensor_stuck",
    "sensor_apart",
    "heat_balance",
    "humidity_sensor",
    "humidity_apart",
    "valve_feedback",
    "hand",
    "mode",
)
"""Codes of the alarms that the parts raise."""


def _of_cooling(name: str) -> Any:
    def read(_: Row, status: Status, __: str) -> float | None:
        value = status.get("cooling", {}).get(name)
        return None if value is None else value / 1000

    return read


def _dew_margin(row: Row, _: Status, __: str) -> float:
    return float(row.plant.supply_true_c - row.around.room.dew_c)


def _latched(_: Row, status: Status, __: str) -> float:
    return float(sum(c["latched"] for c in status.get("safety", {}).get("causes", [])))


def measures(make: "type[Measure]") -> "dict[str, Measure]":
    """Make the measures; the class comes from `hil.measures`, which takes these in."""
    return {
        "setpoint_c": make("Cel", "supply set-point now", _of_cooling("setpoint_milli_c")),
        "floor_c": make("Cel", "the dew point's floor", _of_cooling("floor_milli_c")),
        "pump_output_pct": make("%", "the pumps' loop output", _of_cooling("output_milli_pct")),
        "dew_margin_k": make("K", "true supply less true dew point of the room", _dew_margin),
        "latched": make("", "causes that are latched", _latched),
        "valve_travel_pct": make(
            "%", "travel of the valve so far", lambda row, _, __: row.plant.valve.travel_pct
        ),
        "rotations": make(
            "",
            "changes of the lead pump",
            lambda _, s, __: s.get("cooling", {}).get("rotations"),
        ),
    }
