# SPDX-License-Identifier: Apache-2.0
"""Start permissives: what a unit must show after a start before its loads get full power."""

from __future__ import annotations

import json

import pytest

from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

ROW = """
name = "start"
title = "a start of the controller beside a fault"
seconds = {seconds}
[row]
it_kw = 60
parts = "cooling, safety, throttle"
[[event]]
at_s = 15
do = "power_cut"
for_s = 3
"""
LATE_S = 38
"""The controller has power at 18 s and waits for 20 s."""


def fault(do: str, value: float | None = None, for_s: float | None = None) -> str:
    lines = [f'[[event]]\nat_s = 10\ndo = "{do}"']
    lines += [] if value is None else [f"value = {value}"]
    lines += [] if for_s is None else [f"for_s = {for_s}"]
    return "\n".join(lines) + "\n"


def start(events: str, seconds: int = 80) -> tuple[VirtualRun, dict[int, list[str]]]:
    """Return the run, and what was missing in each second."""
    made = VirtualRun(parse(ROW.format(seconds=seconds) + events, "start.toml"), 1)
    missing: dict[int, list[str]] = {}

    def look(second: int) -> None:
        agent = made.dut.agent  # type: ignore[attr-defined]
        number = [section for section, _, _ in agent.config.components].index("safety")
        missing[second] = list(agent.components[number].start_permit.missing)

    made.run(look)
    assert made.contained_faults() == []
    assert made.status is not None
    assert made.status["safety"]["not_shown"] == missing[seconds]
    assert made.status["ticks"]["missed"] == 0
    return made, missing


def codes(made: VirtualRun) -> list[str]:
    return [code for _, _, code in made.dut.agent.alarms.history]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "events",
    [
        "",
        fault("flow_register", 0),
        fault("dp_register", 0),
        fault("supply_register", 0),
        fault("pump_dead", 1),
        fault("valve_dead", for_s=20),
    ],
)
def test_a_start_with_one_false_reading_or_one_lost_device_limits_nothing(events: str) -> None:
    made, missing = start(events)
    assert missing[LATE_S - 5] == []
    assert "start_blocked" not in codes(made)
    assert made.testbed.plant.it_kw > 55


def test_a_start_without_the_readings_of_the_unit_leaves_least_power() -> None:
    made, missing = start(fault("rpu_dead"))
    assert missing[80] == ["identity", "supply", "pressure", "inputs", "flow"]
    assert "start_blocked" in codes(made)
    assert made.testbed.plant.it_kw < 35
    texts = [alarm["text"] for alarm in json.loads(made.status_text)["alarms"]]
    assert any("identity supply pressure inputs flow" in text for text in texts)


def test_the_loads_rise_when_the_unit_answers() -> None:
    made, missing = start(fault("rpu_dead", for_s=40), 240)
    assert missing[49] != []
    assert missing[56] == []
    assert "start_blocked" in codes(made)
    assert made.testbed.plant.it_kw > 55


def test_a_stop_at_the_start_is_no_missing_permissive() -> None:
    made, _ = start(fault("leak_detector"))
    assert "start_blocked" not in codes(made)
