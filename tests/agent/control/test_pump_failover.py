# SPDX-License-Identifier: Apache-2.0
"""Flow and outputs in virtual time during trips, rotations and restarts of pumps."""

import pytest

from agent.control.operation.manual_commands import start_proof_test
from benchmarks.control.takeover import agent_of, disturb, make_run, trip

SECOND = 1_000_000


@pytest.mark.parametrize("phase_us", [130_000, 930_000])
def test_failover_to_stopped_pump_takes_three_seconds(phase_us: int) -> None:
    found = trip(False, phase_us)
    assert 0.0 < found["back_s"] <= 3.0


def test_trip_with_both_pumps_running_keeps_flow() -> None:
    assert trip(True, 530_000)["least_pct"] > 70.0


@pytest.mark.parametrize("what", ["rotation", "mode", "reload", "restart"])
def test_operator_actions_do_not_move_outputs(what: str) -> None:
    found = disturb(what)
    assert found["step_pct"] <= 1.0
    assert found["dip_pct"] <= 3.0
    assert found["lead"] == (2 if what == "rotation" else 1)


def test_a_rotation_ends_with_one_pump() -> None:
    run = make_run(400)
    run.shell.run(30 * SECOND)
    agent_of(run).pressure_loop.rotate()
    run.shell.run(300 * SECOND)
    run.testbed.plant.advance(300 * SECOND)
    speeds = [pump.speed_pct for pump in run.testbed.plant.pumps]
    assert speeds[0] == 0.0
    assert speeds[1] > 40.0


def test_proof_tests_pass_and_detect_a_stuck_valve() -> None:
    run = make_run(900)
    run.shell.run(60 * SECOND)
    component = agent_of(run).components[0]
    assert start_proof_test(component.manual, "valve") == "proof of valve begun"
    run.shell.run(130 * SECOND)
    records = component.manual.proofs.records
    assert [(what, result) for _, what, result, _ in records] == [("valve", "passed")]
    assert start_proof_test(component.manual, "pumps") == "proof of pumps begun"
    run.shell.run(400 * SECOND)
    assert component.manual.proofs.records[-1][1:3] == ("pumps", "passed")
    run.testbed.valve.set_stuck(True)
    start_proof_test(component.manual, "valve")
    run.shell.run(480 * SECOND)
    assert component.manual.proofs.records[-1][1:3] == ("valve", "failed")
