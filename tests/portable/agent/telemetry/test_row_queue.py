# SPDX-License-Identifier: Apache-2.0
"""Rows leave the queue as they came, in order, and take little memory."""

from agent.telemetry.row_queue import RowQueue
from tests.portable.support.agent_rig import RigLcg
from tests.portable.support.check import eq

ROW = b'{"seq":%d,"t":%d,"clock":"sync","v":[%s]}'


def drain(queue):
    rows = []
    while len(queue):
        rows.append(queue.first)
        queue.drop_first()
    eq((queue.first, queue.last), (b"", b""))
    return rows


def test_rows_come_out_in_order():
    queue = RowQueue(20)
    for rows in ([b"a,b", b"a,c", b"a,c", b"b,c"], [b"x"], [b"a,b,c", b"a,b", b"a,b", b"", b",,"]):
        for i, row in enumerate(rows):
            eq((queue.add(row), len(queue), queue.last), (False, i + 1, row))
        eq(drain(queue), rows)


def test_long_runs_of_equal_parts():
    for count in (1, 126, 127, 128, 254, 255, 300):
        parts = [b"%d" % i for i in range(count)]
        rows = [b",".join(parts + [b"%d" % i]) for i in range(3)]
        queue = RowQueue(3)
        for row in rows:
            queue.add(row)
        eq((count, drain(queue)), (count, rows))


def test_a_full_queue_drops_the_oldest():
    for limit in (1, 2, 5):
        queue = RowQueue(limit)
        rows = [ROW % (i, 1_000_000 * i, b"1,2,%d" % (i // 3)) for i in range(20)]
        eq([queue.add(row) for row in rows].count(True), 20 - limit)
        eq((limit, drain(queue)), (limit, rows[-limit:]))


def test_any_order_of_adding_and_dropping():
    """A list is the model."""
    source = RigLcg(7)
    queue, model = RowQueue(9), []
    for _ in range(1500):
        if source.below(5) < 2:
            queue.drop_first()
            model = model[1:]
        else:
            count = 4 if source.below(8) else 1 + source.below(6)
            row = b",".join([b"%d" % source.below(3) for _ in range(count)])
            queue.add(row)
            model = (model + [row])[-9:]
        eq(len(queue), len(model))
        if model:
            eq((queue.first, queue.last), (model[0], model[-1]))


def test_rows_that_change_little_take_a_third():
    queue, size = RowQueue(120), 0
    values = [1500, 320, 400, 2302, 1500, 5474, 270, 70] * 6
    for i in range(120):
        values[i % 8] += 1
        values[8 + i % 7] -= 1
        row = ROW % (
            i,
            1_795_500_000_000_000 + i * 1_000_000,
            b",".join([b"%d" % v for v in values]),
        )
        queue.add(row)
        size += len(row)
    kept = sum([len(change) for change in queue._changes])
    assert 3 * kept < size, (kept, size)
