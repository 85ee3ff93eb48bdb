# SPDX-License-Identifier: Apache-2.0
"""Takeovers with what can go wrong beside the line: another state, a store that does not reply."""

import random

import pytest

from agent.redundancy import handover
from agent.redundancy.handover import hold_commands, restore_state
from agent.redundancy.stored_epoch import STATE_KEY
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PairRun

LIMIT_US = 2_000_000


def linked_run() -> PairRun:
    return PairRun(TestbedSettings(), is_linked=True)


def take_over(run: PairRun, at_s: float = 25.0) -> None:
    """Let the active controller lose its power at `at_s`."""
    run.at(at_s, run.begin_fault, "power", 0)
    run.measure_from(at_s - 1)
    run.start()
    run.run(at_s + 15)


@pytest.mark.parametrize(
    "line",
    [
        b"command.3 500 50000",
        b"command.x 1 1",
        b"command.1 500 50.5",
        b"command.1 \xc2\xb2 1",
        b"\xff",
    ],
    ids=["more pumps", "a name", "a fraction", "other digits", "no text"],
)
def test_the_state_of_another_configuration_or_software_stops_no_takeover(
    monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    read = handover.read_state
    monkeypatch.setattr(handover, "read_state", lambda *args: read(*args) + b"\n" + line)
    run = linked_run()
    take_over(run)
    assert run.agents[1].role == "active"
    assert run.longest_gap_us <= LIMIT_US
    assert run.largest_step_pct <= 1.0


def test_no_altered_state_raises() -> None:
    run = linked_run()
    run.start()
    run.run(20)
    agent = run.agents[0].agent
    assert agent is not None
    state = handover.read_state(agent, handover.command_lines(agent), "command", run.world.now)
    state += b"\nlimits 0 60\nplan 9 x 1"
    source = random.Random(5)
    for _ in range(2000):
        changed = bytearray(state)
        for _ in range(source.randrange(1, 6)):
            changed[source.randrange(len(changed))] = source.choice(b"\n .-0129x\xff\xc2\xb2")
        hold_commands(agent, bytes(changed))
        restore_state(agent, bytes(changed), run.world.now)


@pytest.mark.parametrize("text", [b"supply 32000 %d", b"pressure 80000 %d"])
def test_a_set_point_that_no_operator_can_request_is_not_restored(text: bytes) -> None:
    run = linked_run()
    run.start()
    run.run(20)
    agent = run.agents[0].agent
    assert agent is not None
    loops = agent.supply_loop, agent.pressure_loop
    before = [loop.config.setpoint for loop in loops]
    for value in (0, 900, 3_999, 480_001, 999_999_999, 10**30):
        restore_state(agent, text % value, run.world.now)
        assert [loop.config.setpoint for loop in loops] == before
    restore_state(agent, text % 44_000, run.world.now)
    assert [loop.config.setpoint for loop in loops] != before


@pytest.mark.parametrize("record", [b"4294967295 4294967295", b"4294967294 7", b"9" * 5000])
def test_the_largest_epoch_stops_no_takeover(record: bytes) -> None:
    """A stored record is damaged, or the other controller reports a false epoch."""
    run = linked_run()
    for store in run.stores:
        store.records[STATE_KEY] = record
    take_over(run)
    assert run.agents[1].role == "active"
    assert run.longest_gap_us <= LIMIT_US
    run.begin_fault("power", 1)
    run.end_fault("power", 0)
    run.run(50)
    run.end_fault("power", 1)
    run.run(60)
    assert [agent.role for agent in run.agents] == ["active", "standby"]
    assert run.agents[0].beacons.epoch == run.agents[1].beacons.epoch <= 0xFFFFFFFF


@pytest.mark.parametrize("since_s", [0.0, 20.0], ids=["from the start", "before the takeover"])
def test_a_store_that_does_not_reply_stops_no_takeover(since_s: float) -> None:
    run = linked_run()
    run.at(since_s, run.stores[1].filter_requests, lambda *_: False)
    take_over(run)
    assert run.agents[1].role == "active"
    assert run.longest_gap_us <= LIMIT_US
    assert not run.agents[1].ports.is_fit()


@pytest.mark.parametrize("delay_ms", [300, 900, 5000])
def test_a_slow_store_stops_no_takeover(delay_ms: int) -> None:
    run = linked_run()
    run.stores[1]._delay_us = delay_ms * 1000
    take_over(run)
    assert run.agents[1].role == "active"
    assert run.longest_gap_us <= LIMIT_US


def test_a_full_store_stops_no_takeover() -> None:
    run = linked_run()
    run.at(20, run.stores[1].set_capacity, 0)
    take_over(run)
    assert run.agents[1].role == "active"
    assert run.longest_gap_us <= LIMIT_US


def test_an_active_controller_whose_store_does_not_reply_gives_up_the_role() -> None:
    run = linked_run()
    run.at(20, run.stores[0].filter_requests, lambda *_: False)
    run.start()
    run.run(40)
    assert [agent.role for agent in run.agents] == ["standby", "active"]
    assert run.agents[1].reason == "health"
