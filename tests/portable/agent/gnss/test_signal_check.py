# SPDX-License-Identifier: Apache-2.0
"""Detectors of signal strengths: jamming, uniform C/N0, and a hot receiver without a fault."""

from agent.clock.evidence import EvidenceLog
from agent.gnss.detectors import DetectorSet
from agent.gnss.signal_check import SignalCheck
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import NoiseSource

LONG = ("test_clean_signals_raise_no_detector",)


class SignalModel:
    """Twenty satellites that rise and set; C/N0 follows the elevation, with noise."""

    def __init__(self, seed=1):
        self.noise = NoiseSource(seed)
        self.evidence_log = EvidenceLog()
        self.detectors = DetectorSet(self.evidence_log)
        self.signal_check = SignalCheck(self.detectors)
        self.second = 0
        self.ages = [self.noise.below(20_000) for _ in range(20)]
        self.loss = 0.0

    def values(self):
        """Return the C/N0 of this second."""
        strengths = []
        for age in self.ages:
            height = 1 - abs(age - 10_000) / 10_000
            strengths.append(int(30 + 18 * height + self.noise.uniform() * 3 - 1.5 - self.loss))
        self.ages = [(age + 1) % 20_000 for age in self.ages]
        return [c for c in strengths if c > 12]

    def run(self, seconds, values=None):
        """Continue; return the seconds until the first detector is active, or None."""
        before = len(self.detectors.active)
        for i in range(seconds):
            self.second += 1
            self.signal_check.add_epoch(values() if values else self.values(), self.second * SECOND)
            if len(self.detectors.active) > before:
                return i + 1
        return None


def test_clean_signals_raise_no_detector():
    signals = SignalModel()
    eq(signals.run(20_000), None)
    eq(signals.evidence_log.counts, {})


def test_uniform_cn0_is_detected_within_ten_epochs():
    signals = SignalModel()
    signals.run(100)
    delay = signals.run(10, lambda: [43 + signals.noise.below(2) for _ in range(12)])
    assert delay is not None
    assert delay <= 10
    assert "uniform" in signals.detectors.active


def test_jamming_is_a_drop_of_all_signals():
    signals = SignalModel()
    signals.run(100)
    signals.loss = 8.0
    delay = signals.run(5)
    assert delay is not None
    assert delay <= 5
    eq(signals.detectors.active, ["drop"])
    eq(signals.evidence_log.entries[-1].check, "drop")
    assert signals.evidence_log.entries[-1].figure >= 600
    assert not signals.detectors.integrity_failed()  # one detector is not sufficient


def test_no_signal_at_all_is_a_drop():
    signals = SignalModel()
    signals.run(100)
    eq(signals.run(5, list), 2)


def test_temperature_loss_is_no_jamming():
    signals = SignalModel()
    signals.run(100)
    for _ in range(200):
        signals.loss += 0.01  # 2 dB in total
        eq(signals.run(20), None)


def test_slow_ramp_is_detected_by_the_long_mean():
    signals = SignalModel()
    signals.run(1000)
    for _ in range(150):
        signals.loss += 0.1
        if signals.run(4):
            break
    assert "drop" in signals.detectors.active
    assert signals.loss <= 9


def test_detector_hysteresis_and_two_of_them_fail_integrity():
    detectors = DetectorSet(EvidenceLog(), raise_count=2, clear_count=3)
    detectors.report("a", True, 0, 1, 0)
    eq(detectors.active, [])
    detectors.report("a", False, 1, 1, 0)
    detectors.report("a", True, 2, 1, 0)
    eq(detectors.active, [])
    detectors.report("a", True, 3, 1, 0)
    eq(detectors.active, ["a"])
    for i in range(2):
        detectors.report("a", False, 4 + i, 1, 0)
    detectors.report("a", True, 6, 1, 0)
    for i in range(2):
        detectors.report("a", False, 7 + i, 1, 0)
        detectors.report("antenna", True, 7 + i, 1, 0)
    assert detectors.integrity_failed()
    detectors.report("a", False, 9, 1, 0)
    eq(detectors.active, ["antenna"])


def test_excess_cn0_is_detected():
    signals = SignalModel()
    signals.run(100)
    signals.run(5, lambda: [55, 56, 57, 58, 40, 41, 38, 36, 30])
    assert "strong" in signals.detectors.active
