# SPDX-License-Identifier: Apache-2.0
"""Points of a group of units: their records before and after the loss of a unit.

The units and all devices are emulated, in virtual time.
"""

from pathlib import Path

import pytest

from agent.agent import Agent
from agent.northbound import point_record
from agent.port_numbers import FIRST_BUS
from deploy.northbound.metrics import metrics_text
from deploy.northbound.panel.state import state_json
from deploy.northbound.record import SnapshotSource
from deploy.northbound.snapshot import Snapshot
from hil.bench.testbed import Testbed
from hil.io.endpoints import SerialEndpoint
from hil.run.several.group_run import GroupRun
from hil.shells.several import PausableShell


class SiteGroup(GroupRun):
    """A group whose units have the servers of the site."""

    def _make_agent(self, number: int) -> Agent:
        self._configs[number - 1]["northbound"] = {"port": "local:/virtual/site"}
        return super()._make_agent(number)

    def _connect(self, number: int, shell: PausableShell, testbed: Testbed) -> None:
        """Connect a unit; the port of the servers comes before those of the group."""
        super()._connect(number, shell, testbed)
        site = SerialEndpoint(shell, FIRST_BUS + 1)
        site.unplug()
        shell.endpoints[FIRST_BUS + 1] = site
        for peer in range(1, self.count + 1):
            port = FIRST_BUS + 1 + peer
            shell.endpoints[port] = self.lan.add_end(number, peer, shell, port)


def read(run: GroupRun, number: int, folder: Path) -> Snapshot:
    """Return the snapshot that the servers of a unit have."""
    agent = run.agents[number - 1]
    component = next(c for c in agent.components if hasattr(c, "alarm_states"))
    now = run.world.now
    (folder / point_record.LAYOUT_KEY).write_bytes(point_record.build_layout(agent))
    (folder / point_record.KEY).write_bytes(point_record.build(component, now))
    return SnapshotSource(folder, clock=lambda: now).read()


class DeadFlow:
    """A sensor that gives no value."""

    def value(self, now: int) -> float | None:
        return None


def test_the_load_of_a_group_is_not_known_while_the_heat_of_a_unit_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = SiteGroup(2, 55.0)
    run.start()
    run.run(5)
    early = read(run, 1, tmp_path).points
    for key in ("group_lead", "group_is_lead"):
        assert (early[key].raw, early[key].quality) == (None, "bad"), "no decision yet"
    run.run(20)
    assert read(run, 1, tmp_path).points["group_load"].quality == "good"
    monkeypatch.setattr(run.group(1), "_flow", DeadFlow())
    run.run(24)
    for number in (1, 2):
        found = read(run, number, tmp_path)
        assert (found.points["group_load"].raw, found.points["group_load"].quality) == (None, "bad")
        assert found.details["group"]["heat_unknown"] == ["cdu01"]
        assert "coldloop_group_load_watts NaN" not in metrics_text(found, open_metrics=False)
        assert "coldloop_group_load_watts 0" not in metrics_text(found, open_metrics=False)


def test_a_group_has_points_before_and_after_a_loss(tmp_path: Path) -> None:
    run = SiteGroup(3, 55.0)
    run.start()
    run.run(20)
    found = read(run, 1, tmp_path)
    assert not found.stale
    raw = {key: point.raw for key, point in found.points.items() if key.startswith("group_")}
    load_w = raw.pop("group_load") or 0
    assert 40_000 < load_w < 70_000
    assert raw == {
        "group_runs": 1,
        "group_is_lead": int(run.group(1).staging.lead == 1),
        "group_lead": run.group(1).staging.lead,
        "group_number": 1,
        "group_units": 3,
        "group_selected": 3,
        "group_received": 2,
        "group_whole": 1,
        "group_reason": 1,
        "group_changes": 0,
    }
    assert found.details["group"]["received"] == ["cdu02", "cdu03"]
    run.switch_off(2)
    run.run(40)
    found = read(run, 1, tmp_path)
    assert found.points["group_received"].raw == 1
    assert found.points["group_selected"].raw == 2
    assert found.points["group_reason"].raw == 4, "failure"
    assert found.points["group_whole"].raw == 0
    text = metrics_text(found, open_metrics=False)
    assert 'coldloop_group_reason{reason="failure"} 1\n' in text
    assert "coldloop_group_received_units 1\n" in text
    assert state_json(found)["details"]["group"]["selected"] == ["cdu01", "cdu03"]
