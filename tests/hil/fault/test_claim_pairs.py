# SPDX-License-Identifier: Apache-2.0
"""Pairs of real claimants on one actuator: who holds it, what the plant does, and in any order.

The arbiter alone is in `tests/portable/agent/control/actuator/test_arbiter.py`: each pair of ranks.
Here a whole unit runs on the bench: one claimant holds the actuator when the other one comes.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from tests.hil.fault.component_orders import differing_orders

ROW = """
name = "pair"
title = "two claimants"
seconds = {seconds}
[row]
it_kw = 30
parts = "{parts}"
"""
ALL = "cooling, safety, throttle, remote"


class Pair(NamedTuple):
    """`events`: second, word, value. `held`: (second, actuator, owner), before and after."""

    events: tuple[tuple[float, str, float | None], ...]
    held: tuple[tuple[int, str, str], ...]
    limit_pct: float = 100.0
    alarm: str = ""
    parts: str = ALL


PAIRS = {
    "leak in manual": Pair(
        ((20, "hand_valve", 80), (40, "leak_detector", None)),
        ((38, "valve", "manual"), (50, "valve", "safety"), (70, "pumps", "safety")),
        limit_pct=1.0,
        alarm="leak_critical:pan",
    ),
    "emergency stop in manual": Pair(
        ((20, "hand_valve", 80), (40, "emergency_stop", None)),
        ((38, "valve", "manual"), (46, "valve", "safety"), (60, "pumps", "safety")),
        limit_pct=1.0,
    ),
    "trip during a proof test": Pair(
        ((20, "prove_valve", None), (24, "leak_detector", None)),
        ((23, "valve", "proof"), (34, "valve", "safety"), (60, "pumps", "safety")),
        limit_pct=1.0,
        alarm="leak_critical:pan",
    ),
    "proof test in manual": Pair(
        ((20, "hand_valve", 80), (40, "prove_valve", None)),
        ((38, "valve", "manual"), (44, "valve", "manual"), (60, "valve", "manual")),
    ),
    "manual in a proof test": Pair(
        ((20, "prove_valve", None), (23, "hand_valve", 80)),
        ((22, "valve", "proof"), (34, "valve", "manual"), (60, "valve", "manual")),
    ),
    "trial during an override": Pair(
        ((20, "hand_valve", 80), (40, "push_setpoint", 30)),
        ((38, "valve", "manual"), (48, "valve", "manual"), (70, "valve", "manual")),
    ),
    "leak in a trial": Pair(
        ((20, "push_setpoint", 30), (40, "leak_detector", None)),
        ((38, "valve", "loop"), (50, "valve", "safety"), (70, "pumps", "safety")),
        limit_pct=1.0,
        alarm="leak_critical:pan",
    ),
    "leak with a drive in local mode": Pair(
        ((20, "pump_local", 1), (40, "leak_detector", None)),
        ((50, "valve", "safety"), (70, "pumps", "safety")),
        limit_pct=1.0,
        alarm="leak_critical:pan",
    ),
}


def text_of(pair: Pair, seconds: int) -> str:
    text = ROW.format(parts=pair.parts, seconds=seconds)
    for at_s, word, value in pair.events:
        text += f'[[event]]\nat_s = {at_s}\ndo = "{word}"\n'
        text += "" if value is None else f"value = {value}\n"
    return text


@pytest.mark.parametrize("name", sorted(PAIRS))
def test_the_higher_rank_holds_the_actuator(name: str) -> None:
    pair = PAIRS[name]
    run = VirtualRun(parse(text_of(pair, 120), "pair.toml"), 1)
    agent = run.dut.agent  # type: ignore[attr-defined]
    found: list[tuple[int, str, str]] = []

    def look(at_s: int) -> None:
        for second, actuator, _ in pair.held:
            if second == at_s:
                decision = agent.arbiters[actuator].decision
                found.append((second, actuator, decision.owner))

    run.run(look)
    assert tuple(found) == pair.held
    assert run.testbed.plant.valve.position_pct <= pair.limit_pct
    assert agent.ticks.missed == 0
    if pair.alarm:
        assert pair.alarm in [code for _, _, code in agent.alarms.history]


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(PAIRS))
def test_a_pair_writes_the_same_in_each_order(name: str) -> None:
    assert differing_orders(parse(text_of(PAIRS[name], 90), "pair.toml"), range(20)) == []
