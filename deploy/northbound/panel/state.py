# SPDX-License-Identifier: Apache-2.0
"""A snapshot as JSON for the page: values in the units of the point table, texts as texts.

Does not read the snapshot and does not escape: the page makes text nodes only. A value that is not
known is null. The parts that a unit can lack are lists or maps, which are then empty.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from deploy.northbound.access.types import TrialChange
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import AlarmItem, SetPoint, Snapshot

_MAX_TEXT = 400
_MAX_DEPTH = 6
_MAX_ITEMS = 200


def state_json(snapshot: Snapshot) -> dict[str, Any]:
    """Return the state that the page shows."""
    identity = snapshot.identity
    return {
        "sequence": snapshot.sequence,
        "stale": snapshot.stale,
        "age_ms": snapshot.age_ms,
        "utc": _time(snapshot.utc),
        "utc_bound_us": snapshot.utc_bound_us,
        "uptime_s": snapshot.uptime_us // 1_000_000,
        "unit_state": snapshot.unit_state,
        "identity": {name: _plain(getattr(identity, name)) for name in identity.__slots__},
        "software": _plain(snapshot.software),
        "configuration": [snapshot.configuration[0], _plain(snapshot.configuration[1])],
        "points": {
            key: [_rounded(snapshot.value(key)), point.quality, point.age_ms]
            for key, point in snapshot.points.items()
        },
        "setpoints": {key: _setpoint(item) for key, item in snapshot.setpoints.items()},
        "alarms": [_alarm(item) for item in snapshot.alarms],
        "actuators": [
            [
                _plain(actuator.name),
                _plain(actuator.holder),
                actuator.rank,
                _rounded(actuator.output),
                _plain(actuator.reason),
            ]
            for actuator in snapshot.actuators
        ],
        "clock": _plain(snapshot.clock),
        "link": _plain(snapshot.link),
        "details": _plain(snapshot.details),
    }


def trial_json(trial: TrialChange | None) -> dict[str, Any] | None:
    """Return the change on trial for the page; its set-point can be unknown."""
    if trial is None:
        return None
    change = trial.change
    value = None if change is None else _rounded(point_table()[change.key].value(change.raw))
    key = None if change is None else change.key
    return {"counter": trial.counter, "key": key, "value": value}


def _alarm(item: AlarmItem) -> dict[str, Any]:
    return {
        "id": _plain(item.id),
        "number": item.number,
        "code": _plain(item.code),
        "name": _plain(item.name),
        "priority": item.priority,
        "state": item.state,
        "active": item.active,
        "text": _plain(item.text),
        "action": _plain(item.action),
        "raised": _time(item.raised_utc),
        "cleared": _time(item.cleared_utc),
        "raised_ago_s": item.raised_ago_ms // 1000,
        "shelved_s": item.shelved_ms // 1000,
        "unit_state": item.unit_state,
    }


def _setpoint(item: SetPoint) -> dict[str, Any]:
    row = point_table()[item.key]
    configured = None if item.configured is None else _rounded(row.value(item.configured))
    low, high = _rounded(row.value(item.low)), _rounded(row.value(item.high))
    step = _rounded(row.value(item.step))
    limits = {"low": low, "high": high, "step": step}
    return {"configured": configured, **limits, "writable": item.writable}


def _rounded(value: float | None) -> float | None:
    """Return a value without the last digits of its scale; not finite: None."""
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(value: object, depth: int = 0) -> Any:
    """Return a part of the record as JSON values, bounded in length and depth."""
    if isinstance(value, str):
        return value[:_MAX_TEXT]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return _rounded(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        pairs = list(value.items())[:_MAX_ITEMS]
        return {str(key)[:_MAX_TEXT]: _plain(item, depth + 1) for key, item in pairs}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value[:_MAX_ITEMS]]
    return None
