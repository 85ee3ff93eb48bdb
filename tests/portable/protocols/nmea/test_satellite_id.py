# SPDX-License-Identifier: Apache-2.0
"""Numbers to satellites and signals: every dialect, and no satellite twice."""

from protocols.nmea.satellite_id import (
    TALKERS,
    VENDORS,
    identify,
    implied_signal,
    signal_name,
    system_of,
)
from tests.portable.support.check import eq

LONG = ("test_every_number_is_identified",)


def test_systems() -> None:
    for talker, system in (
        (b"GP", "GPS"),
        (b"GL", "GLO"),
        (b"GA", "GAL"),
        (b"BD", "BDS"),
        (b"GB", "BDS"),
        (b"GQ", "QZS"),
        (b"QZ", "QZS"),
        (b"GI", "IRN"),
        (b"PQ", "PQ"),
        (b"GN", ""),
        (b"XX", ""),
    ):
        eq(system_of(talker, None), system)
        eq(system_of(talker, 0), system)
    for number, system in enumerate(("GPS", "GLO", "GAL", "BDS", "QZS", "IRN")):
        eq(system_of(b"GN", number + 1), system)
        eq(system_of(b"PQ", number + 1), system)
    eq(system_of(b"GB", 9), "BDS")


def test_numbers() -> None:
    for system, number, gnss, sv in (
        ("BDS", 1, "BDS", 1),
        ("BDS", 37, "BDS", 37),
        ("BDS", 63, "BDS", 63),
        ("BDS", 119, "BDS", 19),
        ("BDS", 201, "BDS", 1),
        ("BDS", 263, "BDS", 63),
        ("BDS", 401, "BDS", 1),
        ("BDS", 463, "BDS", 63),
        ("BDS", 870, "BDS", 20),
        ("BDS", 861, "BDS", 11),
        ("", 219, "BDS", 19),
        ("", 419, "BDS", 19),
        ("GPS", 219, "BDS", 19),
        ("GPS", 32, "GPS", 32),
        ("GPS", 33, "SBAS", 120),
        ("", 64, "SBAS", 151),
        ("GPS", 131, "SBAS", 131),
        ("GPS", 65, "GLO", 1),
        ("GLO", 65, "GLO", 1),
        ("GLO", 88, "GLO", 24),
        ("GLO", 24, "GLO", 24),
        ("GPS", 193, "QZS", 1),
        ("QZS", 199, "QZS", 7),
        ("QZS", 3, "QZS", 3),
        ("GAL", 36, "GAL", 36),
        ("GAL", 102, "GAL", 2),
        ("", 302, "GAL", 2),
        ("GAL", 336, "GAL", 36),
        ("IRN", 7, "IRN", 7),
        ("IRN", 903, "IRN", 3),
        ("PQ", 19, "BDS", 19),
        ("PQ", 194, "QZS", 2),
        ("PQ", 219, "BDS", 19),
        ("PQ", 999, "BDS", 999),
        ("", 999, "GPS", 999),
        ("GAL", 900, "GAL", 900),
    ):
        eq((system, number, identify(system, number)), (system, number, (gnss, sv)))


def test_every_number_is_identified() -> None:
    for system in ("", "PQ") + tuple(TALKERS.values()):
        for number in range(10000):
            gnss, sv = identify(system, number)
            assert gnss in ("GPS", "GLO", "GAL", "BDS", "QZS", "IRN", "SBAS")
            assert 0 <= sv <= 9999


def test_all_twelve_beidou_signals() -> None:
    names = ["B1I", "B1Q", "B1C", "B1A", "B2a", "B2b", "B2a+b", "B3I", "B3Q", "B3A", "B2I", "B2Q"]
    for index in range(12):
        eq(signal_name("BDS", index + 1, None), names[index])
    for signal in (None, 0, 13, 15):
        eq(signal_name("BDS", signal, None), None)


def test_vendor_signal_ids() -> None:
    eq(
        [signal_name("BDS", s, "allystar") for s in (1, 2, 3, 4, 9)],
        ["B1I", "B2I", "B3I", "B2a", "B1C"],
    )
    eq(signal_name("BDS", 5, "allystar"), None)
    eq([signal_name("BDS", s, "telit") for s in range(1, 6)], ["B1", "B2a", "B2", "B3", "B1C"])
    eq(signal_name("GPS", 1, "allystar"), "L1 C/A")
    for vendor in VENDORS:
        eq(signal_name("BDS", 1, vendor) in ("B1I", "B1"), True)
        eq(signal_name("BDS", 0, vendor), None)


def test_signals_of_other_systems() -> None:
    for system, signal, name in (
        ("GPS", 8, "L5-Q"),
        ("GLO", 1, "G1 C/A"),
        ("GAL", 7, "L1-BC"),
        ("QZS", 10, "L6E"),
        ("IRN", 5, "L1-SPS"),
        ("SBAS", 1, "L1 C/A"),
        ("GPS", 9, None),
    ):
        eq(signal_name(system, signal, None), name)


def test_numbers_that_name_a_signal() -> None:
    eq(implied_signal("BDS", 870, None), "B2a")
    eq(implied_signal("BDS", 220, "allystar"), "B1I")
    eq(implied_signal("BDS", 220, None), None)
    eq(implied_signal("GPS", 870, None), None)
