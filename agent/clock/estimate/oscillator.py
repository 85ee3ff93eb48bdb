# SPDX-License-Identifier: Apache-2.0
"""Model of the oscillator: a line of the UTC offset over monotonic time, fitted to samples.

Does not check samples (see `agent.clock.estimate.time_source`) and is not a clock (see
`agent.clock.utc_clock`). It takes accepted samples and gives level, slope and uncertainty of the
line. Times are monotonic µs, offsets ns from a base of the caller, slopes parts per 10^12.

How it works. Samples form blocks of equal size. Each block has two values: its mean and its lower
envelope. A sentence can be late but never early, so the samples concentrate at the early end. The
second earliest of sixteen shows the change between two blocks ten times better than the mean does,
and one outlier does not move it. The slope is a least-squares line through the envelopes. The level
is the mean of the means, because the configuration states only the mean latency. Pulses have no
such envelope, so their mean serves as both. When all points are in use, neighbours are merged until
a point holds `max_joined` blocks; then the oldest points are dropped.

Least squares: error of the slope = s * sqrt(12 / n) / T for n evenly spaced points over a time T.
"""

from collections import namedtuple

FitPoint = namedtuple("FitPoint", ("t", "mean", "envelope"))
"""A block or a mean of blocks: time, mean and lower envelope of the offset, ns."""

_PPT_PER_UNIT = 1_000_000_000
"""Converts ns per µs to parts per 10^12: ns = ppt * us / 10^9."""


def isqrt(n: int) -> int:
    """Integer square root of `n` >= 0 (Newton; MicroPython has no math.isqrt)."""
    if n < 2:
        return n
    bits = 0
    while n >> bits:
        bits += 1
    x = 1 << (bits + 1) // 2
    while True:
        y = (x + n // x) // 2
        if y >= x:
            return x
        x = y


class FittedLine:
    """A line: `level` (of the means) and `lower_envelope` at time `t`, ns; `slope`, ppt.

    `noise` is the standard deviation of the envelopes about the line, ns; `skew` that of the slope,
    ppt.
    """

    __slots__ = ("level", "lower_envelope", "noise", "skew", "slope", "t")

    def __init__(
        self, t: int, level: int, lower_envelope: int, slope: int, noise: int, skew: int
    ) -> None:
        self.t = t
        self.level = level
        self.lower_envelope = lower_envelope
        self.slope = slope
        self.noise = noise
        self.skew = skew

    def at(self, t: int) -> int:
        """Return the offset at `t`, ns."""
        return self.level + self.slope * (t - self.t) // _PPT_PER_UNIT

    def envelope_at(self, t: int) -> int:
        """Return the expected envelope of a block at `t`, ns."""
        return self.lower_envelope + self.slope * (t - self.t) // _PPT_PER_UNIT


def fit_line(points: "list[FitPoint]") -> FittedLine:
    """Fit a line through three or more points."""
    n = len(points)
    t, level, envelope = mean_point(points)
    pairs = [
        ((point.t - t) // 1000, point.envelope - envelope) for point in points
    ]  # ms: small squares
    sxx = sum([x * x for x, _ in pairs]) or 1
    slope = sum([x * y for x, y in pairs]) * 1_000_000 // sxx
    square = sum([(y - slope * x // 1_000_000) ** 2 for x, y in pairs])
    noise = isqrt(square // max(1, n - 2))
    return FittedLine(t, level, envelope, slope, noise, noise * 1_000_000 // max(1, isqrt(sxx)))


def fit_recent(points: "list[FitPoint]", count: int, least: int, span: int) -> "FittedLine | None":
    """Fit a line through the last `count` points (0: all) of the last `span` µs.

    It has at least `least` points. None: there are fewer.
    """
    if len(points) < least:
        return None
    points = points[-count:]
    recent = [point for point in points if point.t >= points[-1].t - span]
    return fit_line(recent if len(recent) >= least else points[-least:])


class OffsetFit:
    """Points of the offset over time, at most `capacity`.

    `size`: samples in a block. `envelope_rank`: rank of the sample that is the envelope, counted
    from the earliest; 0: the mean is used.
    """

    def __init__(self, size: int, capacity: int, max_joined: int, envelope_rank: int) -> None:
        self.points: list[FitPoint] = []
        self.blocks_per_point = 1
        self.size = size
        self.deviation = 0
        """Standard deviation of the samples of the last block, ns."""
        self.largest = 0
        """Largest distance of a sample of the last block from its mean, ns."""
        self._max_slope = 0
        self._capacity = capacity
        self._max_joined = max_joined
        self._envelope_rank = envelope_rank
        self._times: list[int] = []
        self._values: list[int] = []
        self._blocks: list[FitPoint] = []

    def limit_slope(self, max_slope: int) -> None:
        """Set the largest slope that the oscillator can explain, ns/s."""
        self._max_slope = max_slope

    def add(self, t: int, y_ns: int) -> "FitPoint | None":
        """Add a sample. Return the block that it completes, which is not in the line yet."""
        self._times.append(t)
        self._values.append(y_ns)
        if len(self._times) < self.size:
            return None
        block = self.current_block()
        self.deviation = self._deviation(block)
        self.largest = max([abs(value - block.mean) for value in self._values])
        self.drop_open()
        return block

    def _deviation(self, block: "FitPoint") -> int:
        """Return the standard deviation of the samples about their own line, ns.

        The slope is limited: a step of the latency within the block is no slope.
        """
        pairs = [((t - block.t) // 1000, y - block.mean) for t, y in zip(self._times, self._values)]
        sxx = sum([x * x for x, _ in pairs]) or 1
        slope = sum([x * y for x, y in pairs]) * 1_000 // sxx
        slope = max(-self._max_slope, min(self._max_slope, slope))
        square = sum([(y - slope * x // 1_000) ** 2 for x, y in pairs])
        return isqrt(square // max(1, self.size - 2))

    def current_block(self) -> "FitPoint":
        """Return the open block; it has at least one sample."""
        times, values = self._times, self._values
        n = len(times)
        t = times[0] + sum([time - times[0] for time in times]) // n
        mean = values[0] + sum([value - values[0] for value in values]) // n
        if not self._envelope_rank or n < self.size:
            return FitPoint(t, mean, mean)
        return FitPoint(t, mean, sorted(values)[-self._envelope_rank])

    def add_block(self, block: "FitPoint") -> bool:
        """Add a block to the line. Return True if that made a new point."""
        self._blocks.append(block)
        if len(self._blocks) < self.blocks_per_point:
            return False
        self.points.append(mean_point(self._blocks))
        self._blocks = []
        if len(self.points) > self._capacity:
            self._merge_points()
        return True

    def _merge_points(self) -> None:
        points = self.points
        if self.blocks_per_point >= self._max_joined:
            points.pop(0)
            return
        self.points = [mean_point(points[i : i + 2]) for i in range(0, len(points) - 1, 2)]
        self.blocks_per_point *= 2
        self._blocks = points[len(points) // 2 * 2 :]  # a remaining block begins the next point

    def open_sample_count(self) -> int:
        """Return the number of samples in the open block."""
        return len(self._times)

    def drop_open(self) -> None:
        """Drop the samples of the open block."""
        self._times = []
        self._values = []

    def drop_after(self, t: int) -> None:
        """Drop the points after `t` and the open block."""
        self.points = [point for point in self.points if point.t <= t]
        self._blocks = []
        self.drop_open()

    def clear(self) -> None:
        """Drop all points."""
        self.points = []
        self._blocks = []
        self.blocks_per_point = 1
        self.drop_open()


def mean_point(points: "list[FitPoint]") -> "FitPoint":
    """Return the mean of points."""
    n = len(points)
    t, mean, envelope = points[0]
    return FitPoint(
        t + sum([point.t - t for point in points]) // n,
        mean + sum([point.mean - mean for point in points]) // n,
        envelope + sum([point.envelope - envelope for point in points]) // n,
    )
