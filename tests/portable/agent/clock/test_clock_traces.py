# SPDX-License-Identifier: Apache-2.0
"""Recorded states of the clock for fixed sequences of fixes, pulses and faults.

They do not say that the clock is right; the other tests of this folder do. See
`tests.portable.agent.control.law.test_traces`. After an intended change of the clock, write the
new records from the root of the repository:

    python -m tests.portable.agent.clock.test_clock_traces
"""

from agent.clock.estimate.temperature_model import TempcoModel
from agent.clock.utc_clock import UtcClock
from protocols.calendar import utc_from_civil
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.agent.clock.trace_records import RECORDS
from tests.portable.agent.control.law.trace_tools import ExactRecord, Noise
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, ReferenceFix

SITE = (252_000_000, 552_000_000)


class Receiver:
    """A receiver and an oscillator with 20 ppm; `run` lets some seconds pass.

    `fault` is one of the words in `_send`. `ppm_per_k` acts on the temperature `centi_c`.
    """

    def __init__(self, clock, out, start_us=UTC, jitter_us=30_000, pulses=False):
        self.clock, self.out, self.noise = clock, out, Noise()
        self.utc, self.mono_ns = start_us, 5_000_000_000
        self.jitter_us, self.pulses = jitter_us, pulses
        self.ppb, self.ppb_per_k, self.centi_c = 20_000, 0, 2500
        self.drag_us = 0

    def run(self, seconds, fault=""):
        for _ in range(seconds):
            mono = self.mono_ns // 1000
            if self.ppb_per_k:
                self.centi_c += self.noise.below(11) - 5 + (5 if self.utc % (4000 * SECOND) else -5)
                self.clock.add_temperature(self.centi_c, mono)
            if fault == "drag":
                self.drag_us += 40
            if fault != "outage":
                self._send(mono, fault)
            ppb = self.ppb + self.ppb_per_k * (self.centi_c - 2500) // 100
            for _ in range(2):
                self.mono_ns += 500_000_000 + ppb // 2
                self.clock.slew(500 * MILLISECOND, self.mono_ns // 1000)
            self.utc += SECOND
            self._record()

    def _send(self, mono, fault):
        if self.pulses and fault != "no pulse":
            edge = self.noise.below(3) + (250_000 if fault == "edge" else 0)
            self.clock.add_pulse(mono + edge - self.drag_us)
        late = self.noise.below(self.jitter_us) - self.jitter_us // 2
        late += 500_000 if fault == "late" else 0
        shift = {"step": 4_300_000, "whole": 4 * SECOND, "back": -7 * SECOND}.get(fault, 0)
        fix = ReferenceFix(self.utc + shift, mono + late - self.drag_us)
        if fault == "away":
            fix.lat_e7 += 500_000
        if fault == "rollover":
            fix.reasons, fix.valid = ("week rollover",), False
        fix.line_overloaded = fault == "overload"
        self.clock.set_failed_signals(2 if fault == "signals" else 0)
        self.clock.add_fix(fix)

    def _record(self):
        now, clock = self.mono_ns // 1000, self.clock
        utc = clock.utc(now)
        self.out.add(None if utc is None else utc - self.utc, clock.bound_us(now))
        self.out.add(clock.subsecond_bound_us(now), clock.state(now), " ".join(clock.flags()))
        self.out.add(clock.source(), clock.accepted, clock.rejected, clock.late)
        self.out.add(clock.whole_second_steps, clock.associated_pulses, clock.leap.leap_s)
        self.out.add(*(clock.rate() or (None, None)))
        for entry in clock.evidence_log.entries:
            self.out.add(entry.check, entry.count, entry.figure, entry.limit, entry.first)
            self.out.add(entry.time, entry.since)
        if self.utc // SECOND % 10 == 0:
            for name, value in clock.budget(now):
                self.out.add(name, value)
            self.out.add(clock.fix_timeout, clock.no_leap_bound_us(now), clock.pulses)


def trace_sentences():
    out = ExactRecord()
    receiver = Receiver(UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, True, SITE), out)
    receiver.run(300)
    for fault in ("step", "whole", "back", "late", "away", "overload", "signals", "rollover"):
        receiver.run(3, fault)
        receiver.run(7)
    receiver.run(200, "outage")
    receiver.run(300)
    receiver.run(400, "drag")
    receiver.run(300)
    receiver.clock.clear_rejection()
    receiver.run(300)
    return out.sum


def trace_pulses():
    out = ExactRecord()
    receiver = Receiver(UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, True), out, pulses=True)
    receiver.run(400)
    for fault, seconds in (("edge", 4), ("no pulse", 70), ("outage", 100), ("step", 5)):
        receiver.run(seconds, fault)
        receiver.run(60)
    receiver.run(150, "drag")
    receiver.run(200)
    receiver.ppb += 300
    receiver.run(300)
    receiver.run(200, "no pulse")
    return out.sum


def trace_temperature():
    out = ExactRecord()
    clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, True)
    clock.holdover.use_model(TempcoModel(1_000))
    receiver = Receiver(clock, out, pulses=True)
    receiver.ppb_per_k = 300
    receiver.run(2500)
    receiver.run(300, "outage")
    receiver.run(100)
    out.add(clock.holdover.tempco_model.slope)
    return out.sum


def trace_unknown_leap_seconds():
    out = ExactRecord()
    receiver = Receiver(UtcClock(50_000, 1_000, UTC - 86_400 * SECOND), out)
    receiver.run(60)
    receiver.run(2, "whole")
    receiver.run(20)
    receiver.run(5, "whole")  # the third one steps UTC
    receiver.run(5)
    receiver.run(30, "outage")
    receiver.run(900)
    receiver.run(5, "whole")
    return out.sum


def trace_leap_second():
    out = ExactRecord()
    end = utc_from_civil(2027, 1, 1)
    for seen, shift in ((True, 1), (False, 1), (False, 0)):
        clock = UtcClock(50_000, 1_000, UTC, True)
        receiver = Receiver(clock, out, end - 60 * SECOND)
        receiver.run(60)
        if seen:
            fix = ReferenceFix(end, receiver.mono_ns // 1000, False)
            fix.reasons = ("leap second",)
            out.add(clock.add_fix(fix))
        if shift:
            for _ in range(2):
                receiver.mono_ns += 500_010_000
                clock.slew(500 * MILLISECOND, receiver.mono_ns // 1000)
        receiver.run(30)
        out.add(clock.leap.uncertain, clock.leap.applied, clock.leap.second_60_seen)
    return out.sum


def trace_cross_check():
    out = ExactRecord()
    for leap_known in (True, False):
        clock = UtcClock(50_000, 1_000, UTC - 86_400 * SECOND, leap_known)
        receiver = Receiver(clock, out)
        for uncertainty, error in ((400_000, 0), (30_000, 0), (30_000, 9_000_000)):
            now = receiver.mono_ns // 1000
            out.add(clock.cross_check(receiver.utc + error, uncertainty, now))
            receiver.run(1, "outage")
        receiver.run(200)
        for error in (0, 200_000, 4_000_000, 4_000_000, 30_000_000, 30_000_000, 0, -9 * 10**12):
            now = receiver.mono_ns // 1000
            out.add(clock.cross_check(receiver.utc + error, 50_000, now), clock.disagreement_us)
            out.add(clock.cross_checker.confirmed_us - UTC)
            receiver.run(5)
        clock.raise_min_utc(receiver.utc + 60 * SECOND, receiver.mono_ns // 1000)
        receiver.run(80)
        clock.forget_record(UTC)
        receiver.run(20)
    return out.sum


def check(name, trace):
    eq(trace(), RECORDS[name])


def test_sentences():
    check("trace_sentences", trace_sentences)


def test_pulses():
    check("trace_pulses", trace_pulses)


def test_temperature():
    check("trace_temperature", trace_temperature)


def test_unknown_leap_seconds():
    check("trace_unknown_leap_seconds", trace_unknown_leap_seconds)


def test_leap_second():
    check("trace_leap_second", trace_leap_second)


def test_cross_check():
    check("trace_cross_check", trace_cross_check)


if __name__ == "__main__":
    for trace in sorted(name for name in globals() if name.startswith("trace_")):
        print('    "%s": %d,' % (trace, globals()[trace]()))
