# SPDX-License-Identifier: Apache-2.0
"""Register image: all registers of the map from one snapshot.

Does not answer requests; see `deploy.northbound.modbus.requests`. An image is built once for each
record of the agent and is never changed. So all registers of one reply are of one time.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.northbound.modbus import layout
from deploy.northbound.snapshot import AlarmItem, Snapshot

_MARKER = (0x5375, 0x6E53)  # "SunS"
_COMMON, _STATUS, _READINGS, _SETPOINTS, _ALARMS, _END = 1, 64001, 64002, 64003, 64004, 0xFFFF
_UNKNOWN = layout.UNKNOWN["u16"]
_STATES = {"normal": 1, "degraded": 2, "safe": 3, "stopped": 4}
_ALARM_STATES = {
    "active_unacknowledged": 1,
    "active_acknowledged": 2,
    "cleared_unacknowledged": 3,
    "shelved": 4,
}
_UNACKNOWLEDGED = ("active_unacknowledged", "cleared_unacknowledged")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class SlotState:
    """Result of the writes to one set-point. `wanted`: counts, None: none was written."""

    wanted: int | None = None
    result: int = 0
    reason: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class WriteState:
    """State of the set-points. `left_s`: rest of the keep-alive time, 0: none."""

    enabled: bool = False
    keep_alive: int = 0
    left_s: int = 0
    slots: Mapping[str, SlotState] = field(default_factory=dict)


def build_image(snapshot: Snapshot, writes: WriteState) -> list[int]:
    """Return all registers; a test compares their addresses with `layout`."""
    image = [*_MARKER, _COMMON, layout.COMMON_LENGTH, *_common(snapshot)]
    image += [_STATUS, layout.STATUS_LENGTH, *_status(snapshot, writes)]
    image += [_READINGS, layout.READINGS_LENGTH, *_readings(snapshot)]
    image += [_SETPOINTS, layout.SETPOINTS_LENGTH, *_setpoints(snapshot, writes)]
    image += [_ALARMS, layout.ALARM_WORDS, *_alarm_bits(snapshot.alarms)]
    return [*image, _END, 0]


def words(number: int, kind: str) -> list[int]:
    """Return the registers of a number, high word first."""
    if layout.SIZES[kind] == 1:
        return [number & 0xFFFF]
    return [number >> 16 & 0xFFFF, number & 0xFFFF]


def text_words(text: str, count: int) -> list[int]:
    """Return `count` registers with two ASCII characters each, filled with NUL."""
    data = text.encode("ascii", "replace")[: 2 * count].ljust(2 * count, b"\0")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]


def _common(snapshot: Snapshot) -> list[int]:
    """SunSpec model 1: texts of 16, 16, 8, 8, 16 registers, device address, pad."""
    identity = snapshot.identity
    registers = text_words(identity.manufacturer, 16) + text_words(identity.model, 16)
    registers += text_words(f"{identity.site}/{identity.unit}", 8)
    registers += text_words(snapshot.software, 8) + text_words(identity.serial_number, 16)
    return [*registers, 1, 0x8000]


def _status(snapshot: Snapshot, writes: WriteState) -> list[int]:
    """Without a recent record the alarms are not known; a bit cannot say that, a register does."""
    alarms = [alarm for alarm in snapshot.alarms if alarm.state != "shelved"]
    listed = sorted(snapshot.alarms, key=_importance)[: layout.LISTED_ALARMS]
    rest = [0] * (layout.LISTED_ALARMS - len(listed))
    age = snapshot.age_ms
    counts = [
        len([alarm for alarm in alarms if alarm.active]),
        min((alarm.priority for alarm in alarms if alarm.active), default=0),
        len([alarm for alarm in alarms if alarm.state in _UNACKNOWLEDGED]),
    ]
    entries = [a.number for a in listed] + rest
    entries += [a.priority << 8 | _ALARM_STATES.get(a.state, 0) for a in listed] + rest
    if snapshot.stale:
        counts, entries = [_UNKNOWN] * len(counts), [_UNKNOWN] * len(entries)
    registers = [
        layout.MAP_VERSION,
        snapshot.sequence & 0xFFFF,
        _UNKNOWN if age is None else min(age // 100, _UNKNOWN - 1),
        0 if snapshot.stale else _STATES.get(snapshot.unit_state, 0),
        *counts,
        int(writes.enabled),
        *words(_utc_seconds(snapshot), "u32"),
        _bound_ms(snapshot),
        int(not snapshot.stale),
        *_quality_bits(snapshot),
        *entries,
    ]
    return registers + [0] * (layout.STATUS_LENGTH - len(registers))


def _importance(alarm: AlarmItem) -> tuple[bool, bool, int, int, str]:
    """Active alarms that are not shelved come first, then by priority and number."""
    return alarm.state == "shelved", not alarm.active, alarm.priority, alarm.number, alarm.id


def _utc_seconds(snapshot: Snapshot) -> int:
    if snapshot.utc is None:
        return layout.UNKNOWN["u32"]
    return int((snapshot.utc - _EPOCH).total_seconds()) & 0xFFFF_FFFF


def _bound_ms(snapshot: Snapshot) -> int:
    """Error bound of UTC, rounded up to ms; not known if it does not fit."""
    bound = snapshot.utc_bound_us
    if snapshot.utc is None or bound is None or bound > 1000 * (_UNKNOWN - 1):
        return _UNKNOWN
    return -(-bound // 1000)


def _quality_bits(snapshot: Snapshot) -> list[int]:
    """One bit for each register of the readings: 1 is a good value. Bit 0 is the lowest."""
    registers = [0] * layout.QUALITY_WORDS
    for key, place in layout.register_fields().items():
        if snapshot.points[key].quality == "good":
            at = place.address - layout.READINGS
            for register in range(at, at + layout.SIZES[place.kind]):
                registers[register // 16] |= 1 << register % 16
    return registers


def _readings(snapshot: Snapshot) -> list[int]:
    registers = [_UNKNOWN] * layout.READINGS_LENGTH
    for key, place in layout.register_fields().items():
        at, values = place.address - layout.READINGS, snapshot.points[key]
        filled = words(place.counts(values.raw), place.kind)
        registers[at : at + len(filled)] = filled
    return registers


def _setpoints(snapshot: Snapshot, writes: WriteState) -> list[int]:
    registers = [writes.keep_alive, writes.left_s]
    for key in layout.SETPOINT_SLOTS:
        place = layout.register_fields()[key]
        setpoint = snapshot.setpoints.get(key)
        state = writes.slots.get(key, SlotState())
        unknown = layout.UNKNOWN[place.kind]
        limits = [place.counts(x) for x in (setpoint.low, setpoint.high)] if setpoint else []
        configured = place.counts(setpoint.configured if setpoint else None)
        values = [
            unknown if state.wanted is None else state.wanted,
            place.counts(snapshot.points[key].raw),
            *(limits or [unknown, unknown]),
        ]
        registers += [value & 0xFFFF for value in values]
        registers += [state.result, state.reason, state.writes & 0xFFFF, configured & 0xFFFF]
    return registers + [0] * (layout.SETPOINTS_LENGTH - len(registers))


def _alarm_bits(alarms: tuple[AlarmItem, ...]) -> list[int]:
    """Bit n of the model is alarm number n: its condition is present. Bit 0 is the lowest."""
    registers = [0] * layout.ALARM_WORDS
    for alarm in alarms:
        if alarm.active and 0 < alarm.number < 16 * layout.ALARM_WORDS:
            registers[alarm.number // 16] |= 1 << alarm.number % 16
    return registers
