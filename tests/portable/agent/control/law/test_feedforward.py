# SPDX-License-Identifier: Apache-2.0
"""Feedforward control of the supply temperature on a small plant, also with a wrong model."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.feedforward import FeedforwardControl
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER


class SmallPlant:
    """Exchanger, sensor and valve, one step each. `true_exchanger` can differ from the model."""

    def __init__(self, ua=1.0, water=1.0, load_kw=50.0):
        model = dict(EXCHANGER)
        model["ua_kw_k"] *= ua
        model["fws_open_lpm"] *= water
        self.true_exchanger = Exchanger(model)
        self.controller = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
        self.load_kw, self.facility = load_kw, 24.0
        self.supply = self.measured_supply = 32.0
        self.return_c = self.measured_return = 32.0 + self.rise()
        self.valve = self.true_exchanger.valve_for_effect(
            self.rise() / (self.return_c - self.facility)
        )
        self.controller.track(self.valve)
        self.loop_delay = [self.supply] * 10
        self.outputs = []

    def rise(self):
        return 1000.0 * self.load_kw / (150.0 / 60.0 * 4008.0)

    def step(self, setpoint=32.0):
        self.loop_delay.append(self.supply)
        self.return_c += (self.loop_delay.pop(0) + self.rise() - self.return_c) / 5.0
        steady_supply = self.return_c - self.true_exchanger.effectiveness(self.valve) * (
            self.return_c - self.facility
        )
        self.supply += (steady_supply - self.supply) / 8.0
        self.measured_supply += (self.supply - self.measured_supply) / 4.0
        self.measured_return += (self.return_c - self.measured_return) / 4.0
        output = self.controller.step(
            setpoint,
            tenth(self.measured_supply),
            tenth(self.measured_return),
            self.facility,
            150.0,
            self.valve,
            1.0,
        )
        self.valve += max(-1.67, min(1.67, output - self.valve))
        self.outputs.append(output)


def tenth(x):
    return int(x * 10 + 0.5) / 10


def test_load_step_deviation_is_small():
    for ua, water in ((1.0, 1.0), (0.7, 1.0), (1.3, 1.0), (1.0, 0.8), (1.0, 1.2)):
        row = SmallPlant(ua, water)
        for _ in range(600):
            row.step()
        row.load_kw = 90.0
        worst = 0.0
        for _ in range(600):
            row.step()
            worst = max(worst, row.supply - 32.0, 32.0 - row.supply)
        assert worst < 0.6, (ua, water, worst)
        assert -0.25 < row.supply - 32.0 < 0.25, (ua, water, row.supply)


def test_no_windup_after_saturation():
    """The water cools slowly after ten minutes with an open valve that was not sufficient."""
    row = SmallPlant(load_kw=90.0)
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


def test_start_is_bumpless():
    row = SmallPlant(ua=0.7)
    before = row.valve
    row.step()
    assert -1.0 < row.outputs[0] - before < 1.0, (row.outputs[0], before)
    row.controller.track(30.0)
    row.step()
    assert -1.0 < row.outputs[1] - 30.0 < 1.0, row.outputs[1]


def test_no_integral_windup_at_an_end_position():
    row = SmallPlant(load_kw=90.0)
    row.facility = 31.5  # the set-point is not reachable
    for _ in range(900):
        row.step()
    eq(row.outputs[-1], 100.0)
    row.facility = 24.0
    for _ in range(70):  # the valve needs 30 steps for the stroke
        row.step()
    for _ in range(100):
        row.step()
        assert -0.5 < row.supply - 32.0 < 0.5, row.supply


def test_output_rate_is_limited():
    row = SmallPlant()
    for _ in range(20):
        row.step()
    row.load_kw = 100.0
    for _ in range(60):
        row.step(28.0)
    moves = [b - a for a, b in zip(row.outputs, row.outputs[1:])]
    assert max(moves) <= 5.0 + 1e-9, max(moves)


def test_fouling_is_estimated():
    row = SmallPlant(ua=0.8, load_kw=90.0)
    for _ in range(3600):
        row.step()
    assert 0.75 < row.controller.exchanger.ua_factor < 0.85, row.controller.exchanger.ua_factor


def test_valve_flow_factor_is_calibrated_from_a_meter():
    controller = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    for _ in range(1200):
        controller.calibrate_valve_flow(
            0.8 * 100.0, controller.exchanger.valve_for_effect(0.5), 1.0
        )
    seen = controller.exchanger.flow_at(controller.exchanger.valve_for_effect(0.5))
    assert 78.0 < seen < 82.0, seen


def test_return_at_fws_temperature_raises_no_error():
    row = SmallPlant(load_kw=0.0)
    row.facility = 32.0
    for _ in range(100):
        row.step()
    assert 5.0 <= row.outputs[-1] <= 100.0


def test_the_correction_of_a_bumpless_transfer_is_at_most_10_k():
    """The output then moves: more than 10 K is no error of the model."""
    for valve_pct, return_c, facility, correction_k in (
        (95.0, 40.0, 10.0, 10.0),
        (5.0, 60.0, 24.0, -10.0),
        (60.0, 42.0, 24.0, None),
    ):
        law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
        law.track(valve_pct)
        output = law.step(32.0, 32.0, return_c, facility, 150.0, None, 1.0)
        if correction_k is None:
            near(output, valve_pct, 1e-3)
            assert -10.0 < law.correction < 10.0, law.correction
        else:
            eq(law.correction, correction_k)


def integrate(position):
    """Return the output of a step at an error of 1 K, and the change of the integral in it, K."""
    law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 100.0, 4.0)
    law.track(40.0)
    law.step(32.0, 32.0, 40.0, 24.0, 150.0, None, 1.0)
    before = law._integral
    output = law.step(32.0, 33.0, 40.0, 24.0, 150.0, position, 1.0)
    return output, law._integral - before


def test_the_integral_waits_while_the_valve_is_3_percent_away():
    output, step_k = integrate(None)
    assert 40.0 < output < 60.0, output
    assert step_k > 0.01, step_k
    for distance, waits in ((2.75, False), (3.0, True), (-2.75, False), (-3.0, True)):
        eq((distance, integrate(output - distance)), (distance, (output, 0.0 if waits else step_k)))


def test_a_transfer_onto_standing_coolant_leaves_no_correction():
    """The model has no answer without flow, so the present output says nothing about its error."""
    controller = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    controller.track(10.0)
    for flow_lpm in (0.0, 3.0, 30.0, 90.0, 150.0):
        output = controller.step(24.0, 26.0, 31.0, 10.0, flow_lpm, 10.0, 1.0)
        assert controller.correction < 1.5, (flow_lpm, controller.correction)
    assert output <= 25.0, output


def test_standing_coolant_moves_no_integral():
    controller = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    controller.track(20.0)
    for _ in range(60):
        controller.step(25.0, 25.0, 31.0, 10.0, 150.0, 20.0, 1.0)
    before = controller.correction
    for _ in range(120):
        controller.step(25.0, 26.0, 31.0, 10.0, 2.0, 20.0, 1.0)
    assert controller.correction - before < 0.51, (controller.correction, before)
