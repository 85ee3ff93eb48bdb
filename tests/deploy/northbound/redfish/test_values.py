# SPDX-License-Identifier: Apache-2.0
"""Values of Redfish are those of the record in 1,000 random states."""

from pathlib import Path

import pytest

from deploy.northbound.command.points import place
from deploy.northbound.points.point_table import SEVERAL, columns, point_table
from deploy.northbound.snapshot import Snapshot
from tests.deploy.northbound.redfish.service_bench import ServiceBench
from tests.deploy.northbound.redfish.test_service import ROOT, ApiClient


def check_pair(snapshot: Snapshot, shown: dict, client: ApiClient) -> None:
    """The points of the pair are in the report; the manager has the readiness of the standby."""
    role, ready = snapshot.points["pair_role"], snapshot.points["pair_standby_ready"]
    if role.quality == "absent":
        assert shown.get("PairRole") is None
        return
    words = point_table()["pair_role"].words
    assert shown["PairRole"] == (None if role.raw is None else words[role.raw])
    assert shown["PairStandbyReady"] == (None if ready.raw is None else str(ready.raw))
    if snapshot.sequence % 50 == 0:
        (pair,) = client.get(f"{ROOT}/Managers/1")["Redundancy"]
        assert pair["Status"]["Health"] == {None: None, 0: "Warning", 1: "OK"}[ready.raw]


def check_group(snapshot: Snapshot, shown: dict) -> None:
    """The points of the group are in the report while the unit is in a group."""
    if snapshot.points["group_runs"].quality == "absent":
        assert not any(shown[name] for name in shown if name.startswith("Group"))
        return
    for key, row in point_table().items():
        if row.group == "group":
            raw = snapshot.points[key].raw
            word = row.words[raw] if row.words and raw is not None else raw
            name = "".join(part.capitalize() for part in key.split("_"))
            assert shown[name] == (None if raw is None else str(word)), key


def set_several(bench: ServiceBench) -> None:
    """Give the unit all points of a pair and of a group."""
    for key, row in point_table().items():
        if row.group in SEVERAL:
            bench.source.set_point(key, 1)


def test_a_pair_and_a_group_stay_without_a_record(tmp_path: Path) -> None:
    with ServiceBench(tmp_path) as bench:
        client = ApiClient(bench, "reader")
        set_several(bench)
        report = client.get(f"{ROOT}/TelemetryService/MetricReports/All")
        before = {value["MetricId"] for value in report["MetricValues"]}
        bench.source.stop()
        report = client.get(f"{ROOT}/TelemetryService/MetricReports/All")
        shown = {value["MetricId"]: value["MetricValue"] for value in report["MetricValues"]}
        assert set(shown) == before
        assert {"PairRole", "GroupRuns"} <= before
        assert set(shown.values()) == {None}
        (pair,) = client.get(f"{ROOT}/Managers/1")["Redundancy"]
        assert pair["Status"] == {"State": "UnavailableOffline", "Health": None}
        client.link.close()


def test_the_list_of_points_has_all_values_of_the_report(tmp_path: Path) -> None:
    with ServiceBench(tmp_path) as bench:
        client = ApiClient(bench, "reader")
        set_several(bench)
        report = client.get(f"{ROOT}/TelemetryService/MetricReports/All")
        for value in report["MetricValues"]:
            name = value["MetricId"]
            rows = point_table().values()
            assert any(name in place("redfish", row).split() for row in rows), name
        client.link.close()


@pytest.mark.parametrize("states", [300, pytest.param(1000, marks=pytest.mark.soak)])
def test_values_are_equal_in_random_states(tmp_path: Path, states: int) -> None:
    table, found = point_table(), columns("redfish")
    with ServiceBench(tmp_path) as bench:
        client = ApiClient(bench, "reader")
        for _number in range(states):
            bench.source.step()
            report = client.get(f"{ROOT}/TelemetryService/MetricReports/All")
            shown = {value["MetricId"]: value["MetricValue"] for value in report["MetricValues"]}
            for key, column in found.items():
                if column["sensor"] not in shown:
                    assert table[key].instance, key  # a part that no record has had yet
                    continue
                raw, text = bench.source.snapshot.points[key].raw, shown[column["sensor"]]
                if raw is None:
                    assert text is None, key
                else:
                    expected = table[key].value(raw) * column.get("factor", 1)
                    assert float(text) == pytest.approx(expected, abs=0.0006), key
            check_pair(bench.source.snapshot, shown, client)
            check_group(bench.source.snapshot, shown)
        client.link.close()
