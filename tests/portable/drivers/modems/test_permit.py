# SPDX-License-Identifier: Apache-2.0
"""Radio rules: regions and their cities, licence, a move over a border, unknown position, band."""

from drivers.modems import REGIONS, load_rule
from drivers.modems.regions.permit import Permit
from drivers.modems.regions.rule import SYSTEMS, is_inside
from protocols.time_units import SECOND
from tests.portable.support.check import eq

DUBAI, DOHA, MUSCAT = (
    (252_048_000, 552_708_000),
    (252_900_000, 515_300_000),
    (235_900_000, 584_100_000),
)
CITIES = {
    "uae": ((2445, 5438), (2520, 5527), (2512, 5634), (2420, 5576), (2365, 5370)),
    "saudi_arabia": ((2471, 4667), (2149, 3919), (2642, 5009), (2838, 3657), (1750, 4420)),
    "qatar": ((2529, 5153), (2590, 5150), (2499, 5120)),
    "oman": ((2359, 5841), (1702, 5409), (2436, 5670), (2620, 5625), (2293, 5753)),
    "south_africa": ((-2620, 2805), (-3392, 1842), (-2986, 3102), (-2845, 2125), (-2235, 3004)),
    "kenya": ((-129, 3682), (-404, 3967), (-9, 3477), (312, 3560), (-45, 3965)),
    "nigeria": ((652, 338), (906, 749), (1200, 852), (482, 705), (1183, 1315)),
    "china": (
        (3990, 11640),
        (3123, 12147),
        (2313, 11326),
        (2965, 9110),
        (4380, 8760),
        (4580, 12650),
    ),
}
"""Cities of each region, latitude and longitude in 1/100 degree."""
HOUR = 3_600 * SECOND


def permit(region="uae", system="sbd", licence="L-1", site=DUBAI, position_s=7_200):
    return Permit(region, system, licence, site, position_s)


def test_each_city_is_in_its_region_only():
    for region in REGIONS:
        polygons = load_rule(region, "sbd")[1]
        for owner, places in CITIES.items():
            for lat, lon in places:
                inside = is_inside(polygons, lat * 100_000, lon * 100_000)
                eq((region, lat, lon, inside), (region, lat, lon, owner == region))


def test_each_region_has_a_rule_for_each_system():
    for region in REGIONS:
        for system in SYSTEMS:
            rule = load_rule(region, system)[0]
            assert rule.max_mw > 0
            assert rule.source
            assert rule.date
            assert rule.bands
            for low, high in rule.bands:
                assert low < high


def test_licence_and_bars_of_a_rule():
    eq(permit().reason, "")
    eq(permit(licence="").reason, "uae/sbd: a licence is required; name it as modem.licence")
    assert permit(system="rdss").reason.startswith("uae/rdss: BeiDou")
    assert permit("china", site=(390_000_000, 1_164_000_000)).reason.startswith(
        "china/sbd: a foreign"
    )
    eq(permit("bench", licence="", site=None).reason, "")
    eq(permit(site=DOHA).reason, "uae/sbd: the position is outside the region")


def test_unit_moved_over_a_border_stops_and_starts_again():
    unit = permit()
    for second in range(1, 100):
        unit.set_position(DUBAI if second < 20 else MUSCAT, second * SECOND)
        reason = unit.evaluate(second * SECOND)
        eq((second, reason != ""), (second, second >= 30))
    for second in range(100, 200):
        unit.set_position(DUBAI, second * SECOND)
        eq((second, unit.evaluate(second * SECOND) == ""), (second, second >= 110))


def test_single_wrong_positions_have_no_effect():
    unit = permit()
    for second in range(1, 200):
        unit.set_position(DUBAI if second % 5 else MUSCAT, second * SECOND)
        eq(unit.evaluate(second * SECOND), "")
        unit.set_position(MUSCAT, second * SECOND)  # the same fix again
    eq(unit.evaluate(200 * SECOND), "")
    wrong_for_8_s = [DUBAI if second % 40 > 8 else MUSCAT for second in range(1, 200)]
    fixes(unit, DUBAI, 200, 210)
    for second, place in enumerate(wrong_for_8_s):
        unit.set_position(place, (211 + second) * SECOND)
        eq(unit.evaluate((211 + second) * SECOND), "")


def test_positions_that_jump_to_and_fro_are_outside():
    for is_inside_at in (
        lambda second: second % 9 == 0,
        lambda second: second // 5 % 2 == 0,
        lambda second: second // 9 % 2 == 0,
    ):
        unit = permit()
        bars = []
        for second in range(1, 200):
            place = DUBAI if is_inside_at(second) else MUSCAT
            unit.set_position(place, second * SECOND)
            bars.append(unit.evaluate(second * SECOND) != "")
        first = bars.index(True)
        assert first < 90
        eq(set(bars[first:]), {True})


def test_positions_before_a_pause_do_not_allow_again():
    unit = permit(site=MUSCAT)
    for hour in range(1, 5):  # one stray position inside an hour
        unit.set_position(DUBAI, hour * HOUR)
        eq(unit.evaluate(hour * HOUR), "uae/sbd: the position is outside the region")
    for second in range(1, 12):
        unit.set_position(DUBAI, 4 * HOUR + second * SECOND)
    eq(unit.evaluate(4 * HOUR + 11 * SECOND), "")
    # positions outside bar also across a pause
    unit.set_position(MUSCAT, 5 * HOUR)
    unit.set_position(MUSCAT, 6 * HOUR)
    eq(unit.evaluate(6 * HOUR), "uae/sbd: the position is outside the region")


def test_unknown_position_counts_for_a_time():
    unit = permit()
    eq(unit.evaluate(2 * HOUR), "")
    eq(unit.evaluate(2 * HOUR + 1), "uae/sbd: the position is not known for 2 h")
    unit.set_position(DUBAI, 5 * HOUR)
    eq(unit.evaluate(5 * HOUR), "")
    unit = permit(site=None)
    eq(unit.reason, "uae/sbd: the position is not known")
    unit.set_position(MUSCAT, SECOND)
    eq(unit.evaluate(SECOND), "uae/sbd: the position is outside the region")


def test_reported_band_and_power():
    unit = permit(system="ntn_l")
    unit.set_radio(0, 1_626_500, 1_660_500, 200)
    eq(unit.evaluate(0), "")
    unit.set_radio(0, 1_980_000, 2_010_000, 200)
    eq(unit.evaluate(0), "uae/ntn_l: the modem reports 1980000 to 2010000 kHz")
    unit.set_radio(0, 1_626_500, 1_660_500, 201)
    eq(unit.evaluate(0), "uae/ntn_l: the modem reports 201 mW, 200 are allowed")
    unit.set_radio(0, 1_626_500, 1_660_500, None)
    eq(unit.evaluate(0), "")


def fixes(moved, position, first_s, last_s):
    for second in range(first_s, last_s + 1):
        moved.set_position(position, second * SECOND)


def test_a_unit_that_was_moved_while_it_was_off_waits_for_a_fix():
    unit = Permit("uae", "sbd", "L-1", DUBAI, 7_200, True)
    unit.start(1_000 * SECOND)
    eq((unit.reason, unit.allows(1_001 * SECOND)), ("", False))
    fixes(unit, MUSCAT, 1_003, 1_014)
    eq(unit.evaluate(1_014 * SECOND), "uae/sbd: the position is outside the region")
    eq(unit.allows(1_200 * SECOND), False)


def test_the_wait_for_a_fix_has_an_end():
    unit = Permit("uae", "sbd", "L-1", DUBAI, 7_200, True)
    unit.start(1_000 * SECOND)
    eq(unit.allows(1_119 * SECOND), False)
    eq(unit.allows(1_120 * SECOND), True)
    inside = Permit("uae", "sbd", "L-1", DUBAI, 7_200, True)
    inside.start(0)
    fixes(inside, DUBAI, 2, 2)
    eq(inside.allows(2 * SECOND), True)
    eq(permit().allows(0), True)  # a unit without a receiver does not wait
    eq(Permit("bench", "sbd", "", None, 7_200, True).allows(0), True)


def test_the_place_of_before_the_start_counts():
    before = Permit("uae", "sbd", "L-1", DUBAI, 7_200, True)
    eq(before.place, b"")
    before.start(0)
    fixes(before, MUSCAT, 1, 12)
    assert before.place
    for region, site, reason in (
        ("uae", DUBAI, "uae/sbd: the position is outside the region"),
        ("uae", (244_500_000, 543_800_000), ""),
        ("oman", MUSCAT, ""),
    ):
        after = Permit(region, "sbd", "L-1", site, 7_200, True)
        after.restore(before.place)
        eq(after.evaluate(1), reason)
    after = Permit("uae", "sbd", "L-1", DUBAI, 7_200, True)
    fixes(after, DUBAI, 1, 1)
    after.restore(before.place)
    eq(after.evaluate(SECOND), "")  # a fix is newer


def test_a_configured_position_counts_from_the_start_of_the_agent():
    unit = permit()
    unit.start(30 * 24 * HOUR)
    eq(unit.reason, "")
    assert "not known" in unit.evaluate(30 * 24 * HOUR + 7_201 * SECOND)
