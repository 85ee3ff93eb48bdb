# SPDX-License-Identifier: Apache-2.0
"""The values of a frame of the page: as the controller reads them, as it sets them, and true.

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


def _make_plant_reader(name: str) -> ReadFunction:
    return lambda testbed, _: float(getattr(testbed.plant, name))


def _make_speed_reader(number: int) -> ReadFunction:
    def read(testbed: Testbed, _: Status) -> float | None:
        pumps = testbed.plant.pumps
        return float(pumps[number].speed_pct) if number < len(pumps) else None

    return read


def _make_status_reader(*path: str | int, scale: float = 1.0) -> ReadFunction:
    """Make the function that reads a number of the status; an int of `path` is an index."""

    def read(_: Testbed, status: Status) -> float | None:
        value: Any = status
        for key in path:
            if isinstance(key, int):
                value = value[key] if isinstance(value, list) and key < len(value) else None
            else:
                value = value.get(key) if isinstance(value, dict) else None
        return float(value) * scale if isinstance(value, int | float) else None

    return read


def _read_utc_error_ms(testbed: Testbed, status: Status) -> float | None:
    return None if status is None else utc_error_ms(testbed, status)


def _read_queued_rows(_: Testbed, status: Status) -> float | None:
    telemetry = (status or {}).get("telemetry")
    return float(telemetry["queued"]) if telemetry else None


class _CurveReader(NamedTuple):
    """A curve of the page, the function that reads its value, and the device that it is true for.

    `device` "": none. A true value is unknown while its device is real: the plant is emulated.
    """

    curve: Curve
    read: ReadFunction
    device: str = ""


def _plant_curve(
    key: str, plot: str, unit: str, label: str, name: str, device: str
) -> _CurveReader:
    """Make the curve of a true value of the plant."""
    curve = Curve(key, plot, unit, f"{label}, true", "true")
    return _CurveReader(curve, _make_plant_reader(name), device)


def _measured_curve(key: str, plot: str, unit: str, label: str, *path: str | int) -> _CurveReader:
    """Make the curve of a value as the controller reads it, from thousandths in its status."""
    curve = Curve(key, plot, unit, f"{label}, as read", "read")
    return _CurveReader(curve, _make_status_reader(*path, scale=0.001))


def _setpoint_curve(key: str, plot: str, unit: str, label: str, *path: str | int) -> _CurveReader:
    """Make the curve of a set-point, or of a requested output, from thousandths."""
    return _CurveReader(
        Curve(key, plot, unit, label, "set"), _make_status_reader(*path, scale=0.001)
    )


def _pump_curves(number: int) -> tuple[_CurveReader, ...]:
    index, label = number - 1, f"pump {number}"
    true = Curve(f"pump{number}", "pumps", "%", f"{label}, true", "true")
    return (
        _measured_curve(f"pump{number}_read", "pumps", "%", label, "dp", "pumps_milli_pct", index),
        _setpoint_curve(
            f"pump{number}_set", "pumps", "%", f"{label}, set", "dp", "pumps_asked_milli_pct", index
        ),
        _CurveReader(true, _make_speed_reader(index), f"drive{number}"),
    )


_READERS = (
    _measured_curve("seen", "supply", "°C", "supply", "supply", "milli_c"),
    _setpoint_curve("set", "supply", "°C", "set-point", "supply", "setpoint_milli_c"),
    _plant_curve("supply", "supply", "°C", "supply", "supply_true_c", "rpu"),
    _measured_curve("return_read", "return", "°C", "return", "supply", "return_milli_c"),
    _plant_curve("return", "return", "°C", "return", "return_true_c", "rpu"),
    _plant_curve("case", "heat", "°C", "hottest case", "case_c", "rpu"),
    _plant_curve("fws", "heat", "°C", "facility water", "fws_c", "rpu"),
    _measured_curve("dp_read", "differential pressure", "kPa", "pressure", "dp", "milli_kpa"),
    _setpoint_curve(
        "set_dp", "differential pressure", "kPa", "set-point", "dp", "setpoint_milli_kpa"
    ),
    _plant_curve("dp", "differential pressure", "kPa", "pressure", "dp_kpa", "rpu"),
    _plant_curve("flow", "flow", "L/min", "flow", "flow_true_lpm", "rpu"),
    _plant_curve("fws_flow", "flow", "L/min", "facility flow", "fws_flow_lpm", "valve"),
    _measured_curve("valve_read", "valve", "%", "valve", "supply", "valve_milli_pct"),
    _setpoint_curve("valve_set", "valve", "%", "valve, set", "supply", "valve_asked_milli_pct"),
    _plant_curve("valve", "valve", "%", "valve", "valve_position_pct", "valve"),
    *_pump_curves(1),
    *_pump_curves(2),
    _plant_curve("load", "power", "kW", "IT load", "it_kw", ""),
    _plant_curve("pump_w", "power", "W", "pumps", "pump_electric_w", ""),
    _CurveReader(Curve("utc", "time", "ms", "UTC error"), _read_utc_error_ms),
    _CurveReader(
        Curve("bound", "", "ms", "stated bound"),
        _make_status_reader("clock", "bound_us", scale=0.001),
    ),
    _CurveReader(Curve("waiting", "link", "rows", "telemetry waiting"), _read_queued_rows),
    _CurveReader(Curve("ticks", "", "", "ticks"), _make_status_reader("ticks", "count")),
    _CurveReader(Curve("missed", "", "", "missed ticks"), _make_status_reader("ticks", "missed")),
    _CurveReader(Curve("errors", "", "", "bus errors"), _make_status_reader("modbus", "errors")),
    _CurveReader(Curve("used", "", "", "satellites used"), _make_status_reader("receiver", "used")),
)

CURVE_OF_MEASURE = {
    "supply_c": "supply",
    "case_c": "case",
    "dp_kpa": "dp",
    "flow_lpm": "flow",
    "valve_pct": "valve",
    "pump_pct:1": "pump1",
    "pump_pct:2": "pump2",
    "utc_error_ms": "utc",
}
"""Measure of a scenario -> key of the curve that shows it; its limits are drawn there."""

CURVES: tuple[Curve, ...] = tuple(reader.curve for reader in _READERS)


def read_frame(
    testbed: Testbed, status: Status, real_names: frozenset[str] = frozenset()
) -> list[float | None]:
    """Take one frame, in the order of `CURVES`; `real_names` are the devices that are real."""
    return [
        None if reader.device in real_names else reader.read(testbed, status) for reader in _READERS
    ]
