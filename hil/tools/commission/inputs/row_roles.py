# SPDX-License-Identifier: Apache-2.0
"""The points that the agent knows, and which of them a row of a register table is.

Does not make a profile; see `hil.tools.commission.profile_draft`. The column `role` of the table
decides. Without it the name decides, with these limits: an output has access RW, a unit, and a name
in which each word is known. So "Pump control mode" and "Supply temperature alarm set-point" are no
outputs. A name such as "Supply temperature limit" is no measured value. A row that only resembles
a point is read and monitored, and is never written.
"""

import re
from typing import NamedTuple

from hil.tools.commission.register_table import TableRow


class KnownPoint(NamedTuple):
    """A point that the agent knows: pattern of its name, unit, plausible or permitted range."""

    pattern: str
    point: str
    unit: str
    low: int
    high: int
    is_written: bool = False


_SET = r"(set.?point|\bset\b|target|\bsp\b)"
_COMMAND = r"(command|cmd|control|demand|reference|set.?point|\bset\b|output)"
_PRIMARY = r"(primary|facility|fws)"
KNOWN = (
    KnownPoint(
        rf"temp.*{_SET}|{_SET}.*temp", "SupplyTemperatureControlCelsius", "Cel", 15, 45, True
    ),
    KnownPoint(
        rf"(diff|delta|\bdp\b).*{_SET}|{_SET}.*(diff|delta|\bdp\b)",
        *("DeltaPressureControlkPa", "kPa", 5, 400, True),
    ),
    KnownPoint(rf"pump.*{_COMMAND}|{_COMMAND}.*pump", "PumpSpeedControlPercent", "%", 0, 100, True),
    KnownPoint(rf"fan.*{_COMMAND}|{_COMMAND}.*fan", "FanSpeedControlPercent", "%", 0, 100, True),
    KnownPoint(
        rf"valve.*{_COMMAND}|{_COMMAND}.*valve", "ValvePositionControlPercent", "%", 0, 100, True
    ),
    KnownPoint(r"pump.*speed|speed.*pump", "PumpSpeedPercent", "%", -5, 120),
    KnownPoint(r"fan.*speed|speed.*fan", "FanSpeedPercent", "%", -5, 120),
    KnownPoint(r"valve", "ValvePositionPercent", "%", -5, 110),
    KnownPoint(rf"{_PRIMARY}.*(flow)", "PrimaryFlowLitersPerMinute", "L/min", -10, 60_000),
    KnownPoint(
        rf"{_PRIMARY}.*(supply|inlet).*temp", "PrimarySupplyTemperatureCelsius", "Cel", -20, 120
    ),
    KnownPoint(
        rf"{_PRIMARY}.*(return|outlet).*temp", "PrimaryReturnTemperatureCelsius", "Cel", -20, 120
    ),
    KnownPoint(r"dew", "DewPointCelsius", "Cel", -40, 60),
    KnownPoint(r"(supply|outlet).*temp|temp.*supply", "SupplyTemperatureCelsius", "Cel", -20, 120),
    KnownPoint(r"(return|inlet).*temp|temp.*return", "ReturnTemperatureCelsius", "Cel", -20, 120),
    KnownPoint(r"diff.*press|delta.*p|\bdp\b", "DeltaPressurekPa", "kPa", -100, 2000),
    KnownPoint(r"(supply|outlet).*press", "SupplyPressurekPa", "kPa", -100, 3000),
    KnownPoint(r"(return|inlet).*press", "ReturnPressurekPa", "kPa", -100, 3000),
    KnownPoint(r"flow", "FlowLitersPerMinute", "L/min", -10, 60_000),
)
GAUGED = tuple(
    known.point for known in KNOWN if not known.is_written and known.unit in ("Cel", "kPa", "L/min")
)
"""Measured points beside which a unit has a gauge, or the technician holds one."""
MONITOR = "monitor"
ROLES = {
    "pump": "PumpSpeedControlPercent",
    "fan": "FanSpeedControlPercent",
    "valve": "ValvePositionControlPercent",
    "temperature set-point": "SupplyTemperatureControlCelsius",
    "pressure set-point": "DeltaPressureControlkPa",
}
"""Short names of the outputs in the column `role`; the names of all known points are valid too."""
_POINTS = {known.point.casefold(): known for known in KNOWN}
_NO_UNIT = ("", "none", "-")
_ANY_OUTPUT = (
    *("set", "point", "setpoint", "sp", "target", "command", "cmd", "control", "demand"),
    *("reference", "output", "value", "signal", "percent", "pct", "a", "b", "in", "of", "the"),
    *("secondary", "tcs", "cdu", "coolant"),
)
_OUTPUT_WORDS = {
    "PumpSpeedControlPercent": ("pump", "pumps", "speed", "circulation", "supply"),
    "FanSpeedControlPercent": ("fan", "fans", "speed"),
    "ValvePositionControlPercent": (
        *("valve", "position", "opening", "actuator", "water", "cooling", "primary"),
        *("facility", "fws"),
    ),
    "SupplyTemperatureControlCelsius": (
        *("temp", "temperature", "supply", "outlet", "fluid", "liquid", "celsius", "c"),
    ),
    "DeltaPressureControlkPa": (
        *("diff", "differential", "delta", "dp", "p", "pressure", "press", "kpa"),
    ),
}
"""Output: the words that its name can have beside `_ANY_OUTPUT`; another word can change it."""
_NOT_MEASURED = (
    *("min", "sp", "hi", "lo", "low", "high", "set", "dead", "mode", "room", "time", "gain"),
    *("hysteresis", "delay", "offset", "default", "nominal", "rated", "design", "command", "cmd"),
)
_NOT_MEASURED_STEMS = (
    *("alarm", "limit", "max", "minimum", "enabl", "disabl", "thresh", "warn", "fault", "trip"),
    *("setpoint", "target", "deadband", "calib", "correct", "ambient", "outdoor", "total"),
)


def find_known(name: str) -> KnownPoint | None:
    """Return the point that a name of a table resembles."""
    for known in KNOWN:
        if re.search(known.pattern, name.casefold()):
            return known
    return None


def point_of(row: TableRow) -> KnownPoint | None:
    """Return the known point of a row; None: it is monitored. Raises ValueError for its role."""
    if row.role:
        return _named(row)
    known = find_known(row.name)
    return known if known is not None and not _find_reason(row, known) else None


def _named(row: TableRow) -> KnownPoint | None:
    """Return the point that the column `role` names."""
    text = row.role.casefold()
    if text == MONITOR:
        return None
    known = _POINTS.get(ROLES.get(text, text).casefold())
    if known is None:
        names = ", ".join([*ROLES, MONITOR])
        raise ValueError(f"role {row.role!r} is none of {names}, and no name of a point")
    if known.is_written and not row.is_written:
        raise ValueError(f"role {row.role!r} needs access RW: the table permits no write")
    if row.kind == "bits":
        raise ValueError(f"role {row.role!r}: a register of bits has no value")
    if _has_no_unit(row):
        raise ValueError(f"role {row.role!r} needs a unit: give it")
    return known


def describe_unclear(row: TableRow) -> str:
    """Return why a row that resembles a known point is only monitored; empty if it is clear."""
    known = find_known(row.name)
    if row.role or is_flags(row) or known is None:
        return ""
    reason = _find_reason(row, known)
    return f"{row.name!r} is not taken as {known.point}: {reason}" if reason else ""


def is_open(row: TableRow) -> bool:
    """Return whether a person must name the role of an unclear row: it could be an output."""
    known = find_known(row.name)
    is_output = known is not None and known.is_written and row.is_written
    return is_output and bool(describe_unclear(row)) and not _has_no_unit(row)


def is_flags(row: TableRow) -> bool:
    """Return whether a register holds bits."""
    is_word = re.search(r"\b(status|alarms?|faults?|warnings?)\b", row.name.casefold()) is not None
    is_plain = not row.unit and not row.role and row.kind in ("u16", "i16")
    return row.kind == "bits" or (is_word and is_plain)


def free_name(name: str) -> str:
    """Return the name of a monitored point: never that of a point which the agent knows."""
    return f"{name}Monitored" if name.casefold() in _POINTS else name


def _find_reason(row: TableRow, known: KnownPoint) -> str:
    words = re.findall(r"[^\W\d_]+", re.sub("(?<=[a-z])(?=[A-Z])", " ", row.name).casefold())
    if known.is_written:
        if not row.is_written:
            return "the access is not RW"
        permitted = (*_ANY_OUTPUT, *_OUTPUT_WORDS[known.point])
        other = [word for word in words if word not in permitted]
    else:
        other = [w for w in words if w in _NOT_MEASURED or w.startswith(_NOT_MEASURED_STEMS)]
    if other:
        return f"the name has the word {other[0]!r}"
    return "it has no unit" if _has_no_unit(row) else ""


def _has_no_unit(row: TableRow) -> bool:
    return row.unit.casefold().strip() in _NO_UNIT
