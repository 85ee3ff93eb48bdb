# SPDX-License-Identifier: Apache-2.0
"""Points of a redundant pair: record of an active controller before and after a takeover.

Both controllers and all devices are emulated, in virtual time.
"""

from pathlib import Path

from agent.northbound import point_record
from deploy.northbound.metrics import metrics_text
from deploy.northbound.record import SnapshotSource
from deploy.northbound.snapshot import Snapshot
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PairRun


def read(run: PairRun, number: int, folder: Path) -> Snapshot:
    """Return the snapshot that the servers of controller `number` have."""
    agent = run.agents[number].agent
    assert agent is not None
    component = next(c for c in agent.components if hasattr(c, "alarm_states"))
    now = run.world.now
    (folder / point_record.LAYOUT_KEY).write_bytes(point_record.build_layout(agent))
    (folder / point_record.KEY).write_bytes(point_record.build(component, now))
    return SnapshotSource(folder, clock=lambda: now).read()


def test_nothing_is_known_of_a_takeover_before_the_first_one(tmp_path: Path) -> None:
    run = PairRun(TestbedSettings(parts="northbound"))
    run.at(20, run.begin_fault, "power", 0)
    run.start()
    run.run(20)
    while run.agents[1].role != "read":
        run.run(run.world.now / 1e6 + 0.05)
    run.run(run.world.now / 1e6 + 0.3)
    points = read(run, 1, tmp_path).points
    assert points["pair_role"].raw == 4, "read"
    assert points["pair_takeovers"].raw == 0
    for key in ("pair_active_time", "pair_takeover_reason"):
        assert (points[key].raw, points[key].quality) == (None, "bad"), key
    run.run(30)
    after = read(run, 1, tmp_path).points
    assert after["pair_takeovers"].raw == 1
    assert 0 < (after["pair_active_time"].raw or 0) < 10


def test_a_pair_has_points_before_and_after_a_takeover(tmp_path: Path) -> None:
    run = PairRun(TestbedSettings(parts="northbound"))
    run.at(20, run.begin_fault, "power", 0)
    run.start()
    run.run(15)
    before = read(run, 0, tmp_path)
    assert not before.stale
    points = before.points
    assert points["pair_role"].raw == 5, "active"
    assert points["pair_peer_role"].raw == 2, "standby"
    assert points["pair_standby_ready"].raw == 1
    assert points["pair_takeovers"].raw == 1
    run.run(40)
    after = read(run, 1, tmp_path)
    assert after.points["pair_role"].raw == 5
    assert after.points["pair_standby_ready"].raw == 0, "the other controller has no power"
    assert after.points["pair_takeover_reason"].raw == 1, "silence"
    assert 15 <= (after.points["pair_active_time"].raw or 0) <= 20, "from 20 s to 40 s"
    assert after.points["pair_fit"].raw == 1
    assert after.details["pair"]["node"] == "b"
    text = metrics_text(after, open_metrics=False)
    assert 'coldloop_pair_role{role="active"} 1\n' in text
    assert "coldloop_pair_standby_ready 0\n" in text
