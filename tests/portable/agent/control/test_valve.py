# SPDX-License-Identifier: Apache-2.0
"""Valve actuator: requests in register counts, deadband, position unknown without a reply."""

from agent.control.valve import ValveActuator
from tests.portable.support.agent_rig import FieldbusRig
from tests.portable.support.check import eq

SET = "ValvePositionControlPercent"


def requested_raw(*percents):
    bench = FieldbusRig()
    valve = ValveActuator(bench.session("valve"))
    for percent in percents:
        valve.request(percent)
    return bench.requested("valve")[SET]


def test_percent_becomes_register_counts():
    for percent, raw in ((0, 0), (100, 10000), (33.333, 3333), (33.337, 3334)):
        eq(requested_raw(percent), raw)


def test_changes_within_deadband_are_sent_only_at_the_ends():
    eq(requested_raw(50, 50.4), 5000)
    eq(requested_raw(50, 50.4, 50.4, 50.4), 5000)
    eq(requested_raw(50, 50.6), 5060)
    eq(requested_raw(50, 49.6), 5000)
    eq(requested_raw(50, 49.4), 4940)
    eq(requested_raw(99.8, 100), 10000)
    eq(requested_raw(0.3, 0), 0)


def test_the_position_is_known_while_the_valve_answers():
    bench = FieldbusRig()
    valve = ValveActuator(bench.session("valve"))
    eq(valve.position(), None)
    bench.read("valve", 4000, 3950)
    eq(valve.position(), 39.5)
    bench.read("valve", 4000, 10001)
    eq(valve.position(), None)
    bench.read("valve", 4000, 3950)
    for _ in range(5):
        bench.no_reply("valve")
    assert bench.session("valve").lost
    eq(valve.position(), None)
