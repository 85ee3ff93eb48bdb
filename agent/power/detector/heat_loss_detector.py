# SPDX-License-Identifier: Apache-2.0
"""Detect the first seconds of a loss of heat rejection without a reading of the facility flow.

Does not prove a loss: it detects a pattern. Slower changes are detected by
`agent.power.detector.headroom`.

If the facility water stops, the mass of the exchanger warms. The supply begins to rise from a
steady value: by about 0.3 K after 1.5 s behind a sensor with a lag of 4 s, with 10 K between return
and supply. Nothing that explains the rise has changed: not the return, the facility inlet, the
coolant flow, or the valve (towards closed). A rising load shows in the return first. A sensor fault
rises faster than heat can, or does not continue. Less water or a warmer inlet is slower.
`add_readings` returns

    NORMAL      no pattern
    SUSPECTED   a possible beginning: read again immediately
    CONFIRMED   the pattern is complete
"""

from collections import namedtuple

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


SupplySample = namedtuple(
    "SupplySample", ("read_at", "supply_c", "return_c", "fws_supply_c", "flow_lpm", "valve_pct")
)
"""Readings at a time."""


class HeatLossDetector:
    """Monitors the readings of the supply."""

    def __init__(self) -> None:
        self._samples: list[SupplySample] = []
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
        """Add the readings of a time in µs; °C, L/min, %."""
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
        if samples and samples[-1].read_at == read_at:
            return NORMAL
        sample = SupplySample(read_at, supply_c, return_c, fws_supply_c, flow_lpm, valve_pct)
        self._check_step(sample)
        samples.append(sample)
        if len(samples) > _MAX_SAMPLES:
            samples.pop(0)
        baseline = [old for old in samples if old.read_at <= read_at - _BASELINE_US][-6:]
        if (
            read_at < self._blocked_until
            or len(baseline) < _MIN_BASELINE
            or not _is_steady(sample, baseline)
        ):
            self._rises = []
            return NORMAL
        return self._classify(supply_c - max([old.supply_c for old in baseline]))

    def _check_step(self, sample: SupplySample) -> None:
        """Block the detector after a step that is faster than heat: a sensor fault."""
        if self._samples:
            last = self._samples[-1]
            max_step = _STEP_K + _STEP_K_S * (sample.read_at - last.read_at) / 1_000_000
            if not -max_step < sample.supply_c - last.supply_c < max_step:
                self._blocked_until = sample.read_at + _BLOCK_US

    def _classify(self, rise: float) -> int:
        """Classify a rise: confirmed after two increases that are large enough together."""
        if rise < _SUSPECT_K:
            self._rises = []
            return NORMAL
        rises = self._rises
        if not rises or rise > rises[-1] + _SUSPECT_K:
            rises.append(rise)
        return CONFIRMED if rise >= _CONFIRM_K and len(rises) > 1 else SUSPECTED


def _is_steady(sample: SupplySample, baseline: "list[SupplySample]") -> bool:
    """Return whether the supply was steady before, and nothing that explains a rise has changed."""
    supplies = [old.supply_c for old in baseline]
    if max(supplies) - min(supplies) > _BAND_K or sample.return_c - sample.supply_c < _MIN_SPAN_K:
        return False
    if sample.return_c - max([old.return_c for old in baseline]) > _OTHER_CHANGE_K:
        return False
    if sample.fws_supply_c - max([old.fws_supply_c for old in baseline]) > _OTHER_CHANGE_K:
        return False
    flows = [old.flow_lpm for old in baseline]
    flow_band = _FLOW_FRACTION * max(flows)
    if not min(flows) - flow_band < sample.flow_lpm < max(flows) + flow_band:
        return False
    highest_pct: float = max([old.valve_pct for old in baseline])
    valve_pct: float = sample.valve_pct
    return valve_pct >= _OPEN_PCT and valve_pct > highest_pct - _VALVE_PCT
