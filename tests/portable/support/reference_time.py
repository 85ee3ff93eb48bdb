# SPDX-License-Identifier: Apache-2.0
"""True time, an oscillator with temperature drift, and the fixes and pulses of a second.

Has no bytes and no devices: it makes the inputs of `agent.clock.utc_clock`, and the true time for
comparison. Units: temperature in degrees, frequency in parts per million, jitter of sentences in
milliseconds (exponential, only late), jitter of pulses in microseconds.
"""

from math import log

from agent.clock.utc_clock import UtcClock
from drivers.gnss.receiver import Fix
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

UTC = 1_795_500_000 * SECOND
TICK = 100_000


class NoiseSource:
    """A small linear congruential generator, equal on every interpreter."""

    def __init__(self, seed: int) -> None:
        self.state = seed * 2_654_435_761 % 4_294_967_296
        for _ in range(4):
            self.uniform()

    def uniform(self) -> float:
        """Return a number above 0 and below 1."""
        self.state = (self.state * 1_664_525 + 1_013_904_223) % 4_294_967_296
        return (self.state + 0.5) / 4_294_967_296

    def exponential(self, mean: float) -> float:
        """Return an exponential number with this mean."""
        return -mean * log(self.uniform())

    def normal(self, sigma: float) -> float:
        """Return a nearly normal number: the sum of twelve."""
        return sigma * (sum([self.uniform() for _ in range(12)]) - 6)

    def below(self, n: int) -> int:
        """Return an integer from 0 to n - 1."""
        return int(self.uniform() * n)


class ReferenceFix(Fix):
    """A fix as from the driver."""

    def __init__(
        self,
        utc_us: int,
        mono_us: int,
        valid: bool = True,
        lat_e7: int = 252_000_000,
        lon_e7: int = 552_000_000,
    ) -> None:
        super().__init__(utc_us, mono_us, () if valid else ("status",))
        self.lat_e7: int | None = lat_e7
        self.lon_e7: int | None = lon_e7


class ClockRig:
    """A clock under test. Faults are plain attributes:

    outage, drag (us a second while set), step_us, leap_s (offset of UTC), away_e7, no_pulse. `ppm`,
    `temp` and `tempco` (ppm a degree) can change; `sensor` gives the temperature to the clock.
    """

    def __init__(
        self,
        clock: UtcClock,
        seed: int = 1,
        ppm: float = 0.0,
        tempco: float = 0.0,
        jitter_ms: float = 20.0,
        pps_us: "float | None" = None,
    ) -> None:
        self.clock = clock
        self.noise = NoiseSource(seed)
        self.ppm = ppm
        self.tempco = tempco
        self.temp = 25.0
        self.sensor = False
        self.jitter_ms = jitter_ms
        self.latency_us = 0  # not in the configuration
        self.pps_us = pps_us
        self.pulse_late_ns = 0
        self.second = 0
        self.mono_ns = 5_000_000_000
        self.outage = self.no_pulse = False
        self.drag = 0.0
        self.step_us = self.leap_s = self.away_e7 = 0
        self.total_drag_us = 0.0
        self.error_us = 0
        self.bound_us = 0
        self.max_excess_us = -1
        self.states: list[str] = []

    def run(
        self, seconds: int, ticks: int = 10, observe: "Callable[[ClockRig], None] | None" = None
    ) -> None:
        """Run; after each second `error_us` and `bound_us` are those of the clock at its end."""
        for _ in range(seconds):
            self._run_second(ticks)
            if observe is not None:
                observe(self)

    def _run_second(self, ticks: int) -> None:
        clock, mono = self.clock, self.mono_ns
        ppm = self.ppm + self.tempco * (self.temp - 25.0)
        per_second = 1_000_000_000 + int(ppm * 1000 + 0.5)
        self.total_drag_us += self.drag
        if self.sensor and self.second % 10 == 0:
            clock.add_temperature(int(self.temp * 100), mono // 1000)
        shift_us = int(self.total_drag_us) + self.step_us
        if not self.outage:
            self._send_fix(mono, shift_us)
        for i in range(1, ticks + 1):
            clock.slew(SECOND // ticks, (mono + per_second * i // ticks) // 1000)
        self.second += 1
        self.mono_ns = mono + per_second
        self._measure_error()

    def _send_fix(self, mono: int, shift_us: int) -> None:
        utc = UTC + self.second * SECOND
        if self.pps_us is not None and not self.no_pulse:
            self.clock.add_pulse(
                (mono + int(self.noise.normal(self.pps_us) * 1000) + self.pulse_late_ns) // 1000
                - shift_us
            )
        late = int((self.noise.exponential(self.jitter_ms) - self.jitter_ms) * 1000)
        late += self.latency_us
        latitude = 252_000_000 + self.away_e7
        fix = ReferenceFix(
            utc + self.leap_s * SECOND, mono // 1000 + late - shift_us, lat_e7=latitude
        )
        self.clock.add_fix(fix)

    def _measure_error(self) -> None:
        now = self.mono_ns // 1000
        clock_utc = self.clock.utc(now)
        if clock_utc is None:
            return
        self.error_us = clock_utc - (UTC + self.second * SECOND)
        self.bound_us = self.clock.bound_us(now) or 0
        self.max_excess_us = max(self.max_excess_us, abs(self.error_us) - self.bound_us)

    def state(self) -> str:
        """Return the state of the clock."""
        return self.clock.state(self.mono_ns // 1000)


def synced_leap_clock(
    drift_ppb: int = 50_000,
    tempco_ppb_per_c: int = 1_000,
    site_e7: "tuple[int, int] | None" = None,
) -> UtcClock:
    """Make a clock whose leap seconds are known."""
    return UtcClock(drift_ppb, tempco_ppb_per_c, UTC - 86_400 * SECOND, True, site_e7)
