# SPDX-License-Identifier: Apache-2.0
"""Orbits on both interpreters: elements, one known position, look angles, a constellation."""

from protocols.errors import DecodeError
from protocols.orbit import tle
from protocols.orbit.look_angle import GroundSite, sidereal_time
from protocols.orbit.sgp4 import Sgp4Orbit
from protocols.orbit.walker import Walker
from tests.portable.support.check import EPSILON, eq, raises

# Vallado's verification set: DELTA 1 DEB, near earth with normal drag.
LINE1 = "1 06251U 62025E   06176.82412014  .00008885  00000-0  12808-3 0  3985"
LINE2 = "2 06251  58.0579  54.0425 0030035 139.1568 221.1854 15.56387291  6774"


ROUGH = 1e5 * EPSILON
"""With 32-bit floats 12 m or 0.012 degrees: negligible for a contact window."""


def check_near(actual, expected, tolerance):
    assert abs(actual - expected) <= tolerance + ROUGH, "got %r, want %r" % (actual, expected)


def test_verification_set_position():
    satellite = Sgp4Orbit(tle.parse(LINE1, LINE2))
    for minutes, want in (
        (0, (3988.31022699, 5498.96657235, 0.90055879)),
        (360, (4993.62642836, 2890.54969900, -3600.40145627)),
    ):
        place = satellite.position_after(float(minutes))
        for got, expected in zip(place, want):
            check_near(got, expected, 1e-6)


def test_invalid_elements():
    raises(DecodeError, tle.parse, LINE1[:-1] + "6", LINE2)
    raises(DecodeError, tle.parse, LINE1[:60], LINE2)
    raises(DecodeError, tle.parse, LINE2, LINE1)
    high = "2 06251  58.0579  54.0425 0030035 139.1568 221.1854  2.00387291  677"
    digits = sum([int(c) if c.isdigit() else int(c == "-") for c in high]) % 10
    raises(DecodeError, Sgp4Orbit, tle.parse(LINE1, high + str(digits)))


def test_look_angles():
    site = GroundSite(0, 0)
    noon = 1_795_500_000_000_000
    x, y, z = site.zenith(noon)
    elevation, _ = site.look_angles((x * 7000.0, y * 7000.0, z * 7000.0), noon)
    check_near(elevation, 90.0, 1e-3)
    elevation, azimuth = site.look_angles((x * 6500.0, y * 6500.0, 1000.0), noon)
    check_near(min(azimuth, 360.0 - azimuth), 0.0, 1e-6)  # due north
    check_near(elevation, 6.8, 0.2)


def test_sidereal_time():
    # 2026-01-01T00:00:00Z, by gstime of the package sgp4
    check_near(sidereal_time(1_767_225_600_000_000) * 57.29577951308232, 100.66086, 1e-4)
    day = 86_164_090_500
    check_near(
        sidereal_time(1_767_225_600_000_000 + day), sidereal_time(1_767_225_600_000_000), 1e-6
    )


def test_constellation():
    walker = Walker(6, 11, 780, 86.4, spread_deg=180, phasing_half=6)
    eq(walker.count, 66)
    for index in (0, 10, 11, 65):
        x, y, z = walker.position_at(index, 1_795_500_000_000_000)
        check_near((x * x + y * y + z * z) ** 0.5, walker.radius_km, 1e-6)
    check_near(6.283185307 / walker.rate / 60.0, 100.4, 0.2)  # minutes
    one, two = walker.position_at(3, 10**15), walker.position_at(3, 10**15 + 1_000_000)
    check_near(sum([(a - b) ** 2 for a, b in zip(one, two)]) ** 0.5, 7.46, 0.02)  # km/s
