# SPDX-License-Identifier: Apache-2.0
"""The reader of the record: a real record is complete; a bad, old or absent one has no values."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.catalogue import catalogue
from agent.core.alarm_record import DEGRADED, AlarmRecord
from agent.northbound.point_sources import UNITS, WHOLE
from deploy.northbound.points.point_table import point_table
from deploy.northbound.record import LAYOUT, POINTS, SnapshotSource
from deploy.northbound.snapshot import STALE_MS, Snapshot
from tests.portable.agent.northbound.test_component import WRITES, SiteRig, started


def write_record(rig: SiteRig, folder: Path) -> None:
    for name, data in rig.records.items():
        new = folder / f"{name}.new"
        new.write_bytes(data)
        os.replace(new, folder / name)


def change_record(folder: Path, **fields: Any) -> None:
    raw = json.loads((folder / POINTS).read_bytes())
    raw.update(fields)
    new = folder / "x.new"
    new.write_text(json.dumps(raw))
    os.replace(new, folder / POINTS)


def test_units_and_scales_are_those_of_the_table() -> None:
    for key, unit in UNITS.items():
        row = point_table()[key]
        assert (row.unit, row.scale) == (unit, 1 if unit in WHOLE else 0.001), key


def test_a_real_record_is_complete(tmp_path: Path) -> None:
    rig = started(WRITES, identity={"serial_number": "SN-1", "model": "M"})
    record = AlarmRecord("device_lost", DEGRADED, "no answer from", "device", True)
    rig.agent.alarms.update(record, "valve", True, rig.now, "no answer from valve")
    rig.run(2)
    write_record(rig, tmp_path)
    assert set(rig.record()["points"]) <= set(point_table())
    snapshot = SnapshotSource(tmp_path, "coldloop 1").read()
    assert not snapshot.stale
    assert snapshot.unit_state in {"normal", "degraded"}
    assert snapshot.value("supply_temperature") == pytest.approx(32, abs=5)
    assert snapshot.points["supply_temperature"].quality == "good"
    assert snapshot.points["facility_flow"].quality == "absent"
    assert set(snapshot.points) == set(point_table())
    assert snapshot.identity.serial_number == "SN-1"
    assert snapshot.configuration[1] == rig.manager.status(0).pairs[1][1]
    setpoint = snapshot.setpoints["supply_setpoint"]
    assert (setpoint.low, setpoint.high, setpoint.step) == (25_000, 35_000, 2_000)
    assert (setpoint.writable, setpoint.configured) == (True, 32_000)
    assert not snapshot.setpoints["pressure_setpoint"].writable
    alarm = next(a for a in snapshot.alarms if a.code == "device_lost")
    entry = catalogue().entries["device_lost"]
    assert (alarm.number, alarm.priority, alarm.action) == (entry.number, entry.priority, entry.do)
    assert (alarm.id, alarm.state) == ("device_lost:valve", "active_unacknowledged")
    assert [a.name for a in snapshot.actuators] == ["valve", "pumps"]
    assert snapshot.devices["cdu.SupplyTemperatureCelsius"].value() == pytest.approx(32, abs=5)


def test_without_a_record_all_is_unknown(tmp_path: Path) -> None:
    source = SnapshotSource(tmp_path / "none")
    assert source.read() == Snapshot()


def test_an_old_record_has_no_values(tmp_path: Path) -> None:
    rig = started()
    write_record(rig, tmp_path)
    old = time.time() - STALE_MS / 1000 - 1
    os.utime(tmp_path / POINTS, (old, old))
    source = SnapshotSource(tmp_path)
    snapshot = source.read()
    assert snapshot.stale
    assert snapshot.unit_state == "unknown"
    assert snapshot.value("supply_temperature") is None
    assert snapshot.identity.unit == "u1"
    rig.run(1)
    write_record(rig, tmp_path)
    assert source.read().unit_state == "normal"


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"points": None},
        {"points": {"heat": [1.5, "good", 0]}},
        {"points": {"heat": []}},
        {"alarms": [{}]},
        {"utc_us": -1},
        {"utc_us": 10**30},
        {"utc_us": "x"},
        {"sequence": None},
        {"actuators": 3},
        {"setpoints": []},
    ],
)
def test_an_invalid_record_leaves_no_value(tmp_path: Path, fields: dict[str, Any]) -> None:
    rig = started()
    write_record(rig, tmp_path)
    source = SnapshotSource(tmp_path)
    assert source.read().unit_state == "normal"
    change_record(tmp_path, **fields)
    snapshot = source.read()
    assert snapshot.stale
    assert snapshot.value("supply_temperature") is None
    for data in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000):
        (tmp_path / POINTS).write_bytes(data)
        assert source.read().stale


def test_values_outside_of_the_table_are_bad(tmp_path: Path) -> None:
    rig = started()
    write_record(rig, tmp_path)
    change_record(tmp_path, points={"air_humidity": [100_001, "good", 1], "heat": [5, "odd", 1]})
    snapshot = SnapshotSource(tmp_path).read()
    assert snapshot.points["air_humidity"].quality == "bad"
    assert snapshot.value("air_humidity") is None
    assert snapshot.value("heat") is None
    (tmp_path / LAYOUT).unlink()
    change_record(tmp_path, sequence=99)
    assert SnapshotSource(tmp_path).read().devices == {}
