# SPDX-License-Identifier: Apache-2.0
"""The scenarios of the log with the heap of a board, with many seeds, and with many power cuts."""

import random
from dataclasses import replace

import pytest

from hil.devices.mqtt.session import QueuedPublish
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import ScenarioEvent
from protocols.telemetry import block, varint
from protocols.telemetry.message import MERGED, ROWS, parse_message
from tests.hil.digests.shared_runs import board_lock_step, run_scenario, shared_result
from tests.support.programs import require_program

NAMES = ("link-outage", "link-half-open", "power-cuts", "disk-full")


@pytest.mark.soak
@pytest.mark.parametrize("name", ["link-half-open", "link-outage", "disk-full"])
def test_digest_is_equal_with_board_heap(name: str) -> None:
    """`power-cuts` runs so in `test_virtual.py`."""
    require_program("micropython")
    on_board = run_scenario(name, make_dut=board_lock_step("304wK"))
    assert on_board.failures == ()
    assert on_board.digest == shared_result(name).digest


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_scenario_passes_with_many_seeds(name: str) -> None:
    for seed in range(2, 40):
        assert run_scenario(name, seed).failures == (), seed


def run_long_outage(seed: int) -> None:
    """Cut the power every few minutes of an outage, while the log compacts its backlog."""
    rng = random.Random(seed)
    cuts = sorted(rng.uniform(30, 1500) for _ in range(6))
    events = [ScenarioEvent(at_s=20, do="broker_down", for_s=1500)]
    events += [ScenarioEvent(at_s=at, do="power_cut", for_s=2) for at in cuts]
    run = VirtualRun(replace(find("link-outage"), seconds=1700, events=tuple(events)), seed)
    merged_counts: list[int] = []
    broker = run.testbed.broker

    def count(message: QueuedPublish) -> None:
        if message.topic.endswith("/tele"):
            kinds = [record[1] for record in parse_message(message.payload)[1]]
            merged_counts.append(kinds.count(MERGED))

    broker.observe_messages(count)
    try:
        run.run()
    finally:
        run.dut.close()
    ground = run.testbed.ground
    assert ground is not None
    assert (ground.lost, ground.conflicts) == (0, 0)
    assert sum(merged_counts) >= 2
    rows: list[tuple[int, int]] = []
    for key in ground.arrival_order:
        kind, payload = ground.records[key]
        if kind == ROWS:
            _, length, _, at, _ = block.parse_header(payload)
            start, at = varint.get(payload, at)
            offset = varint.get(payload, at)[0]
            rows += [(start, offset + 1000 * i) for i in range(length)]
    assert len(set(rows)) == len(rows)
    assert len(rows) > 1500


def test_power_cuts_during_compaction() -> None:
    run_long_outage(1)


@pytest.mark.soak
def test_many_power_cuts_during_compaction() -> None:
    for seed in range(3, 100):
        run_long_outage(seed)
