# SPDX-License-Identifier: Apache-2.0
"""A reported power that fell: it is used when the device becomes colder."""

from agent.power.detector.power_check import PowerCheck, follow_down
from protocols.time_units import SECOND
from tests.portable.agent.power.test_device_heat import HeatRig
from tests.portable.support.check import eq


def check(steps, last=0.9, limit=1.0, full_k=30.0):
    """Return the powers that are used, of steps of a second: power, case minus supply."""
    power_check, used = PowerCheck(), []
    for second, (power, rise_k) in enumerate(steps):
        used.append(power_check.step(power, last, limit, rise_k, full_k, second * SECOND))
    return used, power_check.suspect_us // SECOND


def test_a_power_that_falls_is_used_when_the_case_falls():
    eq(check([(0.9, 27.0), (0.1, 27.0), (0.1, 26.0), (0.1, 23.1)]), ([0.9, 0.9, 0.9, 0.9], 2))
    eq(check([(0.1, 27.0), (0.1, 23.0)]), ([0.9, 0.1], 0))  # a sixth of 24 K
    eq(check([(0.1, 27.0), (0.1, 35.0)]), ([0.9, 0.9], 1))


def test_a_small_fall_and_a_rise_are_used():
    eq(check([(0.78, 27.0)]), ([0.78], 0))
    eq(check([(0.76, 27.0)]), ([0.9], 0))
    eq(check([(1.2, 27.0)]), ([1.2], 0))
    eq(check([(0.1, 27.0), (0.8, 27.0), (0.1, 27.0)]), ([0.9, 0.8, 0.9], 0))


def test_a_lower_limit_explains_a_fall():
    eq(check([(0.3, 27.0)], limit=0.4), ([0.3], 0))
    eq(check([(0.1, 27.0)], limit=0.5), ([0.5], 0))


def test_behind_a_shut_branch_each_power_is_used():
    eq(check([(0.1, 27.0), (0.1, None), (0.2, None)]), ([0.9, 0.1, 0.2], 0))


def test_many_small_falls_are_one():
    """A power that falls by 3 % of the rating each second, and the case follows it, or does not."""
    powers = [max(0.3, 0.9 - 0.03 * i) for i in range(60)]
    for follows in (True, False):
        power_check, last, used = PowerCheck(), 0.9, []
        rise_k = 27.0
        for second, power in enumerate(powers):
            rise_k += (30.0 * power - rise_k) / 10.0 if follows else 0.0
            used.append(power_check.step(power, last, 1.0, rise_k, 30.0, second * SECOND))
            last = follow_down(last, used[-1], 1.0)
        eq((follows, used == powers, power_check.suspect_us > 0), (follows, follows, not follows))


def test_a_rise_that_the_power_explains_ends_the_suspicion():
    eq(check([(0.9, 27.0), (0.4, 27.0), (0.4, 12.1), (0.4, 12.0)])[0], [0.9, 0.9, 0.4, 0.4])
    eq(check([(0.4, 12.1), (0.4, 12.0)]), ([0.9, 0.4], 0))


def test_a_load_that_halves_for_minutes_and_comes_back_is_not_hot():
    """No fault: the case follows its power with a lag of 10 s."""
    for low_s in (30, 100, 200, 400):
        bench = HeatRig()
        bench.settle()
        case_c = 62.0
        for second in range(low_s + 200):
            watts = 450 if second < low_s else 900
            case_c += (32.0 + 30.0 * watts / 900 - case_c) / 10.0
            bench.step(case_c, watts, is_flow_seen=True)
            eq((low_s, second, bench.load.is_case_false), (low_s, second, False))
            eq((low_s, second, bench.load.is_hot), (low_s, second, False))


def run_false_power(seconds, false_w, **flow):
    """Return the rig after a service has shown a false power for some seconds."""
    bench = HeatRig()
    bench.settle()
    for _ in range(seconds):
        bench.step(62.0, false_w, **flow)
    return bench


def test_a_service_that_shows_too_little_power_has_no_hot_device():
    for false_w in (0, 90, 600):
        bench = run_false_power(29, false_w, is_flow_seen=True)
        eq((bench.load.is_hot, bench.load.is_case_false), (False, False))
        bench = run_false_power(31, false_w, is_flow_seen=True)
        eq((bench.load.is_hot, bench.load.is_case_false), (False, True))
    bench.step(62.0, 900, is_flow_seen=True)
    eq((bench.load.is_hot, bench.load.is_case_false), (False, False))


def test_a_device_that_stays_warm_behind_a_shut_branch_is_hot():
    bench = run_false_power(31, 0, is_flow_seen=True, is_branch_shut=True)
    eq(bench.load.is_hot, True)


def test_a_false_power_without_any_other_reading_makes_no_device_hot():
    """A silent bus: supply and flow are not known. All loads were switched off."""
    for lie_first in (True, False):
        bench = run_false_power(31, 0 if lie_first else 900, is_flow_seen=True)
        for _ in range(60):
            bench.step(62.0, 0, supply_c=None)
        eq((lie_first, bench.load.is_hot, bench.heat.is_warm), (lie_first, False, False))


def test_a_loss_of_flow_beside_a_false_power_is_hot():
    bench = run_false_power(31, 0)
    seen = [bench.step(62.0 + 2.0 * i, 0) for i in range(1, 14)]
    eq((seen[0][0], seen[2][0]), (False, True))
    eq([hot for _, hot, _ in seen].index(True), 4)


def test_without_a_temperature_no_power_is_suspect():
    bench = run_false_power(31, 0, is_flow_seen=True)
    bench.step(None, 0, is_flow_seen=True)
    eq(bench.load.is_case_false, False)
