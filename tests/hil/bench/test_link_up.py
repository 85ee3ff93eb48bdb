# SPDX-License-Identifier: Apache-2.0
"""First acknowledgement after an outage without any hint: at most three round trips and 1 s."""

from random import Random
from typing import Any

import pytest

from hil.bench.testbed import Testbed
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse

_SECOND = 1_000_000
_RTT_US = 600_000
_LIMIT_US = 3 * _RTT_US + _SECOND
_SCENARIO = """
name = "link-up"
title = "Outages without a hint"
seconds = %d
[row]
parts = "log"
broker_latency_ms = 300
[[expect]]
measure = "ticks"
min = 0
"""


def _delays(rounds: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the time from the end of each outage to the first acknowledgement, µs."""
    original = Testbed.config

    def numeric(self: Testbed, *arguments: Any, **named: Any) -> Any:
        config = original(self, *arguments, **named)
        config["broker"]["address"] = "tcp:192.0.2.1:1883"
        return config

    monkeypatch.setattr(Testbed, "config", numeric)
    rng = Random(1)
    run = VirtualRun(parse(_SCENARIO % (60 + rounds * 400), "link-up"), 1)
    agent: Any = run.dut
    link, world = run.testbed.link, run.world
    delays: list[int] = []
    state = {"since": 0, "count": 0}

    def watch() -> None:
        uplink = agent.agent.uplink
        if state["since"] and uplink.acknowledged > state["count"]:
            delays.append(world.now - state["since"])
            state["since"] = 0
            world.schedule(world.now + 20 * _SECOND, silence)
        world.schedule(world.now + 10_000, watch)

    def silence() -> None:
        link.set_silent(True)
        world.schedule(world.now + rng.randrange(100 * _SECOND, 300 * _SECOND), restore)

    def restore() -> None:
        link.set_silent(False)
        state["since"], state["count"] = world.now, agent.agent.uplink.acknowledged

    world.schedule(50 * _SECOND, silence)
    world.schedule(0, watch)
    try:
        run.run()
    finally:
        run.dut.close()
    return delays[:rounds]


@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_first_acknowledgement(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    delays = _delays(rounds, monkeypatch)
    assert len(delays) == rounds
    assert [delay / 1e6 for delay in delays if delay > _LIMIT_US] == []
