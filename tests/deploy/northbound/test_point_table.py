# SPDX-License-Identifier: Apache-2.0
"""The point table: its rows are complete; the columns of the protocols name all keys."""

import pytest

from deploy.northbound.fake_source import FakeSource
from deploy.northbound.points import point_table as table
from deploy.northbound.snapshot import ALARM_STATES, QUALITIES, UNIT_STATES, Snapshot

ROW = {"title": "T", "kind": "analog", "unit": "K", "group": "unit", "low": 0, "high": 9}


def test_the_table_has_valid_rows() -> None:
    rows = table.point_table()
    assert {"supply_temperature", "pump1_speed", "pump2_speed", "leak8", "unit_state"} <= set(rows)
    for row in rows.values():
        assert row.low < row.high
        assert row.scale > 0
        assert "{" not in row.key + row.title
    assert rows["supply_temperature"].value(31_250) == pytest.approx(31.25)
    assert rows["supply_temperature"].raw(31.25) == 31_250


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("a", {"kind": "text"}),
        ("a", {"group": "home"}),
        ("a{n}", {}),
        ("a", {"instances": 2}),
        ("a", {"lowest": 2}),
    ],
)
def test_a_wrong_row_is_refused(key: str, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"points\.toml"):
        list(table.parse({key: {**ROW, **change}}))


def test_columns_name_each_point_once(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = {row.template for row in table.point_table().values()}
    data = {key: {"name": "x_{n}"} for key in templates if key != "heat"}
    read = table._read
    monkeypatch.setattr(table, "_read", lambda name: read(name) if name == "points" else dict(data))
    table.columns.cache_clear()
    with pytest.raises(ValueError, match="missing: heat"):
        table.columns("test")
    data["absent"] = ["heat"]  # type: ignore[assignment]
    found = table.columns("test")
    table.columns.cache_clear()
    assert "heat" not in found
    assert found["pump2_speed"]["name"] == "x_2"


def test_snapshots_have_all_points_and_known_words() -> None:
    empty = Snapshot()
    assert set(empty.points) == set(table.point_table())
    assert empty.value("heat") is None
    source, same = FakeSource(3), FakeSource(3)
    for _ in range(50):
        assert source.read() == same.read()
        snapshot = source.read()
        assert set(snapshot.points) == set(table.point_table())
        assert snapshot.unit_state in UNIT_STATES
        for value in snapshot.points.values():
            row = table.point_table()[value.key]
            assert value.quality in QUALITIES
            assert (value.raw is None) == (value.quality in {"bad", "absent"})
            assert value.raw is None or row.low <= value.raw <= row.high
        assert all(alarm.state in ALARM_STATES for alarm in snapshot.alarms)
        source.step()
        same.step()
    source.stop()
    assert source.read().unit_state == "unknown"
    assert source.read().stale
