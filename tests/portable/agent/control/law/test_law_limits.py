# SPDX-License-Identifier: Apache-2.0
"""First values and exact limits of the control laws: what a changed line would move."""

from agent.control.law.cooling import ControlReadings
from agent.control.law.dew_point import DewPointLimit
from agent.control.law.exchanger import Exchanger
from agent.control.law.fan import WetPads
from agent.control.law.feedforward import FeedforwardControl
from agent.control.law.optimum.facility_side import FacilitySide
from agent.control.law.optimum.optimizer import OptimalPoint, SetpointOptimizer
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.pump_speed import DP, FLOW, PumpSpeedControl
from agent.control.law.row.checked_signal import RANGE, RELATION, CheckedSignal
from agent.control.law.row.readings import RowReadings
from agent.control.law.sensor_check import SensorValidator
from protocols.time_units import SECOND
from tests.portable.agent.control.law.row.row_rig import run, steady_row, suspects
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER, settings
from tests.portable.support.cooling_settings import METERED as OPTIMUM
from tests.portable.support.whole_cooling import WholeCooling

DEW = {"sensors": 2, "margin_k": 2.0, "allowance_k": 1.0, "fallback_c": 32.0}
FANS = {"min_pct": 10.0, "max_pct": 100.0, "middle_pct": 70.0, "rate_pct_per_s": 1.0}


def test_first_values_of_signals_and_readings():
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.125)
    eq((signal.value, signal.uncertainty, signal.suspect, signal.raw), (None, 0.0, "", None))
    readings = ControlReadings()
    eq([getattr(readings, name) for name in (
        "supply_c", "return_c", "fws_supply_c", "flow_lpm", "dp_kpa", "valve_pct", "pump_pct",
        "fws_flow_lpm", "air_c", "adiabatic_air_c", "load_kw", "pump_w")], [None] * 12)  # fmt: skip
    row = RowReadings()
    eq([getattr(row, name) for name in (
        "supply_c", "return_c", "flow_lpm", "dp_kpa", "fws_supply_c", "fws_return_c",
        "fws_flow_lpm", "pump_pct", "redundant_supply_c")], [None] * 9)  # fmt: skip
    point = OptimalPoint()
    eq((point.supply_c, point.pump_pct, point.fan_pct, point.case_c, point.valve_target_pct),
       (0.0,) * 5)  # fmt: skip
    plausibility = RowPlausibility(None, 150.0)
    eq((plausibility.may_learn_ua, plausibility.factors.heat, plausibility.factors.model),
       (True, 1.0, 1.0))  # fmt: skip


def test_ranges_of_the_four_signals_of_a_row():
    row = RowPlausibility(None, 150.0)
    for signal, low, high in (
        (row.supply, 5.0, 75.0),
        (row.return_signal, 5.0, 90.0),
        (row.flow, -0.5, 240.0),
        (row.dp, -100.0, 1600.0),
    ):
        eq((signal.low, signal.high), (low, high))
    signals = (row.supply, row.return_signal, row.flow, row.dp)
    eq([s.band for s in signals], [1.0, 1.0, 15.0, 10.0])
    for signal, fine_band in zip(signals, (0.12, 0.12, 15.0, 10.0)):
        near(signal.fine_band, fine_band, 1e-6)


def test_a_signal_is_valid_exactly_when_the_minute_ends():
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.125)
    signal.mark_suspect(RANGE)
    for _ in range(118):
        signal.settle(32.0, 32.0, 0.5, 0.5)
    eq(signal.suspect, RANGE)  # 59.0 s
    signal.settle(32.0, 32.0, 0.5, 0.5)
    eq(signal.suspect, "")  # 59.5 s


# Row.


def test_learned_state_has_factors_and_suspects():
    row, r = steady_row()
    run(row, r, 120)
    factors, found = row.learned()
    near(factors[0], 150.0 / 80.0**0.5, 1e-4)
    near(factors[1], 150.0 / 70.0, 1e-4)
    eq((factors[2:], found), ([row.factors.heat, row.factors.model], []))
    for i, signal in enumerate((row.supply, row.return_signal, row.flow, row.dp)):
        other, _ = steady_row()
        other.restore(factors, [i])
        eq(other.learned(), (factors, [i]))
        eq(suspects(other)[i], RELATION)
        signal.mark_suspect(RANGE)
        eq(row.learned()[1], list(range(i + 1)) + list(range(4, i + 5)))


def test_dp_is_estimated_from_the_pumps_while_the_flow_is_suspect():
    row, r = steady_row()
    run(row, r, 120)
    r.flow_lpm, r.dp_kpa = 600.0, 1700.0  # both out of range
    run(row, r, 2)
    eq(suspects(row)[2:], (RANGE, RANGE))
    r.flow_lpm = 100.0  # plausible again, but not proven
    run(row, r, 2)
    eq(row.flow.suspect, RANGE)
    near(row.dp.value, 80.0, 0.1)
    near(row.flow.value, 150.0, 0.1)
    r.pump_pct = None
    run(row, r, 1)
    eq((row.dp.value, row.flow.value), (None, None))


def test_a_supply_alone_is_compared_above_an_effectiveness_of_5_percent():
    row, r = steady_row()
    run(row, r, 120)
    for effectiveness, alone_s in ((0.5, 1.0), (0.0625, 1.0), (0.03125, 0.0), (None, 0.0)):
        row.rise.by_heat_k, row.rise.effectiveness, row._apart_s = 1.0, effectiveness, 0.0
        row._compare_facility(r, 75.0, 1.0)
        eq((effectiveness, row._apart_s), (effectiveness, alone_s))
    row.rise.effectiveness = 0.5
    for supply in (None, 25.0):
        row._apart_s = 3.0
        row._compare_facility(r, supply, 1.0)
        eq(row._apart_s, 0.0)


# Dew point.


def test_air_and_humidity_are_valid_up_to_their_limits():
    for air_c, rh_pct, counts in (
        (60.0, 50.0, 1),
        (60.5, 50.0, 0),
        (0.0, 50.0, 1),
        (-0.5, 50.0, 0),
        (25.0, 3.0, 1),
        (25.0, 2.5, 0),
        (25.0, 101.0, 1),
        (25.0, 101.5, 0),
    ):
        limit = DewPointLimit(DEW)
        limit.add_reading(0, air_c, rh_pct, SECOND)
        limit.min_setpoint_c(SECOND, 1.0)
        eq((air_c, rh_pct, limit.valid_count), (air_c, rh_pct, counts))


# Sensors.


def test_a_lost_reading_is_replaced_and_ends_the_stand_still():
    check = SensorValidator(2.0)
    eq(check.validate(None, 31.0, 40.0, None, 1.0), 31.0)
    eq(check.validate(32.0, 31.0, 40.0, None, 1.0), 32.0)
    eq(check.validate(None, 31.0, 40.0, None, 1.0), 31.0)
    eq(check.validate(None, None, 40.0, None, 1.0), None)
    eq((check.stuck, check.sensors_disagree), (False, False))


def test_a_lost_reading_does_not_end_the_suspicion_of_a_stuck_sensor():
    check = SensorValidator(2.0)
    for i in range(902):
        check.validate(32.0, 31.0, 40.0 if i < 10 else 42.0, None, 1.0)
    eq(check.stuck, True)
    eq((check.validate(None, 31.0, 42.0, None, 1.0), check.stuck), (31.0, True))
    eq((check.validate(32.0, 31.0, 42.0, None, 1.0), check.stuck), (31.0, True))
    eq((check.validate(32.5, 31.0, 42.0, None, 1.0), check.stuck), (32.5, False))


# Loops.


def test_pump_law_has_a_step_for_each_setpoint_above_zero():
    for mode, share in ((FLOW, 1.0), (DP, 0.5)):
        speeds = []
        for setpoint, measured in ((0.5, 0.25), (100.0, 50.0), (0.0, 50.0)):
            law = PumpSpeedControl(25.0, 100.0, 50.0)
            law.set_mode(mode)
            law.track(50.0)
            law.step(setpoint, setpoint, 1.0)  # bumpless, without an error
            speeds.append(law.step(setpoint, measured, 1.0))
        near(speeds[0], speeds[1], 1e-6)
        assert speeds[0] > 50.0 + 10.0 * share, speeds
        near(speeds[2], 50.0, 1e-6)


def test_the_steady_position_needs_half_a_kelvin():
    law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    # (set-point, supply, return, facility): the wanted difference is set-point + rise - facility
    eq(law.steady_valve(20.25, 24.0, 24.25, 20.0, 40.0), law.high)  # wanted 0.5 K: enough
    eq(law.steady_valve(20.125, 24.0, 24.25, 20.0, 40.0), 40.0)
    eq(law.steady_valve(32.0, 20.0, 20.25, 20.0, 40.0), 40.0)  # span 0.25 K
    eq(law.steady_valve(32.0, 33.0, 33.0, 24.0, 40.0), 40.0)  # no rise
    eq(law.steady_valve(32.0, 34.0, 33.0, 24.0, 40.0), 40.0)
    eq(law.steady_valve(32.0, 32.0, 40.0, 24.0, 0.0), 0.0)  # a shut valve says nothing


def test_the_real_flow_is_used_after_a_change_of_one_percent():
    for factor, is_used in (
        (1.0078125, False),
        (1.015625, True),
        (0.9921875, False),
        (0.984375, True),
    ):
        exchanger = Exchanger(EXCHANGER)
        before = exchanger.effectiveness(50.0)
        exchanger.set_flow_factor(factor)
        exchanger.update_table(150.0)
        eq((factor, exchanger.effectiveness(50.0) != before), (factor, is_used))


def test_fans_have_a_target_also_at_a_small_effectiveness():
    control = WholeCooling(settings(fans=dict(FANS)))
    control.track(50.0, 70.0, 40.0)
    control._valve_target_pct = 0.0  # effectiveness 0
    readings = ControlReadings()
    readings.return_c, readings.fws_supply_c = 33.0, 13.0
    control.step_fans(readings, 10.0)
    near(control.fans._error, 0.0, 1e-3)  # 33 - (33 - 32) / 0.05 = 13


# Optimiser.


def optimizer(**more):
    return SetpointOptimizer(dict(OPTIMUM, **more), Exchanger(EXCHANGER), 100.0)


def test_the_valve_is_searched_only_between_two_limits():
    for limits, moves in (
        ({}, False),
        ({"middle_min_pct": 40.0}, False),
        ({"middle_max_pct": 95.0}, False),
        ({"middle_min_pct": 40.0, "middle_max_pct": 95.0}, True),
    ):
        best = optimizer(**limits).find_optimum(90.0, 30.0, 20.0, 45.0)
        eq((limits, best.valve_target_pct != 70.0), (limits, moves))


def test_a_fan_at_rest_does_not_adapt_the_cooler():
    made = optimizer()
    made.adapt_cooler(50_000.0, 40.0, 20.0, 0.0, 50.0)  # conductance 0
    eq(made.cooler_factor, 1.0)
    made.adapt_cooler(50_000.0, 20.5, 20.0, 50.0, 50.0)  # 0.5 K above the air
    made.adapt_cooler(0.0, 40.0, 20.0, 50.0, 50.0)
    eq(made.cooler_factor, 1.0)
    made.adapt_cooler(50_000.0, 21.0, 20.0, 50.0, 50.0)
    near(made.cooler_factor, 1.05, 1e-9)  # the ratio counts at most 2


def test_the_counterflow_table_is_smooth_at_equal_rates():
    model = dict(OPTIMUM, cooler_ua_kw_k=20.0, cooler_air_kw_k=20.0)
    exchanger = Exchanger(EXCHANGER)
    exact = None
    for part in (1.0, 1.0 - 3.0 / 2048, 1.0 + 3.0 / 2048, 1.0 - 1.0 / 4096):
        side = FacilitySide(model, exchanger, 70.0)
        scaled = dict(model, cooler_air_kw_k=side.capacity / 1000.0 * part)
        top = FacilitySide(scaled, exchanger, 70.0).fan_conductance[-1]
        exact = top if exact is None else exact
        near(top / exact, 1.0, 0.003)
        if part < 1.0 - 1.0 / 1024:
            near(top, counterflow(20_000.0, side.capacity * part, side.capacity), 0.05)


def counterflow(ua, low, high):
    """Return the conductance of a counter-flow cooler by 60 cells in balance, W/K."""
    # (1 - e^(-a)) / (1 - c e^(-a)) with a = NTU (1 - c), by its series: c is near 1
    ratio = low / high
    a = ua / low * (1.0 - ratio)
    e = 1.0 - a + a * a / 2.0 - a * a * a / 6.0
    return low * (1.0 - e) / (1.0 - ratio * e)


class FixedOptimum:
    """An optimiser with a given result."""

    def __init__(self, valve_pct):
        self.valve_pct, self.model = valve_pct, {}

    def set_pads(self, kelvin):
        self.pads_k = kelvin

    def find_optimum(self, *_):
        best = OptimalPoint()
        best.supply_c, best.pump_pct, best.fan_pct = 30.0, 60.0, 50.0
        best.valve_target_pct = self.valve_pct
        return best

    def target_c(self, best):
        return best.supply_c


def test_the_mid_range_position_moves_by_at_least_2_percent():
    for valve_pct, target_pct in (
        (70.0, 70.0),
        (71.5, 70.0),
        (72.0, 72.0),
        (68.5, 70.0),
        (68.0, 68.0),
        (0.0, 70.0),
    ):
        control = WholeCooling(settings(fans=dict(FANS), optimum=dict(OPTIMUM)))
        control.optimizer = FixedOptimum(valve_pct)
        readings = ControlReadings()
        readings.air_c, readings.load_kw = 20.0, 50.0
        control.optimise(readings, SECOND)
        eq((valve_pct, control._valve_target_pct), (valve_pct, target_pct))
        eq((control.target_c, control.optimal_pump_pct), (30.0, 60.0))


def test_wet_pads_need_both_air_temperatures():
    for air_c, pads_k in ((30.0, 8.0), (None, 4.0)):
        control = WholeCooling(settings(fans=dict(FANS), optimum=dict(OPTIMUM)))
        control.optimizer = FixedOptimum(70.0)
        control.pads.is_wet = True
        readings = ControlReadings()
        readings.air_c, readings.adiabatic_air_c, readings.load_kw = air_c, 22.0, 50.0
        control.optimise(readings, SECOND)
        eq((air_c, control.optimizer.pads_k, control.target_c), (air_c, pads_k, 30.0))


def test_pads_cool_the_air_by_what_the_heat_shows():
    """By 0 to 25 K, and only while they are wet."""
    for shown_k, cooling_k in ((-1.0, 0.0), (0.5, 0.5), (24.5, 24.5), (26.0, 25.0)):
        pads = WetPads(28.0)
        for _ in range(400):
            pads.estimate(shown_k)
        eq(pads.inlet_c(30.0, 33.0), 33.0)  # the exhaust comes back; the pads stay dry
        eq((pads.cooling_k, pads.inlet_c(30.0, None)), (0.0, 30.0))
        pads.is_wet = True
        near(pads.cooling_k, cooling_k, 1e-3)
        near(pads.inlet_c(30.0, None), 30.0 - cooling_k, 1e-3)


def test_fan_speed_at_both_ends_of_the_table():
    made = optimizer(fan_min_pct=0.0)
    table = made._side.fan_conductance
    near(made._fan_speed(table[1] / 2.0), 2.5, 1e-3)
    near(made._fan_speed(table[-1]), 100.0, 1e-3)
    made.adapt_cooler(1.2 * 10.0 * table[-1], 25.0, 15.0, 100.0, 50.0)
    near(made.cooler_factor, 1.01, 1e-6)


def test_shares_are_limited_and_the_pump_factor_follows_slowly():
    row, r = steady_row()
    row.restore([1.0, 1.0, 2.0, 0.5], [])
    eq((row.factors.heat, row.factors.model), (115 / 100, 85 / 100))
    row, r = steady_row()
    run(row, r, 60)
    r.pump_pct = 77.0
    run(row, r, 1)
    near(row.learned()[0][1], 150.0 / 70.0, 0.01)


def test_a_lively_humidity_sensor_has_moved_twelve_times():
    for moves, is_frozen in ((11, False), (12, True)):
        limit = DewPointLimit(DEW)
        for i in range(moves):
            limit.add_reading(0, 25.0, 50.0 + i % 2, (i + 1) * SECOND)
        limit.add_reading(0, 25.0, 50.0 + (moves - 1) % 2, (moves + 117) * SECOND)
        eq((moves, limit.frozen_sensors() == [0]), (moves, is_frozen))
