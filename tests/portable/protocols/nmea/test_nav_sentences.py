# SPDX-License-Identifier: Apache-2.0
"""GLL, GNS, VTG, GST, GBS, DTM, TXT and vendor sentences."""

from protocols.nmea import nav_sentences
from protocols.nmea.sentences import SecondAntenna, parse
from protocols.nmea.vendor_sentences import VendorSentence
from tests.portable.support.check import eq


def parse_sentence(body: str) -> "object":
    sentence, reason = parse(body.encode())
    assert sentence is not None, reason
    return sentence


def parse_vendor_sentence(body: str) -> VendorSentence:
    sentence = parse_sentence(body)
    assert isinstance(sentence, VendorSentence)
    return sentence


def parse_error(body: str) -> str:
    sentence, reason = parse(body.encode())
    eq(sentence, None)
    return reason


def test_gll() -> None:
    gll = parse_sentence("GNGLL,2512.34567,S,05516.5,W,093000.50,A,D")
    assert isinstance(gll, nav_sentences.Gll)
    eq((gll.lat_e7, gll.lon_e7, gll.time_us), (-252057612, -552750000, 34200500000))
    eq((gll.status, gll.mode, gll.talker), (b"A", b"D", b"GN"))
    gll = parse_sentence("GPGLL,5327.03598945,N,-0214.41467156,W,130058.00,A")
    assert isinstance(gll, nav_sentences.Gll)
    eq((gll.lon_e7, gll.mode), (-22402445, b""))
    eq(parse_error("GPGLL,5327.0,N,00214.4,W,256000.00,A"), "time")
    eq(parse_error("GPGLL,5327.0,N,00214.4,W,236000.00,X"), "time")
    eq(parse_error("GPGLL,5327.0,N,00214.4,W"), "fields")
    eq(parse_error("GPGLL,5327.0,N,00214.4,W,235959,X"), "status")


def test_gns() -> None:
    gns = parse_sentence("GNGNS,043539.00,4333.190206,N,00127.618380,E,AAAAN,14,1.3,250.8,50.0,,,V")
    assert isinstance(gns, nav_sentences.Gns)
    eq((gns.lat_e7, gns.lon_e7, gns.alt_mm), (435531701, 14603063, 250800))
    eq((gns.modes, gns.used, gns.hdop_centi, gns.nav_status), (b"AAAAN", 14, 130, b"V"))
    gns = parse_sentence("GPGNS,,,,,,NN,,,,,,")
    assert isinstance(gns, nav_sentences.Gns)
    eq((gns.time_us, gns.lat_e7, gns.modes, gns.nav_status), (None, None, b"NN", b""))
    eq(parse_error("GPGNS,,,,,,N1,,,,,,"), "mode")
    eq(parse_error("GPGNS,,,,,,NN,,,,,"), "fields")


def test_vtg() -> None:
    vtg = parse_sentence("GNVTG,225.79,T,,M,0.972,N,1.800,K,A")
    assert isinstance(vtg, nav_sentences.Vtg)
    eq((vtg.course_centi, vtg.speed_mmps, vtg.mode), (22579, 500, b"A"))
    vtg = parse_sentence("GPVTG,054.7,034.4,1.000,")
    assert isinstance(vtg, nav_sentences.Vtg)
    eq((vtg.course_centi, vtg.speed_mmps), (5470, 514))
    vtg = parse_sentence("GPVTG,,,,,,,,,N")
    assert isinstance(vtg, nav_sentences.Vtg)
    eq((vtg.course_centi, vtg.speed_mmps, vtg.mode), (None, None, b"N"))
    eq(parse_error("GPVTG,1,T"), "fields")


def test_gst_gbs_dtm() -> None:
    gst = parse_sentence("GPGST,172814.0,0.006,0.023,0.020,273.6,0.023,0.0204,0.031")
    assert isinstance(gst, nav_sentences.Gst)
    eq((gst.rms_mm, gst.lat_mm, gst.lon_mm, gst.alt_mm), (6, 23, 20, 31))
    gbs = parse_sentence("GNGBS,235458.00,1.4,1.3,3.1,03,,-21.4,3.8,1,0")
    assert isinstance(gbs, nav_sentences.Gbs)
    eq((gbs.lat_mm, gbs.lon_mm, gbs.alt_mm), (1400, 1300, 3100))
    eq((gbs.satellite, gbs.bias_mm, gbs.system, gbs.signal), (3, -21400, 1, 0))
    gbs = parse_sentence("GPGBS,235458.00,1.4,1.3,3.1,,,,")
    assert isinstance(gbs, nav_sentences.Gbs)
    eq((gbs.satellite, gbs.bias_mm, gbs.system), (None, None, None))
    dtm = parse_sentence("GPDTM,P90,,0.000021,S,0.000002,E,0.5,W84")
    assert isinstance(dtm, nav_sentences.Dtm)
    eq((dtm.local, dtm.reference), (b"P90", b"W84"))
    short = parse_sentence("GPDTM,W84,C")
    assert isinstance(short, nav_sentences.Dtm)
    eq((short.local, short.reference), (b"W84", b""))
    for body in ("GPGST,1", "GPGBS,1", "GPDTM,W84"):
        eq(parse_error(body), "fields")


def test_txt() -> None:
    for text, antenna in (
        ("ANTENNA OK", "ok"),
        ("ANTENNA OPEN", "open"),
        ("ANTENNA SHORT", "short"),
        ("ANTSTATUS=OK", "ok"),
        ("ANTSTATUS=OPEN", "open"),
        ("ANTSTATUS=SHORT", "short"),
        ("ANTSTATUS=INIT", None),
        ("ANTSUPERV=AC SD PDoS SR", None),
        ("BOOK OF OPEN SHORTS", None),
    ):
        eq((text, parse_vendor_sentence("GPTXT,01,01,01," + text).antenna), (text, antenna))
    status = parse_vendor_sentence("GNTXT,01,01,01,0,500482,0000,80A0,80A0,-37.847,0")
    eq((status.text, status.kind), (b"0,500482,0000,80A0,80A0,-37.847,0", b"TXT"))
    identity = parse_vendor_sentence("GPTXT,01,01,02,SW=URANUS5,V5.3.0.0")
    eq((identity.vendor, identity.severity, identity.text), ("casic", 2, b"SW=URANUS5,V5.3.0.0"))
    eq(parse_vendor_sentence("GNTXT,01,01,02,u-blox AG - www.u-blox.com").vendor, "ublox")
    eq(parse_error("GPTXT,01,01"), "fields")


def test_antenna_and_jamming_of_each_vendor() -> None:
    for body, antenna, jamming in (
        ("PQTMANTENNASTATUS,3,1,2,1", "ok", None),
        ("PQTMANTENNASTATUS,2,2,2,2,2", "open", None),
        ("PQTMANTENNASTATUS,2,3,2,2,2", "short", None),
        ("PQTMANTENNASTATUS,2,0,2,2,2", None, None),
        ("PQTMANTENNASTATUS,OK_EXT", "ok", None),
        ("PQTMJAMMINGSTATUS,1,1", None, "ok"),
        ("PQTMJAMMINGSTATUS,1,3", None, "critical"),
        ("PQTMJAMMINGSTATUS,1", None, None),
        ("PAIRSPF,2", None, "warning"),
        ("PAIRSPF5,0", None, None),
        ("PSTMANTENNASTATUS,0,1,1,0", "ok", None),
        ("PSTMANTENNASTATUS,1,1,1,0", "open", None),
        ("PSTMANTENNASTATUS,2,1,1,0", "short", None),
        ("PSTMANTENNASTATUS,7,1,1,0", None, None),
        ("PSTMNOTCHSTATUS,0,0,0,0,2,0,0,0,0,2", None, "ok"),
        ("PSTMNOTCHSTATUS,4092000,1,83,0,2,0,0,0,0,2", None, "warning"),
        ("PSTMNOTCHSTATUS,0,0,0,0,2,4092000,1,83,0,2", None, "warning"),
        ("PTNLRBA,1,0", "ok", None),
        ("PTNLRBA,1,1", "open", None),
        ("PTNLRBA,1,2", "short", None),
        ("PTNLRBA,0,0", None, None),
        ("PTNLRBA,V", None, None),
        ("PERDCRJ,0,1", None, None),
    ):
        parsed = parse_vendor_sentence(body)
        eq((body, parsed.antenna, parsed.jamming), (body, antenna, jamming))


def test_vendors() -> None:
    for body, vendor in (
        ("PCAS03,1,1,1", "casic"),
        ("PQTMVERNO,LC29HEA", "quectel"),
        ("PSTMVER,GNSSLIB", "st"),
        ("PTNLRNM,A", "trimble"),
        ("PERDCRY,TPS3", "furuno"),
        ("PUBX,00", "ublox"),
    ):
        eq(
            (parse_vendor_sentence(body).vendor, parse_vendor_sentence(body).kind),
            (vendor, body.split(",")[0].encode()),
        )
    for body in ("PGRME,15.0", "PMTK001,1,3", "PQ", "P", ""):
        eq(parse_error(body), "kind")


def test_accuracy_and_replies() -> None:
    epe = parse_vendor_sentence("PQTMEPE,2,1.000,1.001,2.500,1.415,2.872")
    eq((epe.horizontal_mm, epe.vertical_mm), (1415, 2500))
    eq(parse_error("PQTMEPE,2,1.0"), "fields")
    eq(parse_vendor_sentence("PAIR001,062,0").reply, (b"062", True))
    eq(parse_vendor_sentence("PAIR001,062,3").reply, (b"062", False))
    reply = parse_vendor_sentence("command,CONFIG PPS ENABLE,GPS,response: OK")
    eq((reply.reply, reply.vendor), ((b"CONFIG PPS ENABLE,GPS", True), "unicore"))
    eq(parse_vendor_sentence("command,X,response: PARSING FAILED").reply, (b"X", False))
    eq(parse_error("command,X"), "fields")


def test_unicore_second_antenna() -> None:
    second = parse_sentence("GNGGAH,093000.00,2512.34567,N,05516.5,E,1,16,0.72,12.3,M,-33.1,M,,")
    assert isinstance(second, SecondAntenna)
    eq((second.kind, second.talker, second.sentence.kind), (b"GGAH", b"GN", b"GGA"))
    second = parse_sentence("GBGSVH,1,1,01,02,65,233,50,B")
    assert isinstance(second, SecondAntenna)
    eq(parse_error("GNGGAH,093000.00,2512.34567"), "fields")
    eq(parse_error("GNXYZH,093000.00"), "kind")
