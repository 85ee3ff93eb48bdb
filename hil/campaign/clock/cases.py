# SPDX-License-Identifier: Apache-2.0
"""Regression cases: the clock once stated a false bound, or rejected correct time permanently."""

from dataclasses import replace

from hil.campaign.clock.model import (
    ClockCase,
    Oscillator,
    Pulses,
    Restart,
    SentenceModel,
    SiteTimeServer,
    Span,
)
from protocols.calendar import utc_from_civil

_HOUR = 3600.0
_GPIO = Pulses()
_WITH_SENSOR = Oscillator(5.0, 0.8, sensor=True)
_TAU_S = 480.0


def _warming(rise_k: float, tau_s: float, at_s: float) -> tuple[tuple[float, float], ...]:
    """An exponential warming by `rise_k` from 25 degrees, in steps of 30 s."""
    points = [(0.0, 25.0), (at_s, 25.0)]
    remaining_k = rise_k
    for i in range(1, 240):
        remaining_k -= remaining_k * 30.0 / tau_s
        points.append((at_s + 30.0 * i, 25.0 + rise_k - remaining_k))
    return tuple(points)


def _case(
    name: str, seconds: float, oscillator: Oscillator, receiver: SentenceModel, **more: object
) -> ClockCase:
    return ClockCase(1, seconds, oscillator, receiver, name=name, **more)  # type: ignore[arg-type]


_SENTENCES = SentenceModel(jitter_ms=20.0)
_CONSTANT_TEMP = Oscillator(5.0)
_NEW_YEAR = utc_from_civil(2027, 1, 1)
_NOVEMBER_END = utc_from_civil(2026, 12, 1)
_LATE_BY_A_SECOND = replace(_SENTENCES, utc_error_s=(Span(3604.0, 3 * _HOUR, -1.0),))
_STEPS = tuple(Span(7200.0 * i, 12 * _HOUR, 15.0) for i in range(1, 6))

CASES: dict[str, ClockCase] = {
    case.name: case
    for case in (
        _case(
            "warm-15",
            7200.0,
            replace(_WITH_SENSOR, ambient_c=_warming(15.0, _TAU_S, 1200.0)),
            _SENTENCES,
            pulses=_GPIO,
        ),
        _case(
            "warm-5",
            7200.0,
            replace(_WITH_SENSOR, ambient_c=_warming(5.0, _TAU_S, 1200.0)),
            _SENTENCES,
            pulses=_GPIO,
        ),
        _case(
            "warm-steady",
            7200.0,
            replace(_WITH_SENSOR, ambient_c=((0.0, 25.0), (1200.0, 25.0), (4200.0, 40.0))),
            _SENTENCES,
            pulses=_GPIO,
        ),
        _case(
            "warm-blind",
            7200.0,
            replace(_WITH_SENSOR, sensor=False, ambient_c=_warming(15.0, _TAU_S, 1200.0)),
            _SENTENCES,
        ),
        _case(
            "host-slew",
            7200.0,
            _CONSTANT_TEMP,
            _SENTENCES,
            raw_clock=False,
            slewed=(Span(3600.0, 3700.0, 500.0),),
        ),
        _case(
            "host-slew-holdover",
            7200.0,
            _CONSTANT_TEMP,
            replace(_SENTENCES, silent=(Span(3500.0, 6000.0),)),
            raw_clock=False,
            slewed=(Span(3600.0, 3700.0, 500.0),),
        ),
        _case(
            "rate-runaway",
            12 * _HOUR,
            Oscillator(5.0, drift_limit=20.0),
            replace(_SENTENCES, time_drag_ppm=_STEPS),
            pulses=_GPIO,
        ),
        _case(
            "rate-limit",
            12 * _HOUR,
            Oscillator(5.0, drift_limit=20.0, sensor=True),
            replace(_SENTENCES, time_drag_ppm=(Span(7200.0, 12 * _HOUR, 75.0),)),
        ),
        _case(
            "leap-page-missed",
            3 * _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, utc_error_s=(Span(0.0, 900.0, 18.0),)),
            leap_known=False,
        ),
        _case(
            "leap-false-60",
            2 * _HOUR,
            _CONSTANT_TEMP,
            _SENTENCES,
            false_60_s=3600.0,
            start_utc_us=_NOVEMBER_END - 3600_000_000,
        ),
        _case(
            "leap-false-long",
            4 * _HOUR,
            _CONSTANT_TEMP,
            _LATE_BY_A_SECOND,
            false_60_s=3600.0,
            start_utc_us=_NEW_YEAR - 3600_000_000,
        ),
        _case(
            "leap-false-twice",
            2 * _HOUR,
            _CONSTANT_TEMP,
            replace(
                _SENTENCES,
                utc_error_s=(Span(3600.0, 5000.0, -1.0), Span(3660.0, 5000.0, -1.0)),
            ),
            start_utc_us=_NEW_YEAR - 3600_000_000,
        ),
        _case(
            "leap-false-restart",
            4 * _HOUR,
            _CONSTANT_TEMP,
            _LATE_BY_A_SECOND,
            false_60_s=3600.0,
            start_utc_us=_NEW_YEAR - 3600_000_000,
            restarts=(Restart(5000.0, 20.0, False), Restart(6500.0, 20.0, True)),
        ),
        _case(
            "leap-negative-missed",
            2 * _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, utc_error_s=(Span(3599.0, 5000.0, -1.0),)),
            leap_s=-1,
            leap_at_s=3600.0,
            start_utc_us=_NEW_YEAR - 3600_000_000,
        ),
        _case(
            "leap-server-false",
            2 * _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, silent=(Span(129.0, 900.0),)),
            leap_known=False,
            second=SiteTimeServer(5.0, 5_000.0),
        ),
        _case(
            "leap-negative",
            2 * _HOUR,
            _CONSTANT_TEMP,
            _SENTENCES,
            leap_s=-1,
            leap_at_s=3600.0,
            start_utc_us=_NEW_YEAR - 3600_000_000,
        ),
        _case(
            "latency-unknown",
            _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, latency_ms=326.0, stated_ms=None),
        ),
        _case(
            "latency-changes",
            _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, jitter_ms=5.0, latency=(Span(60.0, _HOUR, 130.0),)),
        ),
        _case(
            "latency-within",
            5 * _HOUR,
            Oscillator(0.2, drift_limit=2.0, tempco_limit=0.003, sensor=True),
            SentenceModel(
                5.0, 100.0, 100.0, 3.0, "normal", 4.0, latency=(Span(7200.0, 5 * _HOUR, 2.9),)
            ),
        ),
        _case(
            "pulse-both-edges",
            _HOUR,
            _CONSTANT_TEMP,
            _SENTENCES,
            pulses=replace(_GPIO, extra_ms=(Span(0.0, _HOUR, 100.0),)),
        ),
        _case(
            "pulse-crosstalk",
            _HOUR,
            _CONSTANT_TEMP,
            _SENTENCES,
            pulses=replace(_GPIO, extra_ms=(Span(0.0, _HOUR, 50.0),)),
        ),
        _case(
            "pulse-wrong-edge",
            _HOUR,
            _CONSTANT_TEMP,
            _SENTENCES,
            pulses=replace(_GPIO, wrong_ms=(Span(0.0, _HOUR, 100.0),)),
        ),
        _case("pulse-usb", _HOUR, _CONSTANT_TEMP, _SENTENCES, pulses=Pulses(0.0, 1000.0)),
        _case(
            "pulse-5hz",
            _HOUR,
            _CONSTANT_TEMP,
            SentenceModel(period_s=0.2, latency_ms=260.0, stated_ms=260.0),
            pulses=_GPIO,
        ),
        _case(
            "pulse-20hz",
            1200.0,
            _CONSTANT_TEMP,
            SentenceModel(period_s=0.05, latency_ms=120.0, stated_ms=120.0),
            pulses=_GPIO,
        ),
        _case(
            "pulse-outage",
            1.5 * _HOUR,
            _CONSTANT_TEMP,
            SentenceModel(10.0, 90.0, None, jitter_ms=5.0, silent=(Span(900.0, 4500.0),)),
            pulses=replace(_GPIO, absent=(Span(0.0, 4500.0),)),
            raw_clock=False,
        ),
        _case(
            "restart-drag",
            3 * _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, time_drag_ppm=(Span(2000.0, 5000.0, 20.0),)),
            restarts=(Restart(3000.0, 20.0, False),),
        ),
        _case(
            "restart-drag-pulses",
            3 * _HOUR,
            _WITH_SENSOR,
            replace(_SENTENCES, time_drag_ppm=(Span(2000.0, 5000.0, 2.0),)),
            pulses=_GPIO,
            restarts=(Restart(2300.0, 20.0, False),),
        ),
        _case(
            "restart-latency",
            2 * _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, latency=(Span(3000.0, 2 * _HOUR, 400.0),)),
            restarts=(Restart(3000.0, 20.0, False),),
        ),
        _case(
            "date-before-release",
            3 * _HOUR,
            _CONSTANT_TEMP,
            replace(_SENTENCES, utc_error_s=(Span(0.0, 600.0, -10.0 * 366 * 86_400),)),
        ),
    )
}
"""By name. The first word is the subject."""
