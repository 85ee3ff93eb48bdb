"""The log's scenarios on both interpreters, and on a board's heap; many seeds of power cuts."""

import random
from dataclasses import replace
from typing import Any

import pytest

from hil.devices.mqtt.session import Message
from hil.kernel.dut import InProcess, MakeDut
from hil.run.virtual import Outcome, VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Event
from hil.shells.lockstep import LockStep
from protocols.telemetry import block, varint
from protocols.telemetry import message as parcel
from tests.support.peers import need
from tests.support.repository import flash

NAMES = ("link-outage", "link-half-open", "power-cuts", "disk-full")


def outcome(name: str, seed: int = 1, make: MakeDut = InProcess) -> Outcome:
    run = VirtualRun(find(name), seed, make)
    try:
        return run.outcome("", run.run())
    finally:
        run.dut.close()


@pytest.mark.parametrize("name", NAMES)
def test_passes_with_one_digest_on_a_board_s_heap(name: str) -> None:
    need("micropython")

    # 272 KiB: names of precompiled files outgrew a table, 15 KiB at once; a board's are frozen
    def board(*given: Any) -> LockStep:
        return LockStep(*given, path=flash(), heap="272wK")

    here, there = outcome(name), outcome(name, make=board)
    assert here.failures == ()
    assert (there.digest, there.failures) == (here.digest, ())


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_many_seeds(name: str) -> None:
    for seed in range(2, 40):
        assert outcome(name, seed).failures == (), seed


def long_outage(seed: int) -> None:
    """Cut the power every few minutes of an outage in which the backlog is coded anew."""
    chance = random.Random(seed)
    cuts = sorted(chance.uniform(30, 1500) for _ in range(6))
    events = [Event(at_s=20, do="broker_down", for_s=1500)]
    events += [Event(at_s=at, do="power_cut", for_s=2) for at in cuts]
    run = VirtualRun(replace(find("link-outage"), seconds=1700, events=tuple(events)), seed)
    longer: list[int] = []
    broker = run.row.broker
    before = broker.on_message

    def count(message: Message) -> None:
        if message.topic.endswith("/tele"):
            kinds = [record[1] for record in parcel.read(message.payload)[1]]
            longer.append(kinds.count(parcel.MERGED))
        if before is not None:
            before(message)

    broker.on_message = count
    try:
        run.run()
    finally:
        run.dut.close()
    ground = run.row.ground
    assert ground is not None
    assert (ground.lost, ground.differing) == (0, 0)
    assert sum(longer) >= 2
    rows: list[tuple[int, int]] = []
    for key in ground.order:
        kind, payload = ground.kept[key]
        if kind == parcel.ROWS:
            _, length, _, at, _ = block.head(payload)
            start, at = varint.get(payload, at)
            since = varint.get(payload, at)[0]
            rows += [(start, since + 1000 * i) for i in range(length)]
    assert len(set(rows)) == len(rows)
    assert len(rows) > 1500


def test_power_cuts_while_longer_blocks_are_made() -> None:
    long_outage(1)


@pytest.mark.soak
def test_many_power_cuts_while_longer_blocks_are_made() -> None:
    for seed in range(3, 100):
        long_outage(seed)
