"""The first seconds of a loss of heat rejection, where no reading of the facility's flow tells.

Not a proof: a pattern in what there is. When the facility water stops, the exchanger's own mass
warms, and the supply begins to rise out of a calm (by about 0.3 K after 1.5 s behind a sensor's lag
of 4 s, with 10 K between return and supply) while nothing that could explain it has moved: neither
the return, nor the facility's inlet, nor the coolant's flow, nor the valve (towards shut). A load
that rises is seen in the return first; a sensor that leaps rises faster than heat can, or does not
go on; less water, or a warmer inlet, is slower. `see` gives

    CALM        nothing
    SUSPICIOUS  it may have begun: worth another reading at once
    SURE        it has

What is slower than this (another sensor, another exchanger) is left to `agent.power.headroom`.
"""

CALM, SUSPICIOUS, SURE = 0, 1, 2
_KEPT = 16
_BASE_US = 2_600_000
_LEAST_BASE = 4
_BAND_K = 15 / 100
_FIRST_K, _SURE_K = 8 / 100, 28 / 100
_LEAP_K, _LEAP_K_S = 15 / 100, 6 / 10
_OTHER_K = 15 / 100
_FLOW_SHARE = 3 / 100
_VALVE_PCT = 15 / 10
_OPEN_PCT = 15.0
_LEAST_SPAN_K = 4.0
_BLOCK_US = 15_000_000


class Onset:
    """Watches the readings of the supply; each is (time, supply, return, inlet, flow, valve)."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, float, float, float, float, float]] = []
        self._rises: list[float] = []
        self._blocked_until = 0

    def see(
        self,
        at: int,
        supply_c: "float | None",
        back_c: "float | None",
        inlet_c: "float | None",
        lpm: "float | None",
        valve_pct: "float | None",
    ) -> int:
        """Take the readings of a moment, microseconds; degC, L/min, %."""
        if (
            supply_c is None
            or back_c is None
            or inlet_c is None
            or lpm is None
            or valve_pct is None
        ):
            self._seen, self._rises = [], []
            return CALM
        seen = self._seen
        if seen and seen[-1][0] == at:
            return CALM
        new = (at, supply_c, back_c, inlet_c, lpm, valve_pct)
        self._leap(new)
        seen.append(new)
        if len(seen) > _KEPT:
            seen.pop(0)
        base = [one for one in seen if one[0] <= at - _BASE_US][-6:]
        if at < self._blocked_until or len(base) < _LEAST_BASE or not _calm(new, base):
            self._rises = []
            return CALM
        return self._weigh(supply_c - max([one[1] for one in base]))

    def _leap(self, new: "tuple[int, float, float, float, float, float]") -> None:
        """A reading that moves faster than heat can is a sensor's affair."""
        if self._seen:
            last = self._seen[-1]
            most = _LEAP_K + _LEAP_K_S * (new[0] - last[0]) / 1_000_000
            if not -most < new[1] - last[1] < most:
                self._blocked_until = new[0] + _BLOCK_US

    def _weigh(self, rise: float) -> int:
        """Sure after two increases, by enough together; a step that does not go on is none."""
        if rise < _FIRST_K:
            self._rises = []
            return CALM
        rises = self._rises
        if not rises or rise > rises[-1] + _FIRST_K:
            rises.append(rise)
        return SURE if rise >= _SURE_K and len(rises) > 1 else SUSPICIOUS


def _calm(
    new: "tuple[int, float, float, float, float, float]",
    base: "list[tuple[int, float, float, float, float, float]]",
) -> bool:
    """Whether the supply was calm before, and nothing that explains a rise has moved since."""
    supplies = [one[1] for one in base]
    if max(supplies) - min(supplies) > _BAND_K or new[2] - new[1] < _LEAST_SPAN_K:
        return False
    if new[2] - max([one[2] for one in base]) > _OTHER_K:
        return False
    if new[3] - max([one[3] for one in base]) > _OTHER_K:
        return False
    flows = [one[4] for one in base]
    share = _FLOW_SHARE * max(flows)
    if not min(flows) - share < new[4] < max(flows) + share:
        return False
    return new[5] >= _OPEN_PCT and new[5] > max([one[5] for one in base]) - _VALVE_PCT
