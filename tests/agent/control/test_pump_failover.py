"""Flow and outputs of a whole row when pumps trip, rotate and restart; in virtual time."""

import pytest

from benchmarks.takeover import agent_of, bench, disturbed, trip

SECOND = 1_000_000


@pytest.mark.parametrize("phase_us", [130_000, 930_000])
def test_a_trip_with_the_lag_at_rest_costs_three_seconds(phase_us: int) -> None:
    found = trip(False, phase_us)
    assert 0.0 < found["back_s"] <= 3.0


def test_a_trip_with_both_running_is_hardly_seen() -> None:
    assert trip(True, 530_000)["least_pct"] > 70.0


@pytest.mark.parametrize("what", ["rotation", "mode", "reload", "restart"])
def test_what_people_do_moves_nothing(what: str) -> None:
    found = disturbed(what)
    assert found["step_pct"] <= 1.0
    assert found["dip_pct"] <= 3.0
    assert found["lead"] == (2 if what == "rotation" else 1)


def test_a_rotation_ends_with_one_pump() -> None:
    run = bench(400)
    run.shell.run(30 * SECOND)
    agent_of(run).pressure.rotate()
    run.shell.run(300 * SECOND)
    run.row.plant.advance(300 * SECOND)
    speeds = [pump.speed_pct for pump in run.row.plant.pumps]
    assert speeds[0] == 0.0
    assert speeds[1] > 40.0


def test_proofs_pass_and_a_stuck_valve_fails_one() -> None:
    run = bench(900)
    run.shell.run(60 * SECOND)
    part = agent_of(run).parts[0]
    assert part.hand.proof("valve") == "proof of valve begun"
    run.shell.run(130 * SECOND)
    records = part.hand.proofs.records
    assert [(what, result) for _, what, result, _ in records] == [("valve", "passed")]
    assert part.hand.proof("pumps") == "proof of pumps begun"
    run.shell.run(400 * SECOND)
    assert part.hand.proofs.records[-1][1:3] == ("pumps", "passed")
    run.row.valve.stuck = True
    part.hand.proof("valve")
    run.shell.run(480 * SECOND)
    assert part.hand.proofs.records[-1][1:3] == ("valve", "failed")
