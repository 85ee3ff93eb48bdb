# SPDX-License-Identifier: Apache-2.0
"""A pair with a link and stores: planned swaps, replicated state, a durable epoch."""

from collections.abc import Iterator
from typing import Any

import pytest

from agent.core.actuator import SetpointRequest
from agent.northbound.pair_points import REASONS as WORDS
from agent.redundancy.beacon import UNITS, Word, build_request
from agent.redundancy.handover import REASONS, reason_of
from agent.redundancy.pair_table import ACTIVE
from agent.redundancy.stored_epoch import COMMAND_KEY, STATE_KEY, command_text
from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PAIR_KEY, PairRun
from protocols.modbus.rtu import build_frame


def linked_run(**section: Any) -> PairRun:
    return PairRun(TestbedSettings(), is_linked=True, **section)


def roles(run: PairRun) -> list[str]:
    return [agent.role for agent in run.agents]


def command(run: PairRun, node: int, name: str) -> None:
    """Give a command as `coldloop pair` does."""
    epoch = run.agents[node].beacons.epoch
    run.stores[node].records[COMMAND_KEY] = command_text(PAIR_KEY, name, epoch)


def swap_times(run: PairRun, count: int, phase_s: float) -> Iterator[float]:
    for number in range(count):
        at_s = 20 + 8 * number + phase_s * number
        run.at(at_s, command, run, number % 2, "swap")
        yield at_s


@pytest.mark.parametrize("phase_s", [0.023, 0.171])
def test_planned_swaps_move_no_actuator(phase_s: float) -> None:
    run = linked_run()
    assert list(swap_times(run, 6, phase_s))
    run.measure_from(18)
    run.start()
    run.run(70)
    assert [agent.takeovers for agent in run.agents] == [4, 3]
    assert {agent.reason for agent in run.agents} == {"command"}
    assert run.longest_gap_us <= 1_200_000
    assert run.closest_writes_us() >= 1_000_000
    assert run.largest_step_pct <= 0.3
    assert run.supply_error_k <= 0.5


def test_a_swap_holds_the_commands_to_the_count() -> None:
    run = linked_run()
    run.at(30, command, run, 0, "swap")
    run.start()
    run.run(30)
    first = run.agents[0].agent
    assert first is not None
    run.run(31)
    asked = [actuator.command_raw for actuator in (first.valve, *first.pumps)]
    while roles(run)[1] != "active":
        run.run(run.world.now / 1e6 + 0.01)
    second = run.agents[1].agent
    assert second is not None
    assert [actuator.command_raw for actuator in (second.valve, *second.pumps)] == asked
    run.run(run.world.now / 1e6 + 0.02)
    known = [write.frame for write in run.writes if write.node == 0]
    assert all(write.frame in known for write in run.writes if write.node == 1)


def test_the_set_point_of_an_operator_survives_a_takeover() -> None:
    run = linked_run()
    run.start()
    run.run(20)
    agent = run.agents[0].agent
    assert agent is not None
    agent.request_setpoint(SetpointRequest("test", "supply", 31.25))
    run.run(23)
    run.begin_fault("power", 0)
    run.run(27)
    assert roles(run)[1] == "active"
    assert run.agents[1].agent is not None
    assert run.agents[1].agent.supply_loop.config.setpoint == 31.25


def test_an_old_replica_is_not_used() -> None:
    run = linked_run()
    run.start()
    run.run(20)
    agent = run.agents[0].agent
    assert agent is not None
    before = agent.supply_loop.config.setpoint
    agent.request_setpoint(SetpointRequest("test", "supply", 31.25))
    run.run(23)
    run.begin_fault("link", 0)
    run.run(90)
    run.begin_fault("power", 0)
    run.run(94)
    assert run.agents[1].agent is not None
    assert run.agents[1].agent.supply_loop.config.setpoint == before


def test_a_state_that_waited_for_a_controller_that_stood_still_is_old() -> None:
    run = linked_run()
    run.start()
    run.run(20)
    agent = run.agents[0].agent
    assert agent is not None
    before = agent.supply_loop.config.setpoint
    run.begin_fault("pause", 1)
    agent.request_setpoint(SetpointRequest("test", "supply", 31.25))
    run.run(40)
    run.begin_fault("power", 0)
    run.run(110)
    run.end_fault("pause", 1)
    run.run(114)
    assert run.agents[1].agent is not None
    assert run.agents[1].agent.supply_loop.config.setpoint == before


@pytest.mark.parametrize("sender", [0, 1])
def test_a_cut_link_is_an_alarm_and_stops_swaps_but_no_takeover(sender: int) -> None:
    """In one direction is enough."""
    run = linked_run()
    run.at(20, run.begin_fault, "link", sender)
    run.at(30, command, run, 0, "swap")
    run.at(50, run.begin_fault, "power", 0)
    run.measure_from(19)
    run.start()
    run.run(49)
    assert roles(run) == ["active", "standby"]
    assert any("alarm raised pair_link_lost" in line for line in run.console)
    fields = dict(run.agents[0].status_fields())
    assert (fields["link"], fields["peer_fit"], fields["in_sync"]) == (False, None, None)
    run.run(60)
    assert roles(run)[1] == "active"
    assert run.longest_gap_us <= 2_000_000


def test_the_epoch_is_durable_before_the_first_write() -> None:
    run = linked_run()
    stored: list[bytes] = []
    observe = run._observe

    def note(node: int, frame: bytes, now: int) -> None:
        count = len(run.writes)
        observe(node, frame, now)
        if len(run.writes) > count and not any(write.node == node for write in run.writes[:-1]):
            stored.append(run.stores[node].records[STATE_KEY])

    run.line.set_observer(note)
    run.at(20, run.begin_fault, "power", 0)
    run.start()
    run.run(30)
    assert stored == [b"1 1", b"2 1"]


def test_recorded_beacons_have_no_effect_after_both_have_restarted() -> None:
    run = linked_run()
    run.start()
    run.run(20)
    epoch = run.agents[0].beacons.epoch
    for node in (0, 1):
        run.begin_fault("power", node)
    run.run(22)
    for node in (0, 1):
        run.end_fault("power", node)
    run.run(32)
    assert roles(run) == ["active", "standby"]
    assert run.agents[0].beacons.epoch > epoch
    old = build_frame(UNITS["a"], build_request(PAIR_KEY, UNITS["a"], Word(ACTIVE, epoch, 7)))
    for number in range(3):
        run.at(33 + 1.7 * number, run.line.send, 1, old)
    run.run(45)
    assert roles(run) == ["active", "standby"]
    assert run.agents[0].takeovers == 1


@pytest.mark.parametrize("both", [False, True])
def test_a_dead_store_gives_the_role_to_the_other_one_and_stops_nothing(both: bool) -> None:
    run = linked_run()
    run.at(20, run.begin_fault, "store", 0)
    if both:
        run.at(20, run.begin_fault, "store", 1)
        run.at(45, run.begin_fault, "power", 0)
    run.measure_from(19)
    run.start()
    run.run(60)
    assert roles(run)[1] == "active"
    assert run.longest_gap_us <= 2_000_000
    assert run.agents[1].takeovers == 1
    assert run.agents[1].reason == ("silence" if both else "health")


def test_a_dropped_swap_gives_no_reason_to_a_later_takeover() -> None:
    run = linked_run()
    run.at(20, command, run, 0, "swap")
    run.at(20, run.begin_fault, "store", 1)
    run.at(20.0, run.begin_fault, "link", 0)
    run.at(45, run.begin_fault, "power", 0)
    run.start()
    run.run(50)
    assert run.agents[0].takeovers == 1
    assert (run.agents[1].role, run.agents[1].reason) == ("active", "silence")


def test_a_state_without_a_reason_is_that_of_older_software() -> None:
    assert reason_of(b"history 7\ncommand.0 100 50000") == "swap"
    assert reason_of(b"history 7\ncommand.0 100 50000\nswap.reason x") == "swap"
    for reason in REASONS:
        assert reason_of(b"history 7\nswap.reason " + reason.encode()) == reason
    assert set(REASONS) < set(WORDS)


def test_a_rotation_by_time_proves_both() -> None:
    run = linked_run(rotate_h=1)
    for agent in run.agents:
        agent._swaps._rotate_us = 20_000_000  # an hour takes too long here
    run.measure_from(15)
    run.start()
    run.run(70)
    assert sum(agent.takeovers for agent in run.agents) >= 3
    assert {agent.reason for agent in run.agents} == {"time"}
    assert run.longest_gap_us <= 1_200_000


def test_a_controller_that_is_out_does_not_take_over_until_it_is_in_again() -> None:
    run = linked_run()
    run.at(20, command, run, 1, "out")
    run.at(30, run.begin_fault, "power", 0)
    run.at(45, command, run, 1, "in")
    run.start()
    run.run(44)
    assert roles(run)[1] == "out"
    run.run(50)
    assert roles(run)[1] == "active"


def test_a_command_for_another_epoch_or_with_another_key_is_ignored() -> None:
    run = linked_run()
    run.start()
    run.run(20)
    forged = command_text(bytes(32), "swap", 1)
    for text in (command_text(PAIR_KEY, "swap", 77), forged, b"\xff" * 50):
        run.stores[0].records[COMMAND_KEY] = text
        run.run(run.world.now / 1e6 + 5)
        assert roles(run) == ["active", "standby"]
        assert COMMAND_KEY not in run.stores[0].records
