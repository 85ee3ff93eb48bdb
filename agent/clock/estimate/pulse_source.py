# SPDX-License-Identifier: Apache-2.0
"""Pulses as a time source: assigns a pulse to a second of UTC, or rejects it.

Does not count or receive pulses; see `agent.clock.pps`.

How it works. A pulse alone says only that a second begins. The sentences say which one: their
interval, widened by the error of their latency, contains exactly one time at which a second can
begin there. A pulse without such a time contradicts the sentences and is not used. Once there is an
interval of the pulses, each pulse is compared with that. In a long outage both intervals can grow
to more than a second, above all if the host slews its clock. Then the pulses wait for the
sentences: their own interval contains several seconds. Edges of both directions give a spread of
their distance, and the spread is part of the bound; so they are not used until the sentences
exclude one of them. A single wrong edge agrees with sentences that are known to 100 ms. So pulses
are not used before the sentences are known to `_VERIFIED_NS`.

Two corrections. The delay of the antenna cable is in each pulse. A receiver can also state how far
the next pulse is from its second, because a pulse begins at a period of the receiver's clock
(UBX-TIM-TP); see `state_quantisation`.
"""

from agent.clock.estimate.error_budget import ErrorBudget
from agent.clock.estimate.oscillator import OffsetFit
from agent.clock.estimate.time_source import TimeSource
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.error_budget import StatedErrors
    from agent.clock.estimate.holdover import Holdover

_NS_PER_US = 1_000
_SECOND_NS = 1_000_000_000
_MIN_NOISE_NS = 1_000
_PATH_NS = 20_000
"""Delay of an edge on its way through a GPIO and an interrupt (gpsd-time-service-howto)."""
_VERIFIED_NS = 80_000_000
"""Width of the interval by the sentences that excludes the wrong edge of a pulse of 100 ms."""
_MIN_STRAY_COUNT = 8
"""Stray pulses in a row that agree, before they count as the pulses."""
_SIGMAS = 8
_WEEK_S = 604_800
_SUNDAY_S = 345_600
"""From the Sunday before 1970-01-01, a Thursday."""


class PulseSource(TimeSource):
    """The pulses. `error_us`: stated error of their path, None: the default of a GPIO. `cable_ns`:
    delay of the antenna cable; a pulse comes so much after the beginning of its second.
    """

    def __init__(self, holdover: "Holdover", error_us: "int | None", cable_ns: int) -> None:
        fit = OffsetFit(8, 64, 1, 0)
        TimeSource.__init__(self, fit, holdover, _MIN_NOISE_NS, 8, 8, 32 * SECOND, 64 * SECOND)
        self._error_ns = _PATH_NS if error_us is None else error_us * _NS_PER_US
        self._cable_ns = cable_ns
        self._quantised_s, self._quantised_ns = -1, 0
        self._stray_ns = self._stray_count = 0
        self.verified = error_us is not None
        """The pulses agreed with sentences that exclude a wrong edge, or their error is stated."""

    def path_ns(self) -> int:
        """Return the error of the path: as stated, or as wide as the pulses spread."""
        return max(self._error_ns, 4 * self.sigma_ns)

    def state_quantisation(self, week_s: int, early_ns: int) -> None:
        """Take the receiver's statement that one pulse comes `early_ns` before its second.

        `week_s`: the second of that pulse in the week of UTC, from Sunday 00:00.
        """
        self._quantised_s, self._quantised_ns = week_s, early_ns

    def _correct(self, now: int, base: int, offset_ns: int) -> int:
        """Correct the offset by a pulse for its quantisation, if the receiver has stated it."""
        if self._quantised_s >= 0:
            second = (now + base + offset_ns // _NS_PER_US + SECOND // 2) // SECOND
            if (second + _SUNDAY_S) % _WEEK_S == self._quantised_s:
                return offset_ns - self._quantised_ns
        return offset_ns

    def add_pulse(self, now: int, base: int, nmea_lo_ns: int, nmea_hi_ns: int) -> "tuple[int, int]":
        """Add a pulse at `now`. `nmea_lo_ns`, `nmea_hi_ns`: the offset from `base` (µs) by the
        sentences, ns.

        Return (0, 0), or the contradiction and its limit in ns.
        """
        nmea_ns = self._second_ns(now, base, nmea_lo_ns)
        present = self.interval.present
        margin = max(self._error_ns, _SIGMAS * self.sigma_ns)
        pulse_lo_ns = pulse_hi_ns = pulse_ns = 0
        if present is not None:
            pulse_lo_ns, pulse_hi_ns = self.interval.from_mark(present, now)
            pulse_ns = self._second_ns(now, base, (pulse_lo_ns + pulse_hi_ns - _SECOND_NS) // 2)
        agrees = present is not None and pulse_lo_ns - margin <= pulse_ns <= pulse_hi_ns + margin
        if nmea_ns > nmea_hi_ns:
            middle = (nmea_lo_ns + nmea_hi_ns) // 2
            if agrees and not self.verified:
                self.restart()  # they began at a wrong edge
            half_ns = (nmea_hi_ns - nmea_lo_ns) // 2
            return self._second_ns(now, base, middle - _SECOND_NS // 2) - middle, half_ns
        own_ns = pulse_hi_ns - pulse_lo_ns + 2 * margin
        if present is None or self.source_rejected or own_ns >= _SECOND_NS:
            if nmea_ns + _SECOND_NS <= nmea_hi_ns:
                return 0, 0  # neither says which second it is
            return self.add(now, self._correct(now, base, nmea_ns)), self.rejected_limit_ns
        if agrees:
            self._stray_count = 0
            self.verified = self.verified or nmea_hi_ns - nmea_lo_ns < _VERIFIED_NS
            return self.add(now, self._correct(now, base, pulse_ns)), self.rejected_limit_ns
        return self._take_stray(now, pulse_ns, margin, pulse_ns - (pulse_lo_ns + pulse_hi_ns) // 2)

    def _second_ns(self, now: int, base: int, lo: int) -> int:
        """Return the smallest offset, at least `lo` ns, with which a second began `_cable_ns`
        before `now`.
        """
        return lo + (self._cable_ns - (now + base) * _NS_PER_US - lo) % _SECOND_NS

    def _take_stray(self, now: int, pulse_ns: int, margin: int, residual: int) -> "tuple[int, int]":
        if self._stray_count and abs(pulse_ns - self._stray_ns) <= margin:
            self._stray_count += 1
        else:
            self._stray_count = 1
        self._stray_ns = pulse_ns
        if self._stray_count >= _MIN_STRAY_COUNT:
            self._stray_count = 0
            self.measure(now, pulse_ns - margin, pulse_ns + margin)
            self.offset_fit.drop_open()
        return residual, margin


class PulseBudget(ErrorBudget):
    """The error bound with pulses."""

    def __init__(self, nmea: TimeSource, stated: "StatedErrors", pps: PulseSource) -> None:
        ErrorBudget.__init__(self, nmea, stated)
        self._pps = pps
        self._pulses_known = stated.latency_us is not None or stated.pulse_us is not None

    def _system_ns(self, source: TimeSource) -> int:
        if source is not self._pps:
            return self.late_ns
        return self._pps.path_ns() + (0 if self._pulses_known else _SECOND_NS)

    def _usable_pulses(self) -> "PulseSource | None":
        pps = self._pps
        if pps.interval.present is None:
            return None
        return pps if pps.verified or not self._pulses_known else None

    def best_source(self, now: int) -> TimeSource:
        """Return the source with the smaller bound.

        What a drag could do is no reason to leave the pulses: it moves both sources.
        """
        pps, nmea = self._usable_pulses(), self._nmea
        if pps is None:
            return nmea
        if nmea.interval.present is None:
            return pps
        widths = []
        for source in (pps, nmea):
            lo, hi = source.stated(now, False)
            widths.append(hi - lo + 2 * self._system_ns(source))
        return pps if widths[0] <= widths[1] else nmea

    def _other_ns(
        self, source: TimeSource, own: "tuple[int, int]", offset_ns: int, now: int
    ) -> int:
        """Return the distance to the end of the other source's interval, if both contradict, or if
        the pulses contradicted themselves: pulses resolve microseconds, so a time drag is visible
        there first. What a drag could do hides no contradiction: it moves both sources.
        """
        nmea, pps = self._nmea, self._usable_pulses()
        other: TimeSource = nmea
        if source is not nmea:
            early, late = self.early_ns, self.late_ns
        elif pps is None:
            return 0
        else:
            other = pps
            early = late = self._system_ns(pps)
            if pps.is_disputed():
                lo, hi = pps.stated(now)
                return max(hi - offset_ns, offset_ns - lo)
        system = self._system_ns(source)
        own_lo, own_hi = source.stated(now, False)
        lo, hi = other.stated(now, False)
        if lo - early <= own_hi + system and hi + late >= own_lo - system:
            return 0
        low, high = other.stated(now)
        if low - early > own[1] + system or high + late < own[0] - system:
            lo, hi = low, high
        return max(hi + late - offset_ns, offset_ns - lo + early)
