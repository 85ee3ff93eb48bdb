"""A drive starts on the change from stop to run, runs at what it was asked for, and may trip."""

from agent.control.pump import Pump
from tests.portable.support.agent_rig import RUN, STOP, Bench
from tests.portable.support.check import eq

TRIP = 8


def pump(*registers):
    bench = Bench()
    made = Pump(bench.station("lead"))
    if registers:
        bench.read("lead", *registers)
    return bench, made


def wanted(bench):
    values = bench.wanted("lead")
    return values.get("ControlWord"), values.get("SpeedControlPercent")


def test_run_and_reference_go_together():
    bench, lead = pump(STOP, 0, 0, 0)
    lead.ask(40)
    eq((wanted(bench), lead.asked, lead.running), ((RUN, 8000), 40, True))
    lead.ask(40.05)
    eq(wanted(bench), (RUN, 8000))
    lead.ask(40.2)
    eq(wanted(bench), (RUN, 8040))
    lead.ask(0)
    eq((wanted(bench), lead.running), ((STOP, 0), False))


def test_a_drive_that_runs_is_not_stopped_to_take_it_over():
    bench, lead = pump(RUN, 8000, 0, 8000)
    lead.ask(40)
    eq(wanted(bench), (RUN, 8000))


def test_a_drive_that_shows_neither_run_nor_stop_gets_stop_first():
    bench, lead = pump(0, 0, 0, 0)
    lead.ask(40)
    eq((wanted(bench), lead.asked), ((STOP, 0), None))
    lead.ask(40)
    eq(wanted(bench), (STOP, 0))
    bench.read("lead", STOP, 0, 0, 0)
    lead.ask(40)
    eq(wanted(bench), (RUN, 8000))
    bench.read("lead", 0, 0, 0, 0)  # its power failed and came back
    lead.ask(40)
    eq(wanted(bench), (STOP, 0))


def test_a_drive_that_stands_still_is_started_anew():
    """The run command was the first it heard after its power came back: no change, no start."""
    bench, lead = pump()
    lead.ask(40)
    eq(wanted(bench), (RUN, 8000))
    bench.read("lead", RUN, 8000, 0, 0)
    seen = []
    for _ in range(8):
        lead.ask(40)
        seen.append(wanted(bench)[0])
    eq(seen, [RUN] * 4 + [STOP, RUN, RUN, RUN])
    bench.read("lead", RUN, 8000, 0, 7900)
    for _ in range(20):
        lead.ask(40)
        eq(wanted(bench), (RUN, 8000))


def test_a_drive_that_tripped_or_is_not_read_is_not_started_anew():
    for registers in ((RUN, 8000, TRIP, 0), ()):
        bench, lead = pump(*registers)
        for _ in range(20):
            lead.ask(40)
            eq(wanted(bench), (RUN, 8000))


def test_trip_and_loss_make_it_unavailable():
    bench, lead = pump()
    eq((lead.available(), lead.tripped(), lead.speed()), (False, False, None))
    bench.read("lead", RUN, 8000, 0, 7900)
    eq((lead.available(), lead.tripped(), lead.speed()), (True, False, 39.5))
    bench.read("lead", RUN, 8000, TRIP, 0)
    eq((lead.available(), lead.tripped()), (False, True))
    bench.read("lead", RUN, 8000, 0, 20001)
    eq((lead.available(), lead.speed()), (True, None))
    bench.read("lead", RUN, 8000, 0, 7900)
    for _ in range(5):
        bench.silence("lead")
    eq((lead.available(), lead.speed()), (False, None))
