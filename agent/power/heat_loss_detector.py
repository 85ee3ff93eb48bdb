"""The first seconds of a loss of heat rejection, where no reading of the facility's flow tells.

Not a proof: a pattern in what there is. When the facility water stops, the exchanger's own mass
warms, and the supply begins to rise out of a calm (by about 0.3 K after 1.5 s behind a sensor's lag
of 4 s, with 10 K between return and supply) while nothing that could explain it has moved: neither
the return, nor the facility's inlet, nor the coolant's flow, nor the valve (towards shut). A load
that rises is seen in the return first; a sensor that leaps rises faster than heat can, or does not
go on; less water, or a warmer inlet, is slower. `add_readings` gives

    CALM        nothing
    SUSPICIOUS  it may have begun: worth another reading at once
    SURE        it has

What is slower than this (another sensor, another exchanger) is left to `agent.power.headroom`.
"""

NORMAL, SUSPECTED, CONFIRMED = 0, 1, 2
_MAX_SAMPLES = 16
_BASELINE_US = 2_600_000
_MIN_BASELINE = 4
_BAND_K = 15 / 100
_SUSPECT_K, _CONFIRM_K = 8 / 100, 28 / 100
_STEP_K, _STEP_K_S = 15 / 100, 6 / 10
_OTHER_CHANGE_K = 15 / 100
_FLOW_FRACTION = 3 / 100
_VALVE_PCT = 15 / 10
_OPEN_PCT = 15.0
_MIN_SPAN_K = 4.0
_BLOCK_US = 15_000_000


class HeatLossDetector:
    """Watches the readings of the supply; each is (time, supply, return, inlet, flow, valve)."""

    def __init__(self) -> None:
        self._samples: list[tuple[int, float, float, float, float, float]] = []
        self._rises: list[float] = []
        self._blocked_until = 0

    def add_readings(
        self,
        read_at: int,
        supply_c: "float | None",
        return_c: "float | None",
        fws_supply_c: "float | None",
        flow_lpm: "float | None",
        valve_pct: "float | None",
    ) -> int:
        """Take the readings of a moment, microseconds; degC, L/min, %."""
        if (
            supply_c is None
            or return_c is None
            or fws_supply_c is None
            or flow_lpm is None
            or valve_pct is None
        ):
            self._samples, self._rises = [], []
            return NORMAL
        samples = self._samples
        if samples and samples[-1][0] == read_at:
            return NORMAL
        sample = (read_at, supply_c, return_c, fws_supply_c, flow_lpm, valve_pct)
        self._check_step(sample)
        samples.append(sample)
        if len(samples) > _MAX_SAMPLES:
            samples.pop(0)
        baseline = [earlier for earlier in samples if earlier[0] <= read_at - _BASELINE_US][-6:]
        if (
            read_at < self._blocked_until
            or len(baseline) < _MIN_BASELINE
            or not _is_steady(sample, baseline)
        ):
            self._rises = []
            return NORMAL
        return self._classify(supply_c - max([earlier[1] for earlier in baseline]))

    def _check_step(self, sample: "tuple[int, float, float, float, float, float]") -> None:
        """A reading that moves faster than heat can is a sensor's affair."""
        if self._samples:
            last = self._samples[-1]
            max_step = _STEP_K + _STEP_K_S * (sample[0] - last[0]) / 1_000_000
            if not -max_step < sample[1] - last[1] < max_step:
                self._blocked_until = sample[0] + _BLOCK_US

    def _classify(self, rise: float) -> int:
        """Sure after two increases, by enough together; a step that does not go on is none."""
        if rise < _SUSPECT_K:
            self._rises = []
            return NORMAL
        rises = self._rises
        if not rises or rise > rises[-1] + _SUSPECT_K:
            rises.append(rise)
        return CONFIRMED if rise >= _CONFIRM_K and len(rises) > 1 else SUSPECTED


def _is_steady(
    sample: "tuple[int, float, float, float, float, float]",
    baseline: "list[tuple[int, float, float, float, float, float]]",
) -> bool:
    """Whether the supply was calm before, and nothing that explains a rise has moved since."""
    supplies = [earlier[1] for earlier in baseline]
    if max(supplies) - min(supplies) > _BAND_K or sample[2] - sample[1] < _MIN_SPAN_K:
        return False
    if sample[2] - max([earlier[2] for earlier in baseline]) > _OTHER_CHANGE_K:
        return False
    if sample[3] - max([earlier[3] for earlier in baseline]) > _OTHER_CHANGE_K:
        return False
    flows = [earlier[4] for earlier in baseline]
    flow_band = _FLOW_FRACTION * max(flows)
    if not min(flows) - flow_band < sample[4] < max(flows) + flow_band:
        return False
    return (
        sample[5] >= _OPEN_PCT
        and sample[5] > max([earlier[5] for earlier in baseline]) - _VALVE_PCT
    )
