# SPDX-License-Identifier: Apache-2.0
"""Login to a Redfish service: the bytes on the wire; secrets in no other text."""

from drivers.redfish.client import SESSIONS, RedfishClient
from drivers.redfish.target import ENVIRONMENT, RedfishTarget, apply_reading
from protocols.time_units import SECOND
from tests.portable.support.check import eq

PATH = "/redfish/v1/Chassis/1/EnvironmentMetrics"
LOGIN = ("cold loop", 'a"b\\c')


def make_client(session):
    client = RedfishClient("bmc:80", [RedfishTarget(PATH, ENVIRONMENT)], LOGIN, session)
    client.connection_opened(0)
    return client, client.take_output()[0]


def test_basic():
    _, first = make_client(False)
    assert first.startswith(b"GET " + PATH.encode())
    assert b"Authorization: Basic Y29sZCBsb29wOmEiYlxj\r\n" in first


def test_session_and_its_token():
    client, first = make_client(True)
    assert first.startswith(b"POST " + SESSIONS.encode())
    assert first.endswith(b'{"UserName": "cold loop", "Password": "a\\"b\\\\c"}')
    client.receive(b"HTTP/1.1 201 Created\r\nX-Auth-Token: t0k\r\nContent-Length: 0\r\n\r\n", 1)
    assert b"X-Auth-Token: t0k\r\n" in client.take_output()[0]
    client.receive(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 2)
    assert client.take_output()[0].startswith(b"POST ")
    client.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 3)
    eq((client.take_output(), client.fault), ([], "login refused with 403"))
    assert client.deadline() >= 10 * SECOND


def test_a_token_and_a_tag_that_no_request_can_hold():
    client, _ = make_client(True)
    client.receive(b"HTTP/1.1 201 Created\r\nX-Auth-Token: t\x01\r\nContent-Length: 0\r\n\r\n", 1)
    eq((client.take_output(), client.fault), ([], "login refused with 201"))
    client, _ = make_client(False)
    client.receive(b"HTTP/1.1 200 OK\r\nETag: a\x7f\r\nContent-Length: 2\r\n\r\n{}", 1)
    target = client.targets[0]
    target.needs_etag = True
    client.set_limit(0, 500, 2)
    (request,) = client.take_output()
    eq((request[:6], b"If-Match" in request), (b"PATCH ", False))


def test_readings_are_integer_watts_or_none():
    target = RedfishTarget(PATH, ENVIRONMENT)
    apply_reading(target, {"PowerLimitWatts": {"SetPoint": 499.6}, "PowerWatts": {"Reading": None}})
    eq((target.reported_w, target.power_w, target.min_w), (500, None, None))
    apply_reading(target, {"PowerLimitWatts": {"SetPoint": "x", "AllowableMax": 1e99}})
    eq((target.reported_w, target.max_w), (None, None))
    apply_reading(target, {})
    eq(target.reported_w, None)
    older = RedfishTarget("/x", "power")
    limit = {
        "PowerLimit": {"LimitInWatts": None},
        "PowerConsumedWatts": 10,
        "PowerCapacityWatts": 9,
    }
    apply_reading(older, {"PowerControl": [limit]})
    eq((older.reported_w, older.power_w, older.max_w), (None, 10, 9))


def test_device_temperature_is_degrees_or_none():
    target = RedfishTarget(PATH, ENVIRONMENT)
    for value, expected in (
        ({"Reading": 61}, 61.0),
        ({"Reading": 61.5}, 61.5),
        (44, 44.0),
        ({"Reading": None}, None),
        ({"Reading": "61"}, None),
        ({"Reading": True}, None),
        ({"Reading": float("nan")}, None),
        ({"Reading": 1e9}, None),
        ({}, None),
        ([], None),
        (None, None),
    ):
        apply_reading(target, {"TemperatureCelsius": value, "PowerWatts": {"Reading": 7}})
        eq((target.case_c, target.power_w), (expected, 7))


def test_invalid_reading_is_reported_as_fault():
    for body in (b"[]", b"{", b'{"PowerLimitWatts": 3}', b"\xff\xfe", b"null", b"7"):
        client, _ = make_client(False)
        head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.receive(head.encode() + body, 1)
        eq(client.fault, "a reading that is not Redfish")
