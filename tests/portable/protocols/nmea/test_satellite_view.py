# SPDX-License-Identifier: Apache-2.0
"""The satellites of one epoch: each once, used among visible, missing ones reported."""

from protocols.nmea.satellite_sentences import Gsa, Gsv
from protocols.nmea.satellite_view import SatelliteInView, SatelliteView
from protocols.nmea.sentences import parse
from tests.portable.support.check import eq


def sentences(*bodies: str) -> "list[Gsv | Gsa]":
    found: list[Gsv | Gsa] = []
    for body in bodies:
        sentence, reason = parse(body.encode())
        assert isinstance(sentence, (Gsv, Gsa)), reason
        found.append(sentence)
    return found


def make_view(*bodies: str) -> SatelliteView:
    return SatelliteView(sentences(*bodies))


def satellite_names(view: SatelliteView) -> "list[str]":
    return ["%s%s" % (s.gnss, s.sv) for s in view.satellites]


def find_satellite(view: SatelliteView, gnss: str, sv: "int | None") -> SatelliteInView:
    found = [s for s in view.satellites if (s.gnss, s.sv) == (gnss, sv)]
    eq(len(found), 1)
    return found[0]


B1 = (
    "GBGSV,2,1,05,02,65,233,50,03,71,141,48,05,39,254,44,07,62,180,48,1",
    "GBGSV,2,2,05,09,11,022,,1",
)
B2 = ("GBGSV,1,1,02,02,65,233,41,03,71,141,,5",)
B3 = ("GBGSV,1,1,01,02,65,233,52,B",)


def test_satellite_is_one_entry_with_signals() -> None:
    view = make_view(*(B1 + B2 + B3))
    eq(satellite_names(view), ["BDS2", "BDS3", "BDS5", "BDS7", "BDS9"])
    eq((view.visible, view.used, view.complete), (5, 0, True))
    eq(view.satellites[0].signals, [(1, "B1I", 50), (5, "B2a", 41), (11, "B2I", 52)])
    eq(view.satellites[0].cn0, 52)
    eq(view.satellites[1].signals, [(1, "B1I", 48)])
    eq((view.satellites[4].signals, view.satellites[4].cn0), ([], None))
    eq((view.satellites[4].elevation, view.satellites[4].azimuth), (11, 22))
    eq(view.gsv_sets, {(b"GB", 1), (b"GB", 5), (b"GB", 11)})


def test_used_by_every_dialect() -> None:
    for gsa in (
        "GNGSA,A,3,02,05,,,,,,,,,,,1.6,1.3,0.9,4",
        "GNGSA,A,3,202,205,,,,,,,,,,,1.6,1.3,0.9,4",
        "BDGSA,A,3,02,05,,,,,,,,,,,1.6,1.3,0.9",
        "GBGSA,A,3,402,405,,,,,,,,,,,1.6,1.3,0.9,4",
        "PQGSA,A,3,02,05,,,,,,,,,,,1.6,1.3,0.9,4",
        "GNGSA,A,3,02,05,,,,,,,,,,,1.6,1.3,0.9",
    ):
        view = make_view(*(B1 + (gsa,)))
        eq([s.sv for s in view.satellites if s.used], [2, 5])
        eq((view.visible, view.used, view.fix), (5, 2, 3))
        eq((view.pdop_centi, view.hdop_centi, view.vdop_centi), (160, 130, 90))


def test_used_not_more_than_visible() -> None:
    view = make_view("GPGSV,1,1,01,01,10,020,30,1", "GNGSA,A,3,01,07,09,,,,,,,,,,1.6,1.3,0.9,1")
    eq(satellite_names(view), ["GPS1", "GPS7", "GPS9"])
    eq((view.visible, view.used), (3, 3))


def test_system_is_guessed_from_satellites_in_view() -> None:
    view = make_view(
        "GPGSV,1,1,02,01,10,020,30,05,20,030,31",
        "BDGSV,1,1,03,01,10,020,30,08,20,030,31,13,40,050,33",
        "GNGSA,A,3,01,05,,,,,,,,,,,1.6,1.3,0.9",
        "GNGSA,A,3,08,13,,,,,,,,,,,1.6,1.3,0.9",
    )
    eq(view.visible, 5)
    eq([(s.gnss, s.sv) for s in view.satellites if s.used],
       [("GPS", 1), ("GPS", 5), ("BDS", 8), ("BDS", 13)])  # fmt: skip
    mixed = make_view("GNGSA,A,3,05,68,214,,,,,,,,,,1.6,1.3,0.9")
    eq(satellite_names(mixed), ["GPS5", "GLO4", "BDS14"])


def test_system_is_guessed_from_the_numbers_as_sent() -> None:
    # a Jackson Labs receiver: no system id, one GSV set an epoch, its own numbers for Galileo
    gsa = ("GNGSA,A,3,27,9,20,5,4,30,8,7,14,,,,0.00,0.00,0.00",
           "GNGSA,A,3,307,301,319,327,321,,,,,,,,0.00,0.00,0.00")  # fmt: skip
    gal = ("GAGSV,2,1,08,301,26,315,40,304,9,225,37,307,12,45,33,318,23,75,41",
           "GAGSV,2,2,08,319,66,223,39,320,0,0,35,321,78,312,43,327,46,137,40")  # fmt: skip
    view = make_view(*(gal + gsa))
    used = [s for s in view.satellites if s.used]
    eq([s.sv for s in used if s.gnss == "GPS"], [27, 9, 20, 5, 4, 30, 8, 7, 14])
    eq([s.sv for s in used if s.gnss == "GAL"], [1, 7, 19, 21, 27])
    eq(len(used), 14)


def test_system_is_guessed_from_an_earlier_epoch() -> None:
    first = make_view("BDGSV,1,1,03,01,10,020,30,08,20,030,31,13,40,050,33")
    gsa = "GNGSA,A,3,08,13,,,,,,,,,,,1.6,1.3,0.9"
    for bodies in ((gsa,), ("GPGSV,1,1,01,08,10,020,30", gsa)):
        later = SatelliteView(sentences(*bodies), sent=first.sent)
        eq([(s.gnss, s.sv) for s in later.satellites if s.used], [("BDS", 8), ("BDS", 13)])


def test_incomplete_set_is_reported() -> None:
    whole = (
        "GPGSV,3,1,09,01,10,020,30,02,10,020,30,03,10,020,30,04,10,020,30",
        "GPGSV,3,2,09,05,10,020,30,06,10,020,30,07,10,020,30,08,10,020,30",
        "GPGSV,3,3,09,09,10,020,30",
    )
    eq(make_view(*whole).complete, True)
    for at in range(3):
        eq(make_view(*(whole[:at] + whole[at + 1 :])).complete, False)
    eq(make_view(*(whole[:2] + B3)).complete, False)
    eq(make_view(*(B3 + whole[:2])).complete, False)
    eq(make_view(*(B3 + whole)).complete, True)
    eq(make_view(whole[0], whole[2], whole[1]).complete, False)
    eq(make_view().complete, False)
    # the number in view can be empty
    eq(make_view("GPGSV,2,1,,01,10,020,30,02,10,020,30,03,10,020,30,04,10,020,30").complete, False)
    eq(make_view("GPGSV,1,1,,01,10,020,30").complete, True)
    # three are in view, two are listed
    eq(make_view("GPGSV,1,1,03,01,10,020,30,02,10,020,30").complete, False)


def test_set_can_continue_over_signals() -> None:
    view = make_view(
        "BDGSV,2,1,03,216,79,57,44,220,53,301,44,870,53,301,40,,,,", "BDGSV,2,2,03,,,,,,,,,,,,,,,,"
    )
    eq(satellite_names(view), ["BDS16", "BDS20"])
    eq(view.satellites[1].signals, [(None, None, 44), (None, "B2a", 40)])
    eq(view.complete, True)
    view = make_view("GBGSV,2,1,02,01,10,020,30,1", "GBGSV,2,2,02,01,10,020,35,5")
    eq((view.visible, view.complete), (1, True))


def test_lost_set_is_detected() -> None:
    before = make_view(*(B1 + B2))
    after = sentences(*B1)
    eq(SatelliteView(after).complete, True)
    eq(SatelliteView(after, None, None, before.gsv_sets).complete, False)
    eq(SatelliteView(sentences(*(B1 + B2)), None, None, before.gsv_sets).complete, True)


def test_set_spread_over_epochs() -> None:
    first = make_view("GPGSV,2,1,05,01,10,020,30,02,10,020,30,03,10,020,30,04,10,020,30")
    eq((first.visible, first.complete), (4, False))
    second = SatelliteView(sentences("GPGSV,2,2,05,05,10,020,30"), None, first.open_sets)
    eq((second.visible, second.complete, second.open_sets), (5, True, {}))
    alone = make_view("GPGSV,2,2,05,05,10,020,30")
    eq((alone.visible, alone.complete, alone.open_sets), (1, False, {}))


def test_unknown_fields_stay_none() -> None:
    view = make_view("GLGSV,1,1,02,,65,190,31,,,,28", "BDGSV,1,1,02,01,00,000,45,19,,,47")
    eq([(s.gnss, s.sv, s.cn0) for s in view.satellites],
       [("GLO", None, 31), ("GLO", None, 28), ("BDS", 1, 45), ("BDS", 19, 47)])  # fmt: skip
    for satellite in view.satellites[1:]:
        eq((satellite.elevation, satellite.azimuth), (None, None))
    view = make_view("GPGSV,1,1,01,05,99,400,30,1")
    eq((view.satellites[0].elevation, view.satellites[0].azimuth), (None, None))
    eq(make_view("GPGSV,1,1,01,05,10,360,30,1").satellites[0].azimuth, 0)


def test_nothing_in_view() -> None:
    for body in ("GPGSV,1,1,00,,,,,", "GPGSV,1,1,00", "GQGSV,1,1,00,1", "GPGSV,0,0,00"):
        view = make_view(body)
        eq((view.visible, view.used, view.complete, view.has_gsv), (0, 0, True, True))


def test_malformed_satellites_keep_the_rest() -> None:
    view = make_view("GPGSV,2,1,05,01,10,020,30,0x,10,020,30,1", "GPGSV,2,2,05,05,10,020,30,1",
               "GNGSA,A,3,01,x,,,,,,,,,,,1.6,1.3,0.9,1")  # fmt: skip
    eq((view.malformed, view.complete, satellite_names(view)), (2, False, ["GPS5"]))


def test_satellite_list_is_bounded() -> None:
    bodies = []
    for part in range(60):
        quads = ",".join(["%d,10,020,30" % (part * 4 + at + 1000) for at in range(4)])
        bodies.append("GPGSV,60,%d,240,%s" % (part + 1, quads))
    view = make_view(*bodies)
    eq((view.visible, view.complete), (160, False))
