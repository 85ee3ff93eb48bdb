# SPDX-License-Identifier: Apache-2.0
"""Blocks with a good UTC and a wrong uptime: their rows are right, and they date no other block."""

import pytest

from tests.deploy.relay.relay_rig import (
    ALARM,
    START_MS,
    PipelineRig,
    block_of_run,
    pack,
    rows_record,
)

_DAY_MS = 86_400_000


class RunUnit:
    """Sends blocks of five rows of one run; `offset` is UTC minus uptime."""

    def __init__(self) -> None:
        self.rig = PipelineRig()
        self.rig.send(pack(ALARM))
        self.offset = START_MS
        self._number = 0

    def send(self, has_utc: bool, wrong_ms: int = 0) -> list[int]:
        """Send a block whose uptime is wrong by `wrong_ms`; return the errors of its dates, ms."""
        self._number += 1
        uptime = 5000 * self._number
        true_times = [self.offset + uptime + 1000 * at for at in range(5)]
        times: list[int | None] = list(true_times) if has_utc else [None] * 5
        block = block_of_run(7, uptime + wrong_ms, times, 5 * self._number)
        self.rig.items.clear()
        self.rig.send(pack(rows_record(self._number, block)))
        found = [at for rows in self.rig.rows() for at, _ in rows.values]
        return [at - true for at, true in zip(found, true_times, strict=True)]


@pytest.fixture
def unit() -> RunUnit:
    return RunUnit()


@pytest.mark.parametrize("wrong_ms", [_DAY_MS, 100_000])
def test_one_wrong_uptime_dates_no_other_block(unit: RunUnit, wrong_ms: int) -> None:
    assert unit.send(True) == unit.send(True) == [0] * 5
    assert unit.send(True, wrong_ms) == [0] * 5, "its own rows have UTC"
    assert unit.send(False) == [0] * 5
    assert unit.send(True) == unit.send(False) == [0] * 5
    unit.rig.close()


def test_a_wrong_uptime_of_the_first_block_ends_with_the_next_one(unit: RunUnit) -> None:
    assert unit.send(True, _DAY_MS) == [0] * 5
    assert unit.send(False) == [-_DAY_MS] * 5, "nothing else is known"
    assert unit.send(True) == [0] * 5
    assert unit.send(False) == [0] * 5
    unit.rig.close()


def test_two_blocks_that_agree_change_the_clock(unit: RunUnit) -> None:
    unit.send(True)
    unit.send(True)
    unit.offset += _DAY_MS  # the unit had a wrong UTC, and has set it
    assert unit.send(True) == [0] * 5
    assert unit.send(False) == [-_DAY_MS] * 5
    assert unit.send(True) == [0] * 5
    assert unit.send(False) == [0] * 5
    unit.offset += 20_000  # a small step counts immediately
    assert unit.send(True) == unit.send(False) == [0] * 5
    unit.rig.close()


def test_wrong_uptimes_that_differ_change_nothing(unit: RunUnit) -> None:
    unit.send(True)
    unit.send(True)
    for days in (1, 2, 3, 4):
        assert unit.send(True, days * _DAY_MS) == [0] * 5
    assert unit.send(False) == [0] * 5
    unit.rig.close()


def settle_within(rig: PipelineRig, steps: int) -> bool:
    """Return whether the pipeline comes to rest within `steps`."""
    return any(not rig.pipeline.process() for _ in range(steps))


@pytest.mark.parametrize("blocks", [2, 3])
@pytest.mark.parametrize("apart_ms", [1000, 16_384, 59_000, 61_000, _DAY_MS])
@pytest.mark.parametrize("is_backwards", [False, True])
def test_blocks_that_wait_and_disagree_come_to_rest(
    blocks: int, apart_ms: int, is_backwards: bool
) -> None:
    """A block with one row with UTC gives a clock, but no period: its other rows wait.

    Each clock released all blocks that waited, and each of these gave its own clock again.
    """
    rig = PipelineRig()
    rig.send(pack(ALARM))
    records = [
        rows_record(n, block_of_run(7, 5000, [START_MS + n * apart_ms, None, None], 3 * n))
        for n in range(1, blocks + 1)
    ]
    for record in reversed(records) if is_backwards else records:
        rig.receive(pack(record))
        assert settle_within(rig, 50)
    assert rig.reasons() == ["undated"] * blocks
    end = START_MS + blocks * apart_ms
    for number in (30, 31):  # two that agree
        newer = block_of_run(7, 5000, [end + 1000 * at for at in range(3)], 3 * number)
        rig.receive(pack(rows_record(number, newer)))
        assert settle_within(rig, 50)
    assert rig.reasons() == [], "a clock with a period dates all"
    rig.close()
