# SPDX-License-Identifier: Apache-2.0
"""The MQTT 5 client: packets, limits of the server, and invalid servers."""

from protocols.errors import DecodeError
from protocols.mqtt import packets_v5
from protocols.mqtt.client_v5 import MqttClientV5
from protocols.time_units import SECOND
from tests.portable.support.check import eq, raises

TOPIC = "a/tele"
LIMITS = b"\x21\x00\x02\x22\x00\x01"
"""Receive maximum 2, one alias."""


def connack(properties=b"", code=0, present=0):
    body = bytes([present, code, len(properties)]) + properties
    return bytes([0x20, len(body)]) + body


def puback(number, more=b""):
    return bytes([0x40, 2 + len(more), number >> 8, number & 255]) + more


def make_connected(properties=LIMITS, **settings):
    """Return a client after CONNACK."""
    client = MqttClientV5("u1", **settings)
    client.connection_opened(0)
    client.take_output()
    client.receive(connack(properties), 0)
    eq([event[0] for event in client.take_events()], ["connected"])
    return client


def split(packet):
    """Split a PUBLISH of less than 128 bytes: first byte, topic, id, properties, payload."""
    assert packet[1] == len(packet) - 2 < 128
    at = 4 + packet[3]
    number = 0
    if packet[0] & 6:
        number = packet[at] << 8 | packet[at + 1]
        at += 2
    end = at + 1 + packet[at]
    return packet[0], packet[4 : 4 + packet[3]], number, packet[at + 1 : end], packet[end:]


def test_connect_keeps_session_expiry():
    client = MqttClientV5("u1", keepalive_s=60, will=("w", b"gone", 1, True), username="me")
    client.connection_opened(0)
    expected = (
        b"\x10\x29\x00\x04MQTT\x05\xac\x00\x3c"
        b"\x0c\x11\xff\xff\xff\xff\x17\x00\x27\x00\x00\x20\x00"
        b"\x00\x02u1\x00\x00\x01w\x00\x04gone\x00\x02me"
    )
    eq(client.take_output(), [expected])
    client = MqttClientV5("u1", clean_session=True)
    client.connection_opened(0)
    eq(client.take_output()[0][12:20], b"\x07\x17\x00\x27\x00\x00\x20\x00")


def test_topic_alias_per_connection():
    client = make_connected(message_expiry_s=300)
    for topic in (TOPIC, TOPIC, "a/state"):
        client.publish(topic, b"x", 1)
        client.receive(puback(client._last_packet_id), 0)
    found = [split(packet) for packet in client.take_output()]
    expiry = b"\x02\x00\x00\x01\x2c"
    eq(found[0], (0x32, b"a/tele", 1, expiry + b"\x23\x00\x01", b"x"))
    eq(found[1], (0x32, b"", 2, expiry + b"\x23\x00\x01", b"x"))
    eq(found[2], (0x32, b"a/state", 3, expiry, b"x"))  # the server accepts one alias
    client.publish(TOPIC, b"lost", 1)
    client.connection_closed(1)
    client.connection_opened(2)
    client.take_output()
    client.receive(connack(LIMITS), 3)
    eq(split(client.take_output()[0]), (0x3A, b"a/tele", 4, expiry, b"lost"))
    client.publish(TOPIC, b"y", 1)
    eq(split(client.take_output()[0]), (0x32, b"a/tele", 5, expiry + b"\x23\x00\x01", b"y"))


def test_retained_and_qos_0_do_not_expire():
    client = make_connected(b"", message_expiry_s=300)
    client.publish("s", b"x", 1, True)
    client.publish("s", b"x", 0)
    eq([split(packet)[3] for packet in client.take_output()], [b"", b""])


def unacknowledged(client, server):
    """Receive the client's packets as a server; return the number of unacknowledged ones."""
    for packet in client.take_output():
        if packet[0] & 0xF0 == 0x30 and packet[0] & 6:
            server.append(split(packet)[2])
    return len(server)


def test_receive_maximum_of_one():
    client = make_connected(b"\x21\x00\x01")
    server, order = [], []
    for _ in range(20):
        while client.can_publish:
            assert client.publish(TOPIC, b"x", 1)
        eq(client.publish(TOPIC, b"x", 1), False)
        eq(unacknowledged(client, server), 1)
        order.append(server.pop())
        client.receive(puback(order[-1]), 0)
    eq(order, list(range(1, 21)))


def test_smaller_receive_maximum_limits_resend():
    for early in (False, True):
        client = make_connected(b"\x21\x00\x05")
        client.set_publish_early(early)
        for number in range(5):
            assert client.publish(TOPIC, b"x", 1, False, number)
        client.take_output()
        client.connection_closed(1)
        client.connection_opened(2)
        server, done = [], []
        eq(unacknowledged(client, server), 5 if early else 0)  # the last known limit
        client.receive(connack(b"\x21\x00\x01"), 3)
        for _ in range(5):
            eq(client.can_publish, False)
            eq(client.publish(TOPIC, b"new", 1), False)
            most = unacknowledged(client, server)
            assert most == 1 or (early and most <= 5), most
            client.receive(puback(server.pop(0)), 4)
            done.extend([event[1] for event in client.take_events() if event[0] == "acknowledged"])
        eq((done, client.inflight, client.can_publish), ([0, 1, 2, 3, 4], 0, True))


def test_one_publish_before_first_connack():
    client = MqttClientV5("u1")
    client.set_publish_early(True)
    client.connection_opened(0)
    eq([client.publish(TOPIC, b"x", 1) for _ in range(3)], [True, False, False])
    eq(len(client.take_output()), 2)
    client.receive(connack(), 1)
    eq([client.publish(TOPIC, b"x", 1) for _ in range(3)], [True, True, True])


def check_failed(client, data):
    """Return the reason of a client that fails on these bytes."""
    client.receive(data, 1)
    events = client.take_events()
    eq([event[0] for event in events[-1:]], ["broken"])
    return events[-1][1]


def test_reason_codes_are_reported():
    client = make_connected()
    client.publish(TOPIC, b"x", 1, False, "tag")
    eq(check_failed(client, puback(1, b"\x97")), "PUBACK refuses with reason 151")
    eq(client.inflight, 1)  # a rejected message does not count as sent
    client = make_connected()
    eq(check_failed(client, b"\xe0\x02\x8d\x00"), "the server says goodbye with reason 141")
    client = make_connected()
    client.publish(TOPIC, b"x", 1, False, "tag")
    client.receive(puback(1, b"\x10"), 1)  # no subscriber
    eq(client.take_events(), [("acknowledged", "tag")])
    for answer, code in ((connack(b"", 0x87), 0x87), (b"\x20\x02\x00\x01", 1)):
        client = MqttClientV5("u1")
        client.connection_opened(0)
        client.receive(answer, 0)
        eq(client.take_events(), [("refused", code)])


def test_subscription_and_message():
    client = make_connected()
    client.subscribe("c/#", 1)
    eq(client.take_output(), [b"\x82\x09\x00\x01\x00\x00\x03c/#\x01"])
    client.receive(b"\x90\x04\x00\x01\x00\x01", 0)
    client.subscribe("d", 1)
    client.receive(b"\x90\x04\x00\x02\x00\x87", 0)
    eq(client.take_events(), [("subscribed", "c/#", 1), ("subscribed", "d", 128)])
    client.take_output()
    properties = (
        b"\x01\x01\x02\x00\x00\x00\x09\x26\x00\x01k\x00\x01v\x26\x00\x01k\x00\x01w\x0b\x85\x01"
    )
    body = b"\x00\x03c/x\x00\x07" + bytes([len(properties)]) + properties + b"hello"
    client.receive(bytes([0x32, len(body)]) + body, 0)
    eq(client.take_events(), [("message", "c/x", b"hello", 1, False)])
    eq(client.take_output(), [b"\x40\x02\x00\x07"])
    assert "alias" in check_failed(client, b"\x30\x08\x00\x00\x03\x23\x00\x01hi")


def test_server_keep_alive_is_used():
    client = make_connected(b"\x13\x00\x05", keepalive_s=60)
    eq(client.deadline(), 5 * SECOND)


def test_unsupported_server_limits_are_rejected():
    for properties, text in (
        (b"\x27\x00\x00\x10\x00", "the server takes packets of 4096 bytes"),
        (b"\x24\x00", "the server takes QoS 0 only"),
        (b"\x21\x00\x00", "CONNACK with properties that cannot be"),
        (b"\x21\x00\x01\x21\x00\x01", "property 21"),
        (b"\x7f", "property 7f"),
    ):
        client = MqttClientV5("u1")
        client.connection_opened(0)
        eq(check_failed(client, connack(properties)), text)


def test_truncated_packets_raise_only_decode_error():
    properties = b"\x1f\x00\x02ok\x26\x00\x01k\x00\x01v\x0b\x85\x01\x27\x00\x01\x00\x00\x22\x00\x09"
    good = bytes([0, 0, len(properties)]) + properties
    eq(packets_v5.decode_connack(good)[2][packets_v5.MAXIMUM_PACKET], 65536)
    for end in range(len(good)):
        raises(DecodeError, packets_v5.decode_connack, good[:end])
    for end in range(len(properties)):
        raises(
            DecodeError,
            packets_v5.decode_properties,
            bytes([len(properties)]) + properties[:end],
            0,
        )
    for body in (b"", b"\x00", b"\x00\x01", b"\x00\x00\x80\x80\x80\x80\x01", b"\xff\xff\x00\x01"):
        raises(DecodeError, packets_v5.decode_publish, 0x32, body)
        raises(DecodeError, packets_v5.decode_suback, body[:3])
