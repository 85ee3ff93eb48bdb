# SPDX-License-Identifier: Apache-2.0
"""Histogram of latencies: buckets, carriers, records without a receipt."""

from agent.log.latency import BUCKETS, LatencyHistogram, bucket_of
from tests.portable.support.check import eq


def test_buckets_double():
    eq([bucket_of(s) for s in (-3, 0, 1, 2, 3, 4, 7, 8, 1000)], [0, 0, 1, 2, 2, 3, 3, 4, 10])
    eq(bucket_of(1 << 40), BUCKETS - 1)


def test_receipts_are_counted_once_by_class_and_carrier():
    latency = LatencyHistogram(4)
    latency.sent(1, 5, 100, 0)
    latency.sent(1, 6, 101, 0)
    latency.sent(2, 5, 100, 0)
    latency.sent(2, 5, 100, 1)  # again, by the other carrier
    latency.acknowledged(1, 1, 5, 103, 6)
    latency.acknowledged(1, 1, 5, 200, 6)
    latency.acknowledged(2, 5, 9, 1100, 10)
    rows = latency.rows()
    eq([(group, carrier) for group, carrier, _ in rows], [(1, "mqtt"), (2, "datagram")])
    eq(rows[0][2][2], 1)
    eq(sum(rows[0][2]), 1)
    eq(rows[1][2][10], 1)


def test_backlog_is_sampled():
    latency = LatencyHistogram(1)
    for ident in range(100):
        latency.sent(0, ident, 0, 0)
    latency.acknowledged(0, 0, 99, 5, 100)
    eq(sum(latency.rows()[0][2]), 12)
    latency.sent(0, 100, 4, 0)
    latency.acknowledged(0, 100, 100, 5, 101)
    eq(sum(latency.rows()[0][2]), 13)


def test_records_that_are_dropped_keep_no_place():
    """Twelve of them would end the histogram of their class until the agent starts again."""
    latency = LatencyHistogram(1)
    for ident in range(1, 13):
        latency.sent(0, ident, 0, 0)
    latency.sent(0, 13, 0, 0)  # not followed: no place
    latency.acknowledged(0, 13, 13, 5, 12)  # 1 to 11 are dropped, 12 can still have its receipt
    for ident in range(14, 40):
        latency.sent(0, ident, 5, 0)
    latency.acknowledged(0, 12, 39, 6, 40)
    eq(sum(latency.rows()[0][2]), 12)
