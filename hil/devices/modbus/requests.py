"""Modbus requests as a slave understands them: decode, check, carry out, confirm.

pymodbus takes requests apart and puts answers together. Its datastore is not used: it answers from
plain blocks, and cannot be silent, late, busy or wrong. Lengths and counts are checked here first,
because pymodbus either refuses to decode such a request, with a line in the log instead of
exception 03 (function 3 with count 0), or does not look (function 5 with a value that is neither
0xFF00 nor 0).

Not framing: a line or a TCP server hands over function code and data, and says in `wrap` how an
answer is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu import bit_message as bit
from pymodbus.pdu import mei_message as mei
from pymodbus.pdu import register_message as reg

from hil.devices.modbus.server import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Slave

Pdu = Any
"""A decoded request of pymodbus; which attributes it has depends on its class."""
Result = ModbusPDU | int

_DECODER = DecodePDU(True)
_BASIC, _REGULAR, _EXTENDED, _SPECIFIC = 1, 2, 3, 4
_OBJECTS = {_BASIC: range(3), _REGULAR: range(7), _EXTENDED: range(256)}
_CONFORMITY = 0x82  # regular identification, stream and individual access


@dataclass(slots=True)
class Request:
    """A request as decoded once, with the last answer to it."""

    unit: int
    slave: Slave | None
    function: int
    pdu: Pdu = None
    error: int = 0
    reads: bool = False
    reply_version: int = -1
    reply: bytes = b""


@dataclass(frozen=True, slots=True)
class _Function:
    """How one function is checked (length and counts in the raw bytes) and carried out.

    `act` gives the answer or an exception code; where there is a `confirm`, `act` gives 0 for done
    and the answer, which depends on the request alone, is built once.
    """

    right: Callable[[bytes], bool]
    act: Callable[[Slave, Pdu, int], Result]
    reads: bool = False
    confirm: Callable[[Pdu], ModbusPDU] | None = None


def decode(data: bytes, unit: int, slave: Slave | None) -> Request:
    """Take function code and data apart; what is wrong with them becomes the exception code."""
    code = data[0]
    request = Request(unit, slave, code)
    if slave is None and unit != 0:
        return request
    function = _FUNCTIONS.get(code)
    if function is None or (slave is not None and code not in slave.functions):
        request.error = ILLEGAL_FUNCTION
    elif not function.right(data):
        request.error = ILLEGAL_VALUE
    else:
        request.reads = function.reads
        request.pdu = _DECODER.decode(data)
        if request.pdu is None:
            request.error = ILLEGAL_VALUE
    return request


def answer(request: Request, slave: Slave, now: int, wrap: Callable[[ModbusPDU], bytes]) -> bytes:
    """Carry a request out; its answer as `wrap` sends it, kept while the slave stays as it is."""
    error = (slave.refusal() if slave.busy or slave.refuse else 0) or request.error
    if error:
        return wrap(ExceptionResponse(request.function, error, device_id=request.unit))
    if slave.later:
        slave.settle(now)
    if request.reads:
        slave.refresh(now)
        if request.reply_version == slave.version:
            return request.reply
    function = _FUNCTIONS[request.function]
    result = function.act(slave, request.pdu, now)
    if function.confirm is not None and not result:
        if request.reply:
            return request.reply
        result = function.confirm(request.pdu)
    if isinstance(result, int):
        result = ExceptionResponse(request.function, result)
    elif function.reads or function.confirm is not None:
        result.dev_id = request.unit
        request.reply, request.reply_version = wrap(result), slave.version
        return request.reply
    result.dev_id = request.unit
    return wrap(result)


def obey(request: Request, slave: Slave, now: int) -> None:
    """Carry out a broadcast: only functions that write, without an answer."""
    if request.pdu is not None and not request.reads and request.function in slave.functions:
        slave.settle(now)
        _FUNCTIONS[request.function].act(slave, request.pdu, now)


# What each function does.


def _read_bits(slave: Slave, pdu: Pdu, _now: int) -> Result:
    coils = pdu.function_code == 1
    bits = slave.read_bits(pdu.address, pdu.count, coils)
    if isinstance(bits, int):
        return bits
    return (bit.ReadCoilsResponse if coils else bit.ReadDiscreteInputsResponse)(bits=bits)


def _read_registers(slave: Slave, pdu: Pdu, _now: int) -> Result:
    function = pdu.function_code
    values = slave.read(pdu.address, pdu.count, function)
    if isinstance(values, int):
        return values
    if function == 3:
        return reg.ReadHoldingRegistersResponse(registers=values)
    return reg.ReadInputRegistersResponse(registers=values)


def _write_bits(slave: Slave, pdu: Pdu, now: int) -> Result:
    return slave.write_bits(pdu.address, pdu.bits, now)


def _write_registers(slave: Slave, pdu: Pdu, now: int) -> Result:
    return slave.write(pdu.address, pdu.registers, now)


def _mask_register(slave: Slave, pdu: Pdu, now: int) -> Result:
    slave.refresh(now)
    old = slave.read(pdu.address, 1)
    if isinstance(old, int):
        return old
    new = (old[0] & pdu.and_mask) | (pdu.or_mask & ~pdu.and_mask & 0xFFFF)
    return slave.write(pdu.address, [new], now)


def _write_and_read(slave: Slave, pdu: Pdu, now: int) -> Result:
    error = slave.write(pdu.write_address, pdu.write_registers, now)
    if error:
        return error
    slave.refresh(now)
    values = slave.read(pdu.read_address, pdu.read_count)
    if isinstance(values, int):
        return values
    return reg.ReadWriteMultipleRegistersResponse(registers=values)


def _identify(slave: Slave, pdu: Pdu, _now: int) -> Result:
    """Device identification, section 6.21: an unknown object starts the stream from the front."""
    known, first = slave.identity, pdu.object_id
    if pdu.read_code not in slave.identity_codes:
        return ILLEGAL_VALUE
    if pdu.read_code == _SPECIFIC:
        if first not in known:
            return ILLEGAL_ADDRESS
        chosen = {first: known[first]}
    else:
        wanted = [n for n in sorted(known) if n in _OBJECTS[pdu.read_code]]
        start = first if first in wanted else 0
        chosen = {n: known[n] for n in wanted if n >= start}
    reply = mei.ReadDeviceInformationResponse(pdu.read_code, dict(chosen))
    reply.conformity = _CONFORMITY
    return reply


# Confirmations.


def _coil_written(pdu: Pdu) -> ModbusPDU:
    return bit.WriteSingleCoilResponse(address=pdu.address, bits=pdu.bits)


def _coils_written(pdu: Pdu) -> ModbusPDU:
    return bit.WriteMultipleCoilsResponse(address=pdu.address, count=pdu.count)


def _register_written(pdu: Pdu) -> ModbusPDU:
    return reg.WriteSingleRegisterResponse(address=pdu.address, registers=pdu.registers)


def _registers_written(pdu: Pdu) -> ModbusPDU:
    return reg.WriteMultipleRegistersResponse(address=pdu.address, count=pdu.count)


def _register_masked(pdu: Pdu) -> ModbusPDU:
    return reg.MaskWriteRegisterResponse(pdu.address, pdu.and_mask, pdu.or_mask)


# What is a well-formed request; `data` begins with the function code.


def _count(data: bytes, at: int = 3) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _asks(most: int) -> Callable[[bytes], bool]:
    return lambda data: len(data) == 5 and 1 <= _count(data) <= most


def _exactly(size: int) -> Callable[[bytes], bool]:
    return lambda data: len(data) == size


def _coil_right(data: bytes) -> bool:
    return len(data) == 5 and data[3:5] in (b"\xff\x00", b"\x00\x00")


def _coils_right(data: bytes) -> bool:
    count = _count(data)
    right = len(data) > 6 and 1 <= count <= 1968
    return right and data[5] == (count + 7) // 8 == len(data) - 6


def _registers_right(data: bytes) -> bool:
    count = _count(data)
    return len(data) > 6 and 1 <= count <= 123 and data[5] == 2 * count == len(data) - 6


def _both_right(data: bytes) -> bool:
    reads, writes = _count(data), _count(data, 7)
    right = len(data) > 10 and 1 <= reads <= 125 and 1 <= writes <= 121
    return right and data[9] == 2 * writes == len(data) - 10


def _identify_right(data: bytes) -> bool:
    return len(data) == 4 and data[1] == 0x0E and _BASIC <= data[2] <= _SPECIFIC


_FUNCTIONS = {
    1: _Function(_asks(2000), _read_bits, reads=True),
    2: _Function(_asks(2000), _read_bits, reads=True),
    3: _Function(_asks(125), _read_registers, reads=True),
    4: _Function(_asks(125), _read_registers, reads=True),
    5: _Function(_coil_right, _write_bits, confirm=_coil_written),
    6: _Function(_exactly(5), _write_registers, confirm=_register_written),
    15: _Function(_coils_right, _write_bits, confirm=_coils_written),
    16: _Function(_registers_right, _write_registers, confirm=_registers_written),
    22: _Function(_exactly(7), _mask_register, confirm=_register_masked),
    23: _Function(_both_right, _write_and_read),
    43: _Function(_identify_right, _identify, reads=True),
}
