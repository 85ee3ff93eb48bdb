# SPDX-License-Identifier: Apache-2.0
"""One unit sends mutated blocks, schemas, notes and datagrams; another unit must not notice.

MUTATIONS=N sets the number of messages of a soak run (10 million), SEED=N another run. PyPy is
several times faster; see `mutator`.
"""

import itertools
import os
import random
import time

import pytest

from deploy.relay.records.database import Entry, RelayDatabase
from protocols.telemetry import varint
from protocols.telemetry.message import MERGED
from tests.deploy.relay.bad_unit.mutator import run
from tests.deploy.relay.relay_rig import GENERATION, UNIT, PipelineRig, pack


def test_a_bad_unit_harms_no_other_one() -> None:
    worst, _ = run(2000, 1)
    assert worst < 5.0


@pytest.mark.soak
def test_millions_of_mutations() -> None:
    count = int(os.environ.get("MUTATIONS", "10000000"))
    print(run(count, int(os.environ.get("SEED", "2"))))


def test_spans_of_received_records_are_those_of_single_records() -> None:
    draw = random.Random(4)
    database = RelayDatabase(":memory:", "a")
    received: set[int] = set()
    with database.transaction():
        for _ in range(2000):
            first, count = draw.randrange(1, 400), draw.choice((1, 1, 2, 5, 40))
            wanted = [ident for ident in range(first, first + count) if ident not in received]
            new = database.mark_received(UNIT, GENERATION, 4 * first + 3, count)
            assert new == [4 * ident + 3 for ident in wanted]
            received.update(wanted)
            if draw.random() < 0.3:
                database.forget_record(Entry(0, UNIT, GENERATION, 4 * first + 3, count, 1, b""))
                received.difference_update(range(first, first + count))
    spans = database.query("SELECT first, last FROM received ORDER BY first")
    assert [ident for low, high in spans for ident in range(low, high + 1)] == sorted(received)
    assert all(low > high + 1 for (_, high), (low, _) in itertools.pairwise(spans))
    database.close()


def _wide_records(count: int) -> list[tuple[int, int, bytes]]:
    """Return merged records; each has ten bytes and counts as 4,096 records."""
    content = bytearray()
    for number in (4096, 6):
        varint.put(number, content)
    return [(4 * (1 + 4096 * at) + 3, MERGED, bytes(content)) for at in range(count)]


def test_a_short_message_with_many_numbers_is_cheap() -> None:
    """Each record is sent twice."""
    rig = PipelineRig()
    records = _wide_records(30)
    start = time.process_time()
    for record in [*records, *records]:
        rig.send(pack(record))
    assert time.process_time() - start < 0.6
    rig.close()


def test_a_message_that_counts_as_too_many_records_is_held() -> None:
    rig = PipelineRig()
    records = _wide_records(5)
    rig.send(pack(*records))
    assert rig.reasons() == ["message"]
    rig.close()
