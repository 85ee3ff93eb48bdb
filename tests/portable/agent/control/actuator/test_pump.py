# SPDX-License-Identifier: Apache-2.0
"""Pump actuator: start at the change from stop to run, requested speed, trip."""

from agent.control.actuator.pump import PumpActuator
from tests.portable.support.agent_rig import RUN, STOP, FieldbusRig
from tests.portable.support.check import eq

TRIP = 8


def make_pump(*registers):
    bench = FieldbusRig()
    made = PumpActuator(bench.session("lead"))
    if registers:
        bench.read("lead", *registers)
    return bench, made


def requested(bench):
    values = bench.requested("lead")
    return values.get("ControlWord"), values.get("SpeedControlPercent")


def test_run_command_and_reference_are_sent_together():
    bench, lead = make_pump(STOP, 0, 0, 0)
    lead.request(40)
    eq((requested(bench), lead.command_pct, lead.running), ((RUN, 8000), 40, True))
    lead.request(40.05)
    eq(requested(bench), (RUN, 8000))
    lead.request(40.2)
    eq(requested(bench), (RUN, 8040))
    lead.request(0)
    eq((requested(bench), lead.running), ((STOP, 0), False))


def test_running_drive_is_taken_over_without_a_stop():
    bench, lead = make_pump(RUN, 8000, 0, 8000)
    lead.request(40)
    eq(requested(bench), (RUN, 8000))


def test_drive_with_unknown_command_gets_stop_first():
    bench, lead = make_pump(0, 0, 0, 0)
    lead.request(40)
    eq((requested(bench), lead.command_pct), ((STOP, 0), None))
    lead.request(40)
    eq(requested(bench), (STOP, 0))
    bench.read("lead", STOP, 0, 0, 0)
    lead.request(40)
    eq(requested(bench), (RUN, 8000))
    bench.read("lead", 0, 0, 0, 0)  # the power of the drive failed and returned
    lead.request(40)
    eq(requested(bench), (STOP, 0))


def test_drive_at_zero_speed_is_restarted():
    """The first command after a power failure was run: without a change, no start."""
    bench, lead = make_pump()
    lead.request(40)
    eq(requested(bench), (RUN, 8000))
    bench.read("lead", RUN, 8000, 0, 0)
    seen = []
    for _ in range(8):
        lead.request(40)
        seen.append(requested(bench)[0])
    eq(seen, [RUN] * 4 + [STOP, RUN, RUN, RUN])
    bench.read("lead", RUN, 8000, 0, 7900)
    for _ in range(20):
        lead.request(40)
        eq(requested(bench), (RUN, 8000))


def test_tripped_or_lost_drive_is_not_restarted():
    for registers in ((RUN, 8000, TRIP, 0), ()):
        bench, lead = make_pump(*registers)
        for _ in range(20):
            lead.request(40)
            eq(requested(bench), (RUN, 8000))


def test_trip_and_loss_make_drive_unavailable():
    bench, lead = make_pump()
    eq((lead.available(), lead.tripped(), lead.speed()), (False, False, None))
    bench.read("lead", RUN, 8000, 0, 7900)
    eq((lead.available(), lead.tripped(), lead.speed()), (True, False, 39.5))
    bench.read("lead", RUN, 8000, TRIP, 0)
    eq((lead.available(), lead.tripped()), (False, True))
    bench.read("lead", RUN, 8000, 0, 20001)
    eq((lead.available(), lead.speed()), (True, None))
    bench.read("lead", RUN, 8000, 0, 7900)
    for _ in range(5):
        bench.no_reply("lead")
    eq((lead.available(), lead.speed()), (False, None))
