# SPDX-License-Identifier: Apache-2.0
"""Real lines of receivers, each with a property that causes parser errors, and their meaning.

The file holds them unchanged, so that every interpreter and every clone tests them.
"""

from protocols.nmea import vendor_sentences
from protocols.nmea.framing import Framer
from protocols.nmea.nav_sentences import Gll, Gns
from protocols.nmea.satellite_sentences import Gsa, Gsv
from protocols.nmea.sentences import Rmc, parse
from protocols.nmea.vendor_sentences import VendorSentence
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import decode, single_epoch

GLUED = (
    b"\xeb.\x0f\x1b\xba\xce\x1c\x00\x01\x01\x05U\x01\x11\xabv\xa9?$GPTXT,01,01,01,ANTENNA OK*35\r\n"
)


def sentence(raw: bytes) -> "object":
    """Return the one sentence of a line."""
    found = Framer().feed(raw + b"\r\n")
    eq(len(found), 1)
    parsed, reason = parse(found[0][1])
    assert parsed is not None, reason
    return parsed


def view_entries(raw: bytes, vendor: "str | None" = None) -> "list[str]":
    """Return name, elevation, azimuth and signals of each satellite of a line."""
    texts = []
    for s in single_epoch(raw + b"\r\n", vendor).satellite_view.satellites:
        signals = ";".join(["%s:%s:%d" % signal for signal in s.signals])
        texts.append("%s%s %s/%s %s" % (s.gnss, s.sv, s.elevation, s.azimuth, signals))
    return texts


def used_satellites(raw: bytes) -> "list[str]":
    return [
        "%s%s" % (s.gnss, s.sv)
        for s in single_epoch(raw + b"\r\n").satellite_view.satellites
        if s.used
    ]


def test_satellites_in_view() -> None:
    for raw, want in (
        (
            b"$BDGSV,2,1,07,01,00,000,45,02,01,090,35,03,00,000,38,04,00,000,42*6A",
            (
                "BDS1 None/None None:None:45|BDS2 1/90 None:None:35|BDS3 None/None None:None:38"
                "|BDS4 None/None None:None:42"
            ),
        ),
        (
            b"$BDGSV,1,1,03,214,34,246,25,206,08,330,,212,04,172,26*65",
            "BDS14 34/246 None:None:25|BDS6 8/330 |BDS12 4/172 None:None:26",
        ),
        (b"$BDGSV,1,1,01,219,,,47*50", "BDS19 None/None None:None:47"),
        (
            b"$PQGSV,4,1,14,04,,,32,12,46,282,30,19,50,092,31,25,17,302,26,0,4*54",
            (
                "BDS4 None/None 0:None:32|BDS12 46/282 0:None:30|BDS19 50/92 0:None:31"
                "|BDS25 17/302 0:None:26"
            ),
        ),
        (
            b"$GBGSV,2,1,05,02,65,233,50,03,71,141,48,05,39,254,44,07,62,180,48,B*02",
            (
                "BDS2 65/233 11:B2I:50|BDS3 71/141 11:B2I:48"
                "|BDS5 39/254 11:B2I:44|BDS7 62/180 11:B2I:48"
            ),
        ),
        (
            b"$GBGSV,6,4,22,01,42,107,35,37,42,000,33,08,49,135,45,20,53,307,50,0*76",
            (
                "BDS1 42/107 0:None:35|BDS37 42/0 0:None:33"
                "|BDS8 49/135 0:None:45|BDS20 53/307 0:None:50"
            ),
        ),
        (
            b"$BDGSV,3,1,12,216,79,57,44,237,67,249,44,220,53,301,44,870,53,301,44*57",
            (
                "BDS16 79/57 None:None:44|BDS37 67/249 None:None:44"
                "|BDS20 53/301 None:None:44;None:B2a:44"
            ),
        ),
        (b"$GPGSV,1,1,00,,,,,*55", ""),
        (
            b"$GAGSV,2,1,04,102,28,167,40,103,69,097,33*61",
            "GAL2 28/167 None:None:40|GAL3 69/97 None:None:33",
        ),
        (
            b"$GAGSV,2,2,07,27,18,333,,30,16,279,,05,11,185,41,,,,,7*4F",
            "GAL27 18/333 |GAL30 16/279 |GAL5 11/185 7:L1-BC:41",
        ),
        (b"$GLGSV,1,1,01,,65,190,31*5D", "GLONone 65/190 None:None:31"),
    ):
        eq("|".join(view_entries(raw)), want)
    allystar = b"$BDGSV,3,1,12,216,79,57,44,237,67,249,44,220,53,301,44,870,53,301,44*57"
    eq(view_entries(allystar, "allystar")[2], "BDS20 53/301 None:B1I:44;None:B2a:44")


def test_satellites_used() -> None:
    for raw, want in (
        (b"$BDGSA,A,3,02,03,04,,,,,,,,,,2.1,1.1,1.8,1.2*2D", "BDS2 BDS3 BDS4"),
        (b"$GNGSA,A,2,208,211,213,,,,,,,,,,1.6,1.3,0.9,4*01", "BDS8 BDS11 BDS13"),
        (b"$PQGSA,A,3,12,,,,,,,,,,,,1.2,0.9,0.9,4*3C", "BDS12"),
        (b"$GPGSA,,1,,,,,,,,,,,,,,,,*73", ""),
        (b"$GPGSA,A,3,23,13,07,25,,,,,,,,,,,,,,,,,,,,,09.2,07.2,05.7*0D",
         "GPS23 GPS13 GPS7 GPS25"),
    ):  # fmt: skip
        eq(" ".join(used_satellites(raw)), want)
    wide = sentence(b"$GPGSA,A,3,23,13,07,25,,,,,,,,,,,,,,,,,,,,,09.2,07.2,05.7*0D")
    assert isinstance(wide, Gsa)
    detail = wide.decode()
    eq((detail.pdop_centi, detail.hdop_centi, detail.vdop_centi), (920, 720, 570))


def test_fixes() -> None:
    for raw, valid, utc, flags in (
        (b"$GNRMC,111338.00,V,,,,,,,040426,0.0,E,N,V*7F", False, 1775301218000000,
         ("status", "mode", "no position")),
        (b"$GNRMC,013014.000,A,1343.91201,N,10038.68414,E,0.00,225.79,130626,,,A,V*0D",
         True, 1781314214000000, ()),
        (b"$$GNRMC,135806.000,A,4723.00484,N,00045.88150,E,0.5,120.9,210325,,,A,C*11",
         True, 1742565486000000, ()),
        (b"$GPRMC,205150.00,V,,,,,,,,,,,V*4a", False, None,
         ("status", "no position", "no date")),
        (b"$GPRMC,163004.00,A,4808.9990,N,01135.0790,E,000.0,000.0,220899,003.0,E,A*3B",
         True, 1554654604000000, ("week rollover",)),
        (b"$GNGLL,5327.03598945,N,-0214.41467156,W,130058.00,A,A*7E", True, None, ("no date",)),
        (b"$GNGNS,043539.00,4333.190206,N,00127.618380,E,AAAAN,14,1.3,250.8,50.0,,,V*62",
         True, None, ("no date",)),
    ):  # fmt: skip
        epoch = single_epoch(raw + b"\r\n")
        eq((raw, epoch.valid, epoch.utc_us, epoch.flags), (raw, valid, utc, flags))


def test_positions() -> None:
    gll = sentence(b"$GNGLL,5327.03598945,N,-0214.41467156,W,130058.00,A,A*7E")
    assert isinstance(gll, Gll)
    eq((gll.lat_e7, gll.lon_e7), (534505998, -22402445))
    gns = sentence(b"$GNGNS,043539.00,4333.190206,N,00127.618380,E,AAAAN,14,1.3,250.8,50.0,,,V*62")
    assert isinstance(gns, Gns)
    eq((gns.lat_e7, gns.lon_e7, gns.modes), (435531701, 14603063, b"AAAAN"))
    rmc = sentence(b"$GNRMC,013014.000,A,1343.91201,N,10038.68414,E,0.00,225.79,130626,,,A,V*0D")
    assert isinstance(rmc, Rmc)
    eq((rmc.lat_e7, rmc.lon_e7, rmc.nav_status), (137318668, 1006447357, b"V"))


def test_texts() -> None:
    for raw, antenna, maker in (
        (b"$GPTXT,01,01,01,ANTENNA OK*35", "ok", None),
        (b"$GNTXT,01,01,01,0,500482,0000,80A0,80A0,-37.847,0*67", None, None),
        (GLUED, "ok", None),
        (b"$GPTXT,01,01,02,SW=URANUS5,V5.3.0.0*1D", None, "casic"),
        (b"$command,GPRMC 1,response: OK*04", None, "unicore"),
    ):
        notice = sentence(raw)
        assert isinstance(notice, VendorSentence)
        eq((notice.antenna, notice.vendor), (antenna, maker))
    reply = sentence(b"$command,GPRMC 1,response: OK*04")
    assert isinstance(reply, VendorSentence)
    eq(reply.reply, (b"GPRMC 1", True))


def test_discarded_bytes() -> None:
    for raw in (
        b"$GPGGA,005947.00,3715.6616,N,12157.6709,W,,11,0.8,86.0,M,-30.1,M,,*54",
        b"$GPRMC,000344.03,A,4808.9992,N,4,02.3*05",
        b"$gPGSV,2,2,08,09,47,051,30,14,46,325,29,27,13,135,13,30,59,226,30,6*66",
        b"$GPRMC,013014.000,A,1343.91201,N,10038.68414,E,0.00,225.79,130626,,,A,V*04",
    ):
        framer = Framer()
        eq(framer.feed(raw + b"\r\n"), [])
        eq(framer.bad_checksum, 1)
        eq(decode(raw + b"\r\n"), [])
    sentence_bytes = b"$GPGSV,3,3,12,2,40,16,00,090,*72"
    found = Framer().feed(sentence_bytes + b"\r\n")
    eq(parse(found[0][1]), (None, "fields"))
    eq(single_epoch(sentence_bytes + b"\r\n").flags[-1], "malformed")
    eq(single_epoch(sentence_bytes + b"\r\n").satellite_view.satellites, [])


def test_unicore_checksum_rule_is_for_replies_only() -> None:
    """A checksum that includes the `$` is valid for Unicore only."""
    for body, digits in ((b"command,GPRMC 1,response: OK", b"04"), (b"comment,GPRMC 1", b"1E")):
        total = 36
        for byte in body:
            total ^= byte
        stream = b"$" + body + b"*%02X\r\n" % total
        eq(len(Framer().feed(stream)), 1 if digits == b"04" else 0)


def test_gsv_is_read_by_part_number() -> None:
    gsv = sentence(b"$PQGSV,4,1,14,04,,,32,12,46,282,30,19,50,092,31,25,17,302,26,0,4*54")
    assert isinstance(gsv, Gsv)
    eq((gsv.system(), gsv.signal(), gsv.in_view), (4, 0, 14))


def test_antenna_state_needs_whole_words() -> None:
    for text, state in (
        (b"ANTENNA OK", "ok"),
        (b"ANTENNA_OPEN", "open"),
        (b"ANT_OK", "ok"),
        (b"ANTSTATUS=SHORT", "short"),
        (b"Antenna: short circuit", "short"),
        (b"ANTENNA BROKEN?", None),
        (b"ANTSUPERV=AC SD PDoS SR", None),
        (b"ANTSTATUS=INIT", None),
        (b"GIANT OK", None),
        (b"START OPEN LOOP", None),
    ):
        eq(vendor_sentences.parse_txt(b"GNTXT,01,01,02," + text).antenna, state)
