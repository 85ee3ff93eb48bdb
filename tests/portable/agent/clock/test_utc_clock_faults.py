"""Lies: jumps of time and place, leap seconds that are not known, weeks that roll over."""

from agent.clock.evidence import Verdicts
from agent.clock.leap_second import Leap, signature, whole_seconds
from agent.clock.oscillator import isqrt
from agent.clock.position_check import Place
from agent.clock.utc_clock import Clock
from protocols.calendar import utc_from_civil
from protocols.time_units import MILLISECOND, SECOND
from tests.portable.support.check import eq
from tests.portable.support.reference_time import UTC, Bench, Chance, TrueFix, known

WEEKS_1024 = 1024 * 7 * 86_400 * SECOND


def test_a_jump_of_four_seconds_is_seen_in_one_epoch_and_moves_nothing():
    bench = Bench(known(), 1, ppm=3.0)
    bench.run(600, ticks=1)
    bench.leap_s = 4
    bench.run(1)
    eq(bench.state(), "untrusted")
    eq(bench.clock.doubts, ["step"])
    evidence = bench.clock.verdicts.evidence[-1]
    eq(signature(evidence.figure, evidence.limit), "BDT")
    bench.run(600, ticks=1)
    assert abs(bench.error_us) <= 5_000
    assert bench.worst <= 0
    bench.leap_s = 0
    bench.run(5)
    eq(bench.state(), "sync")
    eq(bench.clock.flags(), [])


def test_a_jump_of_500_km_is_seen_in_one_epoch_and_its_time_is_not_used():
    bench = Bench(known(), 2)
    bench.run(600, ticks=1)
    accepted = bench.clock.accepted
    bench.away_e7 = 45_000_000
    bench.run(1)
    eq(bench.state(), "untrusted")
    eq(bench.clock.doubts, ["position"])
    bench.run(60, ticks=1)
    eq(bench.clock.accepted, accepted)
    evidence = bench.clock.verdicts.evidence[-1]
    assert 495_000 < evidence.figure < 505_000
    eq(bench.clock.verdicts.counts["position"], 61)
    eq((len(bench.clock.verdicts.evidence), evidence.count, evidence.limit), (1, 61, 100))
    eq(evidence.time - evidence.since > 59 * SECOND, True)


def test_the_place_that_the_configuration_gives_counts_from_the_first_fix():
    bench = Bench(known(site_e7=(100_000_000, 100_000_000)), 3)
    bench.run(60, ticks=1)
    eq(bench.state(), "free")
    assert bench.clock.rejected >= 59


def test_place_measures_metres():
    place = Place((0, 1_799_999_999))
    fix = TrueFix(0, 0, lat_e7=0, lon_e7=-1_799_999_999)
    eq(place.away_m(fix), 0)  # across the date line
    place = Place((600_000_000, 0))
    fix = TrueFix(0, 0, lat_e7=600_000_000, lon_e7=100_000)
    assert 550 <= place.away_m(fix) <= 562  # cos 60 is a half
    fix.lat_e7 = None
    eq(place.away_m(fix), 0)


def test_a_sentence_held_up_once_is_no_lie_three_in_a_row_are():
    clock = known()
    for i in range(20):
        clock.sample(TrueFix(UTC + i * SECOND, i * SECOND))
    late = 500 * MILLISECOND
    for i in (20, 21):
        assert not clock.sample(TrueFix(UTC + i * SECOND, i * SECOND + late))
        eq(clock.state(i * SECOND), "sync")
    clock.sample(TrueFix(UTC + 22 * SECOND, 22 * SECOND + late))
    eq(clock.state(22 * SECOND), "untrusted")
    eq(clock.late, 3)


def test_after_a_cold_start_the_label_is_good_to_nineteen_seconds_only():
    bench = Bench(Clock(50_000), 4)
    bench.leap_s = 18
    bench.run(700, ticks=1)
    eq(bench.clock.flags(), ["leap_uncertain"])
    eq(bench.state(), "sync")
    assert bench.bound_us >= 19 * SECOND
    bench.leap_s = 0
    bench.run(10)
    assert abs(bench.error_us) <= 10_000
    eq(bench.clock.relabelled, 1)
    assert bench.worst <= 0
    bench.run(200, ticks=1)
    eq(bench.clock.flags(), [])
    assert bench.bound_us < SECOND


def test_a_relabelling_leaves_the_fraction_of_the_second_alone():
    bench = Bench(Clock(50_000), 5)
    bench.leap_s = 4
    bench.run(300)
    before = bench.clock.offset
    bench.leap_s = 0
    bench.run(4)
    moved = bench.clock.offset - before
    assert abs(moved + 4 * SECOND) <= 20 * MILLISECOND


def test_when_the_leap_seconds_are_known_nothing_relabels():
    bench = Bench(known(), 6)
    bench.run(60, ticks=1)
    bench.leap_s = -18
    bench.run(60, ticks=1)
    eq(bench.clock.relabelled, 0)
    eq(bench.state(), "untrusted")


def test_a_leap_second_is_followed_at_the_turn_of_the_half_year_only():
    for start, state in ((utc_from_civil(2027, 1, 1), "sync"), (UTC, "untrusted")):
        clock = known()
        for i in range(-60, 0):
            clock.sample(TrueFix(start + i * SECOND, (i + 100) * SECOND))
        for i in range(6):  # 23:59:60 has no fix; 00:00:00 comes a second later
            clock.sample(TrueFix(start + i * SECOND, (i + 101) * SECOND))
        eq(clock.state(106 * SECOND), state)
        eq(clock.utc(106 * SECOND), start + (5 if state == "sync" else 6) * SECOND)


def test_a_gap_in_tracking_starts_the_wait_for_the_leap_seconds_anew():
    leap = Leap(False)
    for i in range(700):
        leap.track(i * SECOND)
    for i in range(740, 740 + 780):
        leap.track(i * SECOND)
        assert leap.uncertain
    leap.track(1520 * SECOND)
    assert not leap.uncertain


def test_a_lost_sentence_does_not():
    leap = Leap(False)
    for i in range(0, 781, 10):
        leap.track(i * SECOND)
    assert not leap.uncertain


def test_a_receiver_that_starts_cold_after_its_first_fixes_is_uncertain_until_it_knows():
    clock = Clock(20_000)
    start = utc_from_civil(2026, 10, 5) + 100 * SECOND
    for i in range(5):
        clock.sample(TrueFix(start + i * SECOND, i * SECOND))
    for i in range(37, 37 + 750):  # it has forgotten its leap seconds, and is 2 s off
        clock.sample(TrueFix(start + (i - 2) * SECOND, i * SECOND))
        assert (clock.bound_us(i * SECOND) or 0) > 2 * SECOND
    for i in range(787, 793):
        clock.sample(TrueFix(start + i * SECOND, i * SECOND))
    eq(clock.utc(793 * SECOND), start + 793 * SECOND)


def test_steps_by_name():
    eq(whole_seconds(4_050_000, 200_000), 4)
    eq(whole_seconds(4_350_000, 200_000), 0)
    eq(whole_seconds(-17_990_000, 200_000), -18)
    eq(signature(-13_900_000, 200_000), "BDT as GPST")
    eq(signature(5_000_000, 200_000), None)


def test_a_date_before_the_floor_is_not_believed_one_put_right_is():
    clock = Clock(50_000, floor_us=UTC - 86_400 * SECOND)
    for i in range(5):
        assert not clock.sample(TrueFix(UTC - WEEKS_1024 + i * SECOND, i * SECOND))
    eq(clock.utc(5 * SECOND), None)
    for i in range(5, 8):
        fix = TrueFix(UTC + i * SECOND, i * SECOND, valid=False)
        fix.reasons = ("week rollover",)  # the driver has added the weeks
        assert clock.sample(fix)
    eq(clock.utc(8 * SECOND), UTC + 8 * SECOND)


def test_evidence_is_bounded_and_keeps_the_first_and_the_last_of_a_row():
    verdicts = Verdicts()
    for i in range(100):
        verdicts.add("step", i * SECOND, i, 7)
        verdicts.add("position", i * SECOND, 2 * i, 9)
    eq(
        [(e.check, e.first, e.figure) for e in verdicts.evidence],
        [("step", 0, 99), ("position", 0, 198)],
    )
    for i in range(100):
        verdicts.add("step", (i + 4) * 100 * SECOND, i, 7)
    eq(len(verdicts.evidence), 16)
    eq(verdicts.counts, {"step": 200, "position": 100})


def test_whole_square_roots():
    for n in (0, 1, 2, 3, 4, 15, 16, 17, 99, 1 << 40, (1 << 40) - 1):
        root = isqrt(n)
        assert root * root <= n < (root + 1) * (root + 1)


def test_random_faults_never_break_the_bound():
    for seed in range(1, 9):
        chance = Chance(seed)
        bench = Bench(known(), seed, ppm=chance.uniform() * 80 - 40, pps_us=1.0)
        bench.run(400 + chance.below(400), ticks=1)
        bench.outage = chance.below(2) == 0
        bench.leap_s = (0, 4, -18)[chance.below(3)]
        bench.away_e7 = (0, 1_000_000)[chance.below(2)]
        bench.drag = chance.below(50)
        bench.run(300, ticks=1)
        bench.outage, bench.leap_s, bench.away_e7, bench.drag, bench.dragged = False, 0, 0, 0, 0.0
        bench.run(100, ticks=1)
        assert bench.worst <= 0, seed


def test_two_votes_against_the_sky_stop_its_time():
    bench = Bench(known(), 9)
    bench.run(60, ticks=1)
    bench.clock.suspect = 2
    bench.run(1)
    eq(bench.state(), "untrusted")
    eq(bench.clock.doubts, ["signals"])
    bench.clock.suspect = 0
    bench.run(3)
    eq((bench.state(), bench.clock.doubts), ("sync", []))


NEW_YEAR = utc_from_civil(2027, 1, 1)


def leap_fix(second, late_us=0):
    """The fix of a second around 23:59:60, which is second 0; before it they are below 0."""
    utc = NEW_YEAR + (second if second <= 0 else second - 1) * SECOND
    fix = TrueFix(utc, (second + 100) * SECOND + late_us)
    if not second:
        fix.valid, fix.reasons = False, ("leap second",)
    return fix


def truth(mono_us):
    """UTC by the label that repeats 00:00:00."""
    label = NEW_YEAR + mono_us - 100 * SECOND
    return label - (SECOND if label >= NEW_YEAR + SECOND else 0)


def test_the_label_follows_a_second_that_is_seen_and_the_bound_always_holds():
    # told by 23:59:60; by a receiver that does not say it; in an outage; by one that wobbles
    for missing, late in (((), 0), ((0,), 0), ((-1, 0, 1, 2), 0), ((), 30_000)):
        clock = known()
        for second in range(-60, 12):
            if second not in missing:
                clock.sample(leap_fix(second, late if second % 2 else -late))
            for tenth in range(1, 11):
                now = (second + 100) * SECOND + tenth * 100_000
                clock.slew(100_000, now)
                off = abs((clock.utc(now) or truth(now)) - truth(now))
                assert not off or off <= clock.bound_us(now), (missing, second, tenth, off)
        eq((clock.relabelled, clock.leap.count, clock.doubts), (1, 19, []))
        eq((clock.verdicts.counts, clock.state(112 * SECOND)), ({}, "sync"))
        assert clock.bound_us(112 * SECOND) < SECOND // 2


def test_a_turn_of_the_year_without_a_leap_second_widens_nothing_for_long():
    clock = known()
    wide = 0
    for second in range(-60, 12):
        clock.sample(TrueFix(NEW_YEAR + second * SECOND, (second + 100) * SECOND))
        for tenth in range(1, 11):
            now = (second + 100) * SECOND + tenth * 100_000
            clock.slew(100_000, now)
            wide += (clock.bound_us(now) or 0) > SECOND
    eq((clock.relabelled, clock.verdicts.counts), (0, {}))
    assert wide <= 1


def test_a_month_s_end_in_silence_leaves_a_second_open():
    clock = known(drift_ppb=0, tempco_ppb=0)
    for second in range(-60, -20):
        clock.sample(TrueFix(NEW_YEAR + second * SECOND, (second + 100) * SECOND))
        clock.slew(SECOND, (second + 100) * SECOND)
    before, after = clock.bound_us(99 * SECOND), clock.bound_us(102 * SECOND)
    assert SECOND - 1000 <= after - before <= SECOND + 1000
    clock.sample(TrueFix(NEW_YEAR + 3 * SECOND, 103 * SECOND))
    assert clock.bound_us(103 * SECOND) < SECOND


def test_sixty_in_the_middle_of_a_month_moves_nothing():
    clock = known()
    for second in range(60):
        clock.sample(TrueFix(UTC + second * SECOND, second * SECOND))
    fix = TrueFix(UTC + 60 * SECOND, 60 * SECOND)
    fix.valid, fix.reasons = False, ("leap second",)
    assert not clock.sample(fix)
    clock.slew(SECOND, 62 * SECOND)
    eq((clock.relabelled, clock.utc(62 * SECOND)), (0, UTC + 62 * SECOND))


def test_fixes_of_a_line_that_cannot_keep_up_are_late_and_no_lie():
    clock = known()
    for i in range(60):
        clock.sample(TrueFix(UTC + i * SECOND, i * SECOND))
    for i in range(60, 120):
        fix = TrueFix(UTC + i * SECOND, i * SECOND + (i - 59) * 100_000)
        fix.crowded = True
        assert not clock.sample(fix)
    eq((clock.late, clock.state(130 * SECOND), clock.verdicts.counts), (60, "holdover", {}))
