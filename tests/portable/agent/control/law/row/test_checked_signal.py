# SPDX-License-Identifier: Apache-2.0
"""One measured signal: a reading that stands still while its estimate moves is suspect."""

from agent.control.law.row.checked_signal import RATE, RELATION, CheckedSignal
from tests.portable.support.check import eq


def watch(readings, estimates):
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.12)
    for raw, estimate in zip(readings, estimates):
        signal.check_stuck(raw, estimate, 1.0, 1.0)
    return signal.suspect


def test_still_reading_is_suspect_when_its_estimate_moves():
    falling = [23.0 - i / 10 for i in range(80)]
    eq(watch([23.0] * 80, falling), RELATION)
    eq(watch([23.0] * 65, falling), "")  # a true reading follows after the transit of the loop
    eq(watch([23.0] * 40, [23.0] * 40), "")  # nothing moves
    eq(watch([23.0] * 20, falling), "")  # not long enough
    eq(watch([23.0 + i % 15 // 14 / 10 for i in range(80)], falling), "")  # it lives
    eq(watch([23.0] * 40, [23.0] * 10 + [None] * 10 + [20.0] * 20), "")  # a new estimate


def end_of_suspicion(gap, is_young, accusations=1, is_gross=False):
    """Return the second in which a reading with a constant gap is valid again, or None."""
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.12)
    for _ in range(accusations):
        signal.mark_suspect(RELATION, is_gross)
        second = 0
        while signal.suspect and second < 600:
            second += 1
            signal.note_age(is_young)
            signal.settle(23.0 + gap, 23.0, 0.5, 1.0)
    return None if signal.suspect else (second, signal.note_age(is_young))


def test_small_gap_to_a_young_estimate_ends_the_suspicion():
    second, was_adopted = end_of_suspicion(0.35, True)
    eq((149 <= second < 250, was_adopted), (True, True))
    eq(end_of_suspicion(0.35, False), None)
    eq(end_of_suspicion(0.6, True), None)
    eq(end_of_suspicion(0.35, True, 2), None)  # the second time in an hour
    eq(end_of_suspicion(0.05, False)[1], False)


def test_a_reading_that_was_off_by_many_kelvin_needs_no_fine_agreement():
    """After it the row is not steady, and its estimates are rough."""
    eq(60 <= end_of_suspicion(0.35, False, is_gross=True)[0] < 120, True)
    eq(end_of_suspicion(0.6, False, is_gross=True), None)


def test_gap_that_grows_is_not_adopted():
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.12)
    signal.mark_suspect(RELATION)
    signal.note_age(True)
    for second in range(600):
        signal.settle(23.3 + 6.0 / 3600 * second, 23.0, 0.5, 1.0)  # 6 K/h
    eq(signal.suspect, RELATION)


def second_of_trust(reason, gaps, repeat):
    """Return the second in which a reading with these gaps, in turn, is valid again, or None."""
    signal = CheckedSignal(5.0, 75.0, 1.0, 0.12)
    signal.mark_suspect(reason)
    for second in range(600):
        signal.settle(23.0 + gaps[second // repeat % len(gaps)], 23.0, 0.5, 1.0)
        if not signal.suspect:
            return second + 1
    return None


def test_a_rough_estimate_delays_the_trust_and_a_false_reading_never_gets_it():
    eq(second_of_trust(RATE, [0.1], 1), 60)
    eq(second_of_trust(RATE, [0.1, 0.1, 3.0], 10), 140)  # two of three seconds agree
    eq(second_of_trust(RATE, [0.1, 3.0], 10), None)
    eq(second_of_trust(RATE, [0.1, 3.0, 3.0], 10), None)
    eq(second_of_trust(RELATION, [0.0, 3.0, 0.0], 10), None)


def suspicion_after(readings, ages):
    """Return the suspicion after readings of these ages, one a second, which may fall by 1 K/s."""
    signal = CheckedSignal(5.0, 90.0, 1.0, 0.12)
    for raw, age_s in zip(readings, ages):
        signal.read(raw, 1.5, 1.0, 1.0, 1.0, age_s)
    return signal.suspect


def test_rate_counts_the_time_between_the_readings_of_the_device():
    eq(suspicion_after([48.0, 45.0], [0.0, 0.0]), RATE)
    # taken again for three seconds, then read
    eq(suspicion_after([48.0] * 4 + [43.5], [0.5, 1.5, 2.5, 3.5, 0.5]), "")
    eq(suspicion_after([48.0] * 4 + [42.5], [0.5, 1.5, 2.5, 3.5, 0.5]), RATE)
    eq(suspicion_after([48.0] * 4 + [43.5], [0.0] * 5), RATE)
    # no value for three seconds after a reading that was old already
    eq(suspicion_after([48.0, None, None, None, 42.5], [2.0, 0.0, 0.0, 0.0, 0.0]), "")
    eq(suspicion_after([48.0, None, None, None, 42.5], [0.0] * 5), RATE)
    # a small age does not make the cycle shorter
    eq(suspicion_after([48.0, 46.1], [0.0, 0.9]), "")


def test_jump_after_an_old_reading_is_found_when_the_next_is_fresh():
    eq(suspicion_after([48.0, 48.0, 48.0, 47.0, 44.5], [0.0, 1.0, 2.0, 0.0, 0.0]), RATE)
