"""What a frame of the page holds: the plant's truth, what the agent says of itself, in that order.

Not the measures of scenarios (`hil.measure.registry`): a frame is taken ten times a second, so each number
is read straight from where it stands.
"""

from collections.abc import Callable
from typing import Any

from hil.bench.testbed import Row
from hil.measure.registry import utc_error_ms
from hil.page.hub import Curve

Status = dict[str, Any] | None
Read = Callable[[Row, Status], float | None]


def _plant(name: str) -> Read:
    return lambda row, _: float(getattr(row.plant, name))


def _pump(number: int) -> Read:
    def read(row: Row, _: Status) -> float | None:
        pumps = row.plant.pumps
        return float(pumps[number].speed_pct) if number < len(pumps) else None

    return read


def _said(*path: str, scale: float = 1.0) -> Read:
    def read(_: Row, status: Status) -> float | None:
        value: Any = status
        for key in path:
            value = None if value is None else value.get(key)
        return None if value is None else float(value) * scale

    return read


def _utc_error(row: Row, status: Status) -> float | None:
    return None if status is None else utc_error_ms(row, status)


def _waiting(_: Row, status: Status) -> float | None:
    telemetry = (status or {}).get("telemetry")
    return float(telemetry["queued"]) if telemetry else None


_TABLE: tuple[tuple[Curve, Read], ...] = (
    (Curve("supply", "temperatures", "°C", "supply"), _plant("supply_true_c")),
    (Curve("return", "temperatures", "°C", "return"), _plant("return_true_c")),
    (Curve("case", "temperatures", "°C", "hottest case"), _plant("case_c")),
    (Curve("fws", "temperatures", "°C", "facility water"), _plant("fws_c")),
    (Curve("dp", "pressure and flow", "kPa", "differential pressure"), _plant("dp_kpa")),
    (Curve("flow", "pressure and flow", "L/min", "flow"), _plant("flow_true_lpm")),
    (Curve("fws_flow", "pressure and flow", "L/min", "facility flow"), _plant("fws_flow_lpm")),
    (Curve("load", "power", "kW", "IT load"), _plant("it_kw")),
    (Curve("pump_w", "power", "W", "pumps"), _plant("pump_electric_w")),
    (Curve("valve", "actuators", "%", "valve"), _plant("valve_position_pct")),
    (Curve("pump1", "actuators", "%", "pump 1"), _pump(0)),
    (Curve("pump2", "actuators", "%", "pump 2"), _pump(1)),
    (Curve("utc", "time", "ms", "UTC error"), _utc_error),
    (Curve("bound", "", "ms", "stated bound"), _said("clock", "bound_us", scale=0.001)),
    (Curve("waiting", "link", "rows", "telemetry waiting"), _waiting),
    (Curve("set", "", "°C", "set-point"), _said("supply", "setpoint_milli_c", scale=0.001)),
    (Curve("set_dp", "", "kPa", "set-point"), _said("dp", "setpoint_milli_kpa", scale=0.001)),
    (Curve("seen", "", "°C", "supply as read"), _said("supply", "milli_c", scale=0.001)),
    (Curve("ticks", "", "", "ticks"), _said("ticks", "count")),
    (Curve("missed", "", "", "missed ticks"), _said("ticks", "missed")),
    (Curve("errors", "", "", "bus errors"), _said("modbus", "errors")),
    (Curve("used", "", "", "satellites used"), _said("receiver", "used")),
)

CURVES: tuple[Curve, ...] = tuple(curve for curve, _ in _TABLE)


def values(row: Row, status: Status) -> list[float | None]:
    """Take one frame, in the order of `CURVES`."""
    return [read(row, status) for _, read in _TABLE]
