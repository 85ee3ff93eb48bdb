# SPDX-License-Identifier: Apache-2.0
"""Fields and sentences: exact integers for good ones, a named reason for every bad field."""

from protocols import calendar
from protocols.errors import DecodeError
from protocols.nmea import fields
from protocols.nmea.satellite_sentences import Gsa, Gsv
from protocols.nmea.sentences import Gga, Rmc, Zda, kind_of, parse
from tests.portable.support.check import eq, raises

RMC = b"GNRMC,013014.250,A,1343.91201,N,10038.68414,E,0.00,225.79,130626,,,A,V"
GGA = b"GBGGA,093000.00,2512.34567,S,05516.5,W,1,16,0.72,-12.3456,M,-33.1,M,,"
ZDA = b"BDZDA,235960.50,31,12,2016,00,00"


def rmc(body: bytes = RMC) -> Rmc:
    sentence, reason = parse(body)
    assert isinstance(sentence, Rmc), reason
    return sentence


def gga(body: bytes = GGA) -> Gga:
    sentence, reason = parse(body)
    assert isinstance(sentence, Gga), reason
    return sentence


def zda(body: bytes = ZDA) -> Zda:
    sentence, reason = parse(body)
    assert isinstance(sentence, Zda), reason
    return sentence


def gsa(body: bytes) -> Gsa:
    sentence, reason = parse(body)
    assert isinstance(sentence, Gsa), reason
    return sentence


def gsv(body: bytes) -> Gsv:
    sentence, reason = parse(body)
    assert isinstance(sentence, Gsv), reason
    return sentence


def with_field(body: bytes, index: int, value: bytes) -> bytes:
    parts = body.split(b",")
    parts[index] = value
    return b",".join(parts)


def test_rmc() -> None:
    got = rmc()
    eq(got.talker, b"GN")
    eq(got.time_us, 5414250000)
    eq((got.status, got.mode, got.nav_status), (b"A", b"A", b"V"))
    eq((got.lat_e7, got.lon_e7), (137318668, 1006447357))
    eq(got.date, (2026, 6, 13))


def test_rmc_of_each_nmea_version() -> None:
    old = rmc(b"GPRMC,163004.00,A,4808.9990,N,01135.0790,E,000.0,000.0,220899,003.0,E")
    eq((old.date, old.mode, old.nav_status), ((1999, 8, 22), b"", b""))
    eq(rmc(b"GPRMC,163004.00,A,4808.9990,N,01135.0790,E,0,0,220899,003.0,E,D").mode, b"D")
    empty = rmc(b"GNRMC,,V,,,,,,,,,,N,V")
    eq((empty.time_us, empty.lat_e7, empty.lon_e7, empty.date), (None, None, None, None))
    eq((empty.status, empty.mode), (b"V", b"N"))


def test_gga() -> None:
    got = gga()
    eq(got.talker, b"GB")
    eq(got.time_us, 34200000000)
    eq((got.lat_e7, got.lon_e7), (-252057612, -552750000))
    eq((got.quality, got.used, got.hdop_centi, got.alt_mm), (1, 16, 72, -12345))
    none = gga(b"GPGGA,,,,,,,,,,,,,,")
    eq((none.time_us, none.lat_e7, none.quality, none.used, none.alt_mm), (None,) * 5)
    eq(gga(b"GPGGA,,,,,,0,00,25.5,,,,,,").hdop_centi, 2550)


def test_gga_with_one_field_more_or_less() -> None:
    # SiRF-TriG ends each GGA with one more comma, Saab R4 leaves out the last field
    triad = gga(b"GNGGA,074150.799,2503.7,N,12138.7,E,1,05,1.2,9.5,M,0.0,M,,0000,")
    eq((triad.quality, triad.used, triad.alt_mm), (1, 5, 9500))
    eq(gga(b"GPGGA,130711,5012.79,N,00806.8796,W,2,,,,,,,").quality, 2)


def test_zda() -> None:
    got = zda()
    eq((got.talker, got.date), (b"BD", (2016, 12, 31)))
    eq(got.time_us, calendar.DAY + 500000)
    empty = zda(b"GNZDA,,,,,,")
    eq((empty.time_us, empty.date), (None, None))


def test_gsa() -> None:
    detail = gsa(b"GNGSA,A,2,208,211,213,,,,,,,,,,1.6,1.3,0.9,4").decode()
    eq(detail.satellites, [208, 211, 213])
    eq((detail.fix, detail.system), (2, 4))
    eq((detail.pdop_centi, detail.hdop_centi, detail.vdop_centi), (160, 130, 90))
    sirf = gsa(b"BDGSA,A,3,02,03,04,,,,,,,,,,2.1,1.1,1.8,1.2").decode()
    eq((sirf.satellites, sirf.system, sirf.vdop_centi), ([2, 3, 4], None, 180))
    cold = gsa(b"GPGSA,,1,,,,,,,,,,,,,,,,").decode()
    eq((cold.satellites, cold.fix, cold.pdop_centi, cold.system), ([], 1, None, None))
    old = gsa(b"GPGSA,A,3,23,13,07,25,,,,,,,,,09.2,07.2,05.7").decode()
    eq((old.satellites, old.pdop_centi, old.vdop_centi), ([23, 13, 7, 25], 920, 570))
    many = gsa(b"GPGSA,A,3,23,13,07,25" + b"," * 21 + b"09.2,07.2,05.7").decode()
    eq((many.satellites, many.hdop_centi, many.system), ([23, 13, 7, 25], 720, None))
    raises(DecodeError, gsa(b"GNGSA,A,3,x,,,,,,,,,,,,1.6,1.3,0.9,4").decode)


def test_gsv() -> None:
    got = gsv(b"GBGSV,2,1,05,02,65,233,50,03,71,141,48,05,39,254,44,07,62,180,48,B")
    eq((got.talker, got.total, got.number, got.in_view), (b"GB", 2, 1, 5))
    eq(got.signal(), 11)
    eq(got.satellites()[0], (2, 65, 233, 50))
    eq(len(got.satellites()), 4)
    last = gsv(b"GAGSV,2,2,07,27,18,333,,30,16,279,,05,11,185,41,,,,,7")
    eq(last.satellites(), [(27, 18, 333, None), (30, 16, 279, None), (5, 11, 185, 41)])
    eq(last.signal(), 7)
    eq(gsv(b"GLGSV,1,1,01,,65,190,31").satellites(), [(None, 65, 190, 31)])
    eq(gsv(b"GLGSV,1,1,01,70,-05,190,31").satellites(), [(70, -5, 190, 31)])
    eq(gsv(b"GPGSV,1,1,01,007,09,005,08").satellites(), [(7, 9, 5, 8)])
    eq(gsv(b"GBGSV,1,1,01,0813,9,5,8,4").content(), (None, 4, [(813, 9, 5, 8)]))
    for field in (b"02,65,2330,50", b"02,65,233,050", b"00002,65,233,50", b"02,65,233,5x"):
        raises(DecodeError, gsv(b"GPGSV,1,1,01," + field).satellites)
    none = gsv(b"GPGSV,1,1,00,,,,,")
    eq((none.in_view, none.satellites(), none.signal()), (0, [], None))
    bare = gsv(b"GPGSV,1,1,00")
    eq((bare.in_view, bare.satellites(), bare.signal()), (0, [], None))
    quectel = gsv(b"PQGSV,4,1,14,04,,,32,12,46,282,30,19,50,092,31,25,17,302,26,0,4")
    eq((quectel.talker, quectel.signal(), len(quectel.satellites())), (b"PQ", 0, 4))
    raises(DecodeError, gsv(b"GPGSV,1,1,01,x,1,2,3").satellites)


def test_gsv_with_wrong_field_count() -> None:
    for body, reason in (
        (b"GPGSV,3,3,12,2,40,16,00,090,", "fields"),
        (b"GPGSV,3,3,12,2,40,16", "fields"),
        (b"GPGSV,3,3", "fields"),
        (b"GPGSV,3,4,12", "part"),
        (b"GPGSV,3,0,12", "part"),
        (b"GPGSV,,1,12", "part"),
        (b"GPGSV,3,1,x", "in view"),
    ):
        eq(parse(body), (None, reason))


def test_kinds() -> None:
    eq(kind_of(RMC), b"RMC")
    eq(kind_of(b"GNVTG,225.79,T,,M,0.01,N,0.02,K,A"), b"VTG")
    eq(kind_of(b"GNTHS,225.79,A"), b"")
    for body in (
        b"",
        b"G",
        b"GPRMC",
        b"GNRMCX,",
        b"RMC,1",
        b"gPRMC,1",
        b"1PRMC,1",
        b"PMTK001,604,3",
        b"\xff\xffRMC,1",
    ):
        eq(parse(body), (None, "kind"))


def test_invalid_field_has_reason() -> None:
    cases = (
        (
            RMC,
            1,
            "time",
            b"01301 0130140 013014,2 2530 250000.0 016000 015961 235961 -13014 0130.14",
        ),
        (RMC, 2, "status", b"B AA a"),
        (RMC, 3, "latitude", b"x 13x3.9 9000.00001 1360.0 --1343.9 1343.9.1 .5 1343.x 1343,9"),
        (RMC, 4, "latitude", b"E NS n"),
        (RMC, 5, "longitude", b"18000.1 10060.00 x"),
        (RMC, 6, "longitude", b"N EW"),
        (RMC, 9, "date", b"300226 13062 1306266 130026 001226 1306x6 +10626"),
        (GGA, 6, "quality", b"x 11 -1"),
        (GGA, 7, "used", b"x -1 9999 1.0"),
        (GGA, 8, "hdop", b"x 1.x . 1.-2"),
        (GGA, 9, "altitude", b"x --1 1e3 +5 9999999999.0"),
        (ZDA, 2, "date", b"32 x 00 001"),
        (ZDA, 3, "date", b"13 00 x"),
        (ZDA, 4, "date", b"0 x 20266"),
    )
    for body, index, name, values in cases:
        for value in values.split(b" "):
            got = parse(with_field(body, index, value))
            eq(got, (None, "fields" if b"," in value else name))
    for body, index, name in (
        (RMC, 3, "latitude"),
        (RMC, 4, "latitude"),
        (GGA, 5, "longitude"),
        (ZDA, 2, "date"),
        (ZDA, 4, "date"),
    ):
        eq(parse(with_field(body, index, b"")), (None, name))


def test_wrong_number_of_fields() -> None:
    for body in (RMC, GGA, ZDA):
        eq(parse(body + b",1"), (None, "fields"))
    eq(parse(GGA[:-2]), (None, "fields"))
    eq(parse(GGA + b",,"), (None, "fields"))
    eq(parse(ZDA[:-3]), (None, "fields"))
    eq(parse(RMC[:30]), (None, "fields"))
    eq(parse(b"GPGSA,A,3"), (None, "fields"))


def test_angles_round_and_stay_in_range() -> None:
    eq(fields.parse_angle(b"9000.000", b"N", b"NS", 90), 900000000)
    eq(fields.parse_angle(b"9000.000", b"S", b"NS", 90), -900000000)
    eq(fields.parse_angle(b"18000", b"W", b"EW", 180), -1800000000)
    eq(fields.parse_angle(b"0000.0000001", b"N", b"NS", 90), 0)
    eq(fields.parse_angle(b"0000.0000030", b"N", b"NS", 90), 1)
    eq(fields.parse_angle(b"0000.00000309", b"N", b"NS", 90), 1)
    eq(fields.parse_angle(b"0030.5", b"E", b"EW", 180), 5083333)
    eq(fields.parse_angle(b"", b"", b"EW", 180), None)


def test_decimals() -> None:
    eq(fields.parse_decimal(b"1.23456", 3, "x"), 1234)
    eq(fields.parse_decimal(b"-1.23456", 3, "x"), -1234)
    eq(fields.parse_decimal(b"7", 3, "x"), 7000)
    eq(fields.parse_decimal(b"7.", 3, "x"), 7000)
    eq(fields.parse_decimal(b"-5.9", 0, "x"), -5)
    eq(fields.parse_decimal(b"0.05", 1, "x"), 0)
    eq(fields.parse_decimal(b"", 1, "x"), None)
    eq(fields.parse_time_of_day(b"235959.9999999"), calendar.DAY - 1)
    eq(fields.parse_time_of_day(b"000000"), 0)


def test_noise_never_raises() -> None:
    seed = 11
    alphabet = b",,,,,.-0123456789AVNSEW\xff\0"
    for turn in range(3000):
        body = bytearray((RMC, GGA, ZDA, b"GNGSA,A,3", b"GPGSV,1,1,0")[turn % 5])
        for _ in range(1 + turn % 7):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            value = seed >> 12
            body[value % len(body)] = alphabet[(value >> 8) % len(alphabet)]
        sentence, reason = parse(bytes(body))
        assert (sentence is None) == bool(reason)
        for look in (getattr(sentence, "decode", None), getattr(sentence, "satellites", None)):
            if look:
                try:
                    look()
                except DecodeError:
                    pass
