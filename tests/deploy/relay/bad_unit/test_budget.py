# SPDX-License-Identifier: Apache-2.0
"""A unit over its CPU time waits alone; messages are taken in turn by unit."""

import threading
import time

import pytest

from deploy.relay import limits
from deploy.relay.intake.fair_queue import MOST_OF_A_UNIT, FairQueue
from deploy.relay.limits import CpuBudget, RateLimiter, UnitLimits
from tests.deploy.relay.relay_rig import (
    ALARM,
    PipelineRig,
    block_of_run,
    bulk,
    note_record,
    pack,
    rows_record,
)

_BAD, _GOOD = "bad/u", "good/u"
_NOTE = b'{"t":1735689600000,"alarm":"raised","code":"leak","text":"x"}'


def _set_ahead(budget: CpuBudget, unit: str, ahead_s: float) -> None:
    """Let a unit have used its budget of this time, whatever its records have needed here."""
    budget._paid_at[unit] = time.monotonic() + ahead_s


def test_a_budget_is_used_in_a_burst_and_grows_again() -> None:
    time_s = [100.0]
    budget = CpuBudget(UnitLimits(cpu_share=0.1), lambda: time_s[0])
    budget.charge(_BAD, 1.9)
    assert not budget.is_over(_BAD)
    budget.charge(_BAD, 0.2)
    assert budget.is_over(_BAD)
    assert not budget.is_exhausted(_BAD)
    assert not budget.is_over(_GOOD)
    budget.charge(_BAD, 2.0)
    assert budget.is_exhausted(_BAD)
    time_s[0] += 30.0
    assert not budget.is_over(_BAD)


def test_one_record_bars_a_unit_for_two_minutes_at_most() -> None:
    time_s = [100.0]
    budget = CpuBudget(UnitLimits(cpu_share=0.1), lambda: time_s[0])
    budget.charge(_BAD, 1000.0)
    time_s[0] += 121.0
    assert not budget.is_over(_BAD)


def test_records_that_wait_are_in_turn_at_the_rate_of_the_budget() -> None:
    budget = CpuBudget(UnitLimits(cpu_share=0.1), lambda: 100.0)
    budget.charge(_BAD, 3.0)
    assert [round(budget.defer(_BAD, 0.1)) for _ in range(3)] == [11, 12, 13]
    assert round(budget.defer(_GOOD, 0.1)) == 1


def test_a_unit_over_its_cpu_time_waits_and_loses_nothing() -> None:
    rig = PipelineRig(limits=UnitLimits(cpu_share=0.05))
    rig.send(pack(ALARM), unit=_GOOD)
    budget = rig.pipeline.budget
    rig.send(pack(ALARM, bulk(1)), unit=_BAD)
    _set_ahead(budget, _BAD, 30)
    due = rig.send(pack(bulk(2)), unit=_BAD)
    assert rig.ranges(due, _BAD) == [(3, 2, 2)], "it is durable, so it has its receipt"
    assert rig.reasons(_BAD) == ["budget"]
    rig.send(pack(note_record(9, _NOTE)), unit=_BAD)
    assert [note.unit for note in rig.notes()] == [_BAD], "an alarm does not wait"
    assert rig.ranges(rig.send(pack(bulk(1)), unit=_GOOD), _GOOD) == [(3, 1, 1)]
    rig.items.clear()
    budget._paid_at.clear()
    with rig.database.transaction():
        rig.database.execute("UPDATE quarantine SET due_ms=0")
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert [(rows.unit, rows.number >> 2) for rows in rig.rows()] == [(_BAD, 2)]
    assert rig.reasons() == []
    rig.close()


def test_a_record_that_waited_for_a_date_in_vain_is_still_final_after_the_budget() -> None:
    rig = PipelineRig(limits=UnitLimits(cpu_share=0.05), undated_wait_s=1000.0)
    rig.send(pack(ALARM, rows_record(1, block_of_run(1, 5000, [None, None]))), unit=_BAD)
    assert rig.reasons(_BAD) == ["undated"]
    for reasons in (["budget"], []):
        with rig.database.transaction():
            rig.database.execute("UPDATE quarantine SET due_ms=0")
        rig.pipeline.budget._paid_at.clear()
        if reasons:
            _set_ahead(rig.pipeline.budget, _BAD, 30)
        rig.pipeline._tidy(force=True)
        rig.settle()
        assert rig.reasons(_BAD) == reasons
    assert [rows.is_dated for rows in rig.rows()] == [False]
    rig.close()


def test_an_exhausted_unit_is_discarded_before_it_takes_a_place() -> None:
    rig = PipelineRig(limits=UnitLimits(cpu_share=0.05))
    ingest = rig.pipeline.ingest
    assert not ingest.discards(_BAD)
    _set_ahead(rig.pipeline.budget, _BAD, 50)
    assert ingest.discards(_BAD)
    assert not ingest.discards(_GOOD)
    assert ingest.throttled_by_unit == {_BAD: 1}
    assert rig.receive(pack(bulk(1)), unit=_BAD).throttled == {0}
    rig.close()


def test_a_batch_has_few_messages_of_one_unit_and_all_others() -> None:
    queue: FairQueue[int] = FairQueue(1000)
    for number in range(100):
        assert queue.put(_BAD, b"x", number)
    for unit in range(30):
        assert queue.put(f"good/u{unit}", b"y", unit)
    batch = queue.take(0)
    units = [unit for unit, _, _ in batch]
    assert units.count(_BAD) == 4
    assert len(set(units)) == 31
    assert [item for unit, _, item in batch if unit == _BAD] == [0, 1, 2, 3]
    assert [item for _, _, item in queue.take(0)] == [4, 5, 6, 7]


def test_the_batch_is_bounded_and_no_unit_waits_for_ever() -> None:
    queue: FairQueue[int] = FairQueue(1000)
    for unit in range(300):
        queue.put(f"s/u{unit}", b"x", unit)
    first, second = queue.take(0), queue.take(0)
    assert (len(first), len(second)) == (200, 100)
    assert sorted(item for _, _, item in [*first, *second]) == list(range(300))
    assert queue.take(0) == []


def test_a_unit_with_a_full_queue_is_refused_alone() -> None:
    queue: FairQueue[int] = FairQueue(10 * MOST_OF_A_UNIT)
    assert all(queue.put(_BAD, b"x", number) for number in range(MOST_OF_A_UNIT))
    assert not queue.put(_BAD, b"x", 0)
    assert queue.put(_GOOD, b"x", 0)
    large: FairQueue[int] = FairQueue(10)
    assert all(large.put(_BAD, bytes(4 << 20), number) for number in range(2))
    assert not large.put(_BAD, b"x", 0)


def test_a_full_queue_makes_the_reception_wait() -> None:
    queue: FairQueue[int] = FairQueue(2)
    assert queue.put("s/a", b"x", 1)
    assert queue.put("s/b", b"x", 2)
    assert not queue.put("s/c", b"x", 3, 0.01)
    waiting = threading.Thread(target=queue.put, args=("s/c", b"x", 3))
    waiting.start()
    assert len(queue.take(0)) == 2
    waiting.join(10)
    assert [item for _, _, item in queue.take(0)] == [3]


def test_a_message_that_comes_ends_the_wait() -> None:
    queue: FairQueue[int] = FairQueue(2)
    threading.Timer(0.05, queue.put, ("s/a", b"x", 1)).start()
    start = time.monotonic()
    assert len(queue.take(30)) == 1
    assert time.monotonic() - start < 20


def test_a_clock_that_was_set_back_does_not_hold_records_of_the_budget_for_a_day() -> None:
    rig = PipelineRig(limits=UnitLimits(cpu_share=0.05))
    rig.send(pack(ALARM), unit=_BAD)
    _set_ahead(rig.pipeline.budget, _BAD, 30)
    rig.send(pack(bulk(1)), unit=_BAD)
    with rig.database.transaction():
        rig.database.execute("UPDATE quarantine SET due_ms=due_ms+86400000")
    rig.pipeline.budget._paid_at.clear()
    rig.pipeline._tidy(force=True)
    rig.pipeline._tidy(force=True)
    rig.settle()
    assert len(rig.rows()) == 1
    rig.close()


def test_the_bytes_of_all_units_are_bounded() -> None:
    queue: FairQueue[int] = FairQueue(5000)
    for unit in range(16):
        assert queue.put(f"s/u{unit}", bytes(4 << 20), unit)
    assert not queue.put("s/other", b"x", 0, 0.01)
    queue.take(0)
    assert queue.put("s/other", b"x", 0, 0.01)


def test_names_without_an_end_do_not_grow_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_MAX_UNITS", 100)
    budget, rate = CpuBudget(UnitLimits()), RateLimiter(UnitLimits())
    for number in range(1000):
        budget.charge(f"s/u{number}", 0.001)
        budget.defer(f"s/u{number}", 0.001)
        budget.charge(f"s/w{number}", 10.0)
        rate.admit(f"s/u{number}", 1)
    counts: dict[str, int] = {}
    for number in range(1000):
        limits.count_by_unit(counts, f"s/u{number}")
    assert len(counts) == 100
    assert max(len(budget._paid_at), len(budget._free_at), len(rate._buckets)) <= 110
