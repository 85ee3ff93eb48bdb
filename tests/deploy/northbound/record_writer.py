# SPDX-License-Identifier: Apache-2.0
"""Writes a snapshot as the record of points of the agent, for programs that read the file."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.northbound.snapshot import AlarmItem, Snapshot
from drivers.ports.cpython.clock import monotonic

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATES = ("normal", "degraded", "safe", "stopped")


def stamped(data: bytes, age_us: int = 0) -> bytes:
    """Return a record of a rig with a time of this machine; other files are not changed."""
    raw = json.loads(data)
    if "mono_us" in raw:
        raw["mono_us"] = monotonic() - age_us
    return json.dumps(raw).encode()


def write_record(folder: Path, snapshot: Snapshot) -> None:
    """Write points.json; the reader finds the values of the snapshot in it."""
    raw = {
        "version": 1,
        "mono_us": monotonic() - 1000 * (snapshot.age_ms or 0),
        "sequence": snapshot.sequence,
        "uptime_us": snapshot.uptime_us,
        "utc_us": _us(snapshot.utc),
        "bound_us": snapshot.utc_bound_us,
        "state": snapshot.unit_state,
        "points": {k: [v.raw, v.quality, v.age_ms] for k, v in snapshot.points.items()},
        "setpoints": {k: dataclasses.asdict(v) for k, v in snapshot.setpoints.items()},
        "alarms": [_alarm(alarm) for alarm in snapshot.alarms],
        "actuators": [],
        "identity": dataclasses.asdict(snapshot.identity),
        "clock": {},
        "link": {},
        "values": [],
    }
    part = folder / "points.part"
    part.write_text(json.dumps(raw))
    part.replace(folder / "points.json")


def _us(at: datetime | None) -> int | None:
    return None if at is None else round((at - _EPOCH).total_seconds() * 1_000_000)


def _alarm(alarm: AlarmItem) -> dict[str, Any]:
    return {
        "code": alarm.id,
        "state": alarm.state,
        "acknowledged": alarm.acknowledged,
        "severity": _STATES.index(alarm.unit_state),
        "shelved_ms": 0,
        "raised_ago_ms": 0,
        "text": alarm.text,
        "raised_utc_us": _us(alarm.raised_utc),
        "cleared_utc_us": _us(alarm.cleared_utc),
    }
