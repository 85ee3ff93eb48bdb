"""Logging in to a Redfish service: what is on the wire, on both interpreters, and nowhere else."""

from drivers.redfish import ENVIRONMENT, SESSIONS, Redfish, Target, understand
from protocols.time_units import SECOND
from tests.portable.support.check import eq

PATH = "/redfish/v1/Chassis/1/EnvironmentMetrics"
LOGIN = ("cold loop", 'a"b\\c')


def made(session):
    client = Redfish("bmc:80", [Target(PATH, ENVIRONMENT)], LOGIN, session)
    client.opened(0)
    return client, client.out()[0]


def test_basic():
    _, first = made(False)
    assert first.startswith(b"GET " + PATH.encode())
    assert b"Authorization: Basic Y29sZCBsb29wOmEiYlxj\r\n" in first


def test_session_and_its_token():
    client, first = made(True)
    assert first.startswith(b"POST " + SESSIONS.encode())
    assert first.endswith(b'{"UserName": "cold loop", "Password": "a\\"b\\\\c"}')
    client.receive(b"HTTP/1.1 201 Created\r\nX-Auth-Token: t0k\r\nContent-Length: 0\r\n\r\n", 1)
    assert b"X-Auth-Token: t0k\r\n" in client.out()[0]
    client.receive(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 2)
    assert client.out()[0].startswith(b"POST ")
    client.receive(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 3)
    eq((client.out(), client.trouble), ([], "login refused with 403"))
    assert client.deadline() >= 10 * SECOND


def test_what_is_read_is_whole_watts_or_nothing():
    target = Target(PATH, ENVIRONMENT)
    understand(target, {"PowerLimitWatts": {"SetPoint": 499.6}, "PowerWatts": {"Reading": None}})
    eq((target.shown, target.watts, target.low), (500, None, None))
    understand(target, {"PowerLimitWatts": {"SetPoint": "x", "AllowableMax": 1e99}})
    eq((target.shown, target.high), (None, None))
    understand(target, {})
    eq(target.shown, None)
    older = Target("/x", "power")
    limit = {
        "PowerLimit": {"LimitInWatts": None},
        "PowerConsumedWatts": 10,
        "PowerCapacityWatts": 9,
    }
    understand(older, {"PowerControl": [limit]})
    eq((older.shown, older.watts, older.high), (None, 10, 9))


def test_a_reading_that_is_no_redfish_is_trouble_not_a_crash():
    for body in (b"[]", b"{", b'{"PowerLimitWatts": 3}', b"\xff\xfe", b"null", b"7"):
        client, _ = made(False)
        head = "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.receive(head.encode() + body, 1)
        eq(client.trouble, "a reading that is not Redfish")
