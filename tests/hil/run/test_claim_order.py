# SPDX-License-Identifier: Apache-2.0
"""The order in which the agent calls its components changes no byte; port numbers stay."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

import agent.agent
from agent.control.actuator.arbiter import Arbiter
from agent.control.control_cycle import ControlCycle
from agent.core.actuator import EXACT, Claim
from agent.safety.interlock import Interlock
from hil.campaign.hazard.case_generator import CaseOptions, generate_case
from hil.campaign.hazard.run import judge_component_order
from hil.scenario.loader import find
from tests.hil.digests.shared_runs import run_scenario, shared_result
from tests.hil.fault.component_orders import differing_orders

SCENARIOS = ["leak-critical", "proof-stroke"]
MORE = ["fans-blind", "room-humid", "drive-local"]
"""Long. `drive-local` runs in random orders of all calls below."""


def permute(monkeypatch: pytest.MonkeyPatch, order: int) -> None:
    """Let the control cycle call the components in permutation number `order`."""

    class PermutedCycle(ControlCycle):
        def __init__(self, *arguments: Any) -> None:
            *before, components, fan_group = arguments
            orders = list(permutations(components))
            super().__init__(*before, list(orders[order % len(orders)]), fan_group)

    monkeypatch.setattr(agent.agent, "ControlCycle", PermutedCycle)


@pytest.mark.parametrize(
    "name", [*SCENARIOS, *(pytest.param(name, marks=pytest.mark.soak) for name in MORE)]
)
def test_reversed_order_gives_the_same_digest(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = shared_result(name).digest
    permute(monkeypatch, -1)
    assert run_scenario(name).digest == expected


@pytest.mark.parametrize(
    "order",
    [10, *(pytest.param(order, marks=pytest.mark.soak) for order in range(24) if order != 10)],
)
def test_every_order_of_a_leak_in_manual_mode_gives_the_same_digest(
    order: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = shared_result("manual-leak").digest
    permute(monkeypatch, order)
    assert run_scenario("manual-leak").digest == expected


@pytest.mark.parametrize("name", ["manual-leak", "drive-local"])
def test_random_orders_of_all_calls_give_the_same_writes(name: str) -> None:
    """All of `full-bench` and the suite `hazards`: `python -m tests.hil.fault.component_orders`."""
    assert differing_orders(find(name), range(2)) == []


def test_last_claim_wins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken on purpose: without ranks the order of the components decides."""

    def last_claim(
        self: Arbiter, rank: int, owner: str, kind: int, output: float, why: str
    ) -> None:
        self.claims = [Claim(rank, EXACT, output, owner, why)]

    monkeypatch.setattr(Arbiter, "claim", last_claim)
    scenario = find("manual-leak")
    digests = set()
    for order in (0, -1):
        permute(monkeypatch, order)
        digests.add(run_scenario(scenario).digest)
    assert len(digests) == 2


def find_order_effect() -> object:
    """Block a pump and let the mains dip for 2 s: several components act in the same ticks."""
    case = generate_case(1, 2, CaseOptions(90.0, "warm", ("pump_seized", "grid_dip")))
    events = tuple(replace(e, at_s=e.at_s - 100.0, for_s=None) for e in case.scenario.events)
    events = tuple(replace(e, for_s=2.0) if e.do == "grid_dip" else e for e in events)
    return judge_component_order(
        replace(case, scenario=replace(case.scenario, events=events, seconds=100))
    )


def test_reversed_ticks_of_the_components_give_the_same_writes() -> None:
    assert find_order_effect() == []


def test_protection_in_the_order_of_the_ticks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken on purpose: the protection runs with the other components."""
    tick, protect = Interlock.tick, Interlock.protect

    def protect_late(self: Interlock, now: int) -> None:
        protect(self, now)
        tick(self, now)

    monkeypatch.setattr(Interlock, "tick", protect_late)
    monkeypatch.setattr(Interlock, "protect", lambda *_: None)
    assert find_order_effect() != []
