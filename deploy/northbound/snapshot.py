# SPDX-License-Identifier: Apache-2.0
"""Snapshot: all values of the unit at one time, as the servers see them.

Does not read files; see `deploy.northbound.record` for the record that the agent writes, and
`deploy.northbound.fake_source` for tests. A snapshot has all keys of the point table. A value that
is not known has the raw value None, never 0 and never an old value.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from deploy.northbound.points.point_table import point_table

QUALITIES = ("good", "uncertain", "bad", "absent")
"""absent: the unit does not have the point, or the record is stale."""
UNIT_STATES = ("normal", "degraded", "safe", "stopped", "unknown")
ALARM_STATES = (
    "active_unacknowledged", "active_acknowledged", "cleared_unacknowledged", "shelved",
)  # fmt: skip
STALE_MS = 3000
"""A record that is older than this has no valid values, ms."""
CLEARED_KEPT = 32
"""Ended alarms that the agent keeps, as in `agent.northbound.alarm_states`."""
RAISED, CLEARED, ACKNOWLEDGED = "raised", "cleared", "acknowledged"


@dataclass(frozen=True, slots=True)
class PointValue:
    """One value. `raw` * scale of the table is the value in the unit of the table.

    `raw`: None if the value is not known; then `quality` is bad or absent. `age_ms`: time since
    the reading; None: not known.
    """

    key: str
    raw: int | None
    quality: str
    age_ms: int | None


@functools.cache
def absent_points() -> Mapping[str, PointValue]:
    """Return all points of the table without values; it cannot be changed."""
    points = {key: PointValue(key, None, "absent", None) for key in point_table()}
    return MappingProxyType(points)


@dataclass(frozen=True, slots=True)
class SetPoint:
    """A set-point. Raw values as in the point `key`; None: not known.

    `configured`: value of the configuration. `low`, `high`: limits for a change. `writable`:
    `northbound.writes` permits a change. `path`: its key in the configuration. `step`: largest
    difference of one change.
    """

    key: str
    configured: int | None
    low: int
    high: int
    writable: bool
    path: str = ""
    step: int = 0


@dataclass(frozen=True, slots=True)
class AlarmItem:
    """One alarm. `number`: of the catalogue, 0 if the code has no entry. `code`: without a source.

    `name`: the source, or "". `state`: one of `ALARM_STATES`. `text`: from the agent. `action`:
    what to do. `id`: the full code, unique in a snapshot. `priority`: 1 to 4, 1 is the highest.
    `unit_state`: the state that it causes. `shelved_ms`: time until it returns. `raised_ago_ms`:
    time since it was raised; it is known also while UTC is unknown. `acknowledged`: it is, also
    while it is shelved. `ended`: its condition is not present, also while UTC is unknown.
    """

    number: int
    code: str
    name: str
    priority: int
    state: str
    text: str
    action: str
    raised_utc: datetime | None = None
    cleared_utc: datetime | None = None
    unit_state: str = "normal"
    shelved_ms: int = 0
    raised_ago_ms: int = 0
    acknowledged: bool = False
    ended: bool = False

    @property
    def is_acknowledged(self) -> bool:
        """Whether a person has acknowledged the alarm."""
        return self.acknowledged or self.state == "active_acknowledged"

    @property
    def id(self) -> str:
        """Return the full code: `device_lost:valve`."""
        return f"{self.code}:{self.name}" if self.name else self.code

    @property
    def active(self) -> bool:
        """Whether the condition of the alarm is present."""
        is_over = self.ended or self.cleared_utc is not None
        return self.state != "cleared_unacknowledged" and not is_over


@dataclass(frozen=True, slots=True)
class ActuatorItem:
    """An actuator: the claim that holds it, its rank, its output in percent. None: not known."""

    name: str
    holder: str
    rank: int | None
    output: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DevicePoint:
    """A point of a device, `DEVICE.POINT`. Value in `unit`: raw * numerator / denominator.

    None: not known.
    """

    name: str
    raw: int | None
    numerator: int
    denominator: int
    unit: str
    quality: str
    age_ms: int | None

    def value(self) -> float | None:
        """Return the value in the unit; None: not known."""
        return None if self.raw is None else self.raw * self.numerator / self.denominator


@dataclass(frozen=True, slots=True)
class Identity:
    """Site and name of the unit, and the texts of its name plate (section `northbound`)."""

    site: str = ""
    unit: str = ""
    manufacturer: str = ""
    model: str = ""
    part_number: str = ""
    serial_number: str = ""
    production_date: str = ""
    location: str = ""
    asset_tag: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All values at one time. `sequence` grows by 1 with each record of the agent.

    `utc`: time of the record, None: the unit does not know UTC. `utc_bound_us`: its error bound.
    `stale`: no record, or an old one. `age_ms`: age of the record. `configuration`: counter of the
    last change and hash. `clock`, `link`, `software`, `details`: as the record has them. `devices`:
    all points of all devices.
    """

    sequence: int = 0
    age_ms: int | None = None
    stale: bool = True
    uptime_us: int = 0
    utc: datetime | None = None
    utc_bound_us: int | None = None
    unit_state: str = "unknown"
    points: Mapping[str, PointValue] = field(default_factory=absent_points)
    setpoints: Mapping[str, SetPoint] = field(default_factory=lambda: MappingProxyType({}))
    alarms: tuple[AlarmItem, ...] = ()
    actuators: tuple[ActuatorItem, ...] = ()
    identity: Identity = Identity()
    software: str = ""
    configuration: tuple[int, str] = (0, "")
    clock: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    link: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    details: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    devices: Mapping[str, DevicePoint] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_on_trial(self) -> bool:
        """Whether the unit tries a change, of whomever: the values in force are not kept yet."""
        return bool(self.trial)

    @property
    def trial(self) -> int:
        """The counter of the change on trial; 0: none."""
        remote = self.details.get("remote")
        found = remote.get("trial") if isinstance(remote, dict) else None
        return found if isinstance(found, int) else 0

    def aged(self, age_ms: int) -> "Snapshot":
        """Return this snapshot with the age of the record."""
        return dataclasses.replace(self, age_ms=age_ms)

    def value(self, key: str) -> float | None:
        """Return the value of a point in the unit of the table. None: not known."""
        raw = self.points[key].raw
        return None if raw is None else point_table()[key].value(raw)


class AlarmFollower:
    """Changes of the alarms since the last record: raised, cleared, acknowledged.

    An alarm leaves the list when it has ended and a person has acknowledged it, in any order. It
    also leaves when the agent starts again, or has more than `CLEARED_KEPT` ended alarms; that is
    no acknowledgement. A shelved alarm gives no change until its shelving ends: then it is raised
    again if it is active, else cleared. `alarms`, `uptime_us`: of the last record, by full code; µs
    of the agent.
    """

    def __init__(self, alarms: Mapping[str, AlarmItem] | None = None, uptime_us: int = 0) -> None:
        self.alarms, self.uptime_us = dict(alarms or {}), uptime_us

    def update(self, snapshot: Snapshot) -> list[tuple[str, AlarmItem]]:
        """Return (change, alarm) since the last record. A stale one knows no alarms."""
        if snapshot.stale:
            return []
        found = {alarm.id: alarm for alarm in snapshot.alarms}
        changes = [
            (change, alarm)
            for name, alarm in found.items()
            for change in _changes(self.alarms.get(name), alarm)
        ]
        kept = sum(not alarm.active for alarm in found.values())
        by_person = snapshot.uptime_us >= self.uptime_us and kept < CLEARED_KEPT
        for name, before in self.alarms.items():
            if name in found:
                continue
            is_shelved = before.state == "shelved"
            if before.active or is_shelved:
                changes.append((CLEARED, before))
            if by_person and not before.is_acknowledged and not (is_shelved and not before.active):
                changes.append((ACKNOWLEDGED, before))
        self.alarms, self.uptime_us = found, snapshot.uptime_us
        return changes


def _changes(before: AlarmItem | None, alarm: AlarmItem) -> list[str]:
    """Return what happened to an alarm that is in the list."""
    if alarm.state == "shelved":
        was = before is not None and before.is_acknowledged
        return [ACKNOWLEDGED] if alarm.active and alarm.is_acknowledged and not was else []
    if before is not None and before.state == "shelved":
        found = [RAISED] if alarm.active else [CLEARED]
        return [*found, ACKNOWLEDGED] if alarm.active and alarm.is_acknowledged else found
    if before is None or not before.active:
        found = [RAISED] if alarm.active else []
        was_acknowledged = False
    else:
        was_acknowledged = before.is_acknowledged
        if not alarm.active:
            return [CLEARED]
        if was_acknowledged and alarm.state == "active_unacknowledged":
            return [CLEARED, RAISED]  # it ended and came again between the two records
        found = []
    if alarm.is_acknowledged and not was_acknowledged:
        found.append(ACKNOWLEDGED)
    return found


class SnapshotReader(Protocol):
    """A source of snapshots."""

    def read(self) -> Snapshot:
        """Return the newest snapshot. Never raises: without a valid record all is not known."""
        ...
