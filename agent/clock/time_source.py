"""One kind of sample (sentences or pulses) with its line and the checks of the line's rate.

Not the clock: it learns a line from samples that were believed (`agent.clock.oscillator`), and refuses
blocks that leave the line faster than noise and temperature explain. Whoever sent those is
*convicted*: what his last blocks taught is forgotten, and nothing of his is learned until three
blocks in a row agree with the line from before the lie.
"""

from agent.clock.holdover import Warmth
from agent.clock.oscillator import Fit, Line, fit, isqrt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.holdover import Holdover
    from agent.clock.oscillator import Point

AGREEING = 3
"""Samples or blocks in a row that are needed before somebody is believed, first or again."""


class Source:
    """One line with the checks of its rate.

    `checks`: pairs (old, new): the last `new` points against a line through the `old` before them
    (0, 0: the last quarter against all before). `floor_ns`: least of what they may be off. `tail`:
    a block may be off by so many times the noise. `local`: points of the line in use (0: all).
    `least`: points before a slope is believed.
    """

    def __init__(
        self,
        line: Line,
        holdover: "Holdover",
        checks: "tuple[tuple[int, int], ...]",
        floor_ns: int,
        tail: int,
        local: int,
        least: int,
    ) -> None:
        self.line = line
        self.fit: Fit | None = None
        self.convicted = False
        self.limit_ns = 10 * floor_ns
        self.most_ns = 0
        """What the last block that was refused might have been off."""
        self.learned = 0
        self._agreed = 0
        self._noise = 0
        self._warmth = Warmth(0, 0, None, 0)
        self._heats: list[tuple[int, int]] = []
        self._tail = tail
        self._holdover = holdover
        self._checks = checks
        self._floor_ns = floor_ns
        self._local = local
        self._least = least

    def add(self, t: int, y_ns: int) -> int:
        """Take a sample; return 0, or how far off its block is when it is refused (ns)."""
        block = self.line.add(t, y_ns)
        return 0 if block is None else self._take(block)

    def _take(self, block: "Point") -> int:
        line = self.fit
        if line is not None:
            off = block[2] - line.edge_at(block[0]) - self.bend_ns(block[0])
            most = self._block_limit(line, block[0])
            if abs(off) > most:
                self.convicted = True
                self.most_ns = most
                self._agreed = 0
                return off
            self._agreed += 1
            if self.convicted and self._agreed < AGREEING:
                return 0  # it may only be crossing the line
        self.convicted = False
        if self.line.keep(block) and len(self.line.points) >= self._least:
            return self._learn()
        return 0

    def _block_limit(self, line: Fit, t: int) -> int:
        noise = line.noise * (isqrt(self.line.joined) + 1)
        skew = line.skew * max(0, t - line.t) // 1_000_000_000
        if self.convicted:  # who lied must agree without the benefit of the weather
            return 4 * noise + self._floor_ns + 3 * skew
        drift = self._holdover.drift_ns(self._warmth, t)
        return self._tail * noise + 2 * self._floor_ns + 6 * skew + drift

    def _learn(self) -> int:
        """Fit anew after a new point; return how far off the newest points are if refused."""
        limit = 0
        for old, new in self._checks:
            off, most = self._departure(old, new or len(self.line.points) // 4)
            if abs(off) > most:
                self.most_ns = most
                self._forget(old, new or len(self.line.points) // 4)
                return off
            limit = max(limit, most)
        self.limit_ns = limit or self.limit_ns
        self.fit = now = fit(self.line.points[-self._local :])
        self._noise = (15 * self._noise + now.noise) // 16 if self._noise else now.noise
        self.learned = self.line.points[-1][0]
        self._note_heat()
        return 0

    def _note_heat(self) -> None:
        """Remember how warm it was, and let it be learned what that does (with pulses only)."""
        holdover, at = self._holdover, self.learned
        if holdover.sensed(at) is None:
            self._warmth = Warmth(at, 0, None, holdover.breaks)
            return
        heat, heats = holdover.heat(at), self._heats
        oldest = self.line.points[-self._local :][0][0]
        while heats and heats[0][0] < oldest:
            heats.pop(0)
        heats.append((at, heat))
        since, before = heats[0]
        span = at - since
        reference = (heat - before) // span if span > 0 else holdover.sensed(at)
        self._warmth = Warmth(at, heat, reference, holdover.breaks)
        if holdover.thermal is not None and reference is not None and self._local and self.fit:
            holdover.thermal.pair(reference, self.fit.slope, at)

    def _since(self, t: int) -> Warmth:
        """As warm as when the line was learned, but from `t` on."""
        warmth = self._warmth
        heat = warmth.heat - (warmth.reference or 0) * (warmth.at - t)
        return Warmth(t, heat, warmth.reference, warmth.breaks)

    def bend_ns(self, now: int) -> int:
        """What temperature has added since the line was learned, as far as that is known, ns."""
        return self._holdover.bend_ns(self._warmth, now) if now > self.learned else 0

    def _forget(self, old: int, new: int) -> None:
        line = self.line
        at = line.points[-1][0]
        line.drop_last(min(2 * new, len(line.points) - self._least))
        self.learned = line.points[-1][0]
        # It was about as warm when the points that are left were learned.
        reference = self._warmth.reference
        heat = self._holdover.heat(at) - (reference or 0) * (at - self.learned)
        self._warmth = Warmth(self.learned, heat, reference, self._holdover.breaks)
        self.convicted = True
        self._agreed = 0
        self.fit = fit(line.points[-old:])

    def restart(self) -> None:
        """Forget the line and what it was convicted of."""
        self.line.clear()
        self.fit = None
        self.convicted = False

    def _departure(self, old: int, new: int) -> "tuple[int, int]":
        """How far the last `new` points are off the line through those before, and the most."""
        points = self.line.points
        n = len(points)
        if n < max(old + new, 16):
            return 0, 0
        before = fit(points[(n - new - old if old else 0) : n - new])
        after = points[n - new :]
        t = after[0][0] + sum([p[0] - after[0][0] for p in after]) // new
        off = after[0][2] + sum([p[2] - after[0][2] for p in after]) // new - before.edge_at(t)
        # A steady change of frequency leaves the tangent by half of what its end would.
        drift = self._holdover.drift_ns(self._since(before.t), t) // 2
        return off, 5 * max(before.noise, self._noise) + self._floor_ns + drift

    def open_ns(self, now: int) -> int:
        """How far the line may be off at `now`, less what its kind of samples leaves open."""
        line = self.fit
        if line is None:
            return 0
        skew = 5 * line.skew * max(0, now - line.t) // 1_000_000_000
        drift = self._holdover.drift_ns(self._warmth, now)
        return skew + drift + 2 * self.limit_ns + self._floor_ns
