"""The words for what is measured of the cooling's control: set-points, floors, wear of the valve.

From the status of the parts `cooling` and `safety`, and from the plant's truth.
"""

from agent.safety.interlock import CAUSES
from hil.bench.testbed import Row
from hil.measure.base import Measure, Status

CODES = (
    *[code for code, _, _ in CAUSES],
    "input_lost",
    "sensor_rate",
    "sensor_stuck",
    "sensor_apart",
    "heat_balance",
    "humidity_sensor",
    "humidity_apart",
    "fan_trip",
    "fans_blind",
    "valve_feedback",
    "hand",
    "mode",
    "pumps_wait",
)
"""Codes of the alarms that the parts raise."""


def _setpoint(_: Row, status: Status, __: str) -> float:
    return float(status["supply"]["setpoint_milli_c"]) / 1000


def _floor(_: Row, status: Status, __: str) -> float:
    floor = status.get("cooling", {}).get("floor_milli_c")
    return 0.0 if floor is None else float(floor) / 1000


def _output(_: Row, status: Status, __: str) -> float:
    asked = [pump or 0 for pump in status["dp"]["pumps_asked_milli_pct"]]
    return float(status.get("cooling", {}).get("output_milli_pct", max(asked))) / 1000


def _dew_margin(row: Row, _: Status, __: str) -> float:
    return float(row.plant.supply_true_c - row.around.room.dew_c)


def _fan_asked(_: Row, status: Status, __: str) -> float:
    return float(status.get("cooling", {}).get("fans_milli_pct", 0)) / 1000


def _fans(row: Row, _: Status, __: str) -> float:
    return 0.0 if row.around.bank is None else row.around.bank.fan_pct


def _latched(_: Row, status: Status, __: str) -> float:
    return float(sum(c["latched"] for c in status.get("safety", {}).get("causes", [])))


def _proofs(_: Row, status: Status, __: str) -> float:
    proofs = status.get("cooling", {}).get("proofs", [])
    return float(sum(proof["result"] == "passed" for proof in proofs))


COOLING_MEASURES = {
    "setpoint_c": Measure("Cel", "supply set-point now", _setpoint),
    "floor_c": Measure("Cel", "the dew point's floor, 0: none", _floor),
    "pump_output_pct": Measure("%", "the pumps' loop output", _output),
    "dew_margin_k": Measure("K", "true supply less true dew point of the room", _dew_margin),
    "fan_asked_pct": Measure("%", "speed that the fans' law asks for", _fan_asked),
    "fan_pct": Measure("%", "true speed of the fans, their mean", _fans),
    "fws_c": Measure("Cel", "the facility's water", lambda row, _, __: row.plant.fws_c),
    "latched": Measure("", "causes that are latched", _latched),
    "valve_travel_pct": Measure(
        "%", "travel of the valve so far", lambda row, _, __: row.plant.valve.travel_pct
    ),
    "proofs_passed": Measure("", "proof tests that passed", _proofs),
    "proofs_kept": Measure(
        "",
        "lines of proof records that outlive a restart",
        lambda _, s, __: float(len(s.get("cooling", {}).get("kept", []))),
    ),
    "rotations": Measure(
        "",
        "changes of the lead pump",
        lambda _, s, __: float(s.get("cooling", {}).get("rotations", 0)),
    ),
}
"""Merged into `hil.measure.registry.MEASURES`."""
