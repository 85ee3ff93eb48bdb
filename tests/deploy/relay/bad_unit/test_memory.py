# SPDX-License-Identifier: Apache-2.0
"""Blocks of few bytes and many values: no queue, cache or batch of the relay is limited by number.

A block of 100 bytes has up to 262,144 values, and merged blocks of an outage 50,000 each.
"""

import pytest

from deploy.relay import delivery
from deploy.relay.decode import prepare
from deploy.relay.decode.row_format import Item, count_values
from deploy.relay.delivery import ItemCache
from deploy.relay.limits import UnitLimits
from deploy.relay.outputs.base import Output, OutputError
from deploy.relay.records import database as relay_database
from protocols.telemetry import block, message
from protocols.telemetry.schema import Schema
from tests.deploy.relay.relay_rig import START_MS, PipelineRig, note_record, pack, rows_record

_WIDTH, _ROWS = 20, 50
_VALUES = _WIDTH * _ROWS
_SCHEMA = Schema([("t", "ms", 1, 1), *[(f"c{at}", "1", 1, 1) for at in range(_WIDTH)]])
_ALARM = (4, message.SCHEMA, _SCHEMA.text)


def wide(number: int) -> tuple[int, int, bytes]:
    """Return a record of 1,000 values."""
    times = [START_MS + 1000 * (100 * number + at) for at in range(_ROWS)]
    columns = [times, *[[7] * _ROWS for _ in range(_WIDTH)]]
    return rows_record(number, block.encode(_SCHEMA.number, number, columns))


class _Measured(Output):
    """Notes the values of each batch; `most`: more of them are a MemoryError."""

    BATCH = 2000
    most = 1 << 30
    is_down = False

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.numbers: list[int] = []

    def deliver(self, items: list[Item]) -> None:
        values = sum(map(count_values, items))
        if self.is_down:
            raise OutputError("down")
        if values > self.most:
            raise MemoryError
        self.batches.append(values)
        self.numbers += [item.number >> 2 for item in items]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> PipelineRig:
    monkeypatch.setattr(delivery, "MOST_VALUES", 5 * _VALUES)
    monkeypatch.setattr(prepare, "_MOST_VALUES", 7 * _VALUES)
    return PipelineRig(required={"store"}, limits=UnitLimits(cpu_share=1e9))


def test_a_batch_ends_at_its_values(rig: PipelineRig) -> None:
    rig.add_output("store", store := _Measured())
    due = rig.send(pack(_ALARM, *[wide(number) for number in range(1, 24)]))
    assert max(store.batches) == 5 * _VALUES
    assert store.numbers == list(range(1, 24))
    assert (3, 1, 23) in rig.ranges(due)
    rig.close()


def test_a_batch_that_is_cut_does_not_wait_for_more(rig: PipelineRig) -> None:
    store = _Measured()
    store.LINGER_S = 3600.0  # type: ignore[misc]
    rig.add_output("store", store)
    rig.receive(pack(_ALARM, *[wide(number) for number in range(1, 24)]))
    while rig.pipeline.process():
        pass
    worker = rig.pipeline.workers["store"]
    worker._batch_since = 0.0
    while worker.step():
        pass
    assert store.numbers == list(range(1, 24))
    rig.close()


def test_a_pass_decodes_few_values(rig: PipelineRig) -> None:
    rig.receive(pack(_ALARM, *[wide(number) for number in range(1, 24)]))
    passes = []
    while rig.pipeline.prepare():
        passes.append(sum(map(count_values, rig.items)))
        rig.items.clear()
    assert sum(passes) == 23 * _VALUES
    assert max(passes) == 8 * _VALUES
    rig.close()


def test_an_output_without_memory_gets_fewer_records(rig: PipelineRig) -> None:
    rig.add_output("store", store := _Measured())
    store.most = 2 * _VALUES
    rig.send(pack(_ALARM, *[wide(number) for number in range(1, 12)]))
    assert store.numbers == list(range(1, 12))
    assert rig.reasons() == []
    store.most = 0
    rig.receive(pack(wide(12)))
    rig.pipeline.prepare()
    with pytest.raises(MemoryError):
        rig.pipeline.workers["store"].step()
    assert rig.reasons() == [], "it is no refusal"
    rig.close()


def test_the_cache_is_limited_by_values(rig: PipelineRig) -> None:
    cache = ItemCache(10 * _VALUES)
    rig.send(pack(_ALARM, *[wide(number) for number in range(1, 24)]))
    for at, item in enumerate(rig.items):
        cache.add({at: item})
    assert [at for at in range(23) if cache.get(at) is not None] == list(range(13, 23))
    cache.discard(20)
    assert cache._count == 2 * _VALUES
    cache.discard(100)
    assert cache._count == 0
    rig.close()


def test_an_output_that_is_down_keeps_no_values_in_memory(rig: PipelineRig) -> None:
    rig.pipeline._cache._most_values = 10 * _VALUES
    rig.add_output("store", store := _Measured())
    store.is_down = True
    rig.receive(pack(_ALARM, *[wide(number) for number in range(1, 100)]))
    while rig.pipeline.prepare():
        pass
    assert len(rig.pipeline._cache._items) <= 10
    assert all(not entry.payload for entry in rig.pipeline.receipts._waiting.values())
    store.is_down = False
    rig.settle()
    assert store.numbers == list(range(1, 100))
    rig.close()


def test_few_bytes_are_read_together(rig: PipelineRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_database, "MOST_BYTES", 1000)
    rig.receive(pack(*[note_record(at, b'{"x":"%s"}' % (b"y" * 400)) for at in range(1, 6)]))
    found = rig.database.outbox(0, 100)
    assert len(found) == 2
    rig.receive(pack(note_record(9, b'{"x":"%s"}' % (b"y" * 4000))))
    monkeypatch.setattr(relay_database, "MOST_BYTES", 10)
    assert len(rig.database.outbox(0, 100)) == 1
    rig.settle()
    assert len(rig.notes()) == 6
    rig.close()
