# SPDX-License-Identifier: Apache-2.0
"""A program that invents names of units: they have one lane together, the others their places."""

from pathlib import Path

import pytest

from deploy.relay.intake import fair_queue, known_units
from deploy.relay.intake.fair_queue import NEW_IN_A_BATCH, FairQueue
from deploy.relay.intake.known_units import KnownUnits
from deploy.relay.records.database import RelayDatabase
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, pack


class _Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def fill(queue: FairQueue[int], count: int, site: str = "bad", is_new: bool = True) -> int:
    """Put a message of each of `count` units; return how many have a place."""
    return sum([queue.put(f"{site}/x{at}", b"x", at, 0, is_new) for at in range(count)])


def test_known_units_come_first_and_few_new_ones_follow() -> None:
    queue: FairQueue[int] = FairQueue(1000)
    fill(queue, 100)
    fill(queue, 30, "good", is_new=False)
    sites = [unit.partition("/")[0] for unit, _, _ in queue.take(0)]
    assert sites == ["good"] * 30 + ["bad"] * NEW_IN_A_BATCH


def test_the_next_new_ones_wait_for_the_outputs_or_a_time() -> None:
    clock = _Clock()
    queue: FairQueue[int] = FairQueue(1000, clock)
    fill(queue, 100)
    assert len(queue.take(0)) == NEW_IN_A_BATCH
    assert queue.take(0, outputs_wait=False) == []
    assert queue.put("good/u1", b"x", 1)
    assert len(queue.take(0, outputs_wait=False)) == 1
    assert len(queue.take(0, outputs_wait=True)) == NEW_IN_A_BATCH
    clock.now += 1
    assert len(queue.take(0, outputs_wait=False)) == NEW_IN_A_BATCH


def test_new_units_are_in_turn_by_site_and_in_order_of_a_unit() -> None:
    queue: FairQueue[int] = FairQueue(1000)
    fill(queue, 100)
    for number in range(3):
        queue.put("fair/u1", b"x", number, is_new=True)
    queue.put("other/u1", b"x", 7, is_new=True)
    batch = queue.take(0)
    assert [item for unit, _, item in batch if unit == "fair/u1"] == [0, 1, 2]
    assert [item for unit, _, item in batch if unit == "other/u1"] == [7]


def test_new_units_leave_places_for_known_ones_and_for_other_sites() -> None:
    queue: FairQueue[int] = FairQueue(1000)
    assert fill(queue, 2000) == 400
    assert fill(queue, 2000, "second") == 400
    assert fill(queue, 10, "third") == 0
    assert fill(queue, 200, "good", is_new=False) == 200
    assert not queue.put("good/last", b"x", 1, 0.01)


def test_the_limit_of_a_unit_counts_over_both_lanes() -> None:
    queue: FairQueue[int] = FairQueue(100_000)
    for number in range(fair_queue.MOST_OF_A_UNIT):
        assert queue.put("s/u", b"x", number, is_new=number % 2 == 0)
    assert not queue.put("s/u", b"x", 0)
    while queue.take(0):
        pass
    assert queue.is_empty()
    assert not queue._waiting


def test_a_unit_is_known_from_the_file_or_after_ten_minutes(tmp_path: Path) -> None:
    rig = PipelineRig(tmp_path / "relay.db")
    rig.send(pack(ALARM), unit="s/old")
    rig.close()
    clock, database = _Clock(), RelayDatabase(tmp_path / "relay.db", "r")
    known = KnownUnits(database, clock)
    assert [known.is_new(f"s/{name}") for name in ("old", "new", "new")] == [False, True, True]
    clock.now += 599
    assert known.is_new("s/new")
    clock.now += 2
    assert not known.is_new("s/new")
    assert known.is_new("s/later")
    database.close()


def test_names_without_an_end_fill_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_units, "_MOST_UNITS", 100)
    clock, database = _Clock(), RelayDatabase(tmp_path / "relay.db", "r")
    known = KnownUnits(database, clock)
    for number in range(1000):
        clock.now += 10
        known.is_new(f"s/u{number}")
        known.is_new(f"s/u{number - 60}")
    assert len(known._first_at) <= 101
    assert len(known._known) <= 100
    database.close()
