# SPDX-License-Identifier: Apache-2.0
"""Facility water behind the valve: flow of a position, too warm, colder than the dew point."""

from agent.control.actuator.valve import ValveSign
from agent.control.actuator.valve_check import ValveCheck
from agent.control.law.exchanger import Exchanger
from agent.control.watch.valve_curve import ValveCurve
from tests.portable.support.check import eq
from tests.portable.support.cooling_settings import EXCHANGER


class ValveAt:
    def __init__(self):
        self.position_pct = self.command_pct = 50.0
        self.is_reversed = self.is_limited = False

    def position(self):
        return self.position_pct

    def reverse(self):
        self.is_reversed = not self.is_reversed

    def set_limited(self, is_limited):
        self.is_limited = is_limited


class CurveOwner:
    def __init__(self, exchanger):
        self.valve_curve = ValveCurve(exchanger)


class DewAt:
    guard_c = 18.0


class CheckRig:
    """The check with a learned curve; it is also the cooling control and the readings."""

    def __init__(self):
        self.exchanger = Exchanger(EXCHANGER)
        self.feedforward = CurveOwner(self.exchanger)
        self.setpoint_c, self.dew_limit = 32.0, DewAt()
        self.target_c = 0.0
        self.fws_supply_c = 24.0
        self.share = 1.0
        self.fws_flow_lpm = 0.0
        self.is_fws_flow_unproven = self.is_substitute = False
        self.supply_c = self.return_c = self.fws_return_c = None
        self.valve = ValveAt()
        self.check = ValveCheck(self.valve, {"valve_apart_pct": 10, "valve_apart_s": 90})
        self.flow = 1.0

    @property
    def fws_shown_c(self):
        return self.fws_supply_c

    @property
    def fws_proof_lpm(self):
        return None if self.is_substitute else self.fws_flow_lpm

    def run(self, seconds):
        """Step once a second; return the codes of the last step."""
        found = []
        for _ in range(seconds):
            pct = self.valve.position_pct
            self.fws_flow_lpm = self.share * self.design(pct)
            self.feedforward.valve_curve.learn(self.fws_flow_lpm, pct, 1.0)
            found = self.check.step(self, self, 1.0)
        return [record.code for record, _, _ in found]

    def design(self, pct):
        clean = Exchanger(EXCHANGER)
        return clean.flow_at(pct)


def test_lack_of_facility_water_is_found_and_stays_until_it_is_back():
    rig = CheckRig()
    eq(rig.run(130), [])
    rig.share = 0.3
    eq(rig.run(4), [])
    eq((rig.run(2), rig.valve.is_limited), (["facility_flow"], True))
    eq(rig.run(600), ["facility_flow"])  # the curve has followed, the alarm has not
    rig.share = 1.0
    eq((rig.run(2), rig.valve.is_limited), ([], False))


def test_a_loop_that_is_content_with_a_nearly_shut_valve_does_not_lack_water():
    """The curve was learned from a false position: at a low load nothing else ends the alarm."""
    rig = CheckRig()
    rig.run(300)
    rig.share = 0.3
    eq(rig.run(10), ["facility_flow"])
    rig.valve.position_pct = rig.valve.command_pct = 10.0
    eq(rig.run(119), ["facility_flow"])
    eq((rig.run(1), rig.valve.is_limited), ([], False))
    rig.valve.position_pct = rig.valve.command_pct = 50.0
    eq(rig.run(10), ["facility_flow"])


def test_movement_small_loss_and_unknown_curve_are_no_lack():
    rig = CheckRig()
    rig.share = 0.4
    eq(rig.run(110), [])
    rig = CheckRig()
    rig.run(130)
    rig.share = 0.7
    eq(rig.run(60), [])
    rig = CheckRig()
    rig.run(130)
    for pct in (80.0, 30.0, 100.0):
        rig.valve.position_pct = rig.valve.command_pct = pct
        eq(rig.run(30), [])


def test_warm_facility_water_is_an_alarm_after_five_seconds():
    rig = CheckRig()
    rig.run(10)
    rig.fws_supply_c = 31.5
    eq((rig.run(4), rig.run(1)), ([], ["facility_warm"]))
    rig.fws_supply_c = 30.5
    for command_pct in (None, 100.0):  # None: before the first command
        rig.valve.command_pct = command_pct
        eq(rig.run(5), ["facility_warm"])
    rig.fws_supply_c = 29.5
    eq(rig.run(1), [])


def test_the_coldest_supply_for_hot_loads_asks_nothing_of_the_facility():
    """The set-point then rises by 0.02 K/s: from 20 °C to the water of 24 °C in 5 minutes."""
    rig = CheckRig()
    rig.target_c, rig.setpoint_c = 32.0, 20.0
    rig.valve.position_pct = rig.valve.command_pct = 100.0
    eq(rig.run(300), [])
    rig.fws_supply_c = 31.5
    eq(rig.run(5), ["facility_warm"])


def test_water_near_the_set_point_is_no_alarm_while_the_valve_has_reserve():
    """A dry cooler may keep it there; the alarm must not stay for ever."""
    rig = CheckRig()
    rig.run(10)
    rig.fws_supply_c = 31.5
    eq(rig.run(5), ["facility_warm"])
    rig.fws_supply_c = 30.5
    rig.valve.command_pct = 89.0
    eq(rig.run(1), [])


def test_facility_water_that_falls_below_the_dew_point_is_an_alarm():
    rig = CheckRig()
    rig.fws_supply_c = 10.0
    eq(rig.run(300), [])  # always cold: the usual state of this site
    rig = CheckRig()
    rig.run(10)
    rig.fws_supply_c = 15.0
    eq(rig.run(1), ["facility_cold"])
    rig.fws_supply_c = 16.5
    eq(rig.run(1), ["facility_cold"])
    rig.fws_supply_c = 20.0
    eq(rig.run(1), [])


def test_water_that_is_too_warm_at_the_start_is_not_the_usual_one():
    rig = CheckRig()
    rig.fws_supply_c = 35.0
    rig.run(6)
    rig.fws_supply_c = 10.0
    eq(rig.run(300), [])


def test_a_valve_away_from_its_command_stays_an_alarm_until_its_position_is_read():
    rig = CheckRig()
    rig.valve.command_pct, rig.valve.position_pct = 50.0, 40.0
    for i in range(91):
        rig.valve.position_pct = 30.0 + i % 2 * 5.0  # it moves, so it does not stand
        codes = rig.run(1)
    eq(codes, ["valve_feedback"])
    shown = rig.valve.position
    rig.valve.position = lambda: None
    conditions = rig.check.step(None, rig, 1.0)
    eq([record.code for record, _, _ in conditions], ["valve_feedback"])
    rig.valve.position, rig.valve.position_pct = shown, 50.0
    eq(rig.run(1), [])
    rig.valve.position_pct = 30.0
    rig.run(1)
    rig.valve.position = lambda: None  # it was not an alarm yet: the time begins again
    rig.check.step(None, rig, 100.0)
    eq(rig.check._apart_s, 0.0)


def test_a_valve_that_the_heat_shows_in_reverse_is_turned():
    for is_substitute in (False, True):  # the flow is unproven, or that of the position
        rig = CheckRig()
        rig.run(10)
        rig.valve.position_pct = rig.valve.command_pct = 0.0
        rig.is_fws_flow_unproven, rig.is_substitute = not is_substitute, is_substitute
        rig.fws_supply_c, rig.return_c, found = 10.0, 46.0, []
        e = rig.exchanger.effectiveness(100.0)
        for _ in range(45):
            rig.return_c -= 0.5
            rig.supply_c = rig.return_c - e * (rig.return_c - 10.0)
            rig.share = 0.0
            found = rig.run(1)
        assert rig.valve.is_reversed
        assert "valve_feedback" in found


def test_what_the_opposite_position_taught_is_forgotten_when_the_valve_is_turned():
    """What it knew a minute or two ago stays: the valve may have another size."""
    for false_s, is_forgotten in ((1, True), (119, True), (121, False)):
        rig = CheckRig()
        rig.share = 1.5
        rig.run(300)
        rig.share = 3.0
        rig.run(false_s)
        rig.feedforward.valve_curve.forget_last()
        share = rig.exchanger.flow_at(50.0) / rig.design(50.0)
        eq((false_s, 1.45 < share < 1.55), (false_s, is_forgotten))


def test_a_valve_that_is_turned_takes_its_curve_back():
    rig = CheckRig()
    rig.exchanger.set_flow_factor(1.9)
    rig.check._sign.step = lambda *_: True
    rig.run(1)
    eq((rig.valve.is_reversed, rig.exchanger.valve_flow_factor), (True, 1.0))


def test_a_flow_after_a_gap_is_the_start_of_a_movement():
    """During the gap the valve opened, and the facility lost flow: it is not reversed."""
    sign, exchanger = ValveSign(), Exchanger(EXCHANGER)
    for _ in range(30):
        eq(sign.step(48.0, exchanger.flow_at(48.0), exchanger, 1.0), False)
    eq(sign.step(60.0, None, exchanger, 1.0), False)
    for i in range(10):
        position = 70.0 + 0.3 * i
        eq(sign.step(position, exchanger.flow_at(100.0 - position), exchanger, 1.0), False)


class DeadFeedback(ValveAt):
    """A valve whose feedback shows that it is open, with noise. Counts the changes of direction."""

    turns, noise_pct = 0, 0.1

    def position(self):
        self.noise_pct = -self.noise_pct
        return (0.5 if self.is_reversed else 99.5) + self.noise_pct

    def reverse(self):
        ValveAt.reverse(self)
        self.turns += 1


def test_a_dead_feedback_does_not_hide_a_valve_in_reverse():
    for is_mounted_reversed in (True, False):
        rig, valve = CheckRig(), DeadFeedback()
        rig.run(130)
        rig.valve = rig.check.valve = valve
        opening_pct = 50.0
        for second in range(240):
            valve.command_pct = max(0.0, 50.0 - second)
            is_turned = valve.is_reversed != is_mounted_reversed
            target_pct = 100.0 - valve.command_pct if is_turned else valve.command_pct
            opening_pct += max(-2.0, min(2.0, target_pct - opening_pct))
            rig.fws_flow_lpm = rig.design(opening_pct)
            rig.check.step(rig, rig, 1.0)
        eq(valve.turns, 1 if is_mounted_reversed else 0)
        eq(opening_pct, 0.0)


def test_a_valve_that_stands_open_is_not_in_reverse():
    rig = CheckRig()
    rig.valve.position_pct = rig.valve.command_pct = 100.0
    rig.run(130)
    for second in range(240):
        rig.valve.command_pct = max(0.0, 100.0 - second)
        rig.run(1)
    assert not rig.valve.is_reversed
