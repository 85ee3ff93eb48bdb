# SPDX-License-Identifier: Apache-2.0
"""PI controller: form, limits, no windup, bumpless transfer."""

from agent.control.law.pi import PiController
from tests.portable.support import check
from tests.portable.support.check import eq


def near(a, b):
    check.near(a, b, 1e-9)


def test_proportional_and_integral_parts():
    pi = PiController(2.0, 10.0, 0.0, 100.0, 1000.0)
    pi.track(50.0)
    near(pi.step(1.0, 1.0), 50.0 + 2.0 + 0.2)
    near(pi.step(1.0, 1.0), 50.0 + 2.0 + 0.4)


def test_output_stays_within_its_limits():
    pi = PiController(10.0, 1.0, 5.0, 80.0, 1000.0)
    for _ in range(100):
        eq(pi.step(50.0, 1.0) <= 80.0, True)
    eq(pi.output, 80.0)
    for _ in range(100):
        pi.step(-50.0, 1.0)
    eq(pi.output, 5.0)


def test_no_windup_at_a_limit():
    pi = PiController(2.0, 10.0, 0.0, 100.0, 1000.0)
    for _ in range(1000):
        pi.step(20.0, 1.0)
    eq(pi.output, 100.0)
    # When the error changes its sign, the output leaves its limit.
    assert pi.step(-1.0, 1.0) < 100.0


def test_rate_is_limited():
    pi = PiController(10.0, 10.0, 0.0, 100.0, 5.0)
    pi.track(50.0)
    last = 50.0
    for _ in range(20):
        now = pi.step(30.0, 1.0)
        assert now - last <= 5.0 + 1e-9
        last = now


def test_track_is_bumpless():
    pi = PiController(4.0, 60.0, 5.0, 100.0, 100.0)
    pi.track(37.0, 2.5)
    # The first step differs only by the integration of one second.
    assert abs(pi.step(2.5, 1.0) - 37.0) <= 4.0 * 2.5 / 60.0 + 1e-9


def test_holds_a_first_order_plant_at_its_setpoint():
    pi = PiController(3.0, 20.0, 0.0, 100.0, 10.0)
    value = 20.0
    for _ in range(600):
        output = pi.step(value - 30.0, 1.0)
        value += (60.0 - 0.5 * output - value) / 15.0
    assert abs(value - 30.0) < 0.01


def test_new_tuning_changes_gain_integral_limits_and_rate():
    pi = PiController(1.0, 100.0, 0.0, 100.0, 1.0)
    pi.track(50.0)
    pi.set_tuning(2.0, 10.0, 20.0, 60.0, 5.0)
    near(pi.step(1.0, 1.0), 52.2)
    near(pi.step(30.0, 1.0), 57.2)
    eq([pi.step(30.0, 1.0) for _ in range(2)], [60.0, 60.0])
    near(pi.step(-30.0, 2.0), 50.0)
    for _ in range(9):
        pi.step(-30.0, 1.0)
    eq(pi.output, 20.0)


def test_the_integral_waits_while_a_limit_or_the_rate_holds_the_output():
    pi = PiController(1.0, 10.0, 0.0, 100.0, 1.0)
    eq(pi.output, 0.0)
    pi.track(50.0)
    near(pi.step(20.0, 1.0), 51.0)  # the rate holds it, the integral stays 50
    near(pi.step(0.5, 1.0), 50.55)
    pi = PiController(1.0, 10.0, 0.0, 100.0, 100.0)
    pi.track(95.0)
    eq(pi.step(10.0, 1.0), 100.0)  # 95 + 10 + 1; the integral stays 95
    near(pi.step(2.0, 1.0), 97.2)
    pi.track(99.0, -30.0)  # the integral itself is limited to 100
    near(pi.step(-30.0, 1.0), 67.0)


def test_tracking_continues_within_the_limits():
    pi = PiController(2.0, 10.0, 20.0, 60.0, 100.0)
    pi.track(50.0)
    near(pi.step(0.0, 1.0), 50.0)
    pi.track(40.0, 15.0)  # the integral would be 10
    near(pi.step(0.0, 1.0), 20.0)
    pi.track(55.0, -5.0)  # the integral would be 65
    near(pi.step(0.0, 1.0), 60.0)
