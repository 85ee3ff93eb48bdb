# SPDX-License-Identifier: Apache-2.0
"""A time source (sentences or pulses): its offset line and the checks of its rate.

Does not keep UTC; see `agent.clock.utc_clock`. Fits a line to accepted samples
(`agent.clock.oscillator`), and rejects blocks that leave the line faster than noise and temperature
explain.

If a block fails the rate check, the time source is rejected. The fit discards its last blocks. The
source stays rejected until three consecutive blocks agree with the line from before the failure.
"""

from agent.clock.holdover import TemperatureIntegral
from agent.clock.oscillator import FittedLine, OffsetFit, fit_line, isqrt, mean_point

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.holdover import Holdover
    from agent.clock.oscillator import FitPoint

CONSISTENT_COUNT = 3
"""Consecutive samples or blocks that must agree before a source is accepted, first or again."""


class TimeSource:
    """A line with the checks of its rate.

    `checks`: pairs (old, new): compares the last `new` points with a line through the `old` points
    before them (0, 0: the last quarter with all points before). `min_error_ns`: smallest allowed
    error. `noise_factor`: allowed error of a block in multiples of the noise. `fit_points`: points
    in the fit (0: all). `min_points`: points before a slope is used.
    """

    def __init__(
        self,
        offset_fit: OffsetFit,
        holdover: "Holdover",
        checks: "tuple[tuple[int, int], ...]",
        min_error_ns: int,
        noise_factor: int,
        fit_points: int,
        min_points: int,
    ) -> None:
        self.offset_fit = offset_fit
        self.fit: FittedLine | None = None
        self.source_rejected = False
        self.limit_ns = 10 * min_error_ns
        self.rejected_limit_ns = 0
        """The allowed error of the last rejected block, ns."""
        self.learned_until = 0
        self._consistent = 0
        self._noise = 0
        self._temp_integral = TemperatureIntegral(0, 0, None, 0)
        self._integrals: list[tuple[int, int]] = []
        self._noise_factor = noise_factor
        self._holdover = holdover
        self._checks = checks
        self._min_error_ns = min_error_ns
        self._fit_points = fit_points
        self._min_points = min_points

    def add(self, t: int, y_ns: int) -> int:
        """Add a sample. Return 0, or the error of its block in ns if it is rejected."""
        block = self.offset_fit.add(t, y_ns)
        return 0 if block is None else self._check_block(block)

    def _check_block(self, block: "FitPoint") -> int:
        fitted = self.fit
        if fitted is not None:
            expected = fitted.envelope_at(block.t) + self.temp_drift_ns(block.t)
            residual: int = block.envelope - expected
            limit = self._block_limit(fitted, block.t)
            if abs(residual) > limit:
                self.source_rejected = True
                self.rejected_limit_ns = limit
                self._consistent = 0
                return residual
            self._consistent += 1
            if self.source_rejected and self._consistent < CONSISTENT_COUNT:
                return 0  # the block may only cross the line
        self.source_rejected = False
        if self.offset_fit.add_block(block) and len(self.offset_fit.points) >= self._min_points:
            return self._refit()
        return 0

    def _block_limit(self, fitted: FittedLine, t: int) -> int:
        noise = fitted.noise * (isqrt(self.offset_fit.blocks_per_point) + 1)
        skew = fitted.skew * max(0, t - fitted.t) // 1_000_000_000
        if self.source_rejected:  # a rejected source gets no allowance for temperature
            return 4 * noise + self._min_error_ns + 3 * skew
        drift = self._holdover.temp_allowance_ns(self._temp_integral, t)
        return self._noise_factor * noise + 2 * self._min_error_ns + 6 * skew + drift

    def _refit(self) -> int:
        """Fit again after a new point. Return the error of rejected points, or 0."""
        limit = 0
        for old, new in self._checks:
            residual, allowed = self._residual(old, new or len(self.offset_fit.points) // 4)
            if abs(residual) > allowed:
                self.rejected_limit_ns = allowed
                self._drop_rejected(old, new or len(self.offset_fit.points) // 4)
                return residual
            limit = max(limit, allowed)
        self.limit_ns = limit or self.limit_ns
        self.fit = new_fit = fit_line(self.offset_fit.points[-self._fit_points :])
        self._noise = (15 * self._noise + new_fit.noise) // 16 if self._noise else new_fit.noise
        self.learned_until = self.offset_fit.points[-1].t
        self._update_temperature()
        return 0

    def _update_temperature(self) -> None:
        """Store the temperature of the fit. With pulses also train the temperature model."""
        holdover, at = self._holdover, self.learned_until
        if holdover.current_temperature(at) is None:
            self._temp_integral = TemperatureIntegral(at, 0, None, holdover.gaps)
            return
        integral, integrals = holdover.temperature_integral(at), self._integrals
        oldest = self.offset_fit.points[-self._fit_points :][0].t
        while integrals and integrals[0][0] < oldest:
            integrals.pop(0)
        integrals.append((at, integral))
        since, before = integrals[0]
        span = at - since
        reference = (integral - before) // span if span > 0 else holdover.current_temperature(at)
        self._temp_integral = TemperatureIntegral(at, integral, reference, holdover.gaps)
        if (
            holdover.tempco_model is not None
            and reference is not None
            and self._fit_points
            and self.fit
        ):
            holdover.tempco_model.add_pair(reference, self.fit.slope, at)

    def _integral_since(self, t: int) -> TemperatureIntegral:
        """Return the reference temperature of the fit for the time from `t` on."""
        learned = self._temp_integral
        integral = learned.integral - (learned.reference or 0) * (learned.at - t)
        return TemperatureIntegral(t, integral, learned.reference, learned.gaps)

    def temp_drift_ns(self, now: int) -> int:
        """Return the known time error due to temperature since the fit, ns."""
        return (
            self._holdover.temp_drift_ns(self._temp_integral, now)
            if now > self.learned_until
            else 0
        )

    def _drop_rejected(self, old: int, new: int) -> None:
        offset_fit = self.offset_fit
        at = offset_fit.points[-1].t
        offset_fit.drop_last(min(2 * new, len(offset_fit.points) - self._min_points))
        self.learned_until = offset_fit.points[-1].t
        # The temperature at the time of the remaining points was similar.
        reference = self._temp_integral.reference
        integral = self._holdover.temperature_integral(at) - (reference or 0) * (
            at - self.learned_until
        )
        self._temp_integral = TemperatureIntegral(
            self.learned_until, integral, reference, self._holdover.gaps
        )
        self.source_rejected = True
        self._consistent = 0
        self.fit = fit_line(offset_fit.points[-old:])

    def restart(self) -> None:
        """Drop the line and clear the rejection."""
        self.offset_fit.clear()
        self.fit = None
        self.source_rejected = False

    def _residual(self, old: int, new: int) -> "tuple[int, int]":
        """Return the error of the last `new` points against a line through those before, and its
        limit.
        """
        points = self.offset_fit.points
        n = len(points)
        if n < max(old + new, 16):
            return 0, 0
        before = fit_line(points[(n - new - old if old else 0) : n - new])
        after = points[n - new :]
        t, _, envelope = mean_point(after)
        residual = envelope - before.envelope_at(t)
        # A steady change of frequency leaves the tangent by half of the change at its end.
        drift = self._holdover.temp_allowance_ns(self._integral_since(before.t), t) // 2
        return residual, 5 * max(before.noise, self._noise) + self._min_error_ns + drift

    def open_error_ns(self, now: int) -> int:
        """Return the possible error of the line at `now`, without the sample error, ns."""
        fitted = self.fit
        if fitted is None:
            return 0
        skew = 5 * fitted.skew * max(0, now - fitted.t) // 1_000_000_000
        drift = self._holdover.temp_allowance_ns(self._temp_integral, now)
        return skew + drift + 2 * self.limit_ns + self._min_error_ns
