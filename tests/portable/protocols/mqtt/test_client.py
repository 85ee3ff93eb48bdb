# SPDX-License-Identifier: Apache-2.0
"""The MQTT client as transcripts: its packets, its events and its timeouts."""

from protocols.errors import EncodeError
from protocols.mqtt import packets
from protocols.mqtt.client import MqttClient
from protocols.time_units import NEVER, SECOND
from tests.portable.support.check import eq, raises

CONNECT = b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x1e\x00\x02u1"
CONNACK = b"\x20\x02\x00\x00"
RESUMED = b"\x20\x02\x01\x00"


def make_connected(now: int = 0, max_inflight: int = 16) -> MqttClient:
    client = MqttClient("u1", max_inflight=max_inflight)
    eq(client.publish("a", b"1"), False)
    eq(client.subscribe("a"), False)
    client.connection_opened(now)
    eq(client.take_output(), [CONNECT])
    eq(client.publish("a", b"1"), False)
    client.receive(CONNACK, now)
    eq(client.take_events(), [("connected", False)])
    assert client.connected
    return client


def check_failed(client: MqttClient, reason: str) -> None:
    eq(client.take_events()[-1], ("broken", reason))
    assert not client.connected
    eq(client.deadline(), NEVER)
    client.receive(CONNACK + b"\x30\x03\0\1a", 0)
    client.wake(1 << 50)
    eq(client.take_events(), [])


def test_publish_and_acknowledge() -> None:
    client = make_connected()
    assert client.publish("a/b", b"zero")
    assert client.publish("a/b", b"one", 1, True, "tag")
    eq(client.take_output(), [b"\x30\x09\x00\x03a/bzero", b"\x33\x0a\x00\x03a/b\x00\x01one"])
    eq(client.take_output(), [])
    eq((client.take_events(), client.inflight), ([], 1))
    client.receive(b"\x40\x02\x00\x01", 5)
    eq((client.take_events(), client.inflight), ([("acknowledged", "tag")], 0))
    client.receive(b"\x40\x02\x00\x01", 6)
    eq((client.take_events(), client.unexpected_acks), ([], 1))


def test_acknowledgements_out_of_order() -> None:
    client = make_connected()
    for number in range(3):
        assert client.publish("a", b"x", 1, False, number)
    client.receive(b"\x40\x02\x00\x02\x40\x02\x00\x03\x40\x02\x00\x01", 5)
    eq(client.take_events(), [("acknowledged", 1), ("acknowledged", 2), ("acknowledged", 0)])


def test_inflight_is_bounded() -> None:
    client = make_connected(0, 2)
    assert client.publish("a", b"1", 1)
    assert client.publish("a", b"2", 1)
    eq(client.publish("a", b"3", 1), False)
    assert client.publish("a", b"0")
    client.receive(b"\x40\x02\x00\x01", 5)
    assert client.publish("a", b"3", 1)
    eq(client.take_output()[-1], b"\x32\x06\x00\x01a\x00\x033")
    raises(EncodeError, lambda: MqttClient("u1", max_inflight=0))


def test_unfetched_output_is_bounded() -> None:
    client = make_connected()
    taken = [client.publish("a", b"x") for _ in range(100)]
    eq((taken[63], taken[64], len(client.take_output())), (True, False, 64))
    assert client.publish("a", b"x")


def test_resend_in_order_with_the_same_ids() -> None:
    for answer, present in ((CONNACK, False), (RESUMED, True)):
        client = make_connected()
        for number in range(4):
            assert client.publish("t", b"%d" % number, 1, number == 3, number)
        client.receive(b"\x40\x02\x00\x02", 5)
        client.take_output()
        client.take_events()
        client.connection_closed(6)
        eq((client.connected, client.inflight, client.deadline()), (False, 3, NEVER))
        eq(client.publish("t", b"4", 1), False)
        client.connection_opened(7)
        eq(client.take_output(), [CONNECT])
        client.receive(answer, 8)
        assert client.publish("t", b"new", 1, False, "new")
        eq(client.take_output(), [
            b"\x3a\x06\x00\x01t\x00\x010",
            b"\x3a\x06\x00\x01t\x00\x032",
            b"\x3b\x06\x00\x01t\x00\x043",
            b"\x32\x08\x00\x01t\x00\x05new",
        ])  # fmt: skip
        eq(client.take_events(), [("connected", present)])
        eq(client.resent, 3)
        # a second loss: DUP and order stay
        client.connection_closed(9)
        client.connection_opened(10)
        client.receive(answer, 11)
        eq([packet[-1:] for packet in client.take_output()[1:]], [b"0", b"2", b"3", b"w"])
        client.receive(b"\x40\x02\x00\x01\x40\x02\x00\x03\x40\x02\x00\x04\x40\x02\x00\x05", 12)
        eq([event[1] for event in client.take_events()[1:]], [0, 2, 3, "new"])


def test_partial_packet_is_dropped_on_reconnect() -> None:
    client = make_connected()
    client.receive(b"\x30\x50\0\1a", 1)
    client.connection_closed(2)
    client.connection_opened(3)
    client.receive(CONNACK, 4)
    eq(client.take_events(), [("connected", False)])


def test_packet_ids_wrap_and_skip_those_in_use() -> None:
    client = make_connected()
    assert client.publish("a", b"first", 1)
    seen = b""
    for _ in range(65534):
        assert client.publish("a", b"", 1)
        seen = client.take_output()[-1][-2:]
        client.receive(b"\x40\x02" + seen, 1)
        client.take_events()
    eq(seen, b"\xff\xff")
    assert client.publish("a", b"", 1)
    eq(client.take_output()[-1][-2:], b"\x00\x02")


def test_subscribe() -> None:
    client = make_connected()
    assert client.subscribe("cfg/#", 1)
    assert client.subscribe("cmd", 0)
    eq(client.take_output(), [b"\x82\x0a\0\1\0\5cfg/#\1", b"\x82\x08\0\2\0\3cmd\0"])
    client.receive(b"\x90\x03\0\2\x80\x90\x03\0\1\1\x90\x03\0\1\1", 1)
    eq(client.take_events(), [("subscribed", "cmd", 128), ("subscribed", "cfg/#", 1)])
    eq(client.unexpected_acks, 1)
    for _ in range(16):
        assert client.subscribe("x")
    eq(client.subscribe("x"), False)
    client.connection_closed(2)
    client.connection_opened(3)
    client.receive(CONNACK, 4)
    assert client.subscribe("x")


def test_messages() -> None:
    client = make_connected()
    client.receive(b"\x31\x05\0\1ahi" + b"\x32\x07\0\1a\x01\x02yo" + b"\x3a\x07\0\1a\x01\x02yo", 1)
    eq(
        client.take_events(),
        [
            ("message", "a", b"hi", 0, True),
            ("message", "a", b"yo", 1, False),
            ("message", "a", b"yo", 1, False),
        ],
    )
    eq(client.take_output(), [b"\x40\x02\x01\x02", b"\x40\x02\x01\x02"])


def test_keepalive() -> None:
    client = make_connected(1000)
    eq(client.deadline(), 1000 + 30 * SECOND)
    client.wake(999 + 30 * SECOND)
    eq(client.take_output(), [])
    client.wake(1000 + 30 * SECOND)
    eq(client.take_output(), [b"\xc0\x00"])
    eq(client.deadline(), 1000 + 50 * SECOND)
    client.receive(b"\xd0\x00", 1000 + 31 * SECOND)
    eq(client.deadline(), 1000 + 60 * SECOND)
    eq(client.take_events(), [])


def test_missing_pingresp() -> None:
    client = make_connected()
    client.wake(30 * SECOND)
    client.wake(50 * SECOND - 1)
    eq(client.take_events(), [])
    client.wake(50 * SECOND)
    check_failed(client, "no PINGRESP")


def test_sending_does_not_mask_dead_link() -> None:
    """QoS 0 every second and no reply: the client still sends PINGREQ."""
    client = make_connected()
    for second in range(1, 30):
        client.wake(second * SECOND)
        assert client.publish("a", b"x")
        eq(client.take_output(), [b"\x30\x04\0\1ax"])
    client.wake(30 * SECOND)
    eq(client.take_output(), [b"\xc0\x00"])


def test_receiving_does_not_replace_a_ping() -> None:
    """The server also needs data from the client."""
    client = make_connected()
    for second in range(1, 30):
        client.receive(b"\x30\x04\0\1ax", second * SECOND)
    eq(client.deadline(), 30 * SECOND)


def test_traffic_both_ways_sends_no_ping() -> None:
    client = make_connected()
    for second in range(1, 100):
        client.wake(second * SECOND)
        assert client.publish("a", b"x", 1)
        client.receive(b"\x40\x02" + client.take_output()[0][-3:-1], second * SECOND + 1000)
    eq(client.deadline(), 129 * SECOND)


def test_no_keepalive() -> None:
    client = MqttClient("u1", keepalive_s=0)
    client.connection_opened(0)
    client.receive(CONNACK, 0)
    eq(client.deadline(), NEVER)


def test_no_connack() -> None:
    client = MqttClient("u1")
    client.connection_opened(0)
    eq(client.deadline(), 20 * SECOND)
    client.wake(20 * SECOND)
    check_failed(client, "no CONNACK")
    client.connection_closed(21 * SECOND)
    client.connection_opened(22 * SECOND)
    client.receive(CONNACK, 22 * SECOND)
    assert client.connected


def test_refused() -> None:
    client = MqttClient("u1")
    client.connection_opened(0)
    client.receive(b"\x20\x02\x00\x05\x30\x03\0\1a", 1)
    eq(client.take_events(), [("refused", 5)])
    eq((client.connected, client.deadline()), (False, NEVER))


def test_will_and_login() -> None:
    will = ("w", b"gone", 1, True)
    client = MqttClient("u1", will=will, username="me", password="pw", clean_session=True)
    client.connection_opened(0)
    eq(
        client.take_output(),
        [b"\x10\x1f\0\4MQTT\4\xee\0\x1e\0\2u1\0\1w\0\4gone\0\2me\0\2pw"],
    )
    client.receive(RESUMED, 1)
    check_failed(client, "CONNACK with a session that is to be clean")


def test_disconnect() -> None:
    client = make_connected()
    client.disconnect()
    eq(client.take_output(), [b"\xe0\x00"])
    eq((client.publish("a", b"x"), client.deadline(), client.take_events()), (False, NEVER, []))
    client.connection_closed(1)
    client.disconnect()
    eq(client.take_output(), [])


def test_invalid_server_packets() -> None:
    for data, reason in (
        (b"\x20\x02\x00\x00", "unexpected packet 20"),
        (b"\x10\x00", "unexpected packet 10"),
        (b"\x00\x00", "unexpected packet 00"),
        (b"\xf0\x00", "unexpected packet f0"),
        (b"\x62\x02\x00\x01", "unexpected packet 62"),
        (b"\x41\x02\x00\x01", "unexpected packet 41"),
        (b"\xd1\x00", "unexpected packet d1"),
        (b"\xd0\x01\x00", "PINGRESP of 1 bytes"),
        (b"\x40\x02\x00\x00", "packet id 0"),
        (b"\x34\x06\0\1a\0\1x", "PUBLISH with QoS 2"),
        (b"\x36\x06\0\1a\0\1x", "PUBLISH with QoS 3"),
        (b"\x30\x02\0\0", "PUBLISH to no topic"),
        (b"\x30\xff\xff\xff\xff\x01", "remaining length of more than 4 bytes"),
        (b"\x40\x80\x80\x01", "packet of 16388 bytes"),
        (b"\x32\x80\x80\x01\0\1a\0\0", "packet id 0"),
    ):
        client = make_connected()
        client.receive(b"\x30\x03\0\1a" + data, 1)
        eq(client.take_events()[0], ("message", "a", b"", 0, False))
        client.connection_closed(1)
        client = make_connected()
        client.receive(data, 1)
        check_failed(client, reason)
    client = MqttClient("u1")
    client.connection_opened(0)
    client.receive(b"\xd0\x00", 1)
    check_failed(client, "packet d0 before CONNACK")


def test_invalid_publish_and_subscribe() -> None:
    client = make_connected()
    raises(EncodeError, client.publish, "", b"")
    raises(EncodeError, client.publish, "a/#", b"")
    raises(EncodeError, client.publish, "a", b"", 2)
    raises(EncodeError, client.publish, "a", b"x" * 8190)
    raises(EncodeError, client.publish, "a", b"x" * 8190, 1)
    raises(EncodeError, client.subscribe, "a#")
    raises(EncodeError, client.subscribe, "a", 2)
    eq((client.take_output(), client.inflight), ([], 0))
    raises(EncodeError, MqttClient, "")


def test_many_topics() -> None:
    client = make_connected()
    for number in range(100):
        assert client.publish("t/%d" % number, b"")
        eq(client.take_output()[0][4:], b"t/%d" % number)
    assert len(client._topic_cache) <= 32


def test_every_split_gives_same_events() -> None:
    stream = (
        RESUMED
        + b"\x40\x02\x00\x01\x90\x03\0\2\1\xd0\x00"
        + b"\x32\x89\x01\0\1a\x01\x02"
        + b"m" * 132
        + b"\x31\x05\0\1ahi"
    )

    def run(chunks: "list[bytes]") -> object:
        client = MqttClient("u1")
        client.connection_opened(0)
        for chunk in chunks:
            client.receive(chunk, 1)
        return client.take_events(), client.take_output(), client.unexpected_acks

    want = run([stream])
    for cut in range(1, len(stream)):
        eq(run([stream[:cut], stream[cut:]]), want)
    eq(run([stream[at : at + 1] for at in range(len(stream))]), want)


def test_noise_never_raises_and_never_grows() -> None:
    seed = 9
    client = MqttClient("u1", max_inflight=4, max_packet=256)
    heads = b"\x20\x30\x31\x32\x3a\x40\x90\xd0"
    breaks = 0
    for turn in range(4000):
        chunk = bytearray()
        for _ in range(1 + turn % 20):
            seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
            value = seed >> 13
            chunk.append(
                heads[value % 8] if value & 0x700 == 0 else (value >> 3) % (turn % 200 + 3)
            )
        if turn % 3:
            client.connection_opened(turn)
            client.receive(CONNACK, turn)
            client.publish("a", b"x", 1)
        client.receive(bytes(chunk), turn)
        for event in client.take_events():
            breaks += event[0] == "broken"
        assert client.inflight <= 4
        assert len(client.take_output()) < 64
        assert len(client._reader._buffer) < 256
    assert breaks > 500


def test_long_message_is_acknowledged_and_dropped() -> None:
    """The server would send it again after each connection, so an error would never end."""
    client = make_connected()
    long = packets.build_packet(0x32, b"\x00\x01a\x12\x34" + b"z" * 8192)
    short = packets.build_packet(0x32, b"\x00\x01a\x12\x35ok")
    client.receive(long[:4000], 1)
    client.receive(long[4000:] + short, 2)
    eq(client.take_output(), [packets.puback(0x1234), packets.puback(0x1235)])
    eq(client.take_events(), [("message", "a", b"ok", 1, False)])
    eq((client.skipped, client.connected), (1, True))
    client.receive(packets.build_packet(0x30, b"\x00\x01a" + b"z" * 8192), 3)
    eq((client.skipped, client.take_output(), client.take_events()), (2, [], []))


def test_long_message_before_connack_is_an_error() -> None:
    client = MqttClient("u1")
    client.connection_opened(0)
    client.receive(packets.build_packet(0x32, b"\x00\x01a\x12\x34" + b"z" * 8192), 1)
    eq(client.take_events(), [("broken", "packet 100 before CONNACK")])


def act(client: MqttClient, choice: int, now: int, number: int) -> None:
    """Do one of ten calls."""
    received = {1: CONNACK, 4: b"\x40\x02\x00\x01", 5: b"\xd0\x00", 8: b"\xd0\x01\x00"}
    if choice in received:
        client.receive(received[choice], now)
    elif choice == 0:
        client.connection_opened(now)
    elif choice == 2:
        client.publish("a", b"x", number & 1)
    elif choice == 3:
        client.subscribe("a")
    elif choice == 6:
        client.wake(now)
    elif choice == 7:
        client.disconnect()
    else:
        client.connection_closed(now)


def test_the_kept_deadline_is_the_computed_one() -> None:
    """The agent reads `wake_at` in each turn; every call that moves the deadline sets it."""
    for early in (False, True):
        client, now, number = MqttClient("u1"), 0, 7
        client.set_publish_early(early)
        seen = set()
        for _ in range(600):
            number = (number * 1103515245 + 12345) & 0x7FFFFFFF
            choice = (number >> 12) % 24
            choice = choice if choice < 10 else choice % 7
            is_due = choice == 6 and client.deadline() < NEVER
            now = client.deadline() if is_due else now + (number >> 20) * 1000
            act(client, choice, now, number)
            client.take_output()
            eq(client.wake_at, client.deadline())
            seen.add(client.wake_at < NEVER)
        eq(seen, {False, True})
