# SPDX-License-Identifier: Apache-2.0
"""Random cases of the clock: every fault that the error bound must contain.

Does not run them; see `hil.campaign.clock.world`. A seed gives the same case on any machine. The
faults are those that a receiver, its wiring, the temperature and the host make. Deliberate false
time is not drawn: without a second source the oscillator explains a slow drag. A latency changes
within its stated error, or by so much that the oscillator cannot explain it. Such a change does not
last over a restart and does not begin in an outage, because the clock then has nothing else to
compare it with: the statement is false.
"""

import math
import random
from dataclasses import replace
from itertools import pairwise

from hil.campaign.clock.model import ClockCase, Oscillator, Pulses, Restart, SentenceModel, Span
from protocols.calendar import utc_from_civil

_DAY_S = 86_400.0
_COMPARISON_FIXES = 48
"""Three blocks of fixes: then the clock has something to compare a latency with."""
_FIX_PERIODS = ((0.05, 1), (0.1, 1), (0.2, 2), (1.0, 10), (2.0, 16), (5.0, 30), (10.0, 40))
"""Seconds between fixes, and how often it is drawn of 100."""
_FAST_FIXES_S, _WITH_PULSES_S = 1_800.0, 21_600.0
"""A receiver with more than two fixes a second, or with pulses, runs only so long."""


def _draw_span(
    rng: random.Random, seconds: float, shortest: float, longest: float
) -> tuple[float, float]:
    duration_s = math.exp(rng.uniform(math.log(shortest), math.log(longest)))
    start_s = rng.uniform(0.0, max(1.0, seconds - duration_s))
    return start_s, start_s + duration_s


def _draw_ambient(rng: random.Random, seconds: float) -> tuple[tuple[float, float], ...]:
    temperature_c = rng.uniform(0.0, 55.0)
    points = [(0.0, temperature_c)]
    at_s = 0.0
    while at_s < seconds:
        at_s += rng.expovariate(1 / 7200.0)
        points.append((at_s, temperature_c))
        target_c = (
            rng.uniform(0.0, 55.0) if rng.random() < 0.3 else temperature_c + rng.uniform(-5.0, 5.0)
        )
        target_c = min(55.0, max(0.0, target_c))
        at_s += max(60.0, abs(target_c - temperature_c) / rng.uniform(0.05, 1.0) * 60.0)
        points.append((at_s, target_c))
        temperature_c = target_c
    return tuple(points)


def _draw_oscillator(rng: random.Random, seconds: float) -> Oscillator:
    limit_ppm = math.exp(rng.uniform(math.log(0.5), math.log(30.0)))
    share = rng.random()
    tempco = min(1.0, share * limit_ppm / 60.0)
    ageing = rng.uniform(-1.0, 1.0) * min(0.05, limit_ppm / 20.0)
    offset_ppm = limit_ppm - tempco * 31.0 - abs(ageing)
    has_sensor = rng.random() < 0.6
    return Oscillator(
        rng.uniform(-offset_ppm, offset_ppm),
        tempco * rng.choice((-1.0, 1.0)),
        ageing,
        limit_ppm,
        max(0.001, tempco * rng.uniform(1.0, 1.5)),
        _draw_ambient(rng, seconds),
        has_sensor,
        rng.choice((0.0, 20.0, 60.0)),
    )


def _draw_receiver(
    rng: random.Random, seconds: float, period_s: float, slack_ppm: float
) -> SentenceModel:
    """`slack_ppm`: how fast the clock of the controller can run; it hides a change of latency."""
    latency_ms = rng.uniform(20.0, 600.0)
    spread_ms = rng.choice((1.0, 2.0, 3.0, 10.0))
    stated_ms = latency_ms + rng.uniform(-1.0, 1.0) * spread_ms if rng.random() < 0.75 else None
    jitter = rng.choice(("normal", "normal", "late", "usb"))
    jitter_ms = {"normal": rng.uniform(0.3, 3.0), "late": rng.uniform(1.0, 20.0)}.get(jitter, 5.0)
    changes: list[Span] = []
    if stated_ms is not None and rng.random() < 0.5:
        # within the stated error
        change_ms = rng.uniform(-1.0, 1.0) * (spread_ms - abs(stated_ms - latency_ms))
        changes.append(Span(*_draw_span(rng, seconds, 10.0, seconds), change_ms))
    visible_ms = 20.0 + 4.0 * jitter_ms + 2.0 * slack_ppm * 16.0 * period_s / 1000.0
    if rng.random() < 0.2 and visible_ms < 150.0:
        change_ms = rng.choice((-1.0, 1.0)) * rng.uniform(visible_ms, 170.0)
        if change_ms < 10.0 - latency_ms:
            change_ms = -change_ms  # no latency is below 0
        changes.append(Span(*_draw_span(rng, seconds, 10.0, seconds), change_ms))
    silent = [
        Span(*_draw_span(rng, seconds, 5.0, 14_400.0)) for _ in range(rng.choice((0, 0, 1, 2, 5)))
    ]
    return SentenceModel(
        period_s,
        latency_ms,
        stated_ms,
        spread_ms,
        jitter,
        jitter_ms,
        tuple(changes),
        tuple(sorted(silent, key=lambda span: span.from_s)),
    )


def _draw_pulses(rng: random.Random, seconds: float) -> Pulses:
    is_usb = rng.random() < 0.3
    extra: tuple[Span, ...] = ()
    wrong: tuple[Span, ...] = ()
    absent: tuple[Span, ...] = ()
    fault_draw = rng.random()
    is_whole_run = rng.random() < 0.5
    from_s, until_s = (0.0, seconds) if is_whole_run else _draw_span(rng, seconds, 60.0, seconds)
    if fault_draw < 0.15:
        extra = (Span(from_s, until_s, rng.choice((50.0, 100.0, 200.0, rng.uniform(20.0, 900.0)))),)
    elif fault_draw < 0.25:
        wrong = (Span(from_s, until_s, rng.choice((100.0, 200.0, 500.0))),)
    if rng.random() < 0.3:
        absent = (Span(*_draw_span(rng, seconds, 10.0, 20_000.0)),)
    return Pulses(
        rng.uniform(0.1, 2.0) if not is_usb else 0.0,
        rng.uniform(0.0, 10.0) if not is_usb else rng.uniform(100.0, 1000.0),
        rng.choice((0.0, 0.0, 0.01, 0.3)),
        extra,
        wrong,
        absent,
    )


def _draw_restarts(rng: random.Random, seconds: float) -> tuple[Restart, ...]:
    if rng.random() < 0.75:
        return ()
    count = rng.randint(1, 3)
    times = sorted(rng.uniform(60.0, seconds - 60.0) for _ in range(count))
    separated = [times[0]] + [b for a, b in pairwise(times) if b - a > 400.0]
    return tuple(Restart(at_s, rng.uniform(2.0, 300.0), rng.random() < 0.5) for at_s in separated)


def _draw_slewing(rng: random.Random, seconds: float) -> tuple[Span, ...]:
    """Return two spans, one after the other: a daemon slews by at most its limit."""
    spans = [
        Span(*_draw_span(rng, seconds, 20.0, 600.0), rng.choice((-500.0, 500.0))) for _ in "ab"
    ]
    first, second = sorted(spans, key=lambda span: span.from_s)
    return first, replace(second, from_s=max(second.from_s, first.until_s))


def _visible_changes(receiver: SentenceModel, restarts: tuple[Restart, ...]) -> tuple[Span, ...]:
    """Return the changes of the latency that the clock can compare with something.

    One above the stated error ends before a restart. It does not begin in an outage, nor in the
    first `_COMPARISON_FIXES` after a start or an outage.
    """
    if receiver.stated_ms is None:
        return receiver.latency
    slack_ms = receiver.spread_ms - abs(receiver.stated_ms - receiver.latency_ms)
    comparison_s = _COMPARISON_FIXES * max(receiver.period_s, 0.5)
    unobserved = [(0.0, comparison_s)]
    unobserved += [(span.from_s, span.until_s + comparison_s) for span in receiver.silent]
    unobserved += [
        (restart.at_s, restart.at_s + restart.for_s + comparison_s) for restart in restarts
    ]
    changes = []
    for span in receiver.latency:
        if abs(span.value) <= slack_ms:
            changes.append(span)
            continue
        restarts_s = [
            restart.at_s for restart in restarts if span.from_s < restart.at_s < span.until_s
        ]
        if not any(start_s <= span.from_s < end for start_s, end in unobserved):
            changes.append(replace(span, until_s=min([span.until_s, *restarts_s])))
    return tuple(changes)


def generate_case(seed: int) -> ClockCase:
    """Draw the case of a seed."""
    rng = random.Random(f"clock/{seed}")
    period_s = rng.choices([p for p, _ in _FIX_PERIODS], [w for _, w in _FIX_PERIODS])[0]
    has_pulses = rng.random() < 0.4
    seconds = _FAST_FIXES_S if period_s < 0.5 else _WITH_PULSES_S if has_pulses else _DAY_S
    oscillator = _draw_oscillator(rng, seconds)
    is_raw = rng.random() < 0.85
    slack_ppm = oscillator.drift_limit + (0.0 if is_raw else 600.0)
    receiver = _draw_receiver(rng, seconds, period_s, slack_ppm)
    pulses = _draw_pulses(rng, seconds) if has_pulses else None
    leap_s, false_60_s, start_us, leap_known = 0, None, utc_from_civil(2026, 10, 5), True
    midnight_s = rng.uniform(0.1, 0.9) * seconds // 10 * 10
    event_draw = rng.random()
    utc_error_s: tuple[Span, ...] = ()
    if event_draw < 0.06:
        start_us = utc_from_civil(2027, 1, 1) - round(midnight_s) * 1_000_000
        leap_s = rng.choice((1, -1, 0))
    elif event_draw < 0.09:
        start_us = utc_from_civil(2026, 12, 1) - round(midnight_s) * 1_000_000
        false_60_s = midnight_s
    elif event_draw < 0.15:
        leap_known = False
        until_s = rng.uniform(10.0, 1500.0)
        utc_error_s = (Span(0.0, until_s, rng.choice((18.0, 4.0, 14.0, 1.0, -1.0))),)
    slewed = () if is_raw else _draw_slewing(rng, seconds)
    restarts = (
        _draw_restarts(rng, seconds)
        if not utc_error_s and not leap_s and false_60_s is None
        else ()
    )
    return ClockCase(
        seed,
        seconds,
        oscillator,
        replace(receiver, utc_error_s=utc_error_s, latency=_visible_changes(receiver, restarts)),
        pulses,
        start_us,
        leap_known,
        leap_s,
        midnight_s,
        false_60_s,
        is_raw,
        slewed,
        restarts,
    )
