# SPDX-License-Identifier: Apache-2.0
"""Device temperatures: what is warm, hot and overheated, and what is not used."""

from agent.power.detector.device_heat import DeviceHeat
from agent.power.limit.load_limits import all_warm
from agent.power.load import Load
from agent.power.load_class import find_class
from drivers.redfish.client import RedfishClient
from drivers.redfish.target import ENVIRONMENT, RedfishTarget
from protocols.time_units import SECOND
from tests.portable.support.check import eq


class HeatRig:
    """A load of class gpu, 1000 W, whose readings the test sets once a second."""

    def __init__(self):
        self.target = RedfishTarget("/x", ENVIRONMENT)
        self.load = Load("gpu1", find_class("gpu", []), 5, 300, 1000)
        self.load.use_service(RedfishClient("bmc", [self.target], None, False), 0)
        self.heat = DeviceHeat(self.load)
        self.second = 0

    def step(
        self,
        case_c,
        watts=900,
        supply_c=32.0,
        is_branch_shut=False,
        is_flow_seen=False,
        is_flow_lost=False,
    ):
        self.second += 1
        self.target.case_c, self.target.power_w = case_c, watts
        self.target.read_at = self.target.asked_at = self.second * SECOND
        self.heat.step(
            supply_c, self.second * SECOND, is_branch_shut, False, is_flow_lost, is_flow_seen
        )
        return self.heat.is_warm, self.load.is_hot, self.load.is_overheated

    def settle(self, case_c=62.0, watts=900):
        for _ in range(100):
            eq(self.step(case_c, watts), (False, False, False))


def test_loss_of_flow_is_warm_then_hot_then_overheated():
    bench = HeatRig()
    bench.settle()
    seen = [bench.step(62.0 + 2.0 * i) for i in range(1, 14)]
    eq(seen[0][0], False)
    eq(seen[2][0], True)
    eq([hot for _, hot, _ in seen].index(True), 4)
    eq([over for _, _, over in seen].index(True), 9)


def test_a_supply_that_was_never_read_does_not_hide_the_heat():
    """After a restart without the unit: the coolant stands, and the case warms by 1 K/s."""
    bench = HeatRig()
    eq([bench.step(62.0, supply_c=None) for _ in range(60)], [(None, False, False)] * 60)
    seen = [bench.step(62.0 + i, supply_c=None) for i in range(1, 30)]
    eq([hot for _, hot, _ in seen].index(True), 8)
    eq([over for _, _, over in seen].index(True), 13)
    eq({warm for warm, _, _ in seen}, {None})
    bench = HeatRig()
    eq(bench.step(86.0, supply_c=None), (None, True, False))  # hot from the start


def test_a_case_that_heats_faster_than_a_supply_is_hot_earlier_without_a_supply():
    """After a restart without the unit, 90 % of the power: the coolant stands."""
    bench = HeatRig()
    eq(bench.step(66.0, supply_c=None), (None, False, False))
    seen = [bench.step(66.0 + 2.0 * i, supply_c=None)[1:] for i in range(1, 8)]
    eq(seen, [(True, False)] * 4 + [(True, True)] * 3)
    bench = HeatRig()
    eq([bench.step(50.0 + 2.0 * i, supply_c=None)[1] for i in range(4)], [False] * 3 + [True])
    bench = HeatRig()
    eq([bench.step(66.0 + 1.25 * i, supply_c=None)[1] for i in range(7)], [False] * 7)
    bench = HeatRig()
    for i in range(7):  # two readings a second, in whole degrees
        bench.second = 0.5 * i - 1 + 10
        eq(bench.step(66.0 + (i + 1) // 2, supply_c=None)[1], False)
    bench = HeatRig()
    bench.settle()
    eq([bench.step(62.0 + 2.0 * i)[1] for i in range(1, 5)], [False] * 4)  # the supply is known


def test_a_device_shows_a_cold_supply_that_was_never_read():
    """900 W explain 30 K: at 51 °C the supply is 21 °C, at 56 °C it is 26 °C."""
    for case_c, is_cool in ((51.0, True), (54.0, True), (56.0, False)):
        bench = HeatRig()
        eq((bench.step(case_c, supply_c=None), bench.load.is_cool), ((None, False, False), is_cool))
        eq(bench.heat.is_compared, True)


def test_cool_device_stays_cool_for_some_kelvin():
    """A load step at a cold site: a limit would wet the supply."""
    for supply_c in (None, 22.0):
        bench, seen = HeatRig(), []
        for case_c in (54.0, 55.0, 56.0, 57.0, 58.0, 59.0, 58.0, 56.0, 55.0):
            bench.step(case_c, 1000, supply_c)
            seen.append(bench.load.is_cool)
        eq(seen, [True] * 5 + [False] * 3 + [True])


def test_case_that_still_cools_after_a_stop_is_not_hot():
    """The load starts again at 10 % of its power; its case is 25 K warmer than that explains."""
    bench, case_c = HeatRig(), 60.0
    for _ in range(60):
        eq(bench.step(case_c, 100), (False, False, False))
        case_c += (36.0 - case_c) / 13
    bench, case_c = HeatRig(), 60.0
    for _ in range(10):
        bench.step(case_c, 100)
        case_c -= 0.5
    seen = [bench.step(case_c + 0.5 * i, 100)[1] for i in range(4)]  # it does not cool any more
    eq(seen, [False, True, True, True])
    eq(bench.step(case_c, 100)[1], True)  # a limit has an effect: the device stays hot


def test_device_of_a_cold_site_is_cool():
    """The limit of the class is 85 °C."""
    for case_c, supply_c, cool in (
        (55.0, 25.0, True),
        (55.125, 25.0, False),
        (55.0, 25.125, False),
        (50.0, 20.0, True),
    ):
        bench = HeatRig()
        for _ in range(100):
            bench.step(case_c, 900, supply_c)
        eq((case_c, supply_c, bench.load.is_cool), (case_c, supply_c, cool))
        bench.heat.step(None, 200 * SECOND)  # the reading is too old
        eq(bench.load.is_cool, False)
    bench = HeatRig()
    for _ in range(100):
        bench.step(45.0, 900, 20.0)
    seen = []
    for i in range(4):  # the flow is lost: a warm device is not cool, also far below its limit
        warm = bench.step(46.0 + 2.0 * i, 900, None)[0]
        seen.append((warm, bench.load.is_cool))
    eq(seen, [(False, True), (False, True), (True, False), (True, False)])
    bench = HeatRig()
    bench.settle(50.0, 600)
    for _ in range(100):
        bench.step(50.0, 900, 20.0)
    bench.step(99.0, 900, 20.0)  # a jump
    eq((bench.heat.is_warm, bench.load.is_cool), (None, False))


def test_a_start_while_the_power_rises_makes_no_hot_device():
    bench, case_c = HeatRig(), 37.0
    for watts in (250, 400, 600, 900):  # the first reading has more power than its case shows
        for _ in range(3):
            case_c += (32.0 + 34.0 * watts / 1000 - case_c) / 13
            eq((watts, bench.step(case_c, watts)[1]), (watts, False))
    for _ in range(200):
        case_c += (32.0 + 34.0 * 0.9 - case_c) / 13
        eq(bench.step(case_c)[1], False)


def test_cooling_case_after_a_limit_is_not_warm():
    bench = HeatRig()
    bench.settle()
    case_c = 62.0
    for _ in range(60):
        case_c += (41.0 - case_c) / 13
        eq(bench.step(case_c, 270), (False, False, False))


def test_a_fall_in_whole_degrees_is_a_fall():
    """The supply falls by 2 K/s. The case follows slower, and its service rounds it down."""
    for is_whole in (False, True):
        bench = HeatRig()
        bench.settle()
        for second in range(1, 31):
            case_c = 62.0 - 0.2 * second
            supply_c = 32.0 - 2.0 * min(second, 9)
            state = bench.step(float(int(case_c)) if is_whole else case_c, 900, supply_c)
            eq(state, (False, False, False))
        seen = [bench.step(56.0, 900, 14.0)[1] for _ in range(8)]
        eq(seen.index(True), 4)  # it does not fall any more


def test_colder_supply_and_higher_power_are_explained():
    bench = HeatRig()
    bench.settle()
    for i in range(30):
        eq(bench.step(62.0 - 0.31 * max(0, i - 20), 900, 32.0 - 0.31 * i)[1], False)
    bench = HeatRig()
    bench.settle(44.0, 300)
    case_c = 44.0
    for _ in range(60):
        case_c += (66.0 - case_c) / 13
        eq(bench.step(case_c, 1000), (False, False, False))


def test_jump_is_not_used():
    bench = HeatRig()
    bench.settle()
    for _ in range(3):
        eq(bench.step(100.0), (None, False, False))
    eq(bench.step(62.0), (False, False, False))


def test_a_false_temperature_at_the_limit_limits_the_load_and_does_not_switch_it_off():
    bench = HeatRig()
    bench.settle()
    seen = [bench.step(110.0) for _ in range(300)]
    eq([hot for _, hot, _ in seen].index(True), 5)
    eq({(warm, over) for warm, _, over in seen}, {(None, False)})
    eq(bench.load.is_case_false, True)
    eq(bench.step(62.0), (False, False, False))
    eq(bench.load.is_case_false, False)


def test_a_first_reading_at_the_limit_limits_the_load_at_once_until_it_moves():
    """The false value is from before a restart, or the device is hot: its limit then moves it."""
    for supply_c in (32.0, None):
        bench = HeatRig()
        eq({bench.step(110.0, 300, supply_c) for _ in range(200)}, {(None, True, False)})
        seen = [bench.step(110.0 - 0.5 * i, 300, supply_c)[2] for i in range(1, 12)]
        eq(seen, [False] * 5 + [True] * 6)
    bench = HeatRig()
    bench.settle()
    bench.target.case_c = None
    bench.heat.step(32.0, bench.second * SECOND)
    eq(bench.step(95.0), (None, True, False))  # after a gap
    bench = HeatRig()
    bench.load.set_ineffective(True)
    eq(bench.step(95.0), (None, True, True))


def test_a_false_first_reading_at_the_limit_ends_with_the_next_value_that_heat_explains():
    """Without a last good reading, the end of the false value is a jump from nowhere."""
    for supply_c, good_c in ((32.0, 42.0), (None, 42.0), (None, 84.0)):
        bench = HeatRig()
        for _ in range(120):
            eq(bench.step(110.0, 300, supply_c), (None, True, False))
        known = False if supply_c is not None else None
        eq(bench.step(good_c, 300, supply_c), (known, False, False))
        eq(bench.load.is_case_false, False)
        eq(bench.step(110.0, 300, supply_c), (None, False, False))  # a jump, as ever


def test_the_end_of_a_false_temperature_is_compared_with_the_supply_of_its_time():
    """The supply rose by 20 K while the temperature was false."""
    bench = HeatRig()
    bench.settle()
    for i in range(200):
        eq(bench.step(110.0, supply_c=32.0 + 0.1 * i)[2], False)
    eq(bench.step(82.0, supply_c=52.0), (False, False, False))
    eq(bench.load.is_case_false, False)


def test_a_jump_that_moves_on_is_heat():
    """The service held an old value for a minute, while its branch was blocked."""
    bench = HeatRig()
    bench.settle()
    eq([bench.step(90.0 + 0.5 * i)[2] for i in range(12)], [False] * 10 + [True] * 2)
    bench = HeatRig()
    bench.settle()
    seen = [bench.step(110.0 - 0.5 * i)[2] for i in range(12)]
    eq(seen[:5], [False] * 5)
    eq(seen[-1], True)


def test_a_temperature_below_the_supply_is_not_used_and_not_learned():
    for false_c in (0.0, 28.0):
        bench = HeatRig()
        bench.settle()
        for i in range(200):
            eq(bench.step(false_c), (None, False, False))
            eq((i, bench.load.is_case_false), (i, i >= 30))
        for _ in range(100):
            eq(bench.step(62.0), (False, False, False))
        eq((bench.load.is_case_false, bench.load.is_heat_shown), (False, False))


def test_a_false_temperature_above_the_supply_is_not_learned():
    bench = HeatRig()
    bench.settle()
    for _ in range(200):
        eq(bench.step(36.0)[0], None)
    for _ in range(100):
        eq(bench.step(62.0), (False, False, False))


def test_a_load_without_a_reading_has_no_false_one():
    bench = HeatRig()
    bench.settle()
    for _ in range(40):
        bench.step(0.0)
    eq(bench.load.is_case_false, True)
    bench.target.case_c = None
    bench.heat.step(32.0, (bench.second + 1) * SECOND)
    eq(bench.load.is_case_false, False)
    bench.second += 1
    eq(bench.step(50.0)[0], False)  # after a gap there is nothing to jump from


def test_a_power_above_the_rating_is_not_used():
    bench = HeatRig()
    bench.settle()
    for _ in range(200):
        eq(bench.step(62.0, 9000), (False, False, False))
    bench.settle()
    for watts, is_hot in ((1300, False), (1301, True)):  # 1300 W explain 74 °C, the limit does not
        bench = HeatRig()
        bench.settle()
        eq((watts, [bench.step(62.0 + i, watts)[1] for i in range(13)][-1]), (watts, is_hot))


def test_temperature_without_supply_uses_the_last_one():
    bench = HeatRig()
    eq(bench.step(62.0, 900, None)[0], None)
    bench.settle()
    eq(bench.step(63.0, 900, None)[0], False)
    eq([bench.step(63.0 + 2.0 * i, 900, None)[0] for i in (1, 2)], [False, True])


def test_more_power_explains_a_warmer_supply_that_is_unknown():
    """The bus is silent, so valve and pumps stay as they are: the coolant takes more heat."""
    bench = HeatRig()
    bench.settle(52.0, 600)
    bench.step(52.0, 1000)  # the last supply is that of the load before
    warm_k, case_c = 0.0, 52.0
    for _ in range(90):
        warm_k += (6.5 - warm_k) / 40.0
        case_c += (65.0 + warm_k - case_c) / 13.0
        eq(bench.step(case_c, 1000, None), (False, False, False))
    seen = [bench.step(case_c + 2.2 * i, 1000, None) for i in range(1, 9)]
    eq([hot for _, hot, _ in seen].index(True), 1)  # the flow is lost: 8 K above the last supply


def test_old_reading_or_switched_off_load_is_unknown():
    bench = HeatRig()
    bench.settle()
    bench.heat.step(32.0, (bench.second + 7) * SECOND)
    eq(bench.heat.is_warm, None)
    bench.step(62.0)
    bench.load.switch(False, 0)
    eq(bench.step(99.0), (None, False, False))


def test_no_flow_needs_all_devices():
    first, second = HeatRig(), HeatRig()
    first.settle()
    second.settle()
    eq(all_warm([]), None)
    for i in range(1, 5):
        first.step(62.0 + 2.0 * i)
    eq(all_warm([first.heat, second.heat]), False)
    for i in range(1, 5):
        second.step(62.0 + 2.0 * i)
    eq(all_warm([first.heat, second.heat]), True)


def test_a_device_that_stays_warm_while_coolant_flows_is_no_sign_of_a_loss():
    """Little flow is usual in this row. With one false sensor, heat that stands must not count."""
    bench = HeatRig()
    bench.settle()
    for _ in range(29):
        bench.step(67.0, is_flow_seen=True)
    eq(all_warm([bench.heat]), True)
    for case_c in (67.1, 67.0, 67.2) * 20:  # noise: a case that falls does not begin it again
        bench.step(case_c, is_flow_seen=True)
    eq(all_warm([bench.heat]), False)
    eq([bench.step(67.0)[0], all_warm([bench.heat])], [False, False])  # falls, and nothing flows
    eq([bench.step(67.5)[0], all_warm([bench.heat])], [True, False])
    seen = []
    for i in range(1, 4):  # flow is lost
        bench.step(67.5 + 2.0 * i)
        seen.append(all_warm([bench.heat]))
    eq(seen, [False, True, True])


def test_a_case_that_falls_at_the_same_power_teaches_nothing_for_a_minute():
    bench = HeatRig()
    bench.settle()
    for _ in range(59):
        bench.step(50.0, is_flow_seen=True)
    bench.settle()


def test_a_factor_that_a_false_case_has_taught_is_forgotten():
    """A case that was 12 K too low for minutes: then the true one is hot, but not for its class."""
    bench = HeatRig()
    bench.settle()
    for _ in range(400):
        bench.step(50.0, is_flow_seen=True)
    found = [bench.step(62.0, is_flow_seen=True)[1] for _ in range(260)]
    eq((found[10], found[170], found[190]), (True, True, False))
    bench.settle()


def test_a_limited_device_beside_others_at_full_power_is_not_hot_for_ever():
    """The coolant of its rack is warmer than its own power explains."""
    for is_branch_shut, is_flow_seen, ends in (
        (False, True, True),
        (True, True, False),
        (False, False, False),
    ):
        bench = HeatRig()
        bench.settle()
        for _ in range(5):
            bench.step(73.0, is_flow_seen=is_flow_seen)
        hot = []
        for second in range(300):
            case_c = 48.0 + 25.0 * 0.96**second
            hot.append(bench.step(case_c, 300, 32.0, is_branch_shut, is_flow_seen)[1])
        eq((hot[0], hot[150], hot[-1]), (True, True, not ends))
        if ends:
            bench.settle()


def test_a_supply_that_rises_after_the_start_teaches_no_factor():
    """The case lags behind it. A factor that is too small would make the device warm for ever."""
    bench = HeatRig()
    for i in range(100):
        bench.step(52.0 + 0.2 * i, supply_c=32.0 + 0.2 * i)  # 10 K behind
    for i in range(100):
        bench.step(min(72.0 + 0.5 * i, 82.0), supply_c=52.0)
    eq(bench.heat.is_warm, False)


def test_a_device_that_stays_warm_counts_again_after_it_was_usual():
    bench = HeatRig()
    bench.settle()
    for _ in range(60):
        bench.step(67.0, is_flow_seen=True)
    for _ in range(5):
        bench.step(62.0, is_flow_seen=True)
    eq(all_warm([bench.heat]), False)
    eq([bench.step(62.0 + 2.0 * i)[0] for i in range(1, 4)], [False, False, True])
    eq(all_warm([bench.heat]), True)


def test_a_device_that_stays_warm_without_a_flow_that_is_seen_counts_always():
    bench = HeatRig()
    bench.settle()
    for i in range(100):
        bench.step(67.0 + 0.001 * i)
    eq(all_warm([bench.heat]), True)


def test_heat_that_stands_during_a_loss_of_flow_stays_a_sign():
    """Meters that stand show flow and pressure, and blocked drives are the second sign."""
    bench = HeatRig()
    bench.settle()
    for _ in range(100):
        bench.step(67.0, is_flow_seen=True, is_flow_lost=True)
    eq(all_warm([bench.heat]), True)


def test_warm_device_behind_a_shut_branch_counts_as_hot():
    bench = HeatRig()
    bench.settle()
    for case_c in (64.0, 66.5):
        bench.second += 1
        bench.target.case_c, bench.target.read_at = case_c, bench.second * SECOND
        bench.target.asked_at = bench.second * SECOND
        bench.heat.step(32.0, bench.second * SECOND, True)
    eq((bench.heat.is_warm, bench.load.is_hot, bench.load.is_overheated), (True, True, False))


def test_nothing_is_learned_while_a_branch_is_shut():
    """The other racks get more flow and are cooler; when the branch opens, they are not hot."""
    for is_shut, is_warm in ((False, True), (True, False)):
        bench = HeatRig()
        bench.settle()
        for _ in range(300):
            bench.step(59.0, is_branch_shut=is_shut)
        bench.step(60.0)
        bench.step(61.0)
        eq((is_shut, bench.step(63.5)[0]), (is_shut, is_warm))


def test_learned_factor_holds_at_each_power():
    # A case with 30 K at full power has 9 K at 30 %, whatever the rise of its class is.
    bench = HeatRig()
    bench.settle(62.0, 1000)
    bench.step(72.0, 1000)
    eq(bench.step(72.0, 1000)[1], True)
    for _ in range(120):
        state = bench.step(41.0, 300)
    eq(state, (False, False, False))
    eq(bench.step(41.0 + 10.0, 300)[1], True)


def test_first_reading_at_rest_teaches_nothing():
    bench = HeatRig()
    for _ in range(30):
        bench.step(32.5, 50)
    case_c = 32.5
    for _ in range(100):  # the power steps up, the case follows
        case_c += (60.0 - case_c) / 13
        eq(bench.step(case_c), (False, False, False))
    bench.settle(60.0)
    eq([bench.step(60.0 + 2.0 * i)[1] for i in range(1, 7)][-2:], [True, True])


def test_a_device_that_is_not_seen_behind_a_shut_branch_counts_as_hot():
    def unseen(is_certain=True, ineffective=False, watts=None, is_on=True, was_seen=True):
        bench = HeatRig()
        if was_seen:
            bench.settle()
        load, target = bench.load, bench.target
        now = (bench.second + 7) * SECOND
        load.set_ineffective(ineffective)
        load.is_on = is_on
        if watts is not None:
            target.power_w, target.read_at = watts, now - 1
            target.asked_at = now - 1
            target.case_c = None  # the power is read, the temperature is not
        bench.heat.step(32.0, now, True, is_certain)
        eq(bench.heat.is_warm, None)
        return load.is_hot, load.is_overheated, load.is_unseen

    eq(unseen(), (True, False, True))
    eq(unseen(ineffective=True), (True, True, True))
    eq(unseen(watts=500), (True, False, True))
    for changed in ({"is_certain": False}, {"watts": 499}, {"is_on": False}, {"was_seen": False}):
        eq((changed, unseen(ineffective=True, **changed)), (changed, (False, False, False)))
    bench = HeatRig()
    bench.settle()
    bench.heat.step(32.0, (bench.second + 7) * SECOND, True, True)
    bench.second += 8
    bench.step(62.0)
    eq((bench.load.is_hot, bench.load.is_unseen), (False, False))


def test_a_false_temperature_behind_a_shut_branch_counts_as_not_seen():
    """The reading stands still at 30 °C. Limited power expects such a value, but not its branch."""
    bench = HeatRig()
    bench.settle()

    def step(case_c, watts, is_certain=True):
        bench.second += 1
        bench.target.case_c, bench.target.power_w = case_c, watts
        now = bench.target.read_at = bench.target.asked_at = bench.second * SECOND
        bench.heat.step(26.0, now, True, is_certain)
        return bench.load.is_hot, bench.load.is_unseen

    eq(step(30.0, 900), (True, True))
    eq({step(30.0, 500) for _ in range(60)}, {(True, True)})
    eq(step(30.0, 400), (False, False))  # this power is safe behind a tenth of the flow
    eq(step(30.0, 900), (True, True))
    eq(step(59.0, 900), (True, False))  # near the last good value: it is read again, and warm
    eq(step(30.0, 900), (True, False))  # hot by a reading: it stays hot
    eq(step(30.0, 900, False), (True, False))
    eq(step(43.0, 400, False), (False, False))


def test_a_device_whose_service_is_silent_since_the_start_counts_as_hot_after_10_s():
    """Its service answers in the first seconds, or not at all."""
    bench = HeatRig()
    found = []
    for second in range(5, 17):
        bench.heat.step(32.0, second * SECOND, True, True)
        found.append(bench.load.is_unseen)
    eq(found, [False] * 10 + [True] * 2)
    bench.heat.step(32.0, 17 * SECOND, True, False)
    eq(bench.load.is_unseen, False)


def test_a_hot_device_stays_hot_without_a_reading():
    def hot():
        bench = HeatRig()
        bench.settle()
        for case_c in (66.0, 72.0, 73.0):
            bench.step(case_c)
        eq((bench.load.is_hot, bench.load.is_overheated), (True, False))
        return bench

    for ineffective in (False, True):
        bench = hot()
        bench.load.set_ineffective(ineffective)
        for seconds in (7, 600):
            bench.heat.step(32.0, (bench.second + seconds) * SECOND)
            found = bench.heat.is_warm, bench.load.is_hot, bench.load.is_overheated
            eq((seconds, found), (seconds, (None, True, ineffective)))
    bench = hot()
    bench.second += 60
    bench.step(62.0), bench.step(62.0)
    eq(bench.load.is_hot, False)
    bench = hot()
    bench.load.switch(False, 0)
    bench.heat.step(32.0, (bench.second + 7) * SECOND)
    eq((bench.load.is_hot, bench.load.is_overheated), (False, False))


def test_the_alarm_of_a_hot_device_stays_while_its_load_is_off():
    """A load that is off cannot show that its branch carries its heat again."""

    def hot_then_off():
        bench = HeatRig()
        bench.settle()
        for case_c in (66.0, 72.0, 73.0):
            bench.step(case_c)
        eq(bench.load.is_heat_shown, True)
        bench.load.switch(False, 0)
        for _ in range(100):
            bench.step(30.0, 0)
            eq((bench.load.is_hot, bench.load.is_heat_shown), (False, True))
        bench.load.switch(True, 0)
        return bench

    bench = hot_then_off()
    shown = []
    for _ in range(62):
        bench.step(40.0, 300)
        shown.append(bench.load.is_heat_shown)
    eq(shown.index(False), 60)
    bench = hot_then_off()
    for _ in range(30):
        bench.step(40.0, 300)
    for case_c in (44.0, 48.0, 52.0, 54.0):  # its branch is still blocked: one alarm, not two
        bench.step(case_c, 300)
        eq(bench.load.is_heat_shown, True)
    eq(bench.load.is_hot, True)
    bench.step(40.0, 300)  # the running load shows it: no further proof is needed
    eq((bench.load.is_hot, bench.load.is_heat_shown), (False, False))


def test_a_load_that_is_shown_after_a_restart_proves_that_it_is_not_hot():
    bench = HeatRig()
    bench.load.set_heat_shown(True)
    shown = []
    for _ in range(62):
        bench.step(40.0, 300)
        shown.append(bench.load.is_heat_shown)
    eq(shown.index(False), 60)


def test_a_warm_device_starts_the_proof_again():
    bench = HeatRig()
    bench.settle()
    for case_c in (66.0, 72.0, 73.0):
        bench.step(case_c)
    bench.load.switch(False, 0)
    bench.step(30.0, 0)
    bench.load.switch(True, 0)
    shown = []
    for second in range(130):
        warm = bench.step(62.0 + (5.0 + second / 100 if 50 <= second < 55 else 0.0))[0]
        eq((second, warm), (second, 50 <= second < 55))
        shown.append(bench.load.is_heat_shown)
    eq(shown.index(False), 54 + 60)


def test_a_device_that_is_not_read_raises_no_alarm_and_ends_none():
    bench = HeatRig()
    bench.settle()
    bench.heat.step(32.0, (bench.second + 7) * SECOND, True, True)
    eq((bench.load.is_unseen, bench.load.is_heat_shown), (True, False))
    for case_c in (66.0, 72.0, 73.0):
        bench.step(case_c)
    bench.load.switch(False, 0)
    bench.step(30.0, 0)
    bench.load.switch(True, 0)
    bench.heat.step(32.0, (bench.second + 600) * SECOND)
    eq(bench.load.is_heat_shown, True)


def test_the_end_of_a_loss_of_flow_ends_the_alarm_of_a_load_that_is_off():
    for is_branch_shut in (False, True):  # behind a shut branch the flow of the row says nothing
        bench = HeatRig()
        bench.settle()
        for case_c in (66.0, 72.0, 73.0):
            bench.step(case_c)
        bench.load.switch(False, 0)
        shown = []
        for is_lost in (False, True, True, False):
            now = (bench.second + 1) * SECOND
            bench.heat.step(32.0, now, is_branch_shut, is_flow_lost=is_lost)
            shown.append(bench.load.is_heat_shown)
        eq((is_branch_shut, shown), (is_branch_shut, [True, True, True, is_branch_shut]))
