# SPDX-License-Identifier: Apache-2.0
"""Recorded outputs of each control law for fixed pseudo-random inputs (characterisation tests).

They do not say that a law is right; the other tests of this folder do. They show each change of a
result, also one too small for those tests, and that both interpreters compute the same. After an
intended change of a law, write the new records from the root of the repository:

    python -m tests.portable.agent.control.law.test_traces

A record has ten sums of the outputs, with weights, so that changes do not cancel.
"""

from agent.control.law.cooling import ControlReadings
from agent.control.law.dew_guard import DewGuard
from agent.control.law.dew_point import DewPointLimit
from agent.control.law.exchanger import Exchanger
from agent.control.law.fan import FanControl
from agent.control.law.feedforward import FeedforwardControl
from agent.control.law.offset_calibration import OffsetCalibration
from agent.control.law.optimum.optimizer import SetpointOptimizer
from agent.control.law.pi import PiController
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.proof_test import ProofTests
from agent.control.law.pump_speed import DELTA_T, DP, FLOW, PumpSpeedControl
from agent.control.law.row.checked_signal import CheckedSignal
from agent.control.law.row.readings import RowReadings
from agent.control.law.sensor_check import HeatBalanceCheck, SensorValidator
from protocols.time_units import SECOND
from tests.portable.agent.control.law.trace_records import RECORDS
from tests.portable.agent.control.law.trace_tools import Noise, Record, near_record
from tests.portable.support.check import eq
from tests.portable.support.cooling_settings import EXCHANGER, settings
from tests.portable.support.cooling_settings import METERED as OPTIMUM
from tests.portable.support.whole_cooling import WholeCooling

FLOATS = 64  # the sums of many steps differ with 32 bits
DEW = {"sensors": 2, "margin_k": 2.0, "allowance_k": 1.0, "fallback_c": 32.0}
FANS = {"min_pct": 10.0, "max_pct": 100.0, "middle_pct": 70.0, "rate_pct_per_s": 1.0}
COOLER = {"cooler_ua_kw_k": 22.0, "cooler_air_kw_k": 18.0, "facility_w": 800.0, "zero_pct": 28.0}


def trace_pi():
    noise, out = Noise(), Record()
    pi = PiController(2.0, 10.0, 5.0, 95.0, 4.0)
    for i in range(300):
        if i % 60 == 30:
            pi.track(noise.number(5.0, 95.0), noise.number(-3.0, 3.0))
        out.add(pi.step(noise.number(-8.0, 8.0) + (4.0 if i % 100 < 50 else -4.0), 1.0))
    return out.sums


def trace_fan():
    noise, out = Noise(), Record()
    fan = FanControl(10.0, 90.0, 1.0)
    fan.track(40.0)
    for i in range(300):
        if i % 20 == 10:
            fan.set_feedforward(noise.number(0.0, 120.0))
        if i % 70 == 35:
            fan.track(noise.number(10.0, 90.0))
        out.add(fan.step(noise.number(-2.0, 2.0) + (2.0 if i % 150 < 75 else -2.0), 10.0))
    return out.sums


def trace_pump_speed():
    noise, out = Noise(), Record()
    law = PumpSpeedControl(25.0, 95.0, 3.0)
    law.track(60.0)
    for i in range(400):
        if i % 50 == 25:
            law.set_mode((DP, FLOW, DELTA_T)[noise.below(3)])
        if i == 200:
            law.set_limits(35.0, 85.0, 5.0)
        if i == 300:
            law.track(50.0)
        out.add(law.step(noise.sometimes(20, 0.0, 80.0), noise.number(60.0, 100.0), 1.0))
        out.add(law.output)
    return out.sums


def trace_dew_guard():
    noise, out = Noise(), Record()
    guard, supply_c, dew_c = DewGuard(), 26.0, 24.0
    for i in range(1200):
        supply_c += noise.number(-0.2, 0.2) + (24.5 - supply_c) / 40.0
        dew_c = 24.0 + noise.sometimes(90, 1.0, 0.0)
        if i % 300 > 200:
            supply_c += 0.1
        guard.step(supply_c, dew_c, i % 7 > 0 or i > 600, 1.0)
        out.add(guard.closing, guard.below, guard.level)
    for margin in (1.0, 0.0, 2.0, 1.5, 1.0, 0.5, 3.0, 2.0):  # the limits themselves
        guard.step(24.0 + margin, 24.0, True, 1.0)
        out.add(guard.closing, guard.below, guard.level)
    return out.sums


def trace_dew_point():
    noise, out = Noise(), Record()
    dew, air, rh = DewPointLimit(DEW), [28.0, 29.0], [55.0, 60.0]
    for s in range(0, 8000, 5):
        for i in (0, 1):
            if noise.below(4) == 0 and not 3000 < s < 4200:
                rh[i] = max(2.0, min(102.0, rh[i] + noise.number(-1.0, 1.0)))
            if noise.below(120) == 0:
                rh[i] = noise.number(20.0, 100.0)
            if noise.below(300) == 0:
                rh[1 - i] = rh[i] = noise.number(25.0, 60.0)
            if not (5000 < s < 5400 and i == 0) and not 6000 < s < 6300:
                dew.add_reading(i, noise.sometimes(60, None, air[i]), rh[i], s * SECOND)
        out.add(dew.min_setpoint_c(s * SECOND, 5.0))
        out.add(dew.dew_c, dew.guard_c, dew.valid_count, dew.sensors_disagree)
    return out.sums


def trace_exchanger():
    noise, out = Noise(), Record()
    hx = Exchanger(EXCHANGER)
    for i in range(120):
        if i % 10 == 5:
            hx.set_ua_factor(noise.number(0.6, 1.2))
        if i % 10 == 8:
            hx.set_flow_factor(noise.number(0.7, 1.2))
        hx.update_table(noise.number(0.0, 220.0))
        out.add(hx.effectiveness_at(noise.number(20.0, 220.0), noise.number(20.0, 240.0)))
        out.add(hx.flow_at(noise.number(0.0, 100.0)), hx.table_lpm)
        out.add(hx.valve_for_effect(noise.number(-0.1, 1.1)))
        out.add(hx.effectiveness_of(noise.number(5.0, 200.0)))
        out.add(hx.effectiveness(noise.number(0.0, 100.0)))
        out.add(hx.fws_capacity(100.0), hx.tcs_capacity(100.0))
    hx.update_table(150.0)
    for factor in (1.004, 1.006, 0.999):  # within the tolerance, and beyond it
        hx.set_ua_factor(factor)
        hx.update_table(150.0 * factor * factor)
        out.add(hx.table_lpm, hx.effectiveness(100.0), hx.valve_for_effect(0.99))
    return out.sums


def trace_feedforward():
    noise, out = Noise(), Record()
    law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 95.0, 4.0, 4.0)
    true = Exchanger(dict(EXCHANGER, ua_kw_k=26.0, fws_open_lpm=200.0))
    law.track(45.0)
    valve, supply, return_c, rise, facility = 45.0, 32.0, 38.0, 6.0, 24.0
    for i in range(2500):
        if i % 400 == 200:
            rise, facility = noise.number(2.0, 9.0), noise.number(18.0, 31.0)
        return_c += (supply + rise - return_c) / 6.0
        supply += (return_c - true.effectiveness(valve) * (return_c - facility) - supply) / 8.0
        seen = int(supply * 10 + 0.5) / 10, int((return_c + noise.number(-0.05, 0.05)) * 10) / 10
        if i % 700 > 660:  # the correction reaches its limits
            seen = seen[0] + (15.0 if i % 1400 > 700 else -15.0), seen[1]
        position = noise.sometimes(9, None, valve)
        if i % 3 == 0 and position is not None:
            law.calibrate_valve_flow(true.flow_at(valve) * noise.number(0.9, 1.1), valve, 1.0)
        output = law.step(32.0, seen[0], seen[1], facility, 150.0, position, 1.0)
        if i % 500 > 460:
            law.limit(min(output, 40.0) if i % 1000 > 500 else max(output, 60.0))
        if i == 1500:
            law.set_limits(10.0, 80.0, 6.0)
        valve += max(-1.67, min(1.67, law.output - valve))
        out.add(output, law.correction, law.exchanger.ua_factor)
        out.add(law.exchanger.valve_flow_factor)
    return out.sums


def trace_optimizer():
    noise, out = Noise(), Record()
    for changes in (
        {},
        {"leak_pct_k": 0.4, "case_max_c": 58.0},
        dict(COOLER, middle_pct=62.0, middle_min_pct=52.0, middle_max_pct=92.0),
    ):
        search = SetpointOptimizer(dict(OPTIMUM, **changes), Exchanger(EXCHANGER), 100.0)
        for _ in range(8):
            low = noise.number(18.0, 40.0)
            best = search.find_optimum(noise.number(0.0, 110.0), noise.number(0.0, 48.0), low, 42.0)
            out.add(best.supply_c, best.pump_pct, best.fan_pct, best.case_c)
            out.add(best.valve_target_pct, best.power_w / 1000.0)
            heat_w, air_c = noise.number(-1e4, 1e5), noise.number(10.0, 30.0)
            search.adapt_cooler(heat_w, noise.number(10.0, 40.0), air_c, low * 2.5, low)
            search.adapt_pumps(noise.number(100.0, 2500.0), noise.number(0.0, 100.0))
            out.add(search.cooler_factor * 100.0, search.pump_factor(low * 2.5) * 100.0)
    return out.sums


def trace_cooling():
    noise, out = Noise(), Record()
    fans = dict(FANS, wet_above_c=30.0)
    law = WholeCooling(settings(dew=DEW, fans=fans, optimum=OPTIMUM))
    law.track(45.0, 70.0, 50.0)
    r = ControlReadings()
    for i in range(1500):
        r.supply_c = noise.sometimes(50, None, law.setpoint_c + noise.number(-0.4, 0.4))
        r.return_c = noise.sometimes(50, None, 38.0 + noise.number(-0.3, 0.3))
        r.fws_supply_c = noise.sometimes(50, None, noise.number(23.0, 25.0))
        r.flow_lpm = noise.sometimes(50, None, noise.number(140.0, 160.0))
        r.dp_kpa = noise.sometimes(50, None, noise.number(70.0, 90.0))
        r.valve_pct = noise.sometimes(20, None, law.valve_pct)
        r.fws_flow_lpm = noise.sometimes(3, None, noise.number(80.0, 100.0))
        r.air_c = noise.sometimes(400, None, 25.0 + 8.0 * (i % 600) / 600.0)
        r.adiabatic_air_c = noise.sometimes(2, None, 22.0)
        r.load_kw = noise.sometimes(3, None, 60.0 + i % 30)
        r.pump_w, r.pump_pct = noise.sometimes(3, None, 900.0), noise.sometimes(5, None, 70.0)
        for j in (0, 1):
            law.add_humidity(j, 30.0, noise.number(40.0, 44.0) + i % 900 / 15.0, i * SECOND)
        if i == 700:
            law.set_uncertainty(0.8)
        if i == 1100:
            law.optimizer = law.optimal_pump_pct = None
            law.set_target(30.0)
        if i % 300 == 299:
            law.limit_valve(law.valve_pct - 1.0)
        law.step(r, i * SECOND, 1.0)
        out.add(law.valve_pct, law.pump_pct, law.fan_pct, law.setpoint_c, law.adiabatic_on)
        out.add(lacks_input(r), law.min_setpoint_c, law.optimal_pump_pct)
        out.add(law.max_valve_pct(noise.number(-1e4, 9e4), 24.0, noise.number(23.0, 33.0)))
    return out.sums


def lacks_input(r):
    return None in (r.supply_c, r.return_c, r.fws_supply_c, r.flow_lpm)


def trace_pump_modes():
    noise, out = Noise(), Record()
    for mode, setpoint in ((FLOW, 150.0), (DELTA_T, 6.0)):
        with_mode = settings()
        with_mode["pumps"] = dict(with_mode["pumps"], mode=mode, setpoint=setpoint)
        law = WholeCooling(with_mode)
        law.track(45.0, 70.0)
        r = ControlReadings()
        for i in range(100):
            r.supply_c, r.return_c = 32.0, noise.sometimes(9, None, noise.number(37.0, 39.0))
            r.flow_lpm, r.fws_supply_c = noise.sometimes(9, None, noise.number(140.0, 160.0)), 24.0
            law.step(r, i * SECOND, 1.0)
            out.add(law.valve_pct, law.pump_pct, lacks_input(r))
    return out.sums


def trace_checked_signal():
    noise, out = Noise(), Record()
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.1)
    for i in range(9000):
        value = 32.0 + noise.number(-0.05, 0.05) + noise.sometimes(900, 3.0, 0.0)
        if i % 1500 > 1480:
            value = noise.sometimes(2, 99.0, 4.9)
        raw = noise.sometimes(30, None, value)
        signal.read(raw, 0.8, 0.5, 0.2, 1.0)
        if i % 4000 == 2000:
            signal.mark_suspect("relation")
        estimate = noise.sometimes(200, None, 32.0 + (0.2 if 2100 < i < 2600 else 0.0))
        signal.settle(raw, estimate, 0.5, 1.0)
        out.add(signal.value, signal.uncertainty, signal.suspect, signal.raw)
    return out.sums


FALSE_VALUES = (
    ("supply_c", 1.0, 0.0, 0.006),
    ("return_c", 0.0, 0.0, 0.0),
    ("flow_lpm", 0.0, 20.0, 0.0),
    ("supply_c", 1.0, 8.0, 0.0),
    ("dp_kpa", 0.0, 5.0, 0.0),
    ("return_c", 1.0, 0.0, 0.006),
    ("supply_c", None, 0.0, 0.0),
    ("pump_pct", None, 0.0, 0.0),
    ("supply_c", 0.0, 99.0, 0.0),
    ("fws_flow_lpm", None, 0.0, 0.0),
    ("return_c", 1.0, 2.6, 0.0),
    ("supply_c", 1.0, -2.6, 0.0),
)
"""Faults of a reading: factor (None: no reading), offset, and drift per second."""


def trace_plausibility():
    noise, out = Noise(), Record()
    hx = Exchanger(EXCHANGER)
    row, r = RowPlausibility(hx, 150.0), RowReadings()
    heat_kw, facility, supply = 60.0, 24.0, 32.0
    for i in range(6000):
        if i % 900 == 600:
            heat_kw, facility = noise.number(20.0, 90.0), noise.number(20.0, 27.0)
        if i == 5500:
            row = RowPlausibility(None, 150.0)
        flow = 150.0 if i % 1800 < 1500 else 100.0
        hx.update_table(flow)
        rise = 1000.0 * heat_kw / hx.tcs_capacity(flow)
        lpm = 40.0 + heat_kw
        r.flow_lpm, r.dp_kpa = flow + noise.number(-1.0, 1.0), 80.0 * (flow / 150.0) ** 2
        r.pump_pct = flow * 70.0 / 150.0
        r.fws_flow_lpm, r.fws_supply_c = lpm, facility
        r.return_c = facility + rise / hx.effectiveness_of(lpm) + noise.number(-0.02, 0.02)
        supply = r.return_c - rise
        r.supply_c = supply + noise.number(-0.02, 0.02)
        r.fws_return_c = facility + 1000.0 * heat_kw / hx.fws_capacity(lpm)
        r.redundant_supply_c = supply if i % 1000 > 900 else None
        if i % 500 > 350:
            name, factor, offset, drift = FALSE_VALUES[i // 500 % len(FALSE_VALUES)]
            error = offset + drift * (i % 500 - 350)
            setattr(r, name, None if factor is None else factor * getattr(r, name) + error)
        row.step(r, 1.0)
        for signal in (row.supply, row.return_signal, row.flow, row.dp):
            out.add(signal.value, signal.uncertainty, signal.suspect)
        out.add(row.may_learn_ua, row.factors.heat, row.factors.model, row.rise.by_heat_k)
        out.add(row.rise.effectiveness)
    return out.sums


def trace_sensor_check():
    noise, out = Noise(), Record()
    check, balance = SensorValidator(1.5), HeatBalanceCheck(15.0)
    value = 32.0
    for i in range(6000):
        if not 1000 < i < 2500 and not 4000 < i < 4500:
            value = 32.0 + noise.below(5) / 10
        spare = value + (2.0 if i % 700 > 600 else 0.3) * (1.0 if i % 1400 < 700 else -1.0)
        related = noise.sometimes(100, None, 38.0 + (i - 1000) / 600.0) if i > 1000 else 38.0
        given = noise.sometimes(40, None, value), noise.sometimes(40, None, spare)
        estimate = noise.sometimes(3, None, 32.0 + noise.number(-2.0, 2.0))
        out.add(check.validate(given[0], given[1], related, estimate, 1.0))
        out.add(check.stuck, check.sensors_disagree)
        share = 1.3 if i % 1500 > 900 else 1.0
        balance.check(noise.number(0.0, 5e4) if i % 2000 > 300 else 900.0, 2.5e4 * share, 1.0)
        out.add(balance.unbalanced, balance.imbalance)
    return out.sums


def trace_offset_calibration():
    noise, out = Noise(), Record()
    for disturbed in (0, 1, 2, 3, 4, 5):
        calibration = OffsetCalibration()
        calibration.add_reading(32.0, 32.4, 0.0, True, 1.0)
        calibration.begin()
        for i in range(620):
            supply, back = 32.0 + noise.number(-0.1, 0.1), 32.4 + noise.number(-0.1, 0.1)
            bad = i % 50 == 49 and (i < 200 or disturbed == 5)
            supply = None if bad and disturbed == 1 else supply
            back += 9.0 if bad and disturbed == 2 else 0.3 if bad and disturbed == 5 else 0.0
            valve = 6.1 if bad and disturbed == 3 else 6.0
            calibration.add_reading(supply, back, valve, not (bad and disturbed == 4), 1.0)
            out.add(calibration.state)
        out.add(calibration.supply_offset_k * 1e4, calibration.return_offset_k * 1e4)
    return out.sums


def trace_proof_test():
    noise, out = Noise(), Record()
    tests, position = ProofTests(), 50.0
    for i in range(4000):
        if i % 100 == 0:
            tests.abort(i)
            position = noise.number(0.0, 100.0)
            if i % 300 == 0:
                tests.begin_pumps()
            else:
                tests.begin_valve(position)
        target = tests.step_valve(noise.sometimes(300, None, position), i, 1.0)
        stiff = i // 100 % 4 == 3
        if target is not None and not stiff:
            position += max(-0.5, min(0.5, target - position))
        speed = noise.sometimes(9, None, noise.number(10.0, 60.0))
        tests.step_pumps(speed, noise.sometimes(9, None, noise.number(0.5, 0.95)), i, 1.0)
        out.add(target, tests.running)
    for at, kind, result, seconds in tests.records:
        out.add(at, kind, result, seconds)
    return out.sums


def check(name, trace):
    near_record(trace(), RECORDS[name])


def test_pi():
    check("trace_pi", trace_pi)


def test_fan():
    check("trace_fan", trace_fan)


def test_pump_speed():
    check("trace_pump_speed", trace_pump_speed)


def test_dew_guard():
    check("trace_dew_guard", trace_dew_guard)


def test_dew_point():
    check("trace_dew_point", trace_dew_point)


def test_exchanger():
    check("trace_exchanger", trace_exchanger)


def test_feedforward():
    check("trace_feedforward", trace_feedforward)


def test_optimizer():
    check("trace_optimizer", trace_optimizer)


def test_cooling():
    check("trace_cooling", trace_cooling)


def test_pump_modes():
    check("trace_pump_modes", trace_pump_modes)


def test_checked_signal():
    check("trace_checked_signal", trace_checked_signal)


def test_plausibility():
    check("trace_plausibility", trace_plausibility)


def test_sensor_check():
    check("trace_sensor_check", trace_sensor_check)


def test_offset_calibration():
    check("trace_offset_calibration", trace_offset_calibration)


def test_proof_test():
    check("trace_proof_test", trace_proof_test)


def test_a_sensor_is_stuck_only_while_a_related_value_moves():
    for change, is_stuck in ((0.0, False), (9.0, True)):
        validator = SensorValidator(1.0)
        for i in range(1000):
            related = 40.0 + (change if i > 10 else 0.0)
            validator.validate(30.0, None, related, None, 1.0)
        eq((change, validator.stuck), (change, is_stuck))
    validator.validate(30.1, None, 49.0, None, 1.0)
    eq(validator.stuck, False)


def write_records():
    """Print the records of all traces."""
    from tests.portable.agent.control.law import test_wave_traces  # noqa: PLC0415
    from tests.portable.agent.control.law.row import test_fault_traces, test_row_traces  # noqa: PLC0415

    traces = {}
    for module in (None, test_wave_traces, test_row_traces, test_fault_traces):
        names = globals() if module is None else vars(module)
        traces.update({name: names[name] for name in names if name.startswith("trace_")})
    for name in sorted(traces):
        print('    "%s": (' % name)
        for value in traces[name]():
            print("        %.6f," % value)
        print("    ),")


if __name__ == "__main__":
    write_records()
