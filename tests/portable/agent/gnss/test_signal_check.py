"""Votes on the strength of the signals: jamming, equal power, and a sky that is only hot."""

from agent.clock.evidence import Verdicts
from agent.gnss.detectors import Votes
from agent.gnss.signal_check import Signals
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import Chance


class SkyNoise:
    """Twenty satellites that rise and set, each as strong as its height, with noise."""

    def __init__(self, seed=1):
        self.chance = Chance(seed)
        self.verdicts = Verdicts()
        self.votes = Votes(self.verdicts)
        self.signals = Signals(self.votes)
        self.second = 0
        self.ages = [self.chance.below(20_000) for _ in range(20)]
        self.loss = 0.0

    def values(self):
        """C/N0 of this second."""
        seen = []
        for age in self.ages:
            height = 1 - abs(age - 10_000) / 10_000
            seen.append(int(30 + 18 * height + self.chance.uniform() * 3 - 1.5 - self.loss))
        self.ages = [(age + 1) % 20_000 for age in self.ages]
        return [c for c in seen if c > 12]

    def run(self, seconds, values=None):
        """Go on; return after how many seconds the first new vote was raised, or None."""
        before = len(self.votes.raised)
        for i in range(seconds):
            self.second += 1
            self.signals.epoch(values() if values else self.values(), self.second * SECOND)
            if len(self.votes.raised) > before:
                return i + 1
        return None


def test_a_clean_sky_raises_no_vote():
    sky = SkyNoise()
    eq(sky.run(20_000), None)
    eq(sky.verdicts.counts, {})


def test_equal_power_is_seen_within_ten_epochs():
    sky = SkyNoise()
    sky.run(100)
    seen = sky.run(10, lambda: [43 + sky.chance.below(2) for _ in range(12)])
    assert seen is not None
    assert seen <= 10
    assert "uniform" in sky.votes.raised


def test_jamming_is_a_drop_of_all_signals():
    sky = SkyNoise()
    sky.run(100)
    sky.loss = 8.0
    seen = sky.run(5)
    assert seen is not None
    assert seen <= 5
    eq(sky.votes.raised, ["drop"])
    eq(sky.verdicts.evidence[-1].check, "drop")
    assert sky.verdicts.evidence[-1].figure >= 600
    assert not sky.votes.suspect()  # one vote is a hint


def test_no_signal_at_all_is_a_drop():
    sky = SkyNoise()
    sky.run(100)
    eq(sky.run(5, list), 2)


def test_a_hot_roof_is_no_jamming():
    sky = SkyNoise()
    sky.run(100)
    for _ in range(200):
        sky.loss += 0.01  # 2 dB in all
        eq(sky.run(20), None)


def test_a_slow_ramp_is_seen_against_the_long_mean():
    sky = SkyNoise()
    sky.run(1000)
    for _ in range(150):
        sky.loss += 0.1
        if sky.run(4):
            break
    assert "drop" in sky.votes.raised
    assert sky.loss <= 9


def test_a_vote_has_hysteresis_and_two_make_the_sky_suspect():
    votes = Votes(Verdicts(), up=2, down=3)
    votes.vote("a", True, 0, 1, 0)
    eq(votes.raised, [])
    votes.vote("a", False, 1, 1, 0)
    votes.vote("a", True, 2, 1, 0)
    eq(votes.raised, [])
    votes.vote("a", True, 3, 1, 0)
    eq(votes.raised, ["a"])
    for i in range(2):
        votes.vote("a", False, 4 + i, 1, 0)
    votes.vote("a", True, 6, 1, 0)
    for i in range(2):
        votes.vote("a", False, 7 + i, 1, 0)
        votes.vote("antenna", True, 7 + i, 1, 0)
    assert votes.suspect()
    votes.vote("a", False, 9, 1, 0)
    eq(votes.raised, ["antenna"])


def test_overpowering_signals_are_named():
    sky = SkyNoise()
    sky.run(100)
    sky.run(5, lambda: [55, 56, 57, 58, 40, 41, 38, 36, 30])
    assert "strong" in sky.votes.raised
