"""True time, an oscillator that drifts with temperature, and the fixes and pulses of a second.

No bytes and no devices: what `agent.clock` is given, and the truth to compare it with. Temperature
is degrees, frequency parts per million, jitter milliseconds (sentences, exponential: late, never
early) and microseconds (pulses).
"""

from math import log

from agent.clock import Clock
from protocols.timing import SECOND

UTC = 1_795_500_000 * SECOND
TICK = 100_000


class Chance:
    """A small linear congruential generator, the same on every interpreter."""

    def __init__(self, seed):
        self.state = seed * 2_654_435_761 % 4_294_967_296
        for _ in range(4):
            self.uniform()

    def uniform(self):
        """Above 0, below 1."""
        self.state = (self.state * 1_664_525 + 1_013_904_223) % 4_294_967_296
        return (self.state + 0.5) / 4_294_967_296

    def late(self, mean):
        """Exponential with the mean given."""
        return -mean * log(self.uniform())

    def normal(self, sigma):
        """Nearly normal: the sum of twelve."""
        return sigma * (sum([self.uniform() for _ in range(12)]) - 6)

    def below(self, n):
        """A whole number of 0 … n - 1."""
        return int(self.uniform() * n)


class TrueFix:
    """A fix as the driver gives it."""

    def __init__(self, utc_us, mono_us, valid=True, lat_e7=252_000_000, lon_e7=552_000_000):
        self.utc_us = utc_us
        self.mono_us = mono_us
        self.valid = valid
        self.reasons = () if valid else ("status",)
        self.lat_e7 = lat_e7
        self.lon_e7 = lon_e7


class Bench:
    """A clock under test. Faults, plain attributes:

    outage, drag (us a second while on), step_us, leap_s (label off), away_e7, no_pulse.
    `ppm`, `temp` and `tempco` (ppm a degree) may change; `sensor` gives the clock the temperature.
    """

    def __init__(self, clock, seed=1, ppm=0.0, tempco=0.0, jitter_ms=20.0, pps_us=None):
        self.clock = clock
        self.chance = Chance(seed)
        self.ppm = ppm
        self.tempco = tempco
        self.temp = 25.0
        self.sensor = False
        self.jitter_ms = jitter_ms
        self.pps_us = pps_us
        self.second = 0
        self.mono_ns = 5_000_000_000
        self.outage = self.no_pulse = False
        self.drag = self.step_us = self.leap_s = self.away_e7 = 0
        self.dragged = 0.0
        self.error_us = None
        self.bound_us = None
        self.worst = 0
        self.states = []

    def run(self, seconds, ticks=10, watch=None):
        """Run; after each second `error_us`, `bound_us` hold what the clock said at its end."""
        for _ in range(seconds):
            self._one(ticks)
            if watch is not None:
                watch(self)

    def _one(self, ticks):
        clock, mono = self.clock, self.mono_ns
        ppm = self.ppm + self.tempco * (self.temp - 25.0)
        per_second = 1_000_000_000 + int(ppm * 1000 + 0.5)
        self.dragged += self.drag
        if self.sensor and self.second % 10 == 0:
            clock.temperature(int(self.temp * 100), mono // 1000)
        lie_us = int(self.dragged) + self.step_us
        if not self.outage:
            self._speak(mono, lie_us)
        for i in range(1, ticks + 1):
            clock.slew(SECOND // ticks, (mono + per_second * i // ticks) // 1000)
        self.second += 1
        self.mono_ns = mono + per_second
        self._judge()

    def _speak(self, mono, lie_us):
        utc = UTC + self.second * SECOND
        if self.pps_us is not None and not self.no_pulse:
            self.clock.pulse((mono + int(self.chance.normal(self.pps_us) * 1000)) // 1000 - lie_us)
        late = int((self.chance.late(self.jitter_ms) - self.jitter_ms) * 1000)
        fix = TrueFix(utc + self.leap_s * SECOND, mono // 1000 + late - lie_us)
        fix.lat_e7 += self.away_e7
        self.clock.sample(fix)

    def _judge(self):
        now = self.mono_ns // 1000
        said = self.clock.utc(now)
        if said is None:
            return
        self.error_us = said - (UTC + self.second * SECOND)
        self.bound_us = self.clock.bound_us(now)
        self.worst = max(self.worst, abs(self.error_us) - self.bound_us)

    def state(self):
        """What the clock calls itself now."""
        return self.clock.state(self.mono_ns // 1000)


def known(drift_ppb=50_000, **rest):
    """Make a clock whose leap seconds are known."""
    return Clock(drift_ppb, last_utc_us=UTC - 86_400 * SECOND, **rest)
