# SPDX-License-Identifier: Apache-2.0
"""Harnesses of the parsers of `protocols` and `drivers`: bytes that a device sends to the agent."""

from __future__ import annotations

from binascii import crc32
from typing import Any

from drivers.errors import AddressError
from drivers.gnss.receiver import ReceiverDriver
from drivers.modbus.bus import Bus
from drivers.modems import make_driver
from drivers.ports.address import parse_address
from drivers.redfish.client import RedfishClient
from drivers.redfish.target import RedfishTarget
from protocols import calendar, cbor, datagram, http, signed_message
from protocols.errors import DecodeError
from protocols.modbus.ascii_mode import AsciiClient, build_frame
from protocols.modbus.crc import with_crc
from protocols.modbus.rtu import RtuClient
from protocols.modbus.sniffer import Sniffer
from protocols.modbus.tcp import TcpClient
from protocols.mqtt.client import MqttClient
from protocols.mqtt.client_v5 import MqttClientV5
from protocols.nmea import sentences
from protocols.nmea.framing import Framer
from protocols.orbit import tle
from protocols.telemetry import block, merged_block, message, receipt, schema
from tests.fuzz.harness import Feed, Harness, chunks
from tests.fuzz.traffic import MODEMS, captured

_PDUS = (
    b"\x03\x90\x00\x00\x17",
    b"\x04\x00\x00\x00\x10",
    b"\x06\x00\x00\x12\x34",
    b"\x10\x00\x00\x00\x02\x04\x00\x01\x00\x02",
    b"\x01\x00\x00\x00\x08",
    b"\x2b\x0e\x01\x00",
    b"\x2b\x0e\x04\x00",
    b"\x17\x00\x00\x00\x02\x00\x00\x00\x01\x02\x00\x01",
)
_STEP = 3_000
_TLE = (
    b"1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927\n"
    b"2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537"
)


def _matcher(client: Any) -> tuple[Feed, object]:
    """A client with a pending request; the second byte of the input chooses it."""

    def feed(data: bytes) -> None:
        if len(data) < 2:
            return
        client.reset()
        client.start(12, _PDUS[data[1] % len(_PDUS)], bool(data[1] & 0x80))
        for chunk in chunks(data[:1] + data[2:]):
            client.feed(chunk)
        client.discard()
        client.take_duplicate()
        client.stop()
        client.unanswered_others()

    return feed, client


def _rtu_with_crc() -> tuple[Feed, object]:
    feed, client = _matcher(RtuClient())
    return lambda data: feed(data[:2] + with_crc(data[2:])), client


def _bus(framing: str) -> tuple[Feed, object]:
    """A bus with requests in its queue; time passes with the input."""
    bus = Bus(4, framing)
    bus.event("opened", 0)
    now = [0]

    def feed(data: bytes) -> None:
        unit = 12 if not data else data[0] % 3 + 11
        bus.submit(unit, _PDUS[len(data) % len(_PDUS)], 1)
        for chunk in chunks(data):
            now[0] += _STEP
            if now[0] >= bus.deadline():
                bus.wake(now[0])
            bus.outbox()
            bus.receive(chunk, now[0])
            bus.take_results()
        if not bus.open:
            bus.event("opened", now[0])

    return feed, bus


def _sniffer() -> tuple[Feed, object]:
    sniffer = Sniffer(573)
    now = [0]

    def feed(data: bytes) -> None:
        for chunk in chunks(data):
            now[0] += _STEP + 573 * len(chunk)
            sniffer.feed(chunk, now[0])
            if now[0] >= sniffer.deadline():
                sniffer.wake(now[0])

    return feed, sniffer


def _framer() -> tuple[Feed, object]:
    framer = Framer()

    def feed(data: bytes) -> None:
        for chunk in chunks(data):
            for _, body in framer.feed(chunk):
                sentences.parse(body)

    return feed, framer


def _sentence(data: bytes) -> None:
    for body in data.replace(b"*", b"$").split(b"$"):
        sentence, reason = sentences.parse(body)
        assert (sentence is None) == bool(reason)


def _receiver() -> tuple[Feed, object]:
    driver = ReceiverDriver(0, 115_200)
    now = [0]

    def feed(data: bytes) -> None:
        for chunk in chunks(data):
            now[0] += 200_000
            driver.receive(chunk, now[0])
            driver.take_fixes()

    return feed, driver


def _sealed_receiver() -> tuple[Feed, object]:
    """Each line of the input gets a right checksum, so that the deep checks are reached."""
    feed, driver = _receiver()

    def feed_sealed(data: bytes) -> None:
        lines = []
        for line in data[1:].split(b"\n"):
            body = line.strip(b"\r").lstrip(b"$").split(b"*")[0]
            check = 0
            for byte in body:
                check ^= byte
            lines.append(b"$%s*%02X\r\n" % (body, check))
        feed(data[:1] + b"".join(lines))

    return feed_sealed, driver


def _mqtt(client: Any) -> tuple[Feed, object]:
    now = [0]

    def feed(data: bytes) -> None:
        now[0] += 1_000_000
        client.connection_opened(now[0])
        if data[:1] > b"\x10":  # most inputs begin in an open session
            client.receive(
                b"\x20\x03\0\0\0" if client.__class__ is MqttClientV5 else b"\x20\2\0\0", now[0]
            )
            client.subscribe("a/b", 1)
            client.publish("a/c", b"x", 1)
        for chunk in chunks(data):
            client.receive(chunk, now[0])
            client.take_output()
            client.take_events()
        client.connection_closed(now[0])

    return feed, client


def _modem(kind: str) -> tuple[Feed, object]:
    driver: Any = make_driver(kind, 9, {"peer": 7})
    now = [0]

    def feed(data: bytes) -> None:
        if not driver._is_open:
            driver.event("opened", now[0])
        mode = data[0] if data else 0
        if mode & 4:
            driver.send(b"x" * 40, 3, now[0])
        if mode & 8:
            driver.fetch(now[0])
        for chunk in chunks(data):
            now[0] += 500_000
            if now[0] >= driver.deadline():
                driver.wake(now[0])
            driver.receive(chunk, now[0])
            driver.outbox()
        driver.take_events()
        if mode & 16:
            driver.event("closed", now[0])

    return feed, driver


def _http() -> tuple[Feed, object]:
    reader = http.ResponseReader()

    def feed(data: bytes) -> None:
        reader.reset()
        for chunk in chunks(data):
            reader.feed(chunk)
        reader.finish()

    return feed, reader


def _redfish() -> tuple[Feed, object]:
    targets = [
        RedfishTarget("/redfish/v1/Chassis/a/EnvironmentMetrics", "environment", 0, False, "/s/a"),
        RedfishTarget("/redfish/v1/Chassis/b/Power", "power", 0, True, "/s/b"),
    ]
    client = RedfishClient("bmc", targets, ("user", "word"), True)
    now = [0]

    def feed(data: bytes) -> None:
        mode = data[0] if data else 0
        now[0] += 1_000_000
        if not client.connected:
            client.connection_opened(now[0])
        if mode & 4:
            client.set_limit(mode & 1, 500 + 10 * mode, now[0])
        for chunk in chunks(data):
            now[0] += 100_000
            client.receive(chunk, now[0])
            if now[0] >= client.deadline():
                client.wake(now[0])
            client.take_output()
            client.take_close_request()
        if mode & 8:
            client.connection_closed(now[0])

    return feed, client


def _block(data: bytes) -> None:
    """A block with a right check and the known version."""
    body = bytes((block.VERSION,)) + data
    block.decode(body + (crc32(body) & 0xFFFF).to_bytes(2, "big"), 3)


def _valid_block() -> bytes:
    rows: list[int | None] = [20, 21, None, 25, 30, 31, 31]
    columns: list[list[int | None]] = [rows, [5] * 7, [1000 + 7 * i for i in range(7)]]
    return block.encode(b"abcd", 1, columns)


def _function(call: Any) -> Any:
    return lambda: (call, None)


def _datagram(data: bytes) -> None:
    part = datagram.unpack(data)
    datagram.reassemble([part.data, data])


def _tle(data: bytes) -> None:
    line1, _, line2 = data.decode("latin-1").partition("\n")
    tle.parse(line1, line2)


def _text(parse: Any) -> Any:
    return _function(lambda data: parse(data.decode("latin-1")))


def _places(name: str) -> list[bytes]:
    """Return what the captures have at a place, with a mode byte in front."""
    return [bytes((3,)) + data for kind in MODEMS for data in captured(kind).get(name, ())][:300]


def make_harnesses() -> list[Harness]:
    """Return the harnesses of this file."""
    bus = _places("bus>")
    # RTU frames of the captures as ASCII frames: mode, request, then a frame.
    ascii_frames = [
        data[:1] + b"\0" + build_frame(data[1], data[2:-2]) for data in bus if data[1:2] > b"\0"
    ]
    inner = b"$GPTXT,01,01,01,ANTENNA OK*35\r\n"
    receiver = [
        *_places("receiver>"),
        # a UBX and an RTCM frame with a sentence inside
        b"\xb5\x62\x01\x07\x1f\x00" + inner + b"\x1d\xc0" + inner,
        b"\xd3\x00\x1f" + inner + b"\xf6\x66\x0c" + inner,
    ]
    broker = _places("broker>")
    bodies = [b"\x83\x01\x41\x00\x40", b"\xa2\x01\x18\x21\x61a\xc4\x82\x20\x19\x01\x45"]
    records = [data.partition(b"\0")[2] for data in captured("sbd").get("log<", ())]
    uplink = [data[data.find(b"/tele") :] for data in captured("sbd").get("broker<", ())]
    key = bytes(32)
    blocks = [_valid_block()]
    harnesses = [
        Harness("rtu_client", lambda: _matcher(RtuClient()), (), bus),
        Harness("rtu_client_crc", _rtu_with_crc, (), bus),
        Harness("tcp_client", lambda: _matcher(TcpClient()), (), bus + _places("bmc>")),
        Harness("rtu_bus", lambda: _bus("rtu"), (), bus),
        Harness("tcp_bus", lambda: _bus("tcp"), (), bus),
        Harness("ascii_client", lambda: _matcher(AsciiClient()), (), ascii_frames),
        Harness("ascii_bus", lambda: _bus("ascii"), (), ascii_frames),
        Harness("sniffer", _sniffer, (), bus + _places("bus<")),
        Harness("nmea_framer", _framer, (), receiver),
        Harness("nmea_sentence", _function(_sentence), (), receiver),
        Harness("receiver_driver", _receiver, (), receiver),
        Harness("receiver_driver_sealed", _sealed_receiver, (), receiver),
        Harness("mqtt_client", lambda: _mqtt(MqttClient("c")), (), broker),
        Harness("mqtt5_client", lambda: _mqtt(MqttClientV5("c")), (), broker),
        Harness("cbor", _function(cbor.decode), (DecodeError,), bodies + records),
        Harness("signed_message", _function(signed_message.unpack), (DecodeError,), bodies),
        Harness("datagram", _function(_datagram), (DecodeError,), records),
        Harness("datagram_ack", _function(datagram.parse_ack), (DecodeError,), records),
        Harness("telemetry_message", _function(message.parse_message), (DecodeError,), uplink),
        Harness(
            "receipt",
            _function(lambda data: receipt.parse_receipt(data, "a/b", key)),
            (DecodeError,),
            records,
        ),
        Harness(
            "receipt_unsigned",
            _function(lambda data: receipt.parse_receipt(data, "a/b", b"")),
            (DecodeError,),
            records,
        ),
        Harness("schema", _function(schema.parse_schema), (DecodeError,), records),
        Harness("block", _function(lambda data: block.decode(data, 3)), (DecodeError,), blocks),
        Harness("block_checked", _function(_block), (DecodeError,), [b[1:-2] for b in blocks]),
        Harness("merged_block", _function(merged_block.split_blocks), (DecodeError,), records),
        Harness("http", _http, (DecodeError,), _places("bmc>")),
        Harness("redfish", _redfish, (), _places("bmc>")),
        Harness("tle", _function(_tle), (DecodeError,), [_TLE]),
        Harness(
            "iso8601", _text(calendar.parse_iso8601), (DecodeError,), [b"2026-11-27T00:00:00Z"]
        ),
        Harness("address", _text(parse_address), (AddressError,), [b"serial:/dev/a?baud=9600"]),
    ]
    harnesses += [
        Harness("modem_" + kind, lambda kind=kind: _modem(kind), (), _kind_seeds(kind, "modem>"))  # type: ignore[misc]
        for kind in MODEMS
    ]
    return harnesses


def _kind_seeds(kind: str, place: str) -> list[bytes]:
    return [bytes((7,)) + data for data in captured(kind).get(place, ())]
