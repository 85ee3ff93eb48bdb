# SPDX-License-Identifier: Apache-2.0
"""SGP4 and look angles against the package sgp4 and Vallado's verification set."""

import math
import random
from pathlib import Path

import pytest
import sgp4
from sgp4.api import WGS72, Satrec, jday

from protocols.errors import DecodeError
from protocols.orbit import tle
from protocols.orbit.sgp4 import MeanElements, Sgp4Orbit
from protocols.orbit.walker import Walker

_FOLDER = Path(sgp4.__file__).parent


def _verification_set():
    lines = (_FOLDER / "SGP4-VER.TLE").read_text(encoding="ascii").splitlines()
    pairs = [line for line in lines if line[:2] in ("1 ", "2 ")]
    return [(a[:69], b[:69]) for a, b in zip(pairs[::2], pairs[1::2], strict=True)]


def test_verification_set_matches_sgp4_package():
    compared, worst = 0, 0.0
    for line1, line2 in _verification_set():
        oracle = Satrec.twoline2rv(line1, line2, WGS72)
        try:
            actual = Sgp4Orbit(tle.parse(line1, line2))
        except DecodeError:
            continue  # deep space, or with intended errors
        for minutes in range(-1440, 2881, 60):
            error, place, _ = oracle.sgp4_tsince(float(minutes))
            got = actual.position_after(float(minutes))
            if error:
                continue
            assert got is not None
            worst = max(worst, math.dist(got, place))
            compared += 1
    assert compared > 500
    assert worst < 1e-5  # km


def test_random_leo_elements_match_sgp4_package():
    rng = random.Random(7)
    for _ in range(100):
        oracle = Satrec()
        oracle.sgp4init(
            WGS72, "i", 1, 28_000.0, rng.uniform(0, 2e-4), 0.0, 0.0,
            rng.uniform(1e-5, 0.01), rng.uniform(0, 6.28), rng.uniform(0.1, 3.1),
            rng.uniform(0, 6.28), rng.uniform(0.058, 0.068), rng.uniform(0, 6.28),
        )  # fmt: skip
        elements = MeanElements(0, oracle.no_kozai, oracle.ecco, oracle.inclo)
        elements.node, elements.perigee = oracle.nodeo, oracle.argpo
        elements.anomaly, elements.bstar = oracle.mo, oracle.bstar
        actual = Sgp4Orbit(elements)
        for minutes in (0.0, 97.3, 1440.0, 4320.0):
            _, place, _ = oracle.sgp4_tsince(minutes)
            assert math.dist(actual.position_after(minutes), place) < 1e-6


def test_epoch_of_elements_in_microseconds():
    line1, line2 = _verification_set()[2]
    oracle = Satrec.twoline2rv(line1, line2, WGS72)
    days = (oracle.jdsatepoch - 2440587.5) + oracle.jdsatepochF
    assert tle.parse(line1, line2).epoch_us == pytest.approx(days * 86400e6, abs=50)
    assert sum(jday(1970, 1, 1, 0, 0, 0)) == 2440587.5


def test_constellation_drift_matches_sgp4():
    """A circular orbit of the package and of the Walker pattern stay within 1 degree for 3 days."""
    walker = Walker(6, 11, 780, 86.4, first=(30.0, 40.0, 0))
    oracle = Satrec()
    a_km = 6378.135 + 780
    # The mean motion of a TLE is Kozai's: it includes the drift of the mean anomaly.
    k = 0.75 * 0.001082616 * (6378.135 / a_km) ** 2 * (3 * math.cos(math.radians(86.4)) ** 2 - 1)
    motion = math.sqrt(398600.8 / a_km**3) * 60.0 * (1 + k)
    oracle.sgp4init(
        WGS72, "i", 1, (0 - -631152000) / 86400.0, 0.0, 0.0, 0.0, 1e-7, 0.0,
        math.radians(86.4), math.radians(40.0), motion, math.radians(30.0),
    )  # fmt: skip
    for hours in range(0, 73, 3):
        _, place, _ = oracle.sgp4_tsince(hours * 60.0)
        assert (
            math.dist(walker.position_at(0, hours * 3_600_000_000), place) < 130.0
        )  # km: 1 degree
