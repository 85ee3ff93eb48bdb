# SPDX-License-Identifier: Apache-2.0
"""Harnesses of Modbus in both directions: clients, buses, servers, sniffer, and readers of texts.

Does not need the captures of `tests.fuzz.traffic`: the seeds are the exchanges of each request with
a server of pymodbus. Inputs whose checksum is made right reach the parsers behind it.
`tests.fuzz.protocol_harnesses` has the clients and buses with bytes as they come.
"""

from __future__ import annotations

import asyncio
import io
import json
import struct
from pathlib import Path

from deploy.northbound.access.types import FakeAudit, FakeWriter
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.modbus.requests import ModbusRequests
from deploy.northbound.modbus.server import ModbusClient, ModbusLimits, ModbusTcpServer
from deploy.northbound.modbus.set_points import ModbusWriteRules, UnitRegisters
from drivers.modbus.bus import Bus
from drivers.tools.lib.arguments import UsageError
from drivers.tools.lib.exchange.pcapng import PcapngWriter
from drivers.tools.modbus_raw import _parse_pdu
from drivers.tools.modbus_sniff import TrafficSummary, _capture_frame, build_record, format_line
from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.profile_server import ProfileServer
from hil.devices.modbus.tcp import ModbusTcpHost
from hil.errors import BenchError
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.profile_draft import draft_profile
from protocols.modbus import pdu
from protocols.modbus.ascii_mode import build_frame
from protocols.modbus.crc import with_crc
from protocols.modbus.sniffer import Sniffer
from tests.fuzz.harness import Feed, Harness, HarnessError, chunks

UNIT = 12
_STEP_US = 3_000
_CHAR_US = 573
_MAX_BUFFER = 512
_PROFILES = Path(__file__).resolve().parents[2] / "drivers" / "profiles"
REQUESTS = (
    pdu.read_coils(3, 19),
    pdu.read_discrete(1, 9),
    pdu.read_holding(3, 20),
    pdu.read_input(3, 1),
    pdu.write_coil(3, 1),
    pdu.write_single(3, 7),
    pdu.diagnostics_echo(7),
    pdu.write_coils(3, (1, 0, 1)),
    pdu.write_multiple(3, (1, 2, 3)),
    pdu.report_server_id(),
    pdu.mask_write(3, 1, 2),
    pdu.read_write(3, 2, 9, (7,)),
    pdu.read_device_id(),
    pdu.read_device_id(4, 1),
    b"\x41\x01\x02",  # a function of the maker
)
_TABLES = (
    "address;name;type;scale;unit;access;bits\n40001;supply temperature;i16;0.1;°C;R;\n",
    "0x10\tpump speed command\tu16\t0.01\t%\tRW\n32 | x\n",
    "addr,name,type,order,min,max,function\n7,leak,f32,CDAB,0,1,4\n# x\n8,alarm word,bits\n",
    "1  alarm word  bits  1  none  R  0=leak / 1=pump fault\n",
)


def _server() -> ProfileServer:
    raw = json.loads((_PROFILES / "belimo_valve.json").read_text(encoding="utf-8"))
    return ProfileServer(raw, UNIT)


def _exchanges() -> list[tuple[bytes, bytes]]:
    """Return (request, reply) of each function, as bodies with the unit."""
    line, found = ModbusLine([_server()]), []
    for number, request in enumerate(REQUESTS):
        body = bytes((UNIT,)) + request
        replies = line.receive(with_crc(body), number * 1_000_000)
        found.append((body, b"".join(data for _, data in replies)[:-2]))
    return found


def _tcp_frame(body: bytes, number: int = 1) -> bytes:
    return struct.pack(">HHH", number & 0xFFFF, 0, len(body) & 0xFFFF) + body


def _ascii_frame(body: bytes) -> bytes:
    return build_frame(body[0] or UNIT, body[1:])


_SEAL = {"rtu": with_crc, "tcp": _tcp_frame, "ascii": _ascii_frame}


def _sealed_bus(framing: str, is_network: bool) -> tuple[Feed, object]:
    """Each input is one frame: mode byte, then unit and PDU; the mode chooses the request."""
    bus = Bus(4, framing)
    if is_network:
        bus.set_gateway(255, True)
    bus.event("opened", 0)
    now = [0]

    def feed(data: bytes) -> None:
        if len(data) < 3:
            return
        mode = data[0]
        bus.submit(UNIT, REQUESTS[mode % len(REQUESTS)], now[0], mode >> 6 if mode < 0xC0 else 0)
        for chunk in (*chunks(data[:1] + _SEAL[framing](data[1:255])), b""):
            now[0] = max(now[0] + _STEP_US, min(bus.deadline(), now[0] + 400_000))
            bus.wake(now[0])
            bus.outbox()
            if chunk:
                bus.receive(chunk, now[0])
            bus.take_results()
        if len(bus.client.buffer) > _MAX_BUFFER:
            raise HarnessError(f"the buffer has {len(bus.client.buffer)} bytes")
        if not bus.open:
            bus.event("opened", now[0])

    return feed, bus


def _sniffer() -> tuple[Feed, object]:
    """Each frame is also described, counted and written to a capture."""
    sniffer = Sniffer(_CHAR_US)
    now = [0]

    def feed(data: bytes) -> None:
        file = io.BytesIO()
        capture, summary = PcapngWriter(file, "serial:x"), TrafficSummary()
        is_sealed = bool(data[:1]) and data[0] & 0x40
        for chunk in chunks(data[:1] + with_crc(data[1:]) if is_sealed else data):
            now[0] += _STEP_US + _CHAR_US * len(chunk)
            for frame in sniffer.feed(chunk, now[0]) + sniffer.wake(now[0]):
                build_record(frame, 0)
                format_line(frame, 0)
                _capture_frame(capture, frame)
                summary.add(frame)
        if len(sniffer._buffer) > _MAX_BUFFER:
            raise HarnessError(f"the buffer has {len(sniffer._buffer)} bytes")

    return feed, sniffer


def _check_reply(data: bytes) -> None:
    """A reply PDU to any request; the first byte chooses the request."""
    if not data:
        return
    request = REQUESTS[data[0] % len(REQUESTS)]
    verdict, code, values = pdu.check_reply(request, data[1:])
    if not verdict or not 0 <= code <= 255 or not all(0 <= value <= 65535 for value in values):
        raise HarnessError("no verdict")
    if request[0] == pdu.DEVICE_ID:
        pdu.parse_objects(values)


def _line_server() -> tuple[Feed, object]:
    line = ModbusLine([_server()])
    now = [0]

    def feed(data: bytes) -> None:
        for chunk in chunks(data[:1] + with_crc(data[1:])):
            now[0] += _STEP_US
            line.receive(chunk, now[0])
            if now[0] >= line.deadline():
                line.wake(now[0])

    return feed, None


def _tcp_server() -> tuple[Feed, object]:
    host = ModbusTcpHost([_server()])
    now, connection = [0], [0]

    def feed(data: bytes) -> None:
        connection[0] += 1
        now[0] += _STEP_US
        host.opened(connection[0], now[0])
        body = data[1:255]
        for chunk in chunks(data if data[:1] > b"\x80" else data[:1] + _tcp_frame(body)):
            host.receive(connection[0], chunk, now[0])
        host.closed(connection[0], now[0])
        if now[0] >= host.deadline():
            host.wake(now[0])

    return feed, None


class _Writer:
    """The writing side of one connection to the northbound server."""

    def __init__(self) -> None:
        self.transport = self
        self.replies: list[bytes] = []

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 5) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.replies.append(data)

    async def drain(self) -> None:
        return

    def abort(self) -> None:
        return


_CLIENTS = (
    ModbusClient("192.0.2.1"),
    ModbusClient("127.0.0.1"),
    ModbusClient("127.0.0.1", "", "", True),
)
_WRITES = ("06012000fa", "10012000010200fa")
"""Requests to the registers of set-points."""


class NorthboundServer:
    """The Modbus server for a building, without its socket."""

    def __init__(self) -> None:
        rules = ModbusWriteRules(sources=("127.0.0.0/8",))
        registers = UnitRegisters(FakeSource(1), FakeAudit(), lambda: 1000.0, FakeWriter(), rules)
        registers.refresh()
        self.requests = ModbusRequests(registers)
        fast = ModbusLimits(requests_per_s=1e9, burst=1e9)
        self.server = ModbusTcpServer(self.requests, fast)
        self._loop = asyncio.new_event_loop()

    def close(self) -> None:
        """Close the loop."""
        self._loop.close()

    def answer(self, data: bytes) -> None:
        """One request PDU of each client; the server must not hide an error behind exception 4."""
        for client in _CLIENTS if data else ():
            reply = self.requests.answer(data[:253], client)
            if reply == bytes((data[0] | 0x80, 4)):
                raise HarnessError("exception 4 hides an error")
            if not 2 <= len(reply) <= pdu.MAX_PDU:
                raise HarnessError(f"a reply of {len(reply)} bytes")

    def stream(self, data: bytes) -> None:
        """One connection."""
        self._loop.run_until_complete(self._connect(data))

    async def _connect(self, data: bytes) -> None:
        reader, writer = asyncio.StreamReader(), _Writer()
        reader.feed_data(data)
        reader.feed_eof()
        await self.server._serve(reader, writer)  # type: ignore[arg-type]
        for reply in writer.replies:
            if not 9 <= len(reply) <= 260:
                raise HarnessError(f"a reply of {len(reply)} bytes")


def _northbound(method: str) -> tuple[Feed, object]:
    server = NorthboundServer()
    return getattr(server, method), None


def _table(data: bytes) -> None:
    draft_profile(parse_table(data.decode("latin-1"), "input"), "model", "input")


def _raw_words(data: bytes) -> None:
    _parse_pdu(data.decode("latin-1"))


def make_harnesses() -> list[Harness]:
    """Return the harnesses of this file."""
    exchanges = _exchanges()
    requests = [bytes((3,)) + request for request, _ in exchanges]
    replies = [bytes((i,)) + reply for i, (_, reply) in enumerate(exchanges) if reply]
    both = [
        bytes((3,)) + with_crc(request) + with_crc(reply) for request, reply in exchanges if reply
    ]
    streams = [_tcp_frame(request) for request, _ in exchanges]
    tables = [text.encode("latin-1") for text in _TABLES]
    texts = [request.hex(" ").encode() for request in REQUESTS]
    check = [data[:1] + data[2:] for data in replies]
    found = [
        Harness(
            f"modbus_{name}_sealed",
            lambda framing=framing, network=network: _sealed_bus(framing, network),  # type: ignore[misc]
            (),
            replies,
        )
        for name, framing, network in (
            ("rtu", "rtu", False),
            ("rtu_over_tcp", "rtu", True),
            ("ascii", "ascii", False),
            ("tcp", "tcp", True),
        )
    ]
    return [
        *found,
        Harness("modbus_reply", lambda: (_check_reply, None), (), check),
        Harness("modbus_sniffer", _sniffer, (), both + requests),
        Harness("modbus_line_server", _line_server, (), requests),
        Harness("modbus_tcp_server", _tcp_server, (), requests),
        Harness(
            "modbus_northbound",
            lambda: _northbound("answer"),
            (),
            [data[2:] for data in requests] + [bytes.fromhex(text) for text in _WRITES],
        ),
        Harness("modbus_northbound_stream", lambda: _northbound("stream"), (), streams),
        Harness("modbus_table", lambda: (_table, None), (BenchError,), tables),
        Harness("modbus_raw", lambda: (_raw_words, None), (UsageError,), texts),
    ]
