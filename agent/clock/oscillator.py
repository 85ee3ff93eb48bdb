"""The oscillator learned from what arrives: a line of offset over monotonic time.

Not a judge and not a clock: it takes samples that were believed and says where the line is, how
steep, and how sure that is. Times are monotonic microseconds, offsets nanoseconds (from a base that
the caller keeps), slopes parts per 10^12.

How it works. Samples are gathered in blocks of equal count. Each block gives two figures: its mean,
and its *edge*. A sentence is late but never early, so the samples pile up at the early edge; the
second earliest of sixteen tells the change between two blocks ten times better than the mean does,
and one freak sample does not move it. The slope is a least-squares line through the edges; the
level is the mean of the means, since only the mean latency is known from the configuration. With
pulses there is no such edge, and the mean serves as both. When the points are full, neighbours are
joined until a point is `max_joined` blocks wide; then the oldest go.

Least squares: error of the slope = s * sqrt(12 / n) / T for n even points over a time T.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    FitPoint = tuple[int, int, int]

_PPT_PER_UNIT = 1_000_000_000
"""Nanoseconds a microsecond of time to parts per 10^12: ns = ppt * us / 10^9."""


def isqrt(n: int) -> int:
    """Whole square root of `n` >= 0 (Newton; MicroPython has no math.isqrt)."""
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
    """A line: `level` (by the means) and `edge` (by the edges) at time `t`, ns; `slope`, ppt.

    `noise` is the standard deviation of the edges about it, ns; `skew` that of the slope, ppt.
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
        """Offset at `t` in nanoseconds."""
        return self.level + self.slope * (t - self.t) // _PPT_PER_UNIT

    def envelope_at(self, t: int) -> int:
        """Where the edge of a block at `t` should be, nanoseconds."""
        return self.lower_envelope + self.slope * (t - self.t) // _PPT_PER_UNIT


def fit_line(points: "list[FitPoint]") -> FittedLine:
    """Fit a line through three or more points (time, mean, edge)."""
    n = len(points)
    t0, mean0, envelope0 = points[0]
    t = t0 + sum([p[0] - t0 for p in points]) // n
    level = mean0 + sum([p[1] - mean0 for p in points]) // n
    envelope = envelope0 + sum([p[2] - envelope0 for p in points]) // n
    pairs = [((p[0] - t) // 1000, p[2] - envelope) for p in points]  # ms keep the squares small
    sxx = sum([x * x for x, _ in pairs]) or 1
    slope = sum([x * y for x, y in pairs]) * 1_000_000 // sxx
    square = sum([(y - slope * x // 1_000_000) ** 2 for x, y in pairs])
    noise = isqrt(square // max(1, n - 2))
    return FittedLine(t, level, envelope, slope, noise, noise * 1_000_000 // max(1, isqrt(sxx)))


class OffsetFit:
    """Points of the offset over time, bounded by `capacity`.

    `size`: samples in a block; `envelope_rank`: which of the earliest is the edge (0: the mean is).
    """

    def __init__(self, size: int, capacity: int, max_joined: int, envelope_rank: int) -> None:
        self.points: list[FitPoint] = []
        self.blocks_per_point = 1
        self._size = size
        self._capacity = capacity
        self._max_joined = max_joined
        self._envelope_rank = envelope_rank
        self._times: list[int] = []
        self._values: list[int] = []
        self._blocks: list[FitPoint] = []

    def add(self, t: int, y_ns: int) -> "FitPoint | None":
        """Take a sample; return the block that it completes, which is not yet part of the line."""
        self._times.append(t)
        self._values.append(y_ns)
        if len(self._times) < self._size:
            return None
        block = self.current_block()
        self.drop_open()
        return block

    def current_block(self) -> "FitPoint":
        """The block as it stands; there is at least one sample in it."""
        times, values = self._times, self._values
        n = len(times)
        t = times[0] + sum([x - times[0] for x in times]) // n
        mean = values[0] + sum([y - values[0] for y in values]) // n
        if not self._envelope_rank or n < self._size:
            return (t, mean, mean)
        return (t, mean, sorted(values)[-self._envelope_rank])

    def add_block(self, block: "FitPoint") -> bool:
        """Make a block part of the line; return whether that made a new point."""
        self._blocks.append(block)
        if len(self._blocks) < self.blocks_per_point:
            return False
        self.points.append(_mean(self._blocks))
        self._blocks = []
        if len(self.points) > self._capacity:
            self._merge_points()
        return True

    def _merge_points(self) -> None:
        points = self.points
        if self.blocks_per_point >= self._max_joined:
            points.pop(0)
            return
        self.points = [_mean(points[i : i + 2]) for i in range(0, len(points) - 1, 2)]
        self.blocks_per_point *= 2
        self._blocks = points[len(points) // 2 * 2 :]  # an odd one out begins the next point

    def open_sample_count(self) -> int:
        """Samples in the block that is not complete."""
        return len(self._times)

    def drop_open(self) -> None:
        """Forget the samples of the block that is not complete."""
        self._times = []
        self._values = []

    def drop_last(self, count: int) -> None:
        """Forget the last `count` points and what is open."""
        self.points = self.points[: len(self.points) - count]
        self._blocks = []
        self.drop_open()

    def clear(self) -> None:
        """Forget everything."""
        self.points = []
        self._blocks = []
        self.blocks_per_point = 1
        self.drop_open()


def _mean(points: "list[FitPoint]") -> "FitPoint":
    n = len(points)
    t, mean, envelope = points[0]
    return (
        t + sum([p[0] - t for p in points]) // n,
        mean + sum([p[1] - mean for p in points]) // n,
        envelope + sum([p[2] - envelope for p in points]) // n,
    )
