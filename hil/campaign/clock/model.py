# SPDX-License-Identifier: Apache-2.0
"""One case of a clock: the parameters of sky, temperature, oscillator, receiver, pulses and host.

Has no bytes and no devices; see `hil.campaign.clock.world` for the run. A case is drawn by
`hil.campaign.clock.case_generator` or defined in `hil.campaign.clock.cases`.

Times are seconds of true time since the start of the case. Frequencies are parts per million.
"""

from dataclasses import dataclass

from protocols.calendar import utc_from_civil

START_UTC = utc_from_civil(2026, 10, 5)


@dataclass(frozen=True)
class Span:
    """A fault between two times. `value`: its size, in the unit of the field that holds it."""

    from_s: float
    until_s: float
    value: float = 0.0

    def holds(self, second: float) -> bool:
        """Return whether the fault is present."""
        return self.from_s <= second < self.until_s


@dataclass(frozen=True)
class Oscillator:
    """The oscillator, and what its data sheet states.

    `ppm` at 25 degrees; `tempco` ppm per kelvin; `ageing` ppm a day. `drift_limit` and
    `tempco_limit` are the configured limits. `ambient_c`: times and temperatures,
    linear between.
    `sensor`: a temperature sensor exists; `lag_s` is its delay.
    """

    ppm: float = 0.0
    tempco: float = 0.0
    ageing: float = 0.0
    drift_limit: float = 50.0
    tempco_limit: float = 1.0
    ambient_c: tuple[tuple[float, float], ...] = ((0.0, 25.0),)
    sensor: bool = False
    lag_s: float = 0.0


@dataclass(frozen=True)
class SentenceModel:
    """Sentences. Times in ms, `period_s` between fixes.

    `stated_ms`: the configured latency, None: unknown. `spread_ms`: its stated error. `jitter`:
    "normal", "late" (exponential) or "usb" (uniform). `latency`: changes of the mean latency.
    `utc_error_s`: the sentences state UTC plus `value` seconds. `time_drag_ppm`: false time,
    microseconds a second.
    """

    period_s: float = 1.0
    latency_ms: float = 60.0
    stated_ms: float | None = 60.0
    spread_ms: float = 10.0
    jitter: str = "late"
    jitter_ms: float = 5.0
    latency: tuple[Span, ...] = ()
    silent: tuple[Span, ...] = ()
    utc_error_s: tuple[Span, ...] = ()
    shift_ms: tuple[Span, ...] = ()
    time_drag_ppm: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Pulses:
    """Pulses. `jitter_us` is normal, `late_us` uniform, both of the path.

    `lost`: share of pulses that are missing. `extra_ms`: another edge at this delay. `wrong_ms`:
    the only edge is late by this. `shift_us`: all pulses are late by `value`.
    """

    jitter_us: float = 1.0
    late_us: float = 0.0
    lost: float = 0.0
    extra_ms: tuple[Span, ...] = ()
    wrong_ms: tuple[Span, ...] = ()
    absent: tuple[Span, ...] = ()


@dataclass(frozen=True)
class SiteTimeServer:
    """An NTP server of the site. It states UTC each `every_s`, within `uncertainty_ms`.

    `error_ms`: its steady error; the rest up to `uncertainty_ms` is drawn for each reply. Above
    `uncertainty_ms` the server is false.
    """

    uncertainty_ms: float
    error_ms: float = 0.0
    every_s: float = 64.0


@dataclass(frozen=True)
class Restart:
    """The controller stops at `at_s` for `for_s`. `power`: its monotonic clock starts again."""

    at_s: float
    for_s: float
    power: bool


@dataclass(frozen=True)
class ClockCase:
    """A case. `leap_s`: the leap second (+1, -1) at `leap_at_s`, 0: none.

    `false_60_s`: a receiver says 23:59:60 at this midnight without a leap second. `raw_clock`: the
    host has a clock that no service slews; else `slewed` gives the slewing in ppm.
    """

    seed: int
    seconds: float
    oscillator: Oscillator
    receiver: SentenceModel
    pulses: Pulses | None = None
    start_utc_us: int = START_UTC
    leap_known: bool = True
    leap_s: int = 0
    leap_at_s: float = 0.0
    false_60_s: float | None = None
    raw_clock: bool = True
    slewed: tuple[Span, ...] = ()
    restarts: tuple[Restart, ...] = ()
    name: str = ""
    second: SiteTimeServer | None = None


@dataclass
class ClockResult:
    """The result of a case. `excess_us`: largest excess of the error over the bound.

    `excess_s`: how long, `first_s`: from when. `bounds_us`: a sample of the bound. `last_state` and
    `last_error_us` at the end.

    Of a case with a drag: `unseen_us` is the largest error before the clock saw it, `seen_s` when
    after its begin (None: not seen), `recovery_s` how long after its end the clock was on the
    truth again (None: not until the end of the case).
    """

    seed: int
    name: str
    seconds: float = 0.0
    excess_us: int = 0
    excess_s: float = 0.0
    first_s: float | None = None
    state: str = "free"
    error_us: int = 0
    bound_us: int = 0
    untrusted_s: float = 0.0
    bounds_us: tuple[int, ...] = ()
    source: str = ""
    checks: str = ""
    unseen_us: int = 0
    seen_s: float | None = None
    recovery_s: float | None = None
