# SPDX-License-Identifier: Apache-2.0
"""Packets byte by byte, the rules for invalid ones, and the reader with every split."""

from protocols.errors import DecodeError, EncodeError
from protocols.mqtt import packets
from protocols.mqtt.connect_packet import connect
from tests.portable.support.check import eq, raises


def test_connect() -> None:
    eq(connect("u1", 30, True), b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02u1")
    eq(
        connect("u1", 300, False, ("s/t", b"gone", 1, True), "me", "pw"),
        b"\x10\x21\x00\x04MQTT\x04\xec\x01\x2c\x00\x02u1\x00\x03s/t\x00\x04gone\x00\x02me\x00\x02pw",
    )
    eq(
        connect("", 0, True, ("t", b"", 0, False), "me"),
        b"\x10\x15\x00\x04MQTT\x04\x86\x00\x00\x00\x00\x00\x01t\x00\x00\x00\x02me",
    )
    eq(connect("u1", 1, True, None, "me", b"\x00\xff")[-4:], b"\x00\x02\x00\xff")


def test_invalid_connect() -> None:
    for args in (
        ("u1", -1, True),
        ("u1", 65536, True),
        ("", 30, False),
        ("x" * 65536, 30, True),
        ("a\0b", 30, True),
        ("\ud800", 30, True),
        ("u1", 30, True, None, None, "pw"),
        ("u1", 30, True, ("", b"", 0, False)),
        ("u1", 30, True, ("a/+", b"", 0, False)),
        ("u1", 30, True, ("a", b"", 2, False)),
        ("u1", 30, True, ("a", b"x" * 65536, 0, False)),
    ):
        raises(EncodeError, connect, *args)


def test_publish() -> None:
    topic = packets.encode_topic("a/b")
    eq(packets.publish(topic, b"hi", False), b"\x30\x07\x00\x03a/bhi")
    eq(packets.publish(topic, b"", True), b"\x31\x05\x00\x03a/b")
    eq(packets.publish(topic, b"hi", False, 258), b"\x32\x09\x00\x03a/b\x01\x02hi")
    eq(packets.publish(topic, b"hi", True, 65535), b"\x33\x09\x00\x03a/b\xff\xffhi")
    eq(packets.duplicate(b"\x33\x09\x00\x03a/b\xff\xffhi"), b"\x3b\x09\x00\x03a/b\xff\xffhi")


def test_remaining_length() -> None:
    for size, head in (
        (0, b"\x30\x00"),
        (127, b"\x30\x7f"),
        (128, b"\x30\x80\x01"),
        (16383, b"\x30\xff\x7f"),
        (16384, b"\x30\x80\x80\x01"),
        (70000, b"\x30\xf0\xa2\x04"),
    ):
        whole = packets.build_packet(0x30, b"x" * size)
        eq(whole[: len(head)], head)
        eq(len(whole), size + len(head))
        found = packets.PacketReader(100000).feed(whole)
        del whole  # a board has no memory for a third copy
        eq(found, [(0x30, b"x" * size)])


def test_small_packets() -> None:
    eq(packets.puback(258), b"\x40\x02\x01\x02")
    eq(packets.subscribe(7, "a/#", 1), b"\x82\x08\x00\x07\x00\x03a/#\x01")
    eq(packets.PINGREQ_PACKET, b"\xc0\x00")
    eq(packets.DISCONNECT_PACKET, b"\xe0\x00")


def test_topics() -> None:
    for topic in ("a", "/", "a//b", "$SYS/x", "g\u00fc\u4e2d\U0001f600"):
        raw = topic.encode()
        eq(packets.encode_topic(topic), bytes((0, len(raw))) + raw)
        eq(packets.encode_filter(topic), bytes((0, len(raw))) + raw)
    for topic in ("", "a/+", "#", "a\0", "x" * 65536, "\udfff"):
        raises(EncodeError, packets.encode_topic, topic)
    for topic in ("#", "+", "a/#", "+/a/+", "/+"):
        packets.encode_filter(topic)
    for topic in ("", "a#", "#/a", "a+", "+a/b", "a/#/b", "##", "a\0"):
        raises(EncodeError, packets.encode_filter, topic)
    raises(EncodeError, packets.subscribe, 1, "a", 2)


def test_decode_connack() -> None:
    eq(packets.decode_connack(b"\0\0"), (False, 0))
    eq(packets.decode_connack(b"\1\0"), (True, 0))
    eq(packets.decode_connack(b"\0\5"), (False, 5))
    for body in (b"", b"\0", b"\0\0\0", b"\2\0", b"\0\6", b"\1\1"):
        raises(DecodeError, packets.decode_connack, body)


def test_decode_acks() -> None:
    eq(packets.decode_puback(b"\1\2"), 258)
    eq(packets.decode_suback(b"\0\7\1"), (7, 1))
    eq(packets.decode_suback(b"\0\7\x80"), (7, 128))
    for body in (b"", b"\1", b"\0\0", b"\0\1\0"):
        raises(DecodeError, packets.decode_puback, body)
    for body in (b"", b"\0\7", b"\0\7\2", b"\0\7\x81", b"\0\0\1", b"\0\7\1\1"):
        raises(DecodeError, packets.decode_suback, body)


def test_decode_publish() -> None:
    eq(packets.decode_publish(0x30, b"\0\3a/bhi"), ("a/b", b"hi", 0, False, 0))
    eq(packets.decode_publish(0x31, b"\0\3a/b"), ("a/b", b"", 0, True, 0))
    eq(packets.decode_publish(0x3A, b"\0\3a/b\1\2hi"), ("a/b", b"hi", 1, False, 258))
    eq(packets.decode_publish(0x30, b"\0\2\xc3\xbc")[0], "\u00fc")
    for first, body in (
        (0x30, b""),
        (0x30, b"\0"),
        (0x30, b"\0\0hi"),
        (0x30, b"\0\4a/b"),
        (0x30, b"\0\3a/+"),
        (0x30, b"\0\3a/#"),
        (0x30, b"\0\3a\0b"),
        (0x30, b"\0\2\xc3\x28"),
        (0x32, b"\0\3a/b"),
        (0x32, b"\0\3a/b\1"),
        (0x32, b"\0\3a/b\0\0"),
        (0x34, b"\0\3a/b\0\1"),
        (0x36, b"\0\3a/b\0\1"),
        (0x38, b"\0\3a/b"),
    ):
        raises(DecodeError, packets.decode_publish, first, body)


def test_utf8() -> None:
    for text in ("", "a", "\u00fc", "\u07ff\u0800", "\ud7ff\ue000", "\uffff", "\U0010ffff"):
        packets.check_utf8(text.encode())
    for raw in (
        b"\0",
        b"\x80",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xc3",
        b"\xc3a",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xe4\xb8",
        b"\xf0\x8f\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xff",
        b"a\xfe",
    ):
        raises(DecodeError, packets.check_utf8, raw)


def test_reader_on_every_split() -> None:
    stream = (
        b"\x20\x02\x00\x00"
        + packets.build_packet(0x30, b"\x00\x01a" + b"z" * 300)
        + b"\xd0\x00\x40\x02\x00\x01"
        + packets.build_packet(0x32, b"\x00\x01a\x00\x02" + b"y" * 123)
    )
    whole = packets.PacketReader(400).feed(stream)
    eq([first for first, _ in whole], [0x20, 0x30, 0xD0, 0x40, 0x32])
    for cut in range(len(stream) + 1):
        reader = packets.PacketReader(400)
        eq(reader.feed(stream[:cut]) + reader.feed(stream[cut:]), whole)
    for step in (1, 2, 3, 7):
        reader = packets.PacketReader(400)
        found = []
        for at in range(0, len(stream), step):
            found += reader.feed(stream[at : at + step])
        eq(found, whole)
        eq(reader.error, "")


def test_reader_is_bounded() -> None:
    reader = packets.PacketReader(64)
    eq(reader.feed(packets.build_packet(0x30, b"x" * 62)), [(0x30, b"x" * 62)])
    eq(reader.feed(b"\xd0\x00\x40\x3f"), [(0xD0, b"")])
    eq(reader.error, "packet of 65 bytes")
    eq(reader.feed(b"\xd0\x00"), [])
    reader.reset()
    eq(reader.error, "")
    eq(reader.feed(b"\xd0\x00"), [(0xD0, b"")])
    eq(reader.feed(b"\x30\xff\xff\xff\xff"), [])
    eq(reader.error, "remaining length of more than 4 bytes")
    reader.reset()
    eq(reader.feed(b"\x40\xff\xff\xff\x7f"), [])
    eq(reader.error, "packet of 268435460 bytes")


def test_reader_skips_a_long_publish_on_every_split() -> None:
    stream = (
        packets.build_packet(0x32, b"\x00\x01a\x00\x02" + b"y" * 23)
        + packets.build_packet(0x32, b"\x00\x01a\x12\x34" + b"z" * 300)
        + b"\xd0\x00"
        + packets.build_packet(0x31, b"\x00\x02ab" + b"z" * 61)
        + b"\x40\x02\x00\x01"
    )
    expected = [0x32, packets.SKIPPED, 0xD0, packets.SKIPPED, 0x40]
    whole = packets.PacketReader(64).feed(stream)
    eq([first for first, _ in whole], expected)
    eq([whole[1][1], whole[3][1]], [b"\x12\x34", b""])
    for cut in range(len(stream) + 1):
        reader = packets.PacketReader(64)
        eq(reader.feed(stream[:cut]) + reader.feed(stream[cut:]), whole)
    for step in (1, 2, 3, 7):
        reader = packets.PacketReader(64)
        found = []
        for at in range(0, len(stream), step):
            found += reader.feed(stream[at : at + step])
            assert len(reader._buffer) <= 64
        eq((found, reader.error), (whole, ""))


def test_reader_skips_the_longest_publish_and_forgets_it_after_a_reset() -> None:
    reader = packets.PacketReader(64)
    eq(reader.feed(b"\x30\xff\xff\xff\x7f\x00\x01a"), [(packets.SKIPPED, b"")])
    for _ in range(20):
        eq(reader.feed(b"\xd0\x00" * 500), [])
    reader.reset()
    eq(reader.feed(b"\xd0\x00"), [(0xD0, b"")])


def test_reader_refuses_a_long_publish_without_a_short_topic() -> None:
    for packet in (
        b"\x30\x7f\x00\x7e",  # the topic is longer than the packet
        b"\x32\x7f\x00\x7d",  # no space for the packet id
        b"\x30\xff\x01\x00\x50",  # the topic is longer than the limit
        b"\x34\x7f\x00\x01",  # QoS 2
        b"\x36\x7f\x00\x01",
    ):
        reader = packets.PacketReader(64)
        eq(reader.feed(packet), [])
        assert reader.error.startswith("packet of "), packet
