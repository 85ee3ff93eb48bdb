# SPDX-License-Identifier: Apache-2.0
"""Object identifiers and values of the unit: one sorted list for each snapshot.

Does not speak to snmpd; see `responder`. `mib_text` writes the MIB from the same tables. A value
that is not known has no instance, so a manager gets noSuchInstance and never an old value; the
table of all points has its quality. Types are those of pass_persist (snmpd.conf(5)).
"""

import bisect
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from deploy.northbound.points.point_table import PointRow, columns, point_table
from deploy.northbound.snapshot import AlarmItem, Snapshot

Oid = tuple[int, ...]

ENTERPRISES: Oid = (1, 3, 6, 1, 4, 1)
PLAYGROUND: Oid = (*ENTERPRISES, 8072, 9999, 9999)
"""netSnmpPlaygroundOID: the default while the project has no enterprise number."""
ROOT: Oid = (*PLAYGROUND, 4710)
"""Root of all numbers here. `northbound.snmp.oid` can name another one; see `moved`."""
NOTIFICATIONS, OBJECTS = (*ROOT, 0), (*ROOT, 1)
UNIT, READINGS, TABLES, ALARMS = ((*OBJECTS, n) for n in range(1, 5))
TABLE_NUMBERS = {"Point": 1, "Pump": 2, "Fan": 3, "LeakDetector": 4}
STATES = ("unknown", "normal", "degraded", "safe", "stopped")
QUALITIES = ("good", "uncertain", "bad", "absent")
ALARM_STATES = (
    "activeUnacknowledged",
    "activeAcknowledged",
    "clearedUnacknowledged",
    "shelved",
)
_SNAPSHOT_STATES = (
    "active_unacknowledged",
    "active_acknowledged",
    "cleared_unacknowledged",
    "shelved",
)
_PASS_TYPES = {
    "Integer32": "integer",
    "Unsigned32": "gauge",
    "Counter64": "counter64",
    "TruthValue": "integer",
    "UnitState": "integer",
    "Enum": "integer",
}
_RANGES = {
    "Integer32": (-(2**31), 2**31 - 1),
    "Unsigned32": (0, 2**32 - 1),
    "Counter64": (0, 2**64 - 1),
}
"""Type of a value: its lowest and highest value."""
_LONGEST_TEXT = 255


@dataclass(frozen=True, slots=True)
class SnmpValue:
    """A value as pass_persist writes it: a type word and one line."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class SnmpPoint:
    """A point in the MIB. `oid`: its instance."""

    row: PointRow
    name: str
    type: str
    divisor: int
    units: str
    oid: Oid
    index: int

    def value(self, raw: int | None) -> SnmpValue | None:
        """Return the value of a raw value; None: not known, or it does not fit the type."""
        if raw is None:
            return None
        if self.type == "TruthValue":
            return SnmpValue("integer", "1" if raw else "2")
        if self.type == "UnitState":
            return SnmpValue("integer", str(raw + 1)) if raw < len(STATES) else None
        if self.type == "Enum":
            return SnmpValue("integer", str(raw + 1))
        value = raw if self.divisor == 1 else round(raw / self.divisor)
        low, high = _RANGES[self.type]
        return SnmpValue(_PASS_TYPES[self.type], str(value)) if low <= value <= high else None


@cache
def snmp_points() -> Mapping[str, SnmpPoint]:
    """Return the points of points/snmp.toml by key. Raises ValueError: a number is used twice."""
    result: dict[str, SnmpPoint] = {}
    for key, column in columns("snmp").items():
        row = point_table()[key]
        result[key] = _point(row, dict(column))
    for numbers in ([p.oid for p in result.values()], [p.index for p in result.values()]):
        if len(set(numbers)) != len(numbers):
            raise ValueError("snmp.toml: a number is used twice")
    return result


def _point(row: PointRow, column: dict[str, Any]) -> SnmpPoint:
    table = column.get("table")
    if table is None:
        oid: Oid = (*READINGS, column["at"], 0)
    else:
        oid = (*TABLES, TABLE_NUMBERS[table], 1, column["at"], row.instance)
    return SnmpPoint(
        row=row,
        name=column["name"],
        type=column["type"],
        divisor=column.get("divisor", 1),
        units=column["units"],
        oid=oid,
        index=column["index"] + max(0, row.instance - 1),
    )


def moved(oid: Oid, root: Oid) -> Oid:
    """Return an object identifier below `ROOT` as that below `root`."""
    return (*root, *oid[len(ROOT) :])


class SnmpTree:
    """The values of one snapshot below `root`, in the order of object identifiers."""

    def __init__(self, snapshot: Snapshot, root: Oid = ROOT) -> None:
        self.values = {moved(oid, root): value for oid, value in _all_values(snapshot)}
        self._order = sorted(self.values)

    def get(self, oid: Oid) -> SnmpValue | None:
        """Return the value of an instance."""
        return self.values.get(oid)

    def following(self, oid: Oid) -> tuple[Oid, SnmpValue] | None:
        """Return the first instance after an object identifier."""
        at = bisect.bisect_right(self._order, oid)
        if at == len(self._order):
            return None
        return self._order[at], self.values[self._order[at]]


def _all_values(snapshot: Snapshot) -> Iterator[tuple[Oid, SnmpValue]]:
    for number, value in unit_values(snapshot).items():
        if value is not None:
            yield (*UNIT, number, 0), value
    for key, point in snmp_points().items():
        value = point.value(snapshot.points[key].raw)
        if value is not None:
            yield point.oid, value
        yield from _point_row(point, snapshot, value)
    for index, alarm in alarm_rows(snapshot.alarms):
        for column, value in alarm_values(alarm).items():
            if value is not None:
                yield (*ALARMS, 1, 1, column, *index), value


def unit_values(snapshot: Snapshot) -> dict[int, SnmpValue | None]:
    """Return the scalars of the group coldloopUnit by number."""
    identity = snapshot.identity
    name = f"{identity.site}/{identity.unit}" if identity.unit else ""
    bound = snapshot.utc_bound_us
    fits = snapshot.utc is not None and bound is not None and bound < 2**32
    return {
        1: text(name),
        2: text(identity.manufacturer),
        3: text(identity.model),
        4: text(identity.serial_number),
        5: text(snapshot.software),
        6: SnmpValue("gauge", str(snapshot.sequence & 0xFFFF_FFFF)),
        7: None if snapshot.age_ms is None else _unsigned(snapshot.age_ms),
        8: date_and_time(snapshot.utc),
        9: SnmpValue("gauge", str(bound)) if fits else None,
        10: SnmpValue("integer", "2" if snapshot.stale else "1"),
    }


def _unsigned(number: int) -> SnmpValue:
    return SnmpValue("gauge", str(min(max(number, 0), 0xFFFF_FFFF)))


def _point_row(
    point: SnmpPoint, snapshot: Snapshot, value: SnmpValue | None
) -> Iterator[tuple[Oid, SnmpValue]]:
    """The row of a point in the table of all points."""
    measured = snapshot.points[point.row.key]
    entries = {
        2: text(point.row.title),
        3: text(value.text) if value is not None else None,
        4: text(point.units),
        5: SnmpValue("integer", str(1 + QUALITIES.index(measured.quality))),
        6: None if measured.age_ms is None else _unsigned(measured.age_ms),
        7: text(point.row.key),
    }
    for column, entry in entries.items():
        if entry is not None:
            yield (*TABLES, TABLE_NUMBERS["Point"], 1, column, point.index), entry


def alarm_rows(alarms: tuple[AlarmItem, ...]) -> Iterator[tuple[Oid, AlarmItem]]:
    """Return index and alarm: the number, and a count among the alarms of this number."""
    counts: dict[int, int] = {}
    for alarm in sorted(alarms, key=lambda a: (a.number, a.id)):
        counts[alarm.number] = counts.get(alarm.number, 0) + 1
        yield (alarm.number, counts[alarm.number]), alarm


def alarm_values(alarm: AlarmItem) -> dict[int, SnmpValue | None]:
    """Return the columns of an alarm by number."""
    state = _SNAPSHOT_STATES.index(alarm.state) if alarm.state in _SNAPSHOT_STATES else 0
    unit_state = STATES.index(alarm.unit_state) if alarm.unit_state in STATES else 0
    return {
        3: text(alarm.code),
        4: text(alarm.name),
        5: SnmpValue("integer", str(alarm.priority)),
        6: SnmpValue("integer", str(1 + state)),
        7: text(alarm.text),
        8: text(alarm.action),
        9: date_and_time(alarm.raised_utc),
        10: date_and_time(alarm.cleared_utc),
        11: SnmpValue("integer", str(1 + unit_state)),
    }


def text(content: str) -> SnmpValue:
    """Return a text as one printable line of at most 255 bytes of UTF-8 (SnmpAdminString)."""
    line = "".join(c if c.isprintable() else " " for c in content)
    data = line.encode("utf-8", "replace")[:_LONGEST_TEXT]
    return SnmpValue("string", data.decode("utf-8", "ignore"))


def date_and_time(at: dt.datetime | None) -> SnmpValue | None:
    """Return a DateAndTime in UTC (SNMPv2-TC), as hexadecimal octets; None: not known."""
    if at is None:
        return None
    at = at.astimezone(dt.UTC)
    octets = at.year.to_bytes(2, "big") + bytes(
        (at.month, at.day, at.hour, at.minute, at.second, at.microsecond // 100_000)
    )
    return SnmpValue("octet", " ".join(f"{b:02x}" for b in octets + b"+\0\0"))
