# SPDX-License-Identifier: Apache-2.0
"""Oscillation, stiction, load waves and the learned valve curve: laws without a plant."""

from agent.control.law.exchanger import Exchanger
from agent.control.law.feedforward import FeedforwardControl
from agent.control.watch.load_wave import LoadWave
from agent.control.watch.oscillation import OscillationDetector
from agent.control.watch.sticky_moves import StickyMoves
from agent.control.watch.stiction import StictionEstimate
from agent.control.watch.turning_points import TurningPoints
from agent.control.watch.valve_curve import ValveCurve
from tests.portable.support.check import eq, near
from tests.portable.support.cooling_settings import EXCHANGER


def triangle(i, half, low, high):
    part = (i % (2 * half)) / half
    return low + (high - low) * (part if part < 1.0 else 2.0 - part)


def test_turning_points_give_period_and_swing():
    turns = TurningPoints(0.5, 5.5, 100.5)
    ends = [i for i in range(400) if turns.step(triangle(i, 40, 31.0, 33.0), 1.0)]
    assert turns.count >= 7, turns.count
    near(turns.swing, 2.0, 1e-6)
    eq(turns.last_s, 40.0)
    eq([b - a for a, b in zip(ends, ends[1:])], [40] * (len(ends) - 1))


def test_small_or_slow_waves_are_no_half_waves():
    for half, high in ((40, 31.4), (120, 33.0), (4, 33.0)):
        turns = TurningPoints(0.5, 5.5, 100.5)
        for i in range(1000):
            turns.step(triangle(i, half, 31.0, high), 1.0)
        assert turns.count <= 1, (half, high, turns.count)


def oscillate(detector, seconds, swing=1.5, heat=0.0, travel=5.0, start=0):
    for i in range(start, start + seconds):
        wave = triangle(i, 60, -0.5, 0.5)
        detector.add_position(50.0 + travel * wave, True, 1.0)
        detector.step(swing * wave, 8.0 + heat * wave, 1.0)


def test_a_limit_cycle_is_found_and_forgotten():
    detector = OscillationDetector()
    oscillate(detector, 300)
    eq(detector.active, False)
    oscillate(detector, 300, start=300)
    eq((detector.active, detector.period_s), (True, 120.0))
    near(detector.amplitude_k, 0.75, 0.02)
    oscillate(detector, 1150, swing=0.1)
    eq(detector.active, True)
    oscillate(detector, 200, swing=0.1)
    eq((detector.active, detector.amplitude_k), (False, 0.0))


def test_a_loop_that_settles_has_no_limit_cycle():
    """Swings that fall to less than two thirds; then one that stays."""
    detector = OscillationDetector()
    for i, swing in enumerate((9.0, 5.6, 3.5, 2.2, 1.4, 0.9, 0.6)):
        oscillate(detector, 60, start=60 * i, swing=swing)
        eq((swing, detector.active), (swing, False))
    oscillate(detector, 600, start=420, swing=0.9)
    eq(detector.active, True)


def test_waves_of_the_load_or_of_a_valve_at_rest_are_no_limit_cycle():
    for heat, travel in ((6.0, 5.0), (0.0, 0.0)):
        detector = OscillationDetector()
        oscillate(detector, 2400, heat=heat, travel=travel)
        eq(detector.active, False)


def test_travel_rate():
    detector = OscillationDetector()
    for i in range(7200):
        detector.add_position(triangle(i, 10, 50.0, 52.0), True, 1.0)
    near(detector.travel_pct_h, 720.0, 20.0)
    before = detector.travel_pct_h
    detector.add_position(20.0, False, 1.0)  # another claimant moves it
    detector.add_position(52.0, False, 1.0)
    assert detector.travel_pct_h < before
    detector.add_position(None, True, 1.0)
    near(detector.travel_pct, 1440.0 + 64.0, 5.0)


def sticky_valve(stiction, commands):
    """Return the estimate after `commands` to a valve that does not start below `stiction`."""
    estimate, position, is_moving = StictionEstimate(), 50.0, False
    for command in commands:
        for _ in range(20):
            gap = command - position
            if is_moving or gap >= stiction or gap <= -stiction:
                position += max(-1.7, min(1.7, gap))
                is_moving = position != command
            estimate.step(command, position, 1.0)
    return estimate


def test_stiction_is_measured():
    commands = [50.0 + (i * 7 % 11) - 5 for i in range(40)]
    found = sticky_valve(5.0, commands)
    eq(found.active, True)
    near(found.stiction_pct, 4.0, 1.0)
    for stiction in (0.25, 1.0):
        eq(sticky_valve(stiction, commands).active, False)


def test_a_slow_or_jammed_valve_is_no_stiction():
    estimate = StictionEstimate()
    for i in range(600):  # 30 % away and moving all the time
        estimate.step(80.0 + i / 10, 50.0 + i / 10, 1.0)
    for _ in range(4):  # 20 % away, at rest, then released: `valve_feedback` reports it
        for _ in range(60):
            estimate.step(70.0, 50.0, 1.0)
        estimate.step(70.0, 70.0, 1.0)
    eq((estimate.active, estimate.stiction_pct), (False, 0.0))
    estimate.step(None, 50.0, 1.0)


def test_sticky_moves_go_beyond_and_back():
    moves = StickyMoves()
    for _ in range(30):
        moves.add(32.6, 38.6, 1.0)
    eq((moves.is_due(32.0), moves.is_due(32.4)), (False, False))
    for _ in range(30):
        moves.add(32.6, 38.6, 1.0)
    eq((moves.is_due(32.0), moves.is_due(32.5)), (True, False))
    limits = (5.0, 100.0)
    beyond = moves.begin(52.0, 50.0, 5.0, limits)
    assert 57.0 < beyond < 58.5, beyond
    moves.add(32.6, 38.6, 1.0)
    eq(moves.command(52.0, beyond, 53.0, 5.0, 1.0), beyond)
    eq(moves.command(52.0, beyond, beyond, 5.0, 1.0), 52.0)
    eq(moves.command(53.0, 52.0, 52.0, 5.0, 1.0), 52.0)  # no step below the stiction
    eq(moves.begin(60.0, 52.0, 5.0, limits), 60.0)  # a large one is direct
    assert moves.begin(98.0, 97.0, 5.0, limits) < 97.0  # away first, where beyond is no place


def test_sticky_moves_wait_until_the_return_is_steady():
    for slope, due in ((0.0, True), (-0.03, True), (-0.04, False), (0.03, True), (0.04, False)):
        moves = StickyMoves()
        for i in range(200):  # behind a mean of 15 s, the return is 15 s times its slope
            moves.add(31.0, 38.6 + slope * i, 1.0)
        eq((slope, moves.is_due(32.0)), (slope, due))


NOISE_K = 0.03


def square(i, half, low, high):
    return low if (i // half) % 2 else high


def run_wave(wave, seconds, half, low, high, error=0.0, start=0):
    lagged = None
    for i in range(start, start + seconds):
        target = square(i, half, low, high)
        lagged = target if lagged is None else lagged + (target - lagged) / 5.0
        wave.step(lagged, 32.0 + error, error, NOISE_K, 1.0)


def test_a_fast_wave_gives_its_mean():
    wave = LoadWave()
    run_wave(wave, 300, 20, 35.0, 42.0)
    eq((wave.active, wave.share, wave.period_s), (True, 1.0, 40.0))
    near(wave.rise_k, 6.5, 0.1)
    for _ in range(60):  # the load stays high: no mean any more
        wave.step(42.0, 32.0, 0.0, NOISE_K, 1.0)
    eq((wave.active, wave.share), (False, 0.0))


def test_a_small_fast_wave_is_found_above_the_noise():
    for noise_k, found in ((0.03, True), (0.2, False)):
        wave = LoadWave()
        for i in range(120):
            wave.step(38.0 + (0.4 if (i // 5) % 2 else 0.0), 32.0, 0.0, noise_k, 1.0)
        eq((noise_k, wave.active), (noise_k, found))


def test_a_slow_wave_has_a_smaller_share():
    for half_s, low, high in ((40, 0.6, 0.7), (60, 0.55, 0.65), (120, 0.35, 0.45)):
        wave = LoadWave()
        run_wave(wave, 5 * half_s + 15, half_s, 35.0, 42.0)
        eq((half_s, wave.active, low < wave.share < high), (half_s, True, True))
    wave = LoadWave()
    run_wave(wave, 600, 60, 38.0, 38.6)  # slow and small: a usual change of the load
    eq((wave.active, wave.share), (False, 0.0))


def test_slow_changes_and_large_errors_are_no_wave():
    wave = LoadWave()
    run_wave(wave, 1800, 150, 35.0, 42.0)
    eq((wave.active, wave.share), (False, 0.0))
    run_wave(wave, 300, 20, 35.0, 42.0)
    eq(wave.active, True)
    wave.step(38.0, 34.5, 2.5, NOISE_K, 1.0)
    eq(wave.active, False)


def test_the_curve_of_another_valve_is_learned():
    """A valve of 2.5 times the size with another rangeability, at all positions."""
    other = dict(EXCHANGER)
    other["fws_open_lpm"] *= 2.5
    other["rangeability"] = 50.0
    real, exchanger = Exchanger(other), Exchanger(EXCHANGER)
    curve = ValveCurve(exchanger)
    for _ in range(4):
        for position in (10.0, 20.0, 30.0, 45.0, 60.0, 80.0):
            for _ in range(400):
                curve.learn(real.flow_at(position), position, 1.0)
    for position in (10.0, 20.0, 30.0, 45.0, 60.0, 80.0):
        near(exchanger.flow_at(position) / real.flow_at(position), 1.0, 0.05)
    exchanger.update_table(150.0)
    for position in (20.0, 45.0):
        lpm = real.flow_at(position)
        near(exchanger.effectiveness_of(lpm), exchanger.effectiveness(position), 0.02)


def test_a_wrong_flow_meter_moves_the_curve_within_bounds():
    for lpm in (1e5, 2.0, 0.0):
        exchanger = Exchanger(EXCHANGER)
        curve = ValveCurve(exchanger)
        for i in range(5000):
            curve.learn(lpm, 5.0 + i % 90, 1.0)
        for position in (10.0, 50.0, 90.0):
            design = Exchanger(EXCHANGER).flow_at(position)
            ratio = exchanger.flow_at(position) / design
            assert 0.2 * 0.4 <= ratio <= 5.0 * 2.5, (lpm, position, ratio)
        exchanger.update_table(140.0)
        table = exchanger.effectiveness_table
        assert table == sorted(table), table


def test_the_gentle_mode_is_bumpless():
    law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    law.track(45.0)
    for _ in range(30):
        before = law.step(32.0, 32.5, 38.5, 24.0, 150.0, law.output, 1.0)
    for is_gentle in (True, False):
        law.set_gentle(is_gentle)
        after = law.step(32.0, 32.5, 38.5, 24.0, 150.0, law.output, 1.0)
        assert -0.6 < after - before < 0.6, (is_gentle, before, after)
        before = after


def test_the_steady_position_follows_the_heat_balance():
    law = FeedforwardControl(Exchanger(EXCHANGER), 5.0, 100.0, 5.0, 4.0)
    exchanger = law.exchanger
    position = 45.0
    share = 0.9 * exchanger.effectiveness(position)  # the real one is 10 % lower
    rise_k = 6.0
    return_c = 24.0 + rise_k / share
    wanted = law.steady_valve(32.0, return_c - rise_k, return_c, 24.0, position)
    near(0.9 * exchanger.effectiveness(wanted), rise_k / (32.0 + rise_k - 24.0), 0.01)
    eq(law.steady_valve(32.0, 32.0, 32.0, 24.0, position), position)
