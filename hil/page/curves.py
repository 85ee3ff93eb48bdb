# SPDX-License-Identifier: Apache-2.0
"""The values of a frame of the page: true values of the plant, and values of the agent's status.

Does not use the measures of scenarios (`hil.measure.registry`): the page takes ten frames a second,
so each value is read directly. A curve without a plot ("") is a number of the page, or a line in
another plot: `view.js` knows them by name. The bound of UTC is such a number, because it is up to a
thousand times as large as the error.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from hil.bench.testbed import Testbed
from hil.measure.registry import utc_error_ms
from hil.page.hub import Curve

Status = dict[str, Any] | None
ReadFunction = Callable[[Testbed, Status], float | None]


def _plant_value(name: str) -> ReadFunction:
    return lambda testbed, _: float(getattr(testbed.plant, name))


def _pump_speed(number: int) -> ReadFunction:
    def read(testbed: Testbed, _: Status) -> float | None:
        pumps = testbed.plant.pumps
        return float(pumps[number].speed_pct) if number < len(pumps) else None

    return read


def _status_value(*path: str, scale: float = 1.0) -> ReadFunction:
    def read(_: Testbed, status: Status) -> float | None:
        value: Any = status
        for key in path:
            value = None if value is None else value.get(key)
        return None if value is None else float(value) * scale

    return read


def _read_utc_error_ms(testbed: Testbed, status: Status) -> float | None:
    return None if status is None else utc_error_ms(testbed, status)


def _count_queued(_: Testbed, status: Status) -> float | None:
    telemetry = (status or {}).get("telemetry")
    return float(telemetry["queued"]) if telemetry else None


class _CurveReader(NamedTuple):
    """A curve of the page and the function that reads its value."""

    curve: Curve
    read: ReadFunction


_READERS = (
    _CurveReader(Curve("supply", "temperatures", "°C", "supply"), _plant_value("supply_true_c")),
    _CurveReader(Curve("return", "temperatures", "°C", "return"), _plant_value("return_true_c")),
    _CurveReader(Curve("case", "temperatures", "°C", "hottest case"), _plant_value("case_c")),
    _CurveReader(Curve("fws", "temperatures", "°C", "facility water"), _plant_value("fws_c")),
    _CurveReader(
        Curve("dp", "pressure and flow", "kPa", "differential pressure"), _plant_value("dp_kpa")
    ),
    _CurveReader(
        Curve("flow", "pressure and flow", "L/min", "flow"), _plant_value("flow_true_lpm")
    ),
    _CurveReader(
        Curve("fws_flow", "pressure and flow", "L/min", "facility flow"),
        _plant_value("fws_flow_lpm"),
    ),
    _CurveReader(Curve("load", "power", "kW", "IT load"), _plant_value("it_kw")),
    _CurveReader(Curve("pump_w", "power", "W", "pumps"), _plant_value("pump_electric_w")),
    _CurveReader(Curve("valve", "actuators", "%", "valve"), _plant_value("valve_position_pct")),
    _CurveReader(Curve("pump1", "actuators", "%", "pump 1"), _pump_speed(0)),
    _CurveReader(Curve("pump2", "actuators", "%", "pump 2"), _pump_speed(1)),
    _CurveReader(Curve("utc", "time", "ms", "UTC error"), _read_utc_error_ms),
    _CurveReader(
        Curve("bound", "", "ms", "stated bound"), _status_value("clock", "bound_us", scale=0.001)
    ),
    _CurveReader(Curve("waiting", "link", "rows", "telemetry waiting"), _count_queued),
    _CurveReader(
        Curve("set", "", "°C", "set-point"),
        _status_value("supply", "setpoint_milli_c", scale=0.001),
    ),
    _CurveReader(
        Curve("set_dp", "", "kPa", "set-point"),
        _status_value("dp", "setpoint_milli_kpa", scale=0.001),
    ),
    _CurveReader(
        Curve("seen", "", "°C", "supply as read"), _status_value("supply", "milli_c", scale=0.001)
    ),
    _CurveReader(Curve("ticks", "", "", "ticks"), _status_value("ticks", "count")),
    _CurveReader(Curve("missed", "", "", "missed ticks"), _status_value("ticks", "missed")),
    _CurveReader(Curve("errors", "", "", "bus errors"), _status_value("modbus", "errors")),
    _CurveReader(Curve("used", "", "", "satellites used"), _status_value("receiver", "used")),
)

CURVES: tuple[Curve, ...] = tuple(reader.curve for reader in _READERS)


def read_frame(testbed: Testbed, status: Status) -> list[float | None]:
    """Take one frame, in the order of `CURVES`."""
    return [reader.read(testbed, status) for reader in _READERS]
