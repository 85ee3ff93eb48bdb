# SPDX-License-Identifier: Apache-2.0
"""Another receiver, whole seconds, fixes that are followed; bound of two sources; requests to NTP
servers.
"""

import struct

from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.estimate.pulse_source import PulseBudget
from agent.clock.estimate.selection import Interval
from agent.clock.leap_second import next_month
from agent.clock.ntp.component import TIME_SERVER, NtpAssociation, NtpComponent
from agent.clock.ntp.exchange import NtpExchange
from agent.clock.utc_clock import UtcClock
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, ClockRig, ReferenceFix, synced_leap_clock

STATED = StatedErrors(20_000, None, 0, 0)
MS_NS = 1_000_000


def synced_rig(clock=None):
    rig = ClockRig(clock or synced_leap_clock(), 1)
    rig.run(600, ticks=1)
    return rig, rig.clock, rig.mono_ns // 1000


def test_another_receiver_begins_the_sentences_again_at_its_interval():
    _, clock, now = synced_rig()
    offset = clock.offset
    clock.follow_receiver(2, Interval(offset - 30_000, offset + 70_000), STATED, now)
    eq((clock.receiver, clock.offset, clock.whole_second_steps), (2, offset, 0))
    eq((clock.errors.stated, clock.errors.early_ns), (STATED, 20 * MS_NS))
    lo, hi = clock.nmea.stated(now)
    eq(hi - lo, 100 * MS_NS + 1)  # rounded outwards
    eq(clock.bound_us(now), 70_000 + 20_000)
    clock.slew(10 * SECOND, now + 10 * SECOND)  # by at most 1 %, to the middle
    eq(20_000 - 100 <= clock.offset - offset <= 20_000 + 100, True)


def test_another_receiver_whose_time_is_seconds_away_is_a_step():
    for away_us, steps in ((900_000, 0), (900_001, 1), (-900_001, 1)):
        _, clock, now = synced_rig()
        offset = clock.offset
        at = offset + away_us
        clock.follow_receiver(1, Interval(at - 1000, at + 1000), STATED, now)
        moved = (away_us + SECOND // 2) // SECOND * SECOND if steps else 0
        eq((clock.whole_second_steps, clock.offset - offset), (steps, moved))
        lo, hi = clock.nmea.stated(now)  # relative to the base
        middle_us = (lo + hi) // 2 // 1000 + clock._base
        eq((hi - lo, middle_us), (2 * MS_NS + 1, at))


def test_a_step_of_an_uncertain_clock_expects_the_end_of_the_month_of_utc():
    clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, False)
    rig, clock, now = synced_rig(clock)
    clock.leap.month_end_us = 0
    clock.step_whole_seconds(-3)
    eq(clock.leap.month_end_us, next_month(now + clock.offset))
    eq(clock.whole_second_steps, 1)
    rig.leap_s = -3
    rig.run(30, ticks=1)
    eq(abs(rig.error_us + 3 * SECOND) < rig.bound_us, True)


def test_fixes_after_a_step_are_counted_from_the_beginning():
    clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, False)
    rig, clock, now = synced_rig(clock)
    rig.leap_s = 3
    rig.run(2, ticks=1)  # two fixes of three
    eq(clock.whole_second_steps, 0)
    offset = clock.offset + 2 * SECOND
    now = rig.mono_ns // 1000
    clock.follow_receiver(1, Interval(offset - 1000, offset + 1000), STATED, now)
    rig.leap_s = 5
    rig.run(2, ticks=1)
    eq(clock.whole_second_steps, 1)
    rig.run(1, ticks=1)
    eq(clock.whole_second_steps, 2)


def test_fixes_that_stay_away_for_twenty_minutes_are_followed_by_whole_seconds_and_the_rest():
    for step_us, seconds in ((-2_400_000, 2), (-3_050_000, 3), (2_400_000, -2)):
        rig, clock, _ = synced_rig()
        rig.step_us = -step_us
        rig.run(1_150, ticks=1)
        eq((step_us, clock.whole_second_steps), (step_us, 0))
        eq(clock.bound_us(rig.mono_ns // 1000) >= abs(step_us) - 200_000, True)
        rig.run(120, ticks=1)
        eq((step_us, clock.whole_second_steps), (step_us, 1))
        rest_us = -step_us - seconds * SECOND
        error_us = rig.error_us - seconds * SECOND  # relative to the clock that has stepped
        eq((step_us, abs(error_us - rest_us) < 60_000), (step_us, True))
        eq(clock.bound_us(rig.mono_ns // 1000) >= abs(step_us) - 200_000, True)  # the former time
        eq(clock.leap.month_end_us, next_month(UTC + rig.second * SECOND))


def test_slew_of_the_host_is_in_the_bound():
    stated = StatedErrors(10_000, None, 500_000, 0)
    clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, True, stated=stated)
    eq((clock.holdover.host_ppt, clock.holdover.limit_ppt), (500_000_000, 550_000_000))


class FixedInterval:
    """A source with a fixed interval."""

    def __init__(self, lo, hi, path_ns=0):
        self.interval = self
        self.present = True
        self.verified = True
        self.disputed = False
        self.range = lo, hi
        self.path = path_ns

    def stated(self, now, drag=True):
        return self.range

    def path_ns(self):
        return self.path

    def is_disputed(self):
        return self.disputed


def test_two_sources_contradict_each_other_beyond_their_errors():
    """Sentences within 1 us, early or late by 2 us; pulses within 100 ns and a path of 50 ns."""
    stated = StatedErrors(2, 1, 0, 0)
    for lo, other_ns in ((3_050, 0), (3_051, 3_051 + 1_000 + 2_000), (-4_050, 0), (-4_051, 6_051)):
        nmea, pps = FixedInterval(lo, lo + 1_000), FixedInterval(-1_000, 1_000, 50)
        budget = PulseBudget(nmea, stated, pps)
        got = budget._other_ns(pps, (-1_000, 1_000), 0, 0)
        eq((lo, got), (lo, other_ns))
    for lo, other_ns in ((3_050, 0), (3_051, 3_051 + 50 + 100), (-3_150, 0), (-3_151, 3_201)):
        pps = FixedInterval(lo, lo + 100, 50)
        budget = PulseBudget(FixedInterval(-1_000, 1_000), stated, pps)
        got = budget._other_ns(budget._nmea, (-1_000, 1_000), 0, 0)
        eq((lo, got), (lo, other_ns))
    pps.range, pps.disputed = (-20, 30), True
    eq(budget._other_ns(budget._nmea, (-1_000, 1_000), 10, 0), 30)
    pps.verified = False
    eq(budget._other_ns(budget._nmea, (-1_000, 1_000), 10, 0), 0)


def test_request_to_an_ntp_server_in_bytes():
    exchange = NtpExchange(0)
    nonce = 0
    for now in (5 * SECOND, (1 << 32) + 77, 9):
        nonce = (nonce * 1_103_515_245 + now) % (1 << 32)
        request = exchange.make_request(now)
        eq(request, b"\x23" + bytes(39) + struct.pack(">II", nonce, now % (1 << 32)))
    eq(exchange.sent, 3)


def test_three_rounds_without_a_reply_are_a_fault():
    association = NtpAssociation("ntp", 7, 0)
    seen = []
    for _ in range(5):
        association.begin_round()
        seen.append((association.missed, association.fault()))
    fault = "no usable reply"
    eq(seen, [(0, ""), (1, ""), (2, ""), (3, fault), (4, fault)])
    association.is_answered = True
    association.begin_round()
    eq((association.missed, association.fault()), (0, ""))


def test_text_of_the_alarm_of_a_server():
    ntp = NtpComponent(None, {"every_s": 64, "error_ms": 5}, 7)
    eq(ntp.active_conditions(0), [])
    ntp.servers[0].outside = 3
    text = "NTP server is not usable: ntp: differs from the others"
    eq(ntp.active_conditions(0), [(TIME_SERVER, "ntp", text)])


def test_a_time_that_was_set_coarsely_knows_its_leap_seconds_below_half_a_second():
    for uncertainty_us, uncertain in ((499_999, False), (500_000, True)):
        clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, False)
        clock.set_from_cross_check(UTC, uncertainty_us, SECOND, True)
        eq((clock.leap.uncertain, clock.utc(SECOND)), (uncertain, UTC))
        eq(clock.state(SECOND), "holdover")
    clock.add_fix(ReferenceFix(UTC, SECOND))
    eq(clock.state(SECOND + 10 * MILLISECOND) in ("holdover", "sync"), True)
