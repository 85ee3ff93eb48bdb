"""The supply's law on a small plant of its own: fast, no bump, whatever the model has wrong."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.feedforward import Steer
from tests.portable.support.check import eq
from tests.portable.support.cooling_settings import EXCHANGER


class Row:
    """Exchanger, sensor and stroke as one step each; `truth` may differ from the law's model."""

    def __init__(self, ua=1.0, water=1.0, load_kw=50.0):
        model = dict(EXCHANGER)
        model["ua_kw_k"] *= ua
        model["fws_open_lpm"] *= water
        self.truth = Exchanger(model)
        self.steer = Steer(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
        self.load_kw, self.facility = load_kw, 24.0
        self.supply = self.seen = 32.0
        self.back = self.seen_back = 32.0 + self.rise()
        self.valve = self.truth.opening(self.rise() / (self.back - self.facility))
        self.steer.track(self.valve)
        self.round = [self.supply] * 10
        self.outputs = []

    def rise(self):
        return 1000.0 * self.load_kw / (150.0 / 60.0 * 4008.0)

    def step(self, setpoint=32.0):
        self.round.append(self.supply)
        self.back += (self.round.pop(0) + self.rise() - self.back) / 5.0
        end = self.back - self.truth.share(self.valve) * (self.back - self.facility)
        self.supply += (end - self.supply) / 8.0
        self.seen += (self.supply - self.seen) / 4.0
        self.seen_back += (self.back - self.seen_back) / 4.0
        asked = self.steer.step(
            setpoint, tenth(self.seen), tenth(self.seen_back), self.facility, 150.0, self.valve, 1.0
        )
        self.valve += max(-1.67, min(1.67, asked - self.valve))
        self.outputs.append(asked)


def tenth(x):
    return int(x * 10 + 0.5) / 10


def test_a_step_of_the_load_is_hardly_seen():
    for ua, water in ((1.0, 1.0), (0.7, 1.0), (1.3, 1.0), (1.0, 0.8), (1.0, 1.2)):
        row = Row(ua, water)
        for _ in range(600):
            row.step()
        row.load_kw = 90.0
        worst = 0.0
        for _ in range(600):
            row.step()
            worst = max(worst, row.supply - 32.0, 32.0 - row.supply)
        assert worst < 0.6, (ua, water, worst)
        assert -0.25 < row.supply - 32.0 < 0.25, (ua, water, row.supply)


def test_what_was_out_of_reach_leaves_nothing_behind():
    """The water cools slowly after ten minutes in which the valve was wide open and not enough."""
    row = Row(load_kw=90.0)
    row.facility = 31.5
    for _ in range(600):
        row.step()
    eq(row.outputs[-1], 100.0)
    coldest = 32.0
    for _ in range(300):
        row.facility -= 1 / 40
        row.step()
        coldest = min(coldest, row.supply)
    assert coldest > 31.5, coldest
    assert row.valve < 60.0, row.valve


def test_it_takes_over_without_a_bump():
    row = Row(ua=0.7)
    before = row.valve
    row.step()
    assert -1.0 < row.outputs[0] - before < 1.0, (row.outputs[0], before)
    row.steer.track(30.0)
    row.step()
    assert -1.0 < row.outputs[1] - 30.0 < 1.0, row.outputs[1]


def test_the_integral_does_not_wind_up_at_an_end():
    row = Row(load_kw=90.0)
    row.facility = 31.5  # nothing reaches the set-point
    for _ in range(900):
        row.step()
    eq(row.outputs[-1], 100.0)
    row.facility = 24.0
    for _ in range(70):  # of which the stroke takes thirty
        row.step()
    for _ in range(100):
        row.step()
        assert -0.5 < row.supply - 32.0 < 0.5, row.supply


def test_the_output_moves_no_faster_than_its_rate():
    row = Row()
    for _ in range(20):
        row.step()
    row.load_kw = 100.0
    for _ in range(60):
        row.step(28.0)
    moves = [b - a for a, b in zip(row.outputs, row.outputs[1:])]
    assert max(moves) <= 5.0 + 1e-9, max(moves)


def test_what_is_there_of_ua_is_learned():
    row = Row(ua=0.8, load_kw=90.0)
    for _ in range(3600):
        row.step()
    assert 0.75 < row.steer.exchanger.fouling < 0.85, row.steer.exchanger.fouling


def test_what_the_valve_lets_through_is_learned_from_a_meter():
    steer = Steer(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    for _ in range(1200):
        steer.see_facility_flow(0.8 * 100.0, steer.exchanger.opening(0.5), 1.0)
    seen = steer.exchanger.flow_at(steer.exchanger.opening(0.5))
    assert 78.0 < seen < 82.0, seen


def test_a_return_as_cold_as_the_water_is_no_error():
    row = Row(load_kw=0.0)
    row.facility = 32.0
    for _ in range(100):
        row.step()
    assert 5.0 <= row.outputs[-1] <= 100.0
