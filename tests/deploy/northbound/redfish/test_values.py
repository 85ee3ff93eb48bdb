# SPDX-License-Identifier: Apache-2.0
"""Values of Redfish are those of the record in 1,000 random states."""

from pathlib import Path

import pytest

from deploy.northbound.points.point_table import columns, point_table
from deploy.northbound.snapshot import Snapshot
from tests.deploy.northbound.redfish.service_bench import ServiceBench
from tests.deploy.northbound.redfish.test_service import ROOT, ApiClient


def check_pair(snapshot: Snapshot, shown: dict, client: ApiClient) -> None:
    """The points of the pair are in the report; the manager has the readiness of the standby."""
    role, ready = snapshot.points["pair_role"], snapshot.points["pair_standby_ready"]
    if role.quality == "absent":
        assert "PairRole" not in shown
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
        assert not any(name.startswith("Group") for name in shown)
        return
    for key, row in point_table().items():
        if row.group == "group":
            raw = snapshot.points[key].raw
            word = row.words[raw] if row.words and raw is not None else raw
            name = "".join(part.capitalize() for part in key.split("_"))
            assert shown[name] == (None if raw is None else str(word)), key


def test_values_are_equal_in_1000_random_states(tmp_path: Path) -> None:
    table, found = point_table(), columns("redfish")
    with ServiceBench(tmp_path) as bench:
        client = ApiClient(bench, "reader")
        for _number in range(1000):
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
