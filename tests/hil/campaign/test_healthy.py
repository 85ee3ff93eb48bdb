# SPDX-License-Identifier: Apache-2.0
"""Drawn rows without a fault: loads, set-points, weather and pumps change, and no alarm is raised.

The slow watches (`impeller`, `facility_flow`, `row_resistance`, `valve_feedback`, the sensors) must
not take a normal change for a failure.
"""

import random
from dataclasses import replace

import pytest

from hil.campaign.hazard.case_generator import SITES
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario, ScenarioEvent

_SECONDS = 900
# (word, lowest, highest value); None: no value. Each stays inside the normal operation of the row.
_CHANGES: tuple[tuple[str, float | None, float | None], ...] = (
    ("it_load", 20.0, 95.0),
    ("rotate_pumps", None, None),
    ("push_dp", 60.0, 90.0),
    ("push_setpoint", 30.0, 34.0),
    ("filter_clog", 10.0, 40.0),
    ("room_temperature", 22.0, 26.0),
)
_ORDERS = "cooling, safety, throttle, remote"


def healthy_scenario(seed: int) -> Scenario:
    """Draw a row and four changes of its operation."""
    rng = random.Random(f"healthy/{seed}")
    site = rng.choice(sorted(SITES))
    changes = [change for change in _CHANGES if site == "warm" or change[0] != "push_setpoint"]
    events = []
    for at_s in sorted(rng.sample(range(120, _SECONDS - 60, 40), 4)):
        word, low, high = rng.choice(changes)
        value = None if low is None or high is None else float(round(rng.uniform(low, high)))
        events.append(ScenarioEvent(float(at_s), word, value))
    settings = replace(
        SITES[site],
        it_kw=float(rng.choice((25, 40, 60, 80, 95))),
        meters=2,
        humidity_sensors=2,
        parts=_ORDERS,
    )
    return Scenario(f"healthy-{seed}", site, _SECONDS, settings, tuple(events))


def raised_alarms(seed: int) -> tuple[list[str], str]:
    """Run the row of a seed; give its alarms, and its events."""
    scenario = healthy_scenario(seed)
    run = VirtualRun(scenario, seed, DUTS["cpython"])
    try:
        run.run()
    finally:
        run.dut.close()
    events = ", ".join(f"{e.at_s:g} {e.do} {e.value}" for e in scenario.events)
    settings = scenario.settings
    return [code for _, code, _ in run.testbed.history.raised], f"{settings.it_kw} kW {events}"


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 2])
def test_healthy_row_raises_no_alarm(seed: int) -> None:
    codes, events = raised_alarms(seed)
    assert not codes, events


@pytest.mark.soak
def test_many_healthy_rows_raise_no_alarm() -> None:
    found = {seed: raised_alarms(seed) for seed in range(100, 300)}
    assert {seed: result for seed, result in found.items() if result[0]} == {}
