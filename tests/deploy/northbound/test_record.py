# SPDX-License-Identifier: Apache-2.0
"""The reader of the record: a real record is complete; a bad, old or absent one has no values."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.catalogue import catalogue
from agent.core.alarm_record import DEGRADED, AlarmRecord
from agent.northbound import group_points
from agent.northbound.pair_points import REASONS, ROLES
from agent.northbound.point_sources import UNITS, WHOLE
from agent.redundancy.paired_agent import ROLE_NAMES
from deploy.northbound.points.point_table import point_table
from deploy.northbound.record import LAYOUT, POINTS, SnapshotSource
from deploy.northbound.snapshot import STALE_MS, Snapshot
from drivers.ports.cpython.clock import monotonic
from tests.deploy.northbound.record_writer import stamped
from tests.portable.agent.northbound.test_component import WRITES, SiteRig, started


def write_record(rig: SiteRig, folder: Path) -> None:
    for name, data in rig.records.items():
        new = folder / f"{name}.new"
        new.write_bytes(stamped(data))
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
    table = point_table()
    assert table["pair_role"].words == table["pair_peer_role"].words == ROLES
    assert table["pair_takeover_reason"].words == REASONS
    assert ROLES[1:] == ROLE_NAMES
    assert table["group_reason"].words == group_points.REASONS


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


def test_the_age_is_that_of_the_record_itself(tmp_path: Path) -> None:
    """Also at the first read, and at the first one after a long time without a read."""
    rig = started()
    now = [monotonic()]
    write_record(rig, tmp_path)
    change_record(tmp_path, mono_us=now[0] - 2_000_000)
    source = SnapshotSource(tmp_path, clock=lambda: now[0])
    assert source.read().age_ms == 2000
    change_record(tmp_path, mono_us=now[0])
    now[0] += 15_000_000  # the agent stopped after this record; no read for 15 s
    snapshot = source.read()
    assert (snapshot.stale, snapshot.age_ms) == (True, 15_000)
    assert snapshot.value("supply_temperature") is None
    change_record(tmp_path, mono_us=now[0] - 1_000_000)
    snapshot = source.read()
    assert (snapshot.stale, snapshot.age_ms) == (False, 1000)


@pytest.mark.parametrize("shift_s", [-10, 3600])
def test_a_record_with_another_time_has_no_values(tmp_path: Path, shift_s: int) -> None:
    rig = started()
    write_record(rig, tmp_path)
    source = SnapshotSource(tmp_path)
    assert not source.read().stale
    change_record(tmp_path, mono_us=monotonic() + shift_s * 1_000_000)
    for reader in (source, SnapshotSource(tmp_path)):
        snapshot = reader.read()
        assert snapshot.stale
        assert snapshot.value("supply_temperature") is None


def _make_fifo(path: Path) -> None:
    os.mkfifo(path)


def _make_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    path.with_name("kept").replace(target)
    path.symlink_to(target)


def _make_large(path: Path) -> None:
    path.write_bytes(b" " * (2 << 20) + path.with_name("kept").read_bytes())


@pytest.mark.parametrize("name", [POINTS, LAYOUT])
@pytest.mark.parametrize("make", [_make_fifo, _make_link, Path.mkdir, _make_large])
def test_only_a_regular_file_is_read(
    tmp_path: Path, make: Callable[[Path], None], name: str
) -> None:
    rig = started()
    write_record(rig, tmp_path)
    source = SnapshotSource(tmp_path)
    assert source.read().devices
    (tmp_path / name).replace(tmp_path / "kept")
    make(tmp_path / name)
    if name == LAYOUT:
        change_record(tmp_path, mono_us=monotonic())
    for reader in (source, SnapshotSource(tmp_path)):
        snapshot = reader.read()
        assert not snapshot.devices
    if (tmp_path / name).is_dir():
        (tmp_path / name).rmdir()
    write_record(rig, tmp_path)
    assert source.read().devices


@pytest.mark.parametrize(
    "fields",
    [
        {"version": 2},
        {"mono_us": None},
        {"mono_us": 1.5},
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
