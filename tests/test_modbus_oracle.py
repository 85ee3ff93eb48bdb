"""Our Modbus against pymodbus: it reads what we write, and we read what it writes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from protocols.modbus import pdu, rtu, tcp
from protocols.modbus.crc import crc16

SERVER = DecodePDU(True)
RTU, SOCKET = FramerRTU(SERVER), FramerSocket(SERVER)

words = st.integers(0, 65535)
addresses = st.integers(0, 65000)
units = st.integers(1, 247)
registers = st.lists(words, min_size=1, max_size=123)


def answer(request: ModbusPDU, values: list[int]) -> ModbusPDU:
    """pymodbus' good reply; its input reads derive from its holding reads."""
    if isinstance(request, ReadInputRegistersRequest):
        return ReadInputRegistersResponse(registers=values)
    if isinstance(request, ReadHoldingRegistersRequest):
        return ReadHoldingRegistersResponse(registers=values)
    if isinstance(request, WriteSingleRegisterRequest):
        return WriteSingleRegisterResponse(address=request.address, registers=request.registers)
    assert isinstance(request, WriteMultipleRegistersRequest)
    return WriteMultipleRegistersResponse(address=request.address, count=request.count)


def ours(kind: int, address: int, values: list[int]) -> bytes:
    """One of our requests."""
    if kind == 6:
        return pdu.write_single(address, values[0])
    if kind == 16:
        return pdu.write_multiple(address, values)
    return (pdu.read_holding if kind == 3 else pdu.read_input)(address, len(values))


def check_request(request: ModbusPDU, kind: int, address: int, values: list[int]) -> None:
    assert (request.function_code, request.address) == (kind, address)
    if kind == 6:
        assert request.registers == values[:1]
    elif kind == 16:
        assert request.registers == values
    else:
        assert request.count == len(values)


@given(st.binary(max_size=300))
def test_crc_agrees(data: bytes) -> None:
    crc = FramerRTU.compute_CRC(data)
    assert crc16(data) == (crc >> 8 | (crc & 0xFF) << 8)


@given(st.sampled_from((3, 4, 6, 16)), units, addresses, registers, st.integers(1, 255))
def test_rtu_round_trip(kind: int, unit: int, address: int, values: list[int], step: int) -> None:
    client = rtu.Client()
    used, device, _, body = RTU.decode(client.start(unit, ours(kind, address, values)))
    assert used
    assert device == unit
    request = SERVER.decode(body)
    assert request is not None
    check_request(request, kind, address, values)
    reply = answer(request, values)
    frame = RTU.encode(reply.function_code.to_bytes(1, "big") + reply.encode(), unit, 0)
    got = [client.feed(frame[i : i + step]) for i in range(0, len(frame), step)]
    assert got[:-1] == [None] * (len(got) - 1)
    assert got[-1] == ("ok", 0, tuple(values) if kind in (3, 4) else ())


@given(st.sampled_from((3, 4, 6, 16)), units, addresses, registers, st.integers(1, 255))
def test_tcp_round_trip(kind: int, unit: int, address: int, values: list[int], step: int) -> None:
    client = tcp.Client()
    used, device, transaction, body = SOCKET.decode(client.start(unit, ours(kind, address, values)))
    assert used
    assert device == unit
    request = SERVER.decode(body)
    assert request is not None
    check_request(request, kind, address, values)
    reply = answer(request, values)
    raw = reply.function_code.to_bytes(1, "big") + reply.encode()
    frame = SOCKET.encode(raw, unit, transaction)
    got = [client.feed(frame[i : i + step]) for i in range(0, len(frame), step)]
    assert got[-1] == ("ok", 0, tuple(values) if kind in (3, 4) else ())
    assert client.broken == ""


@given(st.sampled_from((3, 4, 6, 16)), units, st.sampled_from(sorted(pdu.EXCEPTIONS)))
def test_exceptions(kind: int, unit: int, code: int) -> None:
    raw = ExceptionResponse(kind, code)
    body = raw.function_code.to_bytes(1, "big") + raw.encode()
    serial, stream = rtu.Client(), tcp.Client()
    serial.start(unit, ours(kind, 7, [1, 2]))
    assert serial.feed(RTU.encode(body, unit, 0)) == ("exception", code, ())
    stream.start(unit, ours(kind, 7, [1, 2]))
    assert stream.feed(SOCKET.encode(body, unit, 1)) == ("exception", code, ())


@given(st.lists(st.binary(max_size=700), max_size=12), st.booleans())
def test_any_bytes_are_counted_and_never_raise(chunks: list[bytes], waiting: bool) -> None:
    serial, stream = rtu.Client(), tcp.Client()
    if waiting:
        serial.start(1, pdu.read_holding(0, 2))
        stream.start(1, pdu.read_holding(0, 2))
    for chunk in chunks:
        serial.feed(chunk)
        stream.feed(chunk)
    serial.stop()
    stream.stop()
    assert len(serial._buffer) <= rtu.LIMIT
    assert len(stream._buffer) < 260


@given(st.binary(max_size=12), registers, st.binary(max_size=12))
def test_one_flipped_bit_never_gives_a_value(
    before: bytes, values: list[int], after: bytes
) -> None:
    """CRC-16 finds every single-bit error; the matcher must not find a way around it."""
    client = rtu.Client()
    body = bytes((3, 2 * len(values))) + b"".join(v.to_bytes(2, "big") for v in values)
    frame = bytearray(RTU.encode(body, 9, 0))
    place = (len(before) * 31 + len(after) * 7 + values[0]) % (8 * len(frame))
    frame[place // 8] ^= 1 << place % 8
    client.start(9, pdu.read_holding(0, len(values)))
    got = client.feed(bytes(frame))
    assert got is None or got[0] == "exception"
