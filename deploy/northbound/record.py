# SPDX-License-Identifier: Apache-2.0
"""Reader of the record of points that the agent writes (`agent.northbound.point_record`).

Does not keep history. `SnapshotSource.read` never raises: without a valid, recent record all values
are not known. The age of a record is its `mono_us` against the monotonic clock of this machine,
which is also that of the agent. So the age is right at the first read, after a long pause between
two reads, and after a step of the system clock. At the first read the time of the file counts too:
the record can be from before a restart of the machine. A record from the future is not valid.

The folder belongs to the agent, but a reader must not wait for it: only a regular file is read, of
at most `_MAX_BYTES`, and no link is followed.
"""

import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.alarms.catalogue import catalogue
from deploy.northbound.points.point_table import PointRow, point_table
from deploy.northbound.snapshot import (
    ALARM_STATES,
    QUALITIES,
    STALE_MS,
    UNIT_STATES,
    ActuatorItem,
    AlarmItem,
    DevicePoint,
    Identity,
    PointValue,
    SetPoint,
    Snapshot,
    absent_points,
)
from drivers.ports.cpython.clock import monotonic

POINTS, LAYOUT = "points.json", "layout.json"
_VERSION = 1
_MAX_BYTES = 1 << 20
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAX_AHEAD_US = 100_000
_UNIT_STATES = ("normal", "degraded", "safe", "stopped")
_DETAILS = ("devices", "remote", "safety", "cooling", "commands", "pair", "group")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_US = 250 * 366 * 86_400 * 1_000_000
_QUALITY_NUMBERS = ("good", "bad")


class SnapshotSource:
    """The folder of the record. `software`: text of the version of the installed package.

    `clock`: the monotonic clock of the agent, µs.
    """

    def __init__(
        self, folder: Path, software: str = "", clock: Callable[[], int] = monotonic
    ) -> None:
        self._folder = folder
        self._software = software
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._written_us = 0
        self._snapshot = Snapshot()
        self._layout_stamp: tuple[int, int, int] | None = None
        self._layout: list[tuple[str, str, int, int]] = []

    def read(self) -> Snapshot:
        """Return the newest snapshot. Never raises."""
        stamp = _file_stamp(self._folder / POINTS)
        if stamp is None:
            return Snapshot(sequence=self._snapshot.sequence)
        if stamp != self._stamp:
            self._take(stamp)
        age_ms = max(0, (self._clock() - self._written_us) // 1000)
        snapshot = self._snapshot
        if snapshot.stale:
            return snapshot
        if age_ms > STALE_MS or snapshot.unit_state == "unknown":
            return Snapshot(
                sequence=snapshot.sequence, age_ms=age_ms, identity=snapshot.identity,
                software=self._software, configuration=snapshot.configuration,
            )  # fmt: skip
        return snapshot.aged(age_ms)

    def _take(self, stamp: tuple[int, int, int]) -> None:
        """Parse a new record. An invalid one leaves nothing of the record before."""
        is_first = self._stamp is None
        self._stamp = stamp
        try:
            raw = _read_json(self._folder / POINTS)
            self._take_layout()
            self._written_us = self._time_of(raw)
            if is_first:
                file_age_us = max(0, (time.time_ns() - stamp[0]) // 1000)
                self._written_us = min(self._written_us, self._clock() - file_age_us)
            self._snapshot = _snapshot(raw, self._layout, self._software)
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError,
                RecursionError, OverflowError):  # fmt: skip
            self._snapshot = Snapshot(sequence=self._snapshot.sequence)

    def _time_of(self, raw: dict[str, Any]) -> int:
        """Return the monotonic time of a record, µs. Raises ValueError: it is in the future."""
        written_us = _integer_or_none(raw["mono_us"])
        if written_us is None or written_us > self._clock() + _MAX_AHEAD_US:
            raise ValueError("not a time of this machine")
        return written_us

    def _take_layout(self) -> None:
        stamp = _file_stamp(self._folder / LAYOUT)
        if stamp == self._layout_stamp:
            return
        self._layout_stamp = stamp
        self._layout = []
        if stamp is not None:
            points = _read_json(self._folder / LAYOUT)["points"]
            self._layout = [
                (str(point[0]), str(point[1] or ""), int(point[2]), int(point[3]))
                for point in points
            ]


def _file_stamp(path: Path) -> tuple[int, int, int] | None:
    """Return what changes with each new file; None: no regular file."""
    try:
        info = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    if not stat.S_ISREG(info.st_mode):
        return None
    return info.st_mtime_ns, info.st_ino, info.st_size


def _read_json(path: Path) -> dict[str, Any]:
    with open(os.open(path, _OPEN_FLAGS), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        data = file.read(_MAX_BYTES + 1)
    raw = json.loads(data)
    if len(data) > _MAX_BYTES or not isinstance(raw, dict) or raw.get("version") != _VERSION:
        raise ValueError("not a record of this version")
    return raw


def _snapshot(
    raw: dict[str, Any], layout: list[tuple[str, str, int, int]], software: str
) -> Snapshot:
    remote = raw.get("remote") or {}
    counter = int((remote.get("last") or [0])[0])
    return Snapshot(
        sequence=int(raw["sequence"]),
        age_ms=0,
        stale=False,
        uptime_us=int(raw["uptime_us"]),
        utc=to_utc(raw["utc_us"]),
        utc_bound_us=_integer_or_none(raw["bound_us"]),
        unit_state=raw["state"] if raw["state"] in _UNIT_STATES else UNIT_STATES[-1],
        points=_points(raw["points"]),
        setpoints={key: _setpoint(key, value) for key, value in raw["setpoints"].items()},
        alarms=tuple(_alarm(alarm) for alarm in raw["alarms"]),
        actuators=tuple(_actuator(entry) for entry in raw["actuators"]),
        identity=_identity(raw["identity"]),
        software=software,
        configuration=(counter, str(remote.get("hash", ""))),
        clock=dict(raw["clock"]),
        link=dict(raw["link"] or {}),
        details={key: raw.get(key) for key in _DETAILS},
        devices=_devices(layout, raw["values"]),
    )


def _points(raw: Mapping[str, list[Any]]) -> Mapping[str, PointValue]:
    """Return all points of the table. A value outside of its limits is bad."""
    points = dict(absent_points())
    for key, row in point_table().items():
        if key in raw:
            points[key] = _point(row, *raw[key])
    return points


def _point(row: PointRow, raw: Any, quality: Any, age_ms: Any) -> PointValue:
    value = _integer_or_none(raw)
    word = quality if quality in QUALITIES else "bad"
    if value is None or not row.low <= value <= row.high:
        return PointValue(row.key, None, "absent" if word == "absent" else "bad", None)
    if word in {"bad", "absent"}:
        return PointValue(row.key, None, word, None)
    return PointValue(row.key, value, word, _integer_or_none(age_ms))


def _devices(
    layout: list[tuple[str, str, int, int]], values: list[list[Any]]
) -> Mapping[str, DevicePoint]:
    if len(layout) != len(values):
        return {}
    points = {}
    for entry, (raw, quality, age) in zip(layout, values, strict=True):
        name, unit, numerator, denominator = entry
        count, age_ms = _integer_or_none(raw), _integer_or_none(age)
        points[name] = DevicePoint(
            name, count, numerator, denominator, unit, _QUALITY_NUMBERS[quality], age_ms
        )
    return points


def _integer_or_none(value: Any) -> int | None:
    if value is not None and type(value) is not int:
        raise ValueError(value)
    return value


def to_utc(value: Any) -> datetime | None:
    """Return a time in µs since 1970 as a date; None stays None. Raises ValueError."""
    value = _integer_or_none(value)
    if value is None:
        return None
    if not 0 < value < _LONGEST_US:
        raise ValueError(value)
    return _EPOCH + timedelta(microseconds=value)


def _setpoint(key: str, raw: dict[str, Any]) -> SetPoint:
    return SetPoint(
        key,
        _integer_or_none(raw["configured"]),
        int(raw["low"]),
        int(raw["high"]),
        raw["writable"] is True,
        str(raw["path"]),
        int(raw["step"]),
    )


def _alarm(raw: dict[str, Any]) -> AlarmItem:
    """Return an alarm with its number, priority and action from the catalogue."""
    code, _, name = str(raw["code"]).partition(":")
    entry = catalogue().find(code)
    state = str(raw["state"])
    if state not in ALARM_STATES:
        raise ValueError(state)
    severity = int(raw["severity"])
    shelved_ms = int(raw["shelved_ms"])
    return AlarmItem(
        number=0 if entry is None else entry.number,
        code=code,
        name=name,
        priority=catalogue().priority(code),
        state=state,
        text=str(raw["text"]),
        action="" if entry is None else entry.do,
        raised_utc=to_utc(raw["raised_utc_us"]),
        cleared_utc=to_utc(raw["cleared_utc_us"]),
        unit_state=_UNIT_STATES[severity],
        shelved_ms=shelved_ms,
        raised_ago_ms=int(raw["raised_ago_ms"]),
        acknowledged=raw.get("acknowledged") is True,
        ended=raw.get("cleared") is True,
    )


def _actuator(raw: dict[str, Any]) -> ActuatorItem:
    output = _integer_or_none(raw["output_milli_pct"])
    return ActuatorItem(
        str(raw["name"]),
        str(raw["holder"]),
        _integer_or_none(raw["rank"]),
        None if output is None else output / 1000,
        str(raw["reason"]),
    )


def _identity(raw: dict[str, Any]) -> Identity:
    known = Identity.__dataclass_fields__
    return Identity(**{key: str(value) for key, value in raw.items() if key in known})
