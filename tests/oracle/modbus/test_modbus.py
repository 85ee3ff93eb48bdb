# SPDX-License-Identifier: Apache-2.0
"""The Modbus client against pymodbus: each reads the messages of the other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsResponse,
    WriteMultipleCoilsRequest,
    WriteMultipleCoilsResponse,
    WriteSingleCoilRequest,
    WriteSingleCoilResponse,
)
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    MaskWriteRegisterResponse,
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
    ReadWriteMultipleRegistersRequest,
    ReadWriteMultipleRegistersResponse,
    WriteMultipleRegistersRequest,
    WriteMultipleRegistersResponse,
    WriteSingleRegisterRequest,
    WriteSingleRegisterResponse,
)

from drivers.tools.lib.arguments import EXCEPTIONS
from protocols.modbus import pdu, rtu, tcp
from protocols.modbus.crc import crc16

SERVER = DecodePDU(True)
RTU, SOCKET = FramerRTU(SERVER), FramerSocket(SERVER)

words = st.integers(0, 65535)
addresses = st.integers(0, 65000)
units = st.integers(1, 247)
registers = st.lists(words, min_size=1, max_size=123)


def build_response(request: ModbusPDU, values: list[int]) -> ModbusPDU:
    """Return pymodbus' good reply; its input registers derive from its holding registers."""
    if isinstance(request, ReadInputRegistersRequest):
        return ReadInputRegistersResponse(registers=values)
    if isinstance(request, ReadHoldingRegistersRequest):
        return ReadHoldingRegistersResponse(registers=values)
    if isinstance(request, WriteSingleRegisterRequest):
        return WriteSingleRegisterResponse(address=request.address, registers=request.registers)
    assert isinstance(request, WriteMultipleRegistersRequest)
    return WriteMultipleRegistersResponse(address=request.address, count=request.count)


def our_request(kind: int, address: int, values: list[int]) -> bytes:
    """Return a request of the client."""
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
def test_crc_matches_pymodbus(data: bytes) -> None:
    crc = FramerRTU.compute_CRC(data)
    assert crc16(data) == (crc >> 8 | (crc & 0xFF) << 8)


@given(st.sampled_from((3, 4, 6, 16)), units, addresses, registers, st.integers(1, 255))
def test_rtu_round_trip(kind: int, unit: int, address: int, values: list[int], step: int) -> None:
    client = rtu.RtuClient()
    used, device, _, body = RTU.decode(client.start(unit, our_request(kind, address, values)))
    assert used
    assert device == unit
    request = SERVER.decode(body)
    assert request is not None
    check_request(request, kind, address, values)
    reply = build_response(request, values)
    frame = RTU.encode(reply.function_code.to_bytes(1, "big") + reply.encode(), unit, 0)
    results = [client.feed(frame[i : i + step]) for i in range(0, len(frame), step)]
    assert results[:-1] == [None] * (len(results) - 1)
    assert results[-1] == ("ok", 0, tuple(values) if kind in (3, 4) else ())


@given(st.sampled_from((3, 4, 6, 16)), units, addresses, registers, st.integers(1, 255))
def test_tcp_round_trip(kind: int, unit: int, address: int, values: list[int], step: int) -> None:
    client = tcp.TcpClient()
    used, device, transaction, body = SOCKET.decode(
        client.start(unit, our_request(kind, address, values))
    )
    assert used
    assert device == unit
    request = SERVER.decode(body)
    assert request is not None
    check_request(request, kind, address, values)
    reply = build_response(request, values)
    raw = reply.function_code.to_bytes(1, "big") + reply.encode()
    frame = SOCKET.encode(raw, unit, transaction)
    results = [client.feed(frame[i : i + step]) for i in range(0, len(frame), step)]
    assert results[-1] == ("ok", 0, tuple(values) if kind in (3, 4) else ())
    assert client.stream_error == ""


@given(st.sampled_from((3, 4, 6, 16)), units, st.sampled_from(sorted(EXCEPTIONS)))
def test_exceptions(kind: int, unit: int, code: int) -> None:
    raw = ExceptionResponse(kind, code)
    body = raw.function_code.to_bytes(1, "big") + raw.encode()
    serial, stream = rtu.RtuClient(), tcp.TcpClient()
    serial.start(unit, our_request(kind, 7, [1, 2]))
    assert serial.feed(RTU.encode(body, unit, 0)) == ("exception", code, ())
    stream.start(unit, our_request(kind, 7, [1, 2]))
    assert stream.feed(SOCKET.encode(body, unit, 1)) == ("exception", code, ())


@given(st.lists(st.binary(max_size=700), max_size=12), st.booleans())
def test_any_bytes_are_counted_and_never_raise(chunks: list[bytes], waiting: bool) -> None:
    serial, stream = rtu.RtuClient(), tcp.TcpClient()
    if waiting:
        serial.start(1, pdu.read_holding(0, 2))
        stream.start(1, pdu.read_holding(0, 2))
    for chunk in chunks:
        serial.feed(chunk)
        stream.feed(chunk)
    serial.stop()
    stream.stop()
    assert len(serial.buffer) <= rtu.MAX_BUFFER
    assert len(stream.buffer) < 260


@given(st.binary(max_size=12), registers, st.binary(max_size=12))
def test_flipped_bit_gives_no_value(before: bytes, values: list[int], after: bytes) -> None:
    """CRC-16 detects every single-bit error; the matcher must not accept one."""
    client = rtu.RtuClient()
    body = bytes((3, 2 * len(values))) + b"".join(v.to_bytes(2, "big") for v in values)
    frame = bytearray(RTU.encode(body, 9, 0))
    place = (len(before) * 31 + len(after) * 7 + values[0]) % (8 * len(frame))
    frame[place // 8] ^= 1 << place % 8
    client.start(9, pdu.read_holding(0, len(values)))
    result = client.feed(bytes(frame))
    assert result is None or result[0] == "exception"


bits = st.lists(st.booleans(), min_size=1, max_size=1968)


def run_exchange(
    unit: int, request: bytes, reply: ModbusPDU, step: int
) -> tuple[ModbusPDU, object]:
    """Return pymodbus' decoding of the request, and the client's decoding of its reply."""
    client = rtu.RtuClient()
    _, device, _, body = RTU.decode(client.start(unit, request))
    assert device == unit
    reference = SERVER.decode(body)
    assert reference is not None
    frame = RTU.encode(reply.function_code.to_bytes(1, "big") + reply.encode(), unit, 0)
    results = [client.feed(frame[i : i + step]) for i in range(0, len(frame), step)]
    return reference, results[-1]


@given(units, addresses, bits, st.integers(1, 255), st.booleans())
def test_bits(unit: int, address: int, values: list[bool], step: int, discrete: bool) -> None:
    kind = ReadDiscreteInputsResponse if discrete else ReadCoilsResponse
    read = (pdu.read_discrete if discrete else pdu.read_coils)(address % 60000, len(values))
    request, result = run_exchange(unit, read, kind(bits=values), step)
    assert isinstance(request, ReadCoilsRequest)
    assert (request.address, request.count) == (address % 60000, len(values))
    assert result == ("ok", 0, tuple(int(value) for value in values))
    write = pdu.write_coils(address % 60000, [int(value) for value in values])
    reply = WriteMultipleCoilsResponse(address=address % 60000, count=len(values))
    request, result = run_exchange(unit, write, reply, step)
    assert isinstance(request, WriteMultipleCoilsRequest)
    assert request.bits[: len(values)] == values
    assert result == ("ok", 0, ())
    coil = WriteSingleCoilResponse(address=address, bits=values[:1])
    request, result = run_exchange(unit, pdu.write_coil(address, int(values[0])), coil, step)
    assert isinstance(request, WriteSingleCoilRequest)
    assert request.bits[:1] == values[:1]
    assert result == ("ok", 0, ())


@given(units, addresses, st.lists(words, min_size=2, max_size=121), st.integers(1, 255))
def test_mask_and_read_write(unit: int, address: int, values: list[int], step: int) -> None:
    keep, put = values[:2]
    mask = MaskWriteRegisterResponse(address=address, and_mask=keep, or_mask=put)
    request, result = run_exchange(unit, pdu.mask_write(address, keep, put), mask, step)
    assert isinstance(request, MaskWriteRegisterRequest)
    assert (request.address, request.and_mask, request.or_mask) == (address, keep, put)
    assert result == ("ok", 0, ())
    both = pdu.read_write(address, len(values), address, values)
    reply = ReadWriteMultipleRegistersResponse(registers=values)
    request, result = run_exchange(unit, both, reply, step)
    assert isinstance(request, ReadWriteMultipleRegistersRequest)
    assert request.write_registers == values
    assert result == ("ok", 0, tuple(values))
