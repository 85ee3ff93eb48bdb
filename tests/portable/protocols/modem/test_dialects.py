# SPDX-License-Identifier: Apache-2.0
"""JSPR, NIDD and UDP, RDSS: parsing of valid lines, rejection of invalid ones."""

from protocols.errors import DecodeError
from protocols.modem import jspr, ntn, rdss
from protocols.modem.strict_json import parse_object
from tests.portable.support.check import eq, raises


def test_jspr_responses_in_any_chunks():
    stream = b'200 apiVersion {"a":1}\r\n299 messageOriginateSegment {"segment_start":0}\r'
    stream += b'junk\r500 x {"a"\r'
    for size in (1, 7, 100):
        reader = jspr.JsprReader()
        got = []
        for i in range(0, len(stream), size):
            got += reader.feed(stream[i : i + size])
        eq(got[0], (200, "apiVersion", {"a": 1}))
        eq(got[1], (299, "messageOriginateSegment", {"segment_start": 0}))
        eq(len(got), 2)
        eq(reader.bad_lines, 2)


def test_json_is_strict():
    eq(parse_object(' {"a": [1, -2, {"b": "x\\"y"}], "c": true, "d": null}')["a"][2], {"b": 'x"y'})
    eq(parse_object("{}"), {})
    for bad in (
        '{"a"',
        '{"a"}',
        '{"a":}',
        '{"a":1',
        '{"a":1,}',
        "{1:2}",
        '{"a":1}}',
        "[]",
        "",
        "{,}",
    ):
        raises(DecodeError, parse_object, bad)
    raises(DecodeError, parse_object, '{"a":' * 9 + "1" + "}" * 9)
    raises(DecodeError, parse_object, '{"a":1.5}')


def test_jspr_request_field_order():
    eq(
        jspr.build_request("PUT", "messageOriginate", [("topic_id", 244), ("message_length", 7)]),
        b'PUT messageOriginate {"topic_id": 244, "message_length": 7}\r',
    )


def test_jspr_content_has_a_crc():
    data = jspr.add_crc(b"123456789")
    eq(data[-2:], b"\x31\xc3")
    eq(jspr.strip_crc(data), b"123456789")
    eq(jspr.strip_crc(data[:-1] + b"\0"), None)
    eq(jspr.decode_base64(jspr.encode_base64(data)), data)
    eq(jspr.decode_base64(7), None)


def test_registration_in_responses_and_urcs():
    eq(ntn.parse_registration(b"+CEREG: 5,1"), 1)
    eq(ntn.parse_registration(b'+CEREG: 5,5,"1A","2B",14'), 5)
    eq(ntn.parse_registration(b"+CEREG: 2"), 2)
    eq(ntn.parse_registration(b"+CEREG: x"), None)
    eq(ntn.parse_bars(b"+CSQ: 31,99"), 5)
    eq(ntn.parse_bars(b"+CSQ: 99,99"), 0)


def test_datagrams_of_ntn():
    eq(ntn.build_nidd(b"\x01OK"), b'AT+CSODCP=1,3,"014f4b"\r')
    eq(ntn.build_udp(b"\x01"), b'AT+QISENDEX=0,"01"\r')
    eq(ntn.parse_received(b'+CRTDCP: 1,3,"014f4b"'), b"\x01OK")
    eq(ntn.parse_received(b'+QIURC: "recv",0,2,"0a0b"'), b"\n\x0b")
    for bad in (b'+CRTDCP: 1,3,"014f"', b'+CRTDCP: 1,1,"0"', b"+CRTDCP: 1", b"OK"):
        eq(ntn.parse_received(bad), None)


def test_rdss_sentences():
    line = rdss.build_message(1234567, b"\x0f\xa0")
    fields = rdss.parse_sentence(line)
    eq(fields, [b"CCTXA", b"1234567", b"1", b"2", b"A40FA0"])
    eq(rdss.parse_sentence(line.replace(b"0FA0", b"0FA1")), None)
    eq(rdss.parse_received([b"BDTXR", b"1", b"0000001", b"2", b"", b"A4414F"]), b"AO")
    eq(rdss.parse_feedback([b"BDFKI", b"TXA", b"Y", b"N", b"0", b"0"]), (True, 0))
    eq(rdss.parse_feedback([b"BDFKI", b"TXA", b"N", b"N", b"4", b"000045"]), (False, 45))
    eq(rdss.parse_beam_power([b"BDPWI", b"0", b"4", b"2", b"0"]), 4)
