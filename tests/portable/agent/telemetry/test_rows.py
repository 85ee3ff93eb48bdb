# SPDX-License-Identifier: Apache-2.0
"""Rows are JSON with one value for each point, null if it is not good; the queue is bounded."""

import json

from agent.telemetry.rows import Telemetry
from protocols.time_units import SECOND
from tests.portable.support.agent_rig import FieldbusRig
from tests.portable.support.check import eq

STALE = 5 * SECOND
POINTS = 4 + 2 + 3 + 3


def make_telemetry(limit=20):
    bench = FieldbusRig()
    return bench, Telemetry(bench.fieldbus, limit)


def add_row(telemetry, now, utc=None):
    telemetry.add_row(now, utc, "free", "safe", STALE)
    return telemetry.queue.last


def test_row_byte_for_byte():
    bench, telemetry = make_telemetry()
    bench.read("cdu", 325, 1001, 3000, 2000, 0)
    bench.read("lead", 1151, 8000, 0, 7900)
    values = "325,null,3000,2000,null,null,1151,8000,7900,null,null,null"
    text = '{"seq":1,"t":null,"clock":"free","state":"safe","v":[%s]}' % values
    eq(add_row(telemetry, bench.now), text.encode())
    utc = 1764028800123456
    text = '{"seq":2,"t":%d,"clock":"free","state":"safe","v":[%s]}' % (utc, values)
    eq(add_row(telemetry, bench.now, utc), text.encode())


def test_old_values_are_null():
    bench, telemetry = make_telemetry()
    bench.read("cdu", 325, 400, 3000, 2000, 0)
    eq(json.loads(add_row(telemetry, bench.now + STALE))["v"][:4], [325, 400, 3000, 2000])
    eq(json.loads(add_row(telemetry, bench.now + STALE + 1))["v"], [None] * POINTS)


def test_values_are_in_the_order_of_the_description():
    _, telemetry = make_telemetry()
    points = telemetry.describe()
    eq(len(points), POINTS)
    eq(points[0], ["cdu.SupplyTemperatureCelsius", "1", 1, 10])
    eq([name for name, _, _, _ in points][6:9],
       ["lead.ControlWord", "lead.SpeedControlPercent", "lead.PumpSpeedPercent"])  # fmt: skip
    eq(len(json.loads(add_row(telemetry, SECOND))["v"]), POINTS)


def test_queue_is_bounded_and_drops_the_oldest():
    _, telemetry = make_telemetry(3)
    for i in range(10):
        add_row(telemetry, i * SECOND)
        assert len(telemetry.queue) <= 3
    eq((telemetry.dropped, telemetry.seq), (7, 10))
    seqs = []
    while len(telemetry.queue):
        seqs.append(json.loads(telemetry.queue.first)["seq"])
        telemetry.queue.drop_first()
    eq(seqs, [8, 9, 10])
