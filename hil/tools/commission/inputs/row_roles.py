# SPDX-License-Identifier: Apache-2.0
"""The points that the agent knows, and which of them a row of a register table is.

Does not make a profile; see `hil.tools.commission.profile_draft`. The column `role` of the table
decides. Without it the name decides, with these limits: an output has access RW, a unit, and a name
in which each word is known. So "Pump control mode" and "Supply temperature alarm set-point" are no
outputs. In the name of a measured value each word is known, too: "Supply temperature limit" is
none, and "Filter differential pressure" is not that of the loop. A row that only resembles a point
is read and monitored, and is never written.

Registers of bits and alarm words are in `hil.tools.commission.inputs.row_states`.
"""

import re
from typing import NamedTuple

from hil.tools.commission.inputs.register_table import BITS, WIDE_BITS, TableRow
from hil.tools.commission.inputs.row_states import MONITOR, is_flags
from hil.tools.commission.inputs.state_words import split_words


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
DISPLAYED = tuple(known.point for known in KNOWN if known.is_written)
"""Outputs, whose value the display of the unit shows: it proves their scale."""
ROLES = {
    "pump": "PumpSpeedControlPercent",
    "fan": "FanSpeedControlPercent",
    "valve": "ValvePositionControlPercent",
    "temperature set-point": "SupplyTemperatureControlCelsius",
    "pressure set-point": "DeltaPressureControlkPa",
}
"""Short names of the outputs in the column `role`; the names of all known points are valid too."""
_POINTS = {known.point.casefold(): known for known in KNOWN}
_ANY_OUTPUT = (
    *("set", "point", "setpoint", "sp", "target", "command", "cmd", "control", "demand"),
    *("reference", "output", "value", "signal", "percent", "pct", "a", "b", "in", "of", "the"),
    *("secondary", "tcs", "cdu", "coolant"),
)
_UNIT_WORDS = ("percent", "pct", "celsius", "c", "kpa")
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
_ANY_MEASURED = (
    *("actual", "value", "measured", "current", "present", "reading", "sensor", "average", "mean"),
    *("secondary", "tcs", "cdu", "coolant", "fluid", "liquid", "loop", "of", "the", "in", "at"),
    *("a", "b", "c", "d", "f", "k", "p", "q", "t", "x", "y", "z", "feedback"),
)
_TEMPERATURE = ("temp", "temperature", "celsius", "degc")
_PRESSURE = ("press", "pressure", "kpa", "pressurek", "pa")
_FACILITY = ("primary", "facility", "fws", "water", "side", "chilled", "cooling")
_MEASURED_WORDS = {
    "PumpSpeedPercent": ("pump", "pumps", "speed", "percent", "pct", "rpm"),
    "FanSpeedPercent": ("fan", "fans", "speed", "percent", "pct", "rpm"),
    "ValvePositionPercent": (
        *("valve", "position", "opening", "percent", "pct", "actuator", "water", "control"),
        *("primary", "facility", "fws", "cooling"),
    ),
    "PrimaryFlowLitersPerMinute": (
        *("flow", "rate", "volume", "lpm", "liters", "per", "minute", *_FACILITY),
    ),
    "PrimarySupplyTemperatureCelsius": ("supply", "inlet", *_TEMPERATURE, *_FACILITY),
    "PrimaryReturnTemperatureCelsius": ("return", "outlet", *_TEMPERATURE, *_FACILITY),
    "DewPointCelsius": ("dew", "dewpoint", "point", "air", "room", *_TEMPERATURE),
    "SupplyTemperatureCelsius": ("supply", "outlet", *_TEMPERATURE),
    "ReturnTemperatureCelsius": ("return", "inlet", *_TEMPERATURE),
    "DeltaPressurekPa": ("diff", "differential", "difference", "delta", "dp", *_PRESSURE),
    "SupplyPressurekPa": ("supply", "outlet", *_PRESSURE),
    "ReturnPressurekPa": ("return", "inlet", *_PRESSURE),
    "FlowLitersPerMinute": ("flow", "rate", "volume", "lpm", "liters", "per", "minute"),
}
"""Measured value: the words that its name can have beside `_ANY_MEASURED`."""
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
    if row.kind in (BITS, WIDE_BITS):
        raise ValueError(f"role {row.role!r}: a register of bits has no value")
    if not row.unit:
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
    """Return whether a person must name the role of an unclear row.

    It could be an output, or the sensor of a loop.
    """
    known = find_known(row.name)
    if known is None or not row.unit or not describe_unclear(row):
        return False
    if known.is_written:
        return row.is_written
    return not any(_is_never_measured(word) for word in split_words(row.name))


def free_name(name: str) -> str:
    """Return the name of a monitored point: never that of a point which the agent knows."""
    return f"{name}Monitored" if name.casefold() in _POINTS else name


def _find_reason(row: TableRow, known: KnownPoint) -> str:
    words = split_words(row.name)
    if known.is_written:
        if not row.is_written:
            return "the access is not RW"
        permitted = (*_ANY_OUTPUT, *_OUTPUT_WORDS[known.point])
        other = [word for word in words if word not in permitted]
        other += ["in"] if _is_inlet(row.name, words) else []
    else:
        other = [word for word in words if _is_never_measured(word)]
        permitted = (*_ANY_MEASURED, *_MEASURED_WORDS[known.point])
        other += [word for word in words if word not in permitted]
    if other:
        return f"the name has the word {other[0]!r}"
    return "" if row.unit else "it has no unit"


def _is_inlet(name: str, words: list[str]) -> bool:
    """Return whether "in" is not that of a unit, as in "in %": "Temp in" is the inlet."""
    after = [words[i + 1] if i + 1 < len(words) else "" for i, w in enumerate(words) if w == "in"]
    return any(word not in _UNIT_WORDS and not (word == "" and "%" in name) for word in after)


def _is_never_measured(word: str) -> bool:
    return word in _NOT_MEASURED or word.startswith(_NOT_MEASURED_STEMS)
