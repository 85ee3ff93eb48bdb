# SPDX-License-Identifier: Apache-2.0
"""Modbus requests on the server side: decode, check, execute, confirm.

pymodbus decodes the requests and builds the replies. Its datastore is not used, because it cannot
be silent, late, busy or wrong. Lengths and counts are checked here first. For some of these errors
pymodbus only writes a log line and sends no exception 03 (function 3 with count 0). It does not
detect others (function 5 with a value other than 0xFF00 and 0).

Does not frame; see `line` and `tcp`. They pass function code and data, and a function `encode` for
the reply.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymodbus.pdu import (
    DecodePDU,
    ExceptionResponse,
    ModbusPDU,
    bit_message,
    diag_message,
    mei_message,
    other_message,
    register_message,
)

from hil.devices.modbus.server import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, ModbusServer

Pdu = Any
"""A decoded request of pymodbus; its attributes depend on its class."""
ExecutionResult = ModbusPDU | int

_DECODER = DecodePDU(True)
_BASIC, _REGULAR, _EXTENDED, _SPECIFIC = 1, 2, 3, 4
_OBJECTS = {_BASIC: range(3), _REGULAR: range(7), _EXTENDED: range(256)}
_REGISTER_READS = {
    3: register_message.ReadHoldingRegistersResponse,
    4: register_message.ReadInputRegistersResponse,
}
_CONFORMITY = 0x82  # regular identification, stream and individual access


@dataclass(slots=True)
class ModbusRequest:
    """A decoded request with its last reply."""

    unit: int
    server: ModbusServer | None
    function: int
    pdu: Pdu = None
    exception_code: int = 0
    is_read: bool = False
    reply_version: int = -1
    reply: bytes = b""
    reply_registers: list[int] | None = None


@dataclass(frozen=True, slots=True)
class _Function:
    """The check of one function (length and counts in the raw bytes) and its execution.

    `execute` returns the reply or an exception code. With a `build_confirmation`, `execute` returns
    0 for success; the reply depends only on the request and is built once.
    """

    is_valid: Callable[[bytes], bool]
    execute: Callable[[ModbusServer, Pdu, int], ExecutionResult]
    is_read: bool = False
    is_write: bool = False
    build_confirmation: Callable[[Pdu], ModbusPDU] | None = None


def decode_request(data: bytes, unit: int, server: ModbusServer | None) -> ModbusRequest:
    """Decode function code and data; an error in them sets the exception code."""
    code = data[0]
    request = ModbusRequest(unit, server, code)
    if server is None and unit != 0:
        return request
    function = _FUNCTIONS.get(code)
    if function is None or (server is not None and code not in server.functions):
        request.exception_code = ILLEGAL_FUNCTION
    elif not function.is_valid(data):
        request.exception_code = ILLEGAL_VALUE
    else:
        request.is_read = function.is_read
        request.pdu = _DECODER.decode(data)
        if request.pdu is None:
            request.exception_code = ILLEGAL_VALUE
    return request


def execute_request(
    request: ModbusRequest, server: ModbusServer, now: int, encode: Callable[[ModbusPDU], bytes]
) -> bytes:
    """Execute a request; return the encoded reply, from the cache if the server did not change."""
    error = (
        server.forced_exception() if server.busy or server.exception_code else 0
    ) or request.exception_code
    if error:
        return encode(ExceptionResponse(request.function, error, device_id=request.unit))
    if server.delayed_writes:
        server.apply_delayed_writes(now)
    if request.is_read:
        server.refresh(now)
        if request.reply_version == server.version:
            return request.reply
        if request.function in _REGISTER_READS:
            return _reply_registers(request, server, encode)
    function = _FUNCTIONS[request.function]
    result = function.execute(server, request.pdu, now)
    if function.build_confirmation is not None and not result:
        if request.reply:
            return request.reply
        result = function.build_confirmation(request.pdu)
    if isinstance(result, int):
        result = ExceptionResponse(request.function, result)
    elif function.is_read or function.build_confirmation is not None:
        result.dev_id = request.unit
        request.reply, request.reply_version = encode(result), server.version
        return request.reply
    result.dev_id = request.unit
    return encode(result)


def _reply_registers(
    request: ModbusRequest, server: ModbusServer, encode: Callable[[ModbusPDU], bytes]
) -> bytes:
    """Return the encoded reply to a read of registers; the same values have the same reply."""
    pdu = request.pdu
    values = server.read(pdu.address, pdu.count, request.function)
    if isinstance(values, int):
        return encode(ExceptionResponse(request.function, values, device_id=request.unit))
    if values != request.reply_registers:
        reply = _REGISTER_READS[request.function](registers=values)
        reply.dev_id = request.unit
        request.reply, request.reply_registers = encode(reply), values
    request.reply_version = server.version
    return request.reply


def execute_broadcast(request: ModbusRequest, server: ModbusServer, now: int) -> None:
    """Execute a broadcast without a reply; only functions that write have an effect."""
    if request.pdu is not None and not request.is_read and request.function in server.functions:
        server.apply_delayed_writes(now)
        _FUNCTIONS[request.function].execute(server, request.pdu, now)


# Execution of the functions.


def _read_bits(server: ModbusServer, pdu: Pdu, _now: int) -> ExecutionResult:
    coils = pdu.function_code == 1
    bits = server.read_bits(pdu.address, pdu.count, coils)
    if isinstance(bits, int):
        return bits
    return (bit_message.ReadCoilsResponse if coils else bit_message.ReadDiscreteInputsResponse)(
        bits=bits
    )


def _read_registers(server: ModbusServer, pdu: Pdu, _now: int) -> ExecutionResult:
    function = pdu.function_code
    values = server.read(pdu.address, pdu.count, function)
    return values if isinstance(values, int) else _REGISTER_READS[function](registers=values)


def _write_bits(server: ModbusServer, pdu: Pdu, now: int) -> ExecutionResult:
    return server.write_bits(pdu.address, pdu.bits, now)


def _write_registers(server: ModbusServer, pdu: Pdu, now: int) -> ExecutionResult:
    return server.write(pdu.address, pdu.registers, now)


def _mask_register(server: ModbusServer, pdu: Pdu, now: int) -> ExecutionResult:
    server.refresh(now)
    old = server.read(pdu.address, 1)
    if isinstance(old, int):
        return old
    new = (old[0] & pdu.and_mask) | (pdu.or_mask & ~pdu.and_mask & 0xFFFF)
    return server.write(pdu.address, [new], now)


def _write_and_read(server: ModbusServer, pdu: Pdu, now: int) -> ExecutionResult:
    error = server.write(pdu.write_address, pdu.write_registers, now)
    if error:
        return error
    server.refresh(now)
    values = server.read(pdu.read_address, pdu.read_count)
    if isinstance(values, int):
        return values
    return register_message.ReadWriteMultipleRegistersResponse(registers=values)


def _identify(server: ModbusServer, pdu: Pdu, _now: int) -> ExecutionResult:
    """Device identification, section 6.21: an unknown object restarts the stream at the first."""
    objects, first = server.identity, pdu.object_id
    if pdu.read_code not in server.identity_codes:
        return ILLEGAL_VALUE
    if pdu.read_code == _SPECIFIC:
        if first not in objects:
            return ILLEGAL_ADDRESS
        chosen = {first: objects[first]}
    else:
        category = [n for n in sorted(objects) if n in _OBJECTS[pdu.read_code]]
        start = first if first in category else 0
        chosen = {n: objects[n] for n in category if n >= start}
    reply = mei_message.ReadDeviceInformationResponse(pdu.read_code, dict(chosen))
    reply.conformity = _CONFORMITY
    return reply


def _return_query(_server: ModbusServer, pdu: Pdu, _now: int) -> ExecutionResult:
    """Diagnostics, section 6.8: only sub-function 0 (Return Query Data)."""
    if pdu.sub_function_code:
        return ILLEGAL_FUNCTION
    return diag_message.ReturnQueryDataResponse(pdu.message)


def _report_id(server: ModbusServer, _pdu: Pdu, _now: int) -> ExecutionResult:
    """Report server ID, section 6.13: the unit, then the run indicator."""
    return other_message.ReportDeviceIdResponse(server.server_id or bytes((server.unit,)))


# Confirmations.


def _coil_confirmation(pdu: Pdu) -> ModbusPDU:
    return bit_message.WriteSingleCoilResponse(address=pdu.address, bits=pdu.bits)


def _coils_confirmation(pdu: Pdu) -> ModbusPDU:
    return bit_message.WriteMultipleCoilsResponse(address=pdu.address, count=pdu.count)


def _register_confirmation(pdu: Pdu) -> ModbusPDU:
    return register_message.WriteSingleRegisterResponse(
        address=pdu.address, registers=pdu.registers
    )


def _registers_confirmation(pdu: Pdu) -> ModbusPDU:
    return register_message.WriteMultipleRegistersResponse(address=pdu.address, count=pdu.count)


def _mask_confirmation(pdu: Pdu) -> ModbusPDU:
    return register_message.MaskWriteRegisterResponse(pdu.address, pdu.and_mask, pdu.or_mask)


# Checks of the request format; `data` starts with the function code.


def _read_u16(data: bytes, at: int = 3) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _is_read_of_at_most(max_count: int) -> Callable[[bytes], bool]:
    return lambda data: len(data) == 5 and 1 <= _read_u16(data) <= max_count


def _has_length(size: int) -> Callable[[bytes], bool]:
    return lambda data: len(data) == size


def _is_coil_valid(data: bytes) -> bool:
    return len(data) == 5 and data[3:5] in (b"\xff\x00", b"\x00\x00")


def _are_coils_valid(data: bytes) -> bool:
    count = _read_u16(data)
    is_sized = len(data) > 6 and 1 <= count <= 1968
    return is_sized and data[5] == (count + 7) // 8 == len(data) - 6


def _are_registers_valid(data: bytes) -> bool:
    count = _read_u16(data)
    return len(data) > 6 and 1 <= count <= 123 and data[5] == 2 * count == len(data) - 6


def _is_write_read_valid(data: bytes) -> bool:
    reads, writes = _read_u16(data), _read_u16(data, 7)
    is_sized = len(data) > 10 and 1 <= reads <= 125 and 1 <= writes <= 121
    return is_sized and data[9] == 2 * writes == len(data) - 10


def _is_identify_valid(data: bytes) -> bool:
    return len(data) == 4 and data[1] == 0x0E and _BASIC <= data[2] <= _SPECIFIC


def _write_function(
    is_valid: Callable[[bytes], bool],
    execute: Callable[[ModbusServer, Pdu, int], ExecutionResult],
    build_confirmation: Callable[[Pdu], ModbusPDU] | None = None,
) -> _Function:
    return _Function(is_valid, execute, is_write=True, build_confirmation=build_confirmation)


_FUNCTIONS = {
    1: _Function(_is_read_of_at_most(2000), _read_bits, is_read=True),
    2: _Function(_is_read_of_at_most(2000), _read_bits, is_read=True),
    3: _Function(_is_read_of_at_most(125), _read_registers, is_read=True),
    4: _Function(_is_read_of_at_most(125), _read_registers, is_read=True),
    5: _write_function(_is_coil_valid, _write_bits, _coil_confirmation),
    6: _write_function(_has_length(5), _write_registers, _register_confirmation),
    8: _Function(_has_length(5), _return_query),
    15: _write_function(_are_coils_valid, _write_bits, _coils_confirmation),
    16: _write_function(_are_registers_valid, _write_registers, _registers_confirmation),
    17: _Function(_has_length(1), _report_id),
    22: _write_function(_has_length(7), _mask_register, _mask_confirmation),
    23: _write_function(_is_write_read_valid, _write_and_read),
    43: _Function(_is_identify_valid, _identify, is_read=True),
}
WRITE_FUNCTIONS = frozenset(code for code, function in _FUNCTIONS.items() if function.is_write)
"""The functions that write coils or registers."""
