# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1: responses in any chunks, bounded; requests without injection."""

from protocols.errors import DecodeError, EncodeError
from protocols.http import ResponseReader, build_request
from tests.portable.support.agent_rig import RigLcg
from tests.portable.support.check import eq, raises

PLAIN = b'HTTP/1.1 200 OK\r\nETag: W/"1"\r\nContent-Length: 5\r\n\r\n{"a"}'
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nWiki\r\nA;x=y\r\npedia in\r\n"
    b"\r\n0\r\nExpires: 1\r\n\r\n"
)
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def read_in_steps(data, step):
    reader = ResponseReader(64)
    out = []
    for at in range(0, len(data), step):
        out.extend(reader.feed(data[at : at + step]))
    return out


def test_a_request():
    eq(
        build_request("PATCH", "bmc", "/redfish/v1", [("X-Auth-Token", "t")], b"{}"),
        b"PATCH /redfish/v1 HTTP/1.1\r\nHost: bmc\r\nX-Auth-Token: t\r\n"
        b"Content-Length: 2\r\n\r\n{}",
    )
    eq(build_request("GET", "h", "/", []), b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")


def test_request_injection_is_rejected():
    raises(EncodeError, build_request, "GET", "h", "/a\r\nX: y", [])
    raises(EncodeError, build_request, "GET", "h", "/a b", [])
    raises(EncodeError, build_request, "GET", "h\r\n", "/a", [])
    raises(EncodeError, build_request, "GET", "h", "/a", [("X", "a\nb")])


def test_a_field_that_no_request_can_hold_is_not_sent_back():
    for value, found in ((b"a b~", "a b~"), (b"a\xc3\xa9", ""), (b"a\x7f", ""), (b"a\x01b", "")):
        (response,) = ResponseReader().feed(b"HTTP/1.1 204 OK\r\nETag: %s\r\n\r\n" % value)
        eq((value, response.get_printable("etag")), (value, found))
        build_request("GET", "h", "/", [("If-Match", response.get_printable("etag"))])


def test_responses_in_any_chunks():
    data = PLAIN + CHUNKED + EMPTY + b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN
    for step in (1, 2, 3, 7, 1000):
        got = read_in_steps(data, step)
        eq([r.status for r in got], [200, 200, 204, 200])
        eq([r.body for r in got], [b'{"a"}', b"Wikipedia in\r\n", b"", b'{"a"}'])
        eq(got[0].get_field("etag"), 'W/"1"')
        eq(got[0].get_field("nothing"), "")


def test_body_without_length_ends_with_connection():
    reader = ResponseReader(64)
    eq(reader.feed(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nabc"), [])
    response = reader.finish()
    eq((response.body, response.closes_connection()), (b"abc", True))
    eq(reader.finish(), None)


def test_sizes_are_bounded():
    for bad in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFF\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 60 + b"\r\n",
        b"x" * 5000,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 65,
    ):
        raises(DecodeError, ResponseReader(64).feed, bad)


def test_noise_is_rejected_and_memory_is_bounded():
    chance = RigLcg(7)
    for _ in range(200):
        reader = ResponseReader(64)
        data = bytearray(PLAIN + CHUNKED + PLAIN)
        for _ in range(1 + chance.below(6)):
            data[chance.below(len(data))] = chance.below(256)
        try:
            for at in range(0, len(data), 9):
                reader.feed(bytes(data[at : at + 9]))
                assert len(reader._buffer) < 5000
        except DecodeError:
            continue
