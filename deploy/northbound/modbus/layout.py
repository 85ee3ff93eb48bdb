# SPDX-License-Identifier: Apache-2.0
"""Register map: where each value stands. The same map for functions 03 and 04, offset from 0.

Does not read values; see `deploy.northbound.modbus.image`. The map has the form of SunSpec: a
marker, the common model, models with their number and length, an end. So a SunSpec scanner can
walk through it. SunSpec has no model of a CDU; the numbers from 64001 are our own.

    0           marker "SunS"
    2           model 1, common: manufacturer, model, options, version, serial number
    70          model 64001, status
    132         model 64002, readings; points/modbus.toml has the registers
    286         model 64003, set-points
    322         model 64004, one bit for each alarm number
    388         end
"""

from dataclasses import dataclass
from functools import cache

from deploy.northbound.points.point_table import PointRow, columns, point_table

MAP_VERSION = 1
SIZES = {"i16": 1, "u16": 1, "i32": 2, "u32": 2}
"""Registers of each type; the high word is first."""
UNKNOWN = {"i16": 0x8000, "u16": 0xFFFF, "i32": 0x8000_0000, "u32": 0xFFFF_FFFF}
RANGES = {
    "i16": (-0x7FFF, 0x7FFF),
    "u16": (0, 0xFFFE),
    "i32": (-0x7FFF_FFFF, 0x7FFF_FFFF),
    "u32": (0, 0xFFFF_FFFE),
}
"""Lowest and highest value of each type; the remaining number means: not known."""

COMMON_LENGTH = 66
READINGS_LENGTH = 152
SETPOINT_SLOTS = ("supply_setpoint", "pressure_setpoint")
"""Points with a slot in the model of set-points, in its order. New ones are appended."""
SLOT_SIZE = 8
SETPOINTS_LENGTH = 2 + 4 * SLOT_SIZE
ALARM_WORDS = 64
LISTED_ALARMS = 16
QUALITY_WORDS = 10
STATUS_LENGTH = 12 + QUALITY_WORDS + 2 * LISTED_ALARMS + 6

COMMON_AT = 2
STATUS_AT = COMMON_AT + 2 + COMMON_LENGTH
READINGS_AT = STATUS_AT + 2 + STATUS_LENGTH
SETPOINTS_AT = READINGS_AT + 2 + READINGS_LENGTH
ALARMS_AT = SETPOINTS_AT + 2 + SETPOINTS_LENGTH
END_AT = ALARMS_AT + 2 + ALARM_WORDS
MAP_SIZE = END_AT + 2
"""Number of registers; a request outside gets exception 02."""

STATUS = STATUS_AT + 2
"""First register of the data of the status model; so are the next three."""
READINGS = READINGS_AT + 2
SETPOINTS = SETPOINTS_AT + 2
ALARMS = ALARMS_AT + 2

STATUS_FIELDS = {
    "map_version": 0,
    "heartbeat": 1,
    "age": 2,
    "state": 3,
    "alarm_count": 4,
    "worst_priority": 5,
    "unacknowledged": 6,
    "writes": 7,
    "utc": 8,
    "utc_bound": 10,
    "alarms_known": 11,
    "quality": 12,
    "alarms": 12 + QUALITY_WORDS,
    "alarm_states": 12 + QUALITY_WORDS + LISTED_ALARMS,
}
"""Offset of each field in the data of model 64001. `utc` has two registers."""

KEEP_ALIVE = SETPOINTS
"""Register that the client writes periodically while it sets set-points."""
KEEP_ALIVE_LEFT = SETPOINTS + 1
SLOT_FIELDS = {
    "wanted": 0,
    "active": 1,
    "least": 2,
    "most": 3,
    "result": 4,
    "reason": 5,
    "writes": 6,
    "configured": 7,
}
"""Offset of each field in a slot of a set-point. Only `wanted` can be written.

`active` is the value in force; `configured` the one to which the unit returns when it ends a limit.
"""


@dataclass(frozen=True, slots=True)
class RegisterField:
    """A point in the map: its register, type, and the value of one count in the unit."""

    row: PointRow
    address: int
    kind: str
    scale: float

    def counts(self, raw: int | None) -> int:
        """Return the number for a raw value; the number for "not known" outside the range."""
        if raw is None:
            return UNKNOWN[self.kind]
        low, high = RANGES[self.kind]
        counts = round(raw * self.row.scale / self.scale)
        return counts if low <= counts <= high else UNKNOWN[self.kind]

    def raw(self, counts: int) -> int:
        """Return the raw value of a register, which is signed for i16."""
        if self.kind == "i16" and counts >= 0x8000:
            counts -= 0x1_0000
        return self.row.raw(counts * self.scale)


@cache
def register_fields() -> dict[str, RegisterField]:
    """Return the place of each point by its key. Raises ValueError: two points overlap."""
    fields, used = {}, set[int]()
    for key, column in columns("modbus").items():
        row, size = point_table()[key], SIZES[column["type"]]
        at = column["at"] + max(0, row.instance - 1) * size
        span = set(range(at, at + size))
        if span & used or at + size > READINGS_LENGTH:
            raise ValueError(f"modbus.toml: {key}: register {at} is used twice or out of range")
        used |= span
        fields[key] = RegisterField(row, READINGS + at, column["type"], column["scale"])
    return fields


def slot_address(index: int, field: str) -> int:
    """Return the address of a field of a set-point."""
    return SETPOINTS + 2 + index * SLOT_SIZE + SLOT_FIELDS[field]
