# SPDX-License-Identifier: Apache-2.0
"""Makes a device profile from the rows of a register table.

Does not read tables (`hil.tools.commission.inputs.register_table`) and does not check the profile
(`drivers.device.profile_check`). The name of a row decides what the point is: "supply temperature"
becomes `SupplyTemperatureCelsius`, which the agent knows. Units are converted to those of the
agent. A row with an unknown name becomes a point for the telemetry.
"""

import re
import unicodedata
from fractions import Fraction
from typing import Any

from hil.errors import BenchError
from hil.tools.commission.inputs.bit_names import TableBit
from hil.tools.commission.inputs.register_table import WIDE_BITS, TableRow
from hil.tools.commission.inputs.row_roles import KnownPoint, find_known, free_name, point_of
from hil.tools.commission.inputs.row_states import (
    ALARM,
    ALARM_AT_0,
    MONITOR,
    alarm_bits,
    bit_meaning,
    is_alarm_word,
    is_all_alarms,
    is_flags,
    other_values,
)

Raw = dict[str, Any]

_UNITS: dict[str, tuple[str, Fraction]] = {
    "": ("1", Fraction(1)),
    "°c": ("Cel", Fraction(1)),
    "c": ("Cel", Fraction(1)),
    "degc": ("Cel", Fraction(1)),
    "℃": ("Cel", Fraction(1)),
    "k": ("K", Fraction(1)),
    "kpa": ("kPa", Fraction(1)),
    "bar": ("kPa", Fraction(100)),
    "mbar": ("kPa", Fraction(1, 10)),
    "psi": ("kPa", Fraction(6_894_757, 1_000_000)),
    "l/min": ("L/min", Fraction(1)),
    "lpm": ("L/min", Fraction(1)),
    "l/s": ("L/min", Fraction(60)),
    "m3/h": ("L/min", Fraction(1000, 60)),
    "m³/h": ("L/min", Fraction(1000, 60)),
    "%": ("%", Fraction(1)),
    "rpm": ("rpm", Fraction(1)),
    "kw": ("kW", Fraction(1)),
    "w": ("kW", Fraction(1, 1000)),
    "hz": ("Hz", Fraction(1)),
    "v": ("V", Fraction(1)),
    "a": ("A", Fraction(1)),
}
"""Unit of a table, in small letters: unit of the agent (UCUM), factor."""


_TWO_WORDS = ("u32", "i32", "f32")
_STEP = {"Cel": (1, 100), "kPa": (1, 10), "%": (1, 100)}
"""Unit: one step of a register as a fraction."""
_RAW_RANGE = {
    "u16": (0, 0xFFFF),
    "i16": (-0x8000, 0x7FFF),
    "u32": (0, 0xFFFFFFFF),
    "i32": (-0x80000000, 0x7FFFFFFF),
}
"""Type: its lowest and highest value."""


def draft_profile(rows: list[TableRow], model: str, source: str, table: str = "table") -> Raw:
    """Return the profile; `source`: its origin.

    Raises BenchError with a line for each row that it cannot convert: table, line, text.
    """
    raw: Raw = {
        "model": model,
        "title": f"{model}, from a register table",
        "source": source,
        "met_hardware": False,
        "notation": "base0",
        "points": [],
        "flags": [],
        "defaults": {"unit": "1"},
    }
    errors: list[str] = []
    taken: set[str] = set()
    for row in rows:
        try:
            name = _add_row(raw, _monitor_if_numbered(row, taken))
        except ValueError as error:
            errors.append(f"{table}:{row.line}: {error}")
            continue
        if name in taken:
            problem = f"{row.name!r} is {name}, which a line above is already; rename one "
            problem += f"of them, or give it the role {MONITOR}"
            errors.append(f"{table}:{row.line}: {problem}")
        taken.add(name)
    if errors:
        raise BenchError("\n".join(errors))
    _add_roles(raw)
    return {key: value for key, value in raw.items() if value != []}


def _monitor_if_numbered(row: TableRow, taken: set[str]) -> TableRow:
    """Return a row; a second measured value with a number, such as "pump 2 speed", is monitored."""
    known = point_of(row) if not row.role else None
    is_next = known is not None and not known.is_written and known.point in taken
    return row._replace(role=MONITOR) if is_next and re.search("[0-9]", row.name) else row


def row_names(row: TableRow) -> list[str]:
    """Return the names that a row can have in the profile: of its point, or of its bits."""
    try:
        known = point_of(row)
    except ValueError:
        known = None
    texts = [
        row.name,
        *(bit.name for bit in row.bits.values()),
        *(f"{row.name} bit {i}" for i in range(32)),
    ]
    names = [*map(_camel, texts)]
    groups = [f"{names[0]}{end}" for end in ("Register1", "Register2", "Values")]
    return [*([known.point] if known else []), *names, *groups, free_name(names[0])]


def _camel(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    words = re.findall("[A-Za-z0-9]+", "".join(c for c in plain if not unicodedata.combining(c)))
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if name[:1].isalpha() else f"N{name}"


def _add_row(raw: Raw, row: TableRow) -> str:
    """Add a row to the points or flags; return its name. Raises ValueError."""
    known = point_of(row)
    if row.values and known is not None:
        raise ValueError(f"role {row.role!r}: a register of states has no value")
    if is_flags(row):
        return _add_flags(raw, row)
    if row.values and row.role.casefold() != MONITOR:
        _add_alarm_values(raw, row)
    unit, factor = _convert_unit(row, known)
    if known is not None and unit != known.unit:
        raise ValueError(
            f"{row.name!r} is in {row.unit}; {known.point} needs {known.unit}: correct the unit or "
            "the name"
        )
    scale = row.scale * factor
    point: Raw = {
        "name": known.point if known else free_name(_camel(row.name)),
        "address": row.address,
    }
    if row.function == 4:
        point["function"] = 4
    point.update({"type": row.kind, "unit": unit})
    if row.order and row.kind in _TWO_WORDS:
        point["order"] = row.order
    if scale != 1:
        point["scale"] = [scale.numerator, scale.denominator]
    if row.kind == "f32":
        point["step"] = list(_STEP.get(unit, (1, 100)))
    if known is None:
        point["poll"] = "slow"
    _add_range(point, row, known, scale, _is_written(row, known))
    raw["points"].append(point)
    return str(point["name"])


def _convert_unit(row: TableRow, known: KnownPoint | None) -> tuple[str, Fraction]:
    """Return the unit of the agent and the factor. An unknown one of a monitored row is text."""
    name = row.unit.casefold().replace(" ", "")
    if name in _UNITS:
        return _UNITS[name]
    if known is not None or _is_written(row, known) or not row.unit.isprintable():
        raise ValueError(f"unit {row.unit!r} is unknown; use °C, kPa, bar, L/min, m3/h or %")
    return row.unit, Fraction(1)


def _is_written(row: TableRow, known: KnownPoint | None) -> bool:
    """Return whether the point can be written: never with access R, or if it is only monitored."""
    is_monitored = known is None and (bool(row.role) or find_known(row.name) is not None)
    return row.is_written and not is_monitored


def _add_range(
    point: Raw, row: TableRow, known: KnownPoint | None, scale: Fraction, is_written: bool
) -> None:
    """Add the limits of a written point, or the plausible range of a measured one."""
    low = Fraction(known.low) if known else None
    high = Fraction(known.high) if known else None
    factor = scale / row.scale
    low = row.low * factor if row.low is not None else low
    high = row.high * factor if row.high is not None else high
    if low is None or high is None:
        if is_written:
            raise ValueError(f"{row.name!r} can be written: give min and max, or role {MONITOR}")
        return
    if is_written and known is not None and not known.low <= low <= high <= known.high:
        raise ValueError(
            f"min {float(low):g} and max {float(high):g} are not within {known.low} to "
            f"{known.high} {known.unit}, the range of {known.point}; correct them"
        )
    if not low < high:
        raise ValueError(f"min {float(low):g} is not below max {float(high):g}; exchange them")
    unit = scale
    if "step" in point:
        unit = Fraction(point["step"][0], point["step"][1])
    first, last = -(-low // unit), high // unit
    if row.kind in _RAW_RANGE:
        lowest, highest = _RAW_RANGE[row.kind]
        for key, given, count in (("min", row.low, first), ("max", row.high, last)):
            if given is not None and not lowest <= count <= highest:
                raise ValueError(
                    f"{key} {float(given):g} does not fit into {row.kind}; correct it, or the type"
                )
        first, last = max(first, _RAW_RANGE[row.kind][0]), min(last, _RAW_RANGE[row.kind][1])
    if is_written:
        point["write"], point["limits"] = True, [int(first), int(last)]
    else:
        point["min"], point["max"] = int(first), int(last)


def _add_flags(raw: Raw, row: TableRow) -> str:
    """Add the group of a register of bits; a value of two registers has two groups."""
    name = _camel(row.name)
    is_wide = row.kind in (WIDE_BITS, "u32", "i32")
    for word, bits in enumerate(_place_bits(row, is_wide)):
        if not bits:
            continue
        suffix = f"Register{word + 1}" if is_wide else ""
        names = [_camel(bits[i].name) if i in bits else None for i in range(max(bits) + 1)]
        flags: Raw = {"name": name + suffix, "address": row.address + word, "bits": names}
        raw["flags"].append(flags)
        if row.function == 4:
            flags["function"] = 4
        flags.update(_alarm_places(row, bits))
    return name


def _add_alarm_values(raw: Raw, row: TableRow) -> None:
    """Add the bits that show the values which are alarms, or have no name."""
    values = row.values or {}
    bits = dict(alarm_bits(values) or {})
    bits.update({bit: (f"other value {1 << bit}", False) for bit in other_values(values)})
    if not bits:
        return
    name = _camel(row.name)
    names = [_camel(f"{row.name} {bits[i][0]}") if i in bits else None for i in range(16)]
    flags: Raw = {"name": f"{name}Values", "address": row.address, "bits": names[: max(bits) + 1]}
    if row.function == 4:
        flags["function"] = 4
    flags["alarm"] = sorted(bits)
    inverted = sorted(bit for bit, (_, is_inverted) in bits.items() if is_inverted)
    if inverted:
        flags["invert"] = inverted
    raw["flags"].append(flags)


def _place_bits(row: TableRow, is_wide: bool) -> list[dict[int, TableBit]]:
    """Return the bits of each register of the row, by their place."""
    count = 32 if is_wide else 16
    unnamed = {i: TableBit(f"{row.name} bit {i}", ALARM) for i in range(count)}
    is_whole = not row.bits or (row.role.casefold() != MONITOR and is_all_alarms(row))
    named = {**unnamed, **row.bits} if is_whole else row.bits
    groups: list[dict[int, TableBit]] = [{} for _ in range(1 + is_wide)]
    is_low_first, is_swapped = row.order in ("CDAB", "DCBA"), row.order in ("BADC", "DCBA")
    for number, bit in named.items():
        word = number // 16 if is_low_first or not is_wide else 1 - number // 16
        groups[word][number % 16 ^ (8 if is_swapped else 0)] = bit
    return groups


def _alarm_places(row: TableRow, bits: dict[int, TableBit]) -> Raw:
    """Return the keys of a group for its alarms. A bit that is not understood is none yet."""
    if row.role.casefold() == MONITOR:
        return {}
    if not row.bits:
        return {"alarm": True} if is_alarm_word(row) else {}
    meanings = {place: bit_meaning(row, bit) for place, bit in bits.items()}
    alarms = sorted(i for i, meaning in meanings.items() if meaning in (ALARM, ALARM_AT_0))
    inverted = sorted(i for i, meaning in meanings.items() if meaning == ALARM_AT_0)
    found: Raw = {"alarm": True if len(alarms) == len(bits) else alarms} if alarms else {}
    return {**found, "invert": inverted} if inverted else found


def _alarm_names(group: Raw) -> list[str]:
    """Return the names of the bits of a group that are alarms."""
    alarms = group.get("alarm", [])
    return [bit for i, bit in enumerate(group["bits"]) if bit and (alarms is True or i in alarms)]


def _add_roles(raw: Raw) -> None:
    """Add the roles for which the points exist."""
    names = {point["name"] for point in raw["points"]}
    written = {point["name"] for point in raw["points"] if point.get("write")}
    for role, setpoint, feedback in (
        ("pump", "PumpSpeedControlPercent", "PumpSpeedPercent"),
        ("fan", "FanSpeedControlPercent", "FanSpeedPercent"),
        ("valve", "ValvePositionControlPercent", "ValvePositionPercent"),
    ):
        if setpoint in written:
            raw[role] = {"setpoint": setpoint}
            if feedback in names:
                raw[role]["feedback"] = feedback
    if "pump" in raw:
        bits = [bit for group in raw["flags"] for bit in _alarm_names(group)]
        trip = [bit for bit in bits if re.search("pump.*(fault|trip)", bit.casefold())]
        if trip:
            raw["pump"]["trip"] = trip[0]
    cdu = {
        key: name
        for key, name in (
            ("supply", "SupplyTemperatureControlCelsius"),
            ("dp", "DeltaPressureControlkPa"),
        )
        if name in written
    }
    if cdu:
        raw["cdu"] = cdu
