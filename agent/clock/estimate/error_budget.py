# SPDX-License-Identifier: Apache-2.0
"""The error bound of UTC as a sum of named terms.

Does not correct anything. `terms` gives microseconds:

    latency     the sentences: difference between their real and their configured latency. Without a
                configured latency: one second, because no receiver is known to be later
    path        the pulses: delay of an edge until its time is taken. One second while nothing says
                that the edge is the right one: neither a latency nor an error of the pulses is
                configured
    samples     half the interval of the source after its last sample: noise and past drift
    drift       growth of the interval since: rate, temperature, ageing
    host        the part of both by which the host can slew the monotonic clock
    slew        distance of UTC from the middle of the interval
    sources     what is missing to contain the interval of the other source, if it is disputed
    dispute, reference, leap   added by `agent.clock.utc_clock`
"""

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.estimate.time_source import TimeSource

    Range = tuple[int, int]
    """Lowest and highest offset, ns."""

StatedErrors = namedtuple("StatedErrors", ("latency_us", "pulse_us", "host_slew_ppb", "cable_ns"))
"""What the configuration states: largest difference between the latency of the sentences and the
configured one (µs), None: no latency is configured; error of the pulses (µs), None: not stated; how
fast the host can slew the monotonic clock (ppb); delay of the antenna cable (ns), by which the
pulses are late.
"""
CALIBRATED = StatedErrors(10_000, None, 0, 0)
"""A configured latency, without a calibration: receivers of one type differ by this."""
_NS = 1_000
_MAX_LATENCY_NS = 1_000_000_000


class ErrorBudget:
    """The error bound of sentences with stated errors. With pulses: `PulseBudget`."""

    def __init__(self, nmea: "TimeSource", stated: StatedErrors) -> None:
        self._nmea = nmea
        self.stated = stated
        self.early_ns = 0 if stated.latency_us is None else stated.latency_us * _NS
        self.late_ns = _MAX_LATENCY_NS if stated.latency_us is None else self.early_ns

    def sentences(self, now: int) -> "tuple[int, int]":
        """Return the interval of the true offset by the sentences, ns; for the phase of a pulse.

        It can contain two seconds if it is wider than one: after a long outage, or with an unknown
        latency. A drag moves pulses too, so it is not in this interval. In a dispute that allows
        for more than a second, it is around the interval that is held, and below a second wide:
        its lower end would be another second.
        """
        lo, hi = self._nmea.stated(now, False)
        lo, hi = lo - self.early_ns, hi + self.late_ns
        width = hi - lo
        if width >= _MAX_LATENCY_NS and self._nmea.is_disputed():
            low, high = self._nmea.held(now)
            low, high = low - self.early_ns, high + self.late_ns
            width = high - low
            lo = max(lo, low - max(0, _MAX_LATENCY_NS - 1 - width) // 2)
            if width < _MAX_LATENCY_NS + self.late_ns - self.early_ns:
                hi = min(hi, lo + _MAX_LATENCY_NS - 1)
        return lo, hi

    def _system_ns(self, _source: "TimeSource") -> int:
        """Return the error that all samples of a source have in common, ns."""
        return self.late_ns

    def best_source(self, _now: int) -> "TimeSource":
        """Return the source with the smaller bound."""
        return self._nmea

    def bound_ns(
        self, source: "TimeSource", offset_ns: int, now: int, limits: "Range | None" = None
    ) -> int:
        """Return the sum of `terms`, ns. `offset_ns`: the offset in use, from the base.

        `limits`: the offset by a second source (`agent.clock.estimate.second_source`).
        """
        lo, hi = self._range(source, now, limits)
        bound = max(hi - offset_ns, offset_ns - lo) + self._system_ns(source)
        return max(bound, self._other_ns(source, (lo, hi), offset_ns, now))

    def _range(self, source: "TimeSource", now: int, limits: "Range | None") -> "Range":
        """Return the interval of a source. With `limits` a drag reaches no further than these.

        If the source is not known to be true, it also contains `limits`: one of both is true.
        """
        lo, hi = source.stated(now)
        if limits is None:
            return lo, hi
        low, high = source.stated(now, False)
        system = self._system_ns(source)
        apart = limits[0] > high + system or limits[1] < low - system
        if apart or source.is_disputed() or source.interval.is_young(now):
            return min(lo, limits[0] + system), max(hi, limits[1] - system)
        return min(low, max(lo, limits[0] + system)), max(high, min(hi, limits[1] - system))

    def terms(
        self, source: "TimeSource", offset_ns: int, now: int, limits: "Range | None" = None
    ) -> "list[tuple[str, int]]":
        """Return the terms of the bound: name and ns."""
        lo, hi = self._range(source, now, limits)
        growth = min(source.interval.growth(now), (hi - lo) // 2)
        samples = (hi - lo) // 2 - growth
        host = source.host_share(growth)
        system = self._system_ns(source)
        bound = max(hi - offset_ns, offset_ns - lo)
        return [
            ("latency" if source is self._nmea else "path", system),
            ("samples", samples),
            ("drift", growth - host),
            ("host", host),
            ("slew", max(0, bound - samples - growth)),
            ("sources", self.bound_ns(source, offset_ns, now, limits) - bound - system),
        ]

    def _other_ns(
        self, _source: "TimeSource", _own: "tuple[int, int]", _offset_ns: int, _now: int
    ) -> int:
        """Return the distance to all that the other source says, if both contradict; 0: none."""
        return 0
