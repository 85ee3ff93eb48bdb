# SPDX-License-Identifier: Apache-2.0
"""The run of a case: true time, oscillator, fixes and pulses, and a clock that gets them.

The clock under test is the agent's own (`agent.clock.utc_clock`). Everything around it is here and
uses none of its code. `run_case` compares UTC of the clock with the true UTC after every step. UTC
repeats one second at a leap second, as the agent's does.
"""

import json
import math
import random
from bisect import bisect_right

from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.persistence import TimeRecord
from agent.clock.utc_clock import UtcClock
from drivers.gnss.receiver import Fix
from hil.campaign.clock.model import (
    ClockCase,
    ClockResult,
    Oscillator,
    Pulses,
    Restart,
    SentenceModel,
    SiteTimeServer,
    Span,
)

_SECOND = 1_000_000
_QUIET_STEP_S = 10.0
_SAMPLE_S = 600.0
_BOUND_EVERY_S = 5.0
_SAVE_S = 600.0
_ON_TRUTH_US = 10_000
"""After a drag the clock has recovered when it is in sync with at most this error."""


def _value(spans: tuple[Span, ...], second: float) -> float:
    return sum([span.value for span in spans if span.from_s <= second < span.until_s])


def _holds(spans: tuple[Span, ...], second: float) -> bool:
    return any(span.from_s <= second < span.until_s for span in spans)


class _Ambient:
    """The temperature of the oscillator, and the reading of its sensor."""

    def __init__(self, oscillator: Oscillator) -> None:
        self._times = [at for at, _ in oscillator.ambient_c]
        self._temps = [temp for _, temp in oscillator.ambient_c]
        self._lag_s = oscillator.lag_s
        self.sensed = self._temps[0]

    def at(self, second: float) -> float:
        i = bisect_right(self._times, second)
        if not 0 < i < len(self._times):
            return self._temps[min(max(i - 1, 0), len(self._temps) - 1)]
        t0, t1, c0, c1 = self._times[i - 1], self._times[i], self._temps[i - 1], self._temps[i]
        return c0 + (c1 - c0) * (second - t0) / (t1 - t0)

    def sense(self, second: float, elapsed_s: float) -> float:
        share = 1.0 - math.exp(-elapsed_s / self._lag_s) if self._lag_s else 1.0
        self.sensed += (self.at(second) - self.sensed) * share
        return self.sensed


class ClockWorld:
    """The run of one case; see `run_case`."""

    def __init__(self, case: ClockCase) -> None:
        self.case = case
        self.rng = random.Random(case.seed)
        self.second = 0.0
        self.mono_ns = 50_000_000_000
        self.result = ClockResult(case.seed, case.name)
        self._ambient = _Ambient(case.oscillator)
        self._sensed_s = -1e9
        self._saved_s = 0.0
        self._record = b""
        self._bounds: list[int] = []
        self._sampled_s = 0.0
        self._bound_until_s = 0.0
        self._bound_us = 0
        self._due: list[tuple[int, Fix]] = []
        self._dragged_us = 0.0
        self._second_rng = random.Random(f"second/{case.seed}")
        self._asked_s = 0.0
        self.clock = self._make_clock(case.leap_known, None)

    def _make_clock(self, leap_known: bool, record: bytes | None) -> UtcClock:
        case, oscillator, receiver = self.case, self.case.oscillator, self.case.receiver
        spread = None if receiver.stated_ms is None else int(receiver.spread_ms * 1000)
        clock = UtcClock(
            int(oscillator.drift_limit * 1000),
            int(oscillator.tempco_limit * 1000),
            case.start_utc_us - 86_400 * _SECOND,
            leap_known,
            stated=StatedErrors(spread, None, 0 if case.raw_clock else 600_000, 0),
        )
        if record:
            clock.restore(TimeRecord(record), None)
        return clock

    def true_utc(self, second: float) -> int:
        """Return the true UTC in microseconds; it repeats a second at a leap second."""
        case = self.case
        utc = case.start_utc_us + round(second * 1_000_000)
        # A leap second: UTC steps back when 23:59:60 is over, or forward at 23:59:59.
        if case.leap_s and second >= case.leap_at_s + (1 if case.leap_s > 0 else -1):
            utc -= case.leap_s * _SECOND
        return utc

    def run(self) -> ClockResult:
        """Run the case."""
        case, period = self.case, self.case.receiver.period_s
        step = max(period, 0.1) if case.pulses is None else min(max(period, 0.05), 1.0)
        restarts = list(case.restarts)
        k = 0
        while self.second < case.seconds:
            if restarts and self.second >= restarts[0].at_s:
                self._restart(restarts.pop(0))
                k = math.ceil(self.second / step)
            silent = _holds(case.receiver.silent, self.second)
            quiet = silent and not self.pending() and step < _QUIET_STEP_S
            if not silent:
                self._second_begins(k, step)
            elapsed = _QUIET_STEP_S if quiet and k % round(_QUIET_STEP_S / step) == 0 else step
            k += round(elapsed / step)
            self._pass(k * step - self.second, silent)
            self.second = k * step
            self._compare(elapsed)
        result, now = self.result, self.mono_ns // 1000
        result.seconds, result.state = self.second, self.clock.state(now)
        result.bound_us, result.source = self.clock.bound_us(now) or 0, self.clock.source()
        result.bounds_us, result.checks = tuple(self._bounds), ",".join(self.clock.failed_checks)
        return result

    def _ppm(self, second: float) -> float:
        oscillator, case = self.case.oscillator, self.case
        warm = oscillator.tempco * (self._ambient.at(second) - 25.0)
        ppm = oscillator.ppm + warm + oscillator.ageing * second / 86_400
        return ppm if case.raw_clock else ppm + _value(case.slewed, second)

    def _pass(self, elapsed_s: float, silent: bool) -> None:
        """Let `elapsed_s` pass: temperature, arrivals, and one slew at its end."""
        begin_ns, ppm = self.mono_ns, self._ppm(self.second + elapsed_s / 2)
        self.mono_ns += round(elapsed_s * (1e9 + ppm * 1e3))
        now, oscillator = self.mono_ns // 1000, self.case.oscillator
        self.deliver(now)
        end = self.second + elapsed_s
        if oscillator.sensor and end - self._sensed_s >= 10.0:
            sensed = self._ambient.sense(end, min(end - self._sensed_s, 1e4))
            self.clock.add_temperature(round(sensed * 10) * 10, now)
            self._sensed_s = end
        if self.case.second is not None:
            self._ask_second(self.case.second, end, now)
        self.clock.slew((self.mono_ns - begin_ns) // 1000, now)

    def _ask_second(self, second: SiteTimeServer, end_s: float, now: int) -> None:
        """Compare with the second source as `agent.clock.ntp.component` does."""
        if end_s - self._asked_s < second.every_s:
            return
        self._asked_s = end_s
        slack_ms = max(0.0, second.uncertainty_ms - abs(second.error_ms))
        error_ms = second.error_ms + self._second_rng.uniform(-slack_ms, slack_ms)
        utc, within = self.true_utc(end_s) + round(error_ms * 1000), second.uncertainty_ms * 1000
        agrees = self.clock.cross_check(utc, round(within), now)
        self.clock.limit_drag(utc, round(within), now, agrees is True)

    def _second_begins(self, k: int, step: float) -> None:
        """Send the pulse and the fix of this step."""
        case, receiver = self.case, self.case.receiver
        every = max(1, round(receiver.period_s / step))
        drag = _value(receiver.time_drag_ppm, self.second)
        if drag:
            self._dragged_us += drag * step
        elif receiver.time_drag_ppm and not _holds(receiver.time_drag_ppm, self.second):
            self._dragged_us = 0.0
        whole = abs(self.second - round(self.second)) < 1e-6
        shift_us = self._dragged_us + _value(receiver.shift_ms, self.second) * 1000
        if case.pulses is not None and whole:
            self._send_pulses(case.pulses, shift_us)
        if k % every == 0:
            self._send_fix(receiver, shift_us)

    def _send_pulses(self, pulses: Pulses, shift_us: float) -> None:
        rng, second = self.rng, self.second
        if _holds(pulses.absent, second) or rng.random() < pulses.lost:
            return
        edges = [_value(pulses.wrong_ms, second)]
        if _holds(pulses.extra_ms, second):
            edges.append(_value(pulses.extra_ms, second))
        for edge_ms in edges:
            late_us = rng.gauss(0.0, pulses.jitter_us) + rng.random() * pulses.late_us
            at = self.mono_ns // 1000 + round(edge_ms * 1000 + late_us - shift_us)
            self.deliver(at)
            self.clock.add_pulse(at)

    def _send_fix(self, receiver: SentenceModel, shift_us: float) -> None:
        case, rng, second = self.case, self.rng, self.second
        latency_ms = receiver.latency_ms + _value(receiver.latency, second)
        if receiver.jitter == "late":
            latency_ms += rng.expovariate(1.0) * receiver.jitter_ms - receiver.jitter_ms
        elif receiver.jitter == "usb":
            latency_ms += (rng.random() - 0.5) * receiver.jitter_ms * 3.46
        else:
            latency_ms += max(-3.0, min(3.0, rng.gauss(0.0, 1.0))) * receiver.jitter_ms
        arrival = self.mono_ns // 1000 + round(max(0.0, latency_ms) * 1000 - shift_us)
        utc = self.true_utc(second) + round(_value(receiver.utc_error_s, second)) * _SECOND
        reasons: tuple[str, ...] = ()
        if case.leap_s > 0 and case.leap_at_s <= second < case.leap_at_s + 1:
            reasons = ("leap second",)
        if case.false_60_s is not None and case.false_60_s <= second:
            if second < case.false_60_s + 1:
                reasons = ("leap second",)
            elif second < case.false_60_s + 4:
                utc -= _SECOND
        self.send(utc, reasons, arrival)

    def send(self, utc_us: int, reasons: tuple[str, ...], arrival: int) -> None:
        """Send a fix, which arrives at a monotonic time (µs); see `hil.campaign.clock.bytes_world`.

        `reasons`: why it is not valid.
        """
        stated_ms = self.case.receiver.stated_ms or 0.0
        fix = Fix(utc_us, arrival - round(stated_ms * 1000), reasons)
        fix.lat_e7, fix.lon_e7 = 252_000_000, 552_000_000
        self._due.append((arrival, fix))
        if len(self._due) > 1:
            self._due.sort(key=lambda item: item[0])

    def deliver(self, until: int) -> None:
        """Give the clock the fixes that have arrived."""
        while self._due and self._due[0][0] <= until:
            self.clock.add_fix(self._due.pop(0)[1])

    def pending(self) -> bool:
        """Return whether a fix is on its way."""
        return bool(self._due)

    def forget_pending(self) -> None:
        """The controller stopped: fixes on their way are lost."""
        self._due = []

    def _restart(self, restart: Restart) -> None:
        begin: float = self.second
        self.second = math.ceil(begin + restart.for_s)
        self.mono_ns += round((self.second - begin) * (1e9 + self._ppm(self.second) * 1e3))
        if restart.power:
            self.mono_ns = 3_000_000_000
        self.forget_pending()
        self.clock = self._make_clock(False, self._record)

    def _save(self, now: int) -> None:
        clock = self.clock
        self._saved_s = self.second
        if clock.state(now) != "sync" or clock.leap.uncertain or clock.failed_checks:
            return
        record = {"version": 1, "utc_us": clock.utc(now), "mono_us": now, "floor_us": 0}
        record.update(leap_s=clock.leap.leap_s, leap_suspect=int(clock.leap.is_suspect()))
        record.update(bound_us=clock.record_bound_us(now))
        self._record = json.dumps(record).encode()

    def _compare(self, elapsed_s: float) -> None:
        now, clock, result = self.mono_ns // 1000, self.clock, self.result
        utc = clock.utc(now)
        if utc is None:
            return
        result.error_us = utc - self.true_utc(self.second)
        if self.case.receiver.time_drag_ppm:
            self._judge_drag(self.case.receiver.time_drag_ppm[0], clock.state(now))
        if self.second < self._bound_until_s and 2 * abs(result.error_us) < self._bound_us:
            return  # the bound is computed every few seconds, or when the error is near it
        bound = self._bound_us = clock.bound_us(now) or 0
        self._bound_until_s = self.second + _BOUND_EVERY_S
        excess = abs(result.error_us) - bound
        if excess > 0:
            result.excess_s += elapsed_s
            if result.first_s is None:
                result.first_s = self.second
            result.excess_us = max(result.excess_us, excess)
        if self.second - self._sampled_s >= _SAMPLE_S:
            self._sampled_s = self.second
            self._bounds.append(bound)
        if self.second - self._saved_s >= _SAVE_S:
            self._save(now)
        if clock.state(now) == "untrusted":
            result.untrusted_s += elapsed_s

    def _judge_drag(self, drag: Span, state: str) -> None:
        """Note when the drag was seen, the largest error until then, and the recovery."""
        result, error_us = self.result, abs(self.result.error_us)
        after_s = self.second - drag.from_s
        if after_s < 0 or not drag.value:
            return
        if result.seen_s is None:
            if state == "sync" and not self.clock.failed_checks:
                result.unseen_us = max(result.unseen_us, error_us)
            else:
                result.seen_s = after_s
        if self.second >= drag.until_s:
            is_good = state == "sync" and error_us <= _ON_TRUTH_US
            if not is_good:
                result.recovery_s = None
            elif result.recovery_s is None:
                result.recovery_s = self.second - drag.until_s


def run_case(case: ClockCase) -> ClockResult:
    """Run a case and return its result."""
    return ClockWorld(case).run()
