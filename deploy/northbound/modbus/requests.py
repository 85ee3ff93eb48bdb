# SPDX-License-Identifier: Apache-2.0
"""Requests: functions 03, 04, 43/14, and with writes 06 and 16. All others get exception 01.

pymodbus decodes the requests and builds the replies. Its server is not used: it executes function 8
(restart), answers function 17 unasked, is silent to another unit id, and has no limit of
connections or of time. Lengths and counts are checked here first, because for some errors pymodbus
sends no exception. Sections are those of the "MODBUS Application Protocol Specification" V1.1b3.

Does not know connections; see `server`. Does not decide on writes; see `set_points`.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU, mei_message, register_message

from deploy.northbound.modbus import layout
from deploy.northbound.modbus.server import ModbusClient
from protocols.modbus.pdu import DIAGNOSTICS, WRITES

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, SERVER_FAILURE = 1, 2, 3, 4
SERVER_BUSY = 6
_READ_REPLIES = {
    3: register_message.ReadHoldingRegistersResponse,
    4: register_message.ReadInputRegistersResponse,
}
_WRITE_SINGLE, _WRITE_MULTIPLE, _WRITE_FILE, _ENCAPSULATED, _MEI = 6, 16, 21, 43, 14
_CHANGING = (*WRITES, DIAGNOSTICS, _WRITE_FILE)
"""Functions that would change a device, diagnostics with its restart included: all are audited."""
_BASIC, _REGULAR, _EXTENDED, _SPECIFIC = 1, 2, 3, 4
_CATEGORY_OBJECTS = {_BASIC: range(3), _REGULAR: range(7), _EXTENDED: range(256)}
_CONFORMITY = 0x82  # regular identification, stream and individual access (section 6.21)
_MAX_READ = 125
_MAX_OBJECT_LENGTH = 64

_DECODER = DecodePDU(True)
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)  # a line for each bad frame


class RegisterSource(Protocol):
    """The registers that the requests read and write."""

    def registers(self) -> list[int]:
        """Return the image of the newest record."""

    def identity(self) -> dict[int, str]:
        """Return the objects of the device identification by number."""

    def write(self, address: int, value: int, client: ModbusClient) -> int:
        """Write one register; return 0 or an exception code."""

    def refuse(self, function: int, reason: str, client: ModbusClient) -> None:
        """Record an attempt to write that does not reach a register."""


class ModbusRequests:
    """Answers the requests of all clients from one source."""

    def __init__(self, source: RegisterSource) -> None:
        self._source = source
        self._functions: dict[int, Callable[[bytes, ModbusClient], ModbusPDU | int]] = {
            3: self._read,
            4: self._read,
            _WRITE_SINGLE: self._write_single,
            _WRITE_MULTIPLE: self._write_multiple,
            _ENCAPSULATED: self._read_identification,
        }

    def answer(self, pdu: bytes, client: ModbusClient) -> bytes:
        """Return the reply to a request of at least one byte; never raises."""
        code = pdu[0]
        function = self._functions.get(code)
        if function is None or not client.role:
            if code in _CHANGING:
                self._source.refuse(code, "illegal function", client)
            return bytes((code | 0x80, ILLEGAL_FUNCTION))
        try:
            reply = function(pdu, client)
        except Exception as error:  # noqa: BLE001 - a fault of one request must not end the server
            reply = SERVER_FAILURE
            if code in _CHANGING:
                self._source.refuse(code, type(error).__name__, client)
        if isinstance(reply, int):
            reply = ExceptionResponse(code, reply)
        return bytes((reply.function_code,)) + reply.encode()

    def _read(self, pdu: bytes, _client: ModbusClient) -> ModbusPDU | int:
        if len(pdu) != 5 or not 1 <= _read_u16(pdu, 3) <= _MAX_READ:
            return ILLEGAL_VALUE
        request = _decode(pdu)
        end = request.address + request.count
        if end > layout.MAP_SIZE:
            return ILLEGAL_ADDRESS
        values = self._source.registers()[request.address : end]
        return _READ_REPLIES[pdu[0]](registers=values)

    def _write_single(self, pdu: bytes, client: ModbusClient) -> ModbusPDU | int:
        if len(pdu) != 5:
            self._source.refuse(pdu[0], "malformed", client)
            return ILLEGAL_VALUE
        address, value = _read_u16(pdu, 1), _read_u16(pdu, 3)
        error = self._source.write(address, value, client)
        reply = register_message.WriteSingleRegisterResponse(address=address, registers=[value])
        return error or reply

    def _write_multiple(self, pdu: bytes, client: ModbusClient) -> ModbusPDU | int:
        """Write one register: a request that sets two set-points could be done by half."""
        if len(pdu) < 8 or pdu[5] != 2 * _read_u16(pdu, 3) or len(pdu) != 6 + pdu[5]:
            self._source.refuse(pdu[0], "malformed", client)
            return ILLEGAL_VALUE
        if _read_u16(pdu, 3) != 1:
            self._source.refuse(pdu[0], "several registers", client)
            return ILLEGAL_ADDRESS
        address = _read_u16(pdu, 1)
        error = self._source.write(address, _read_u16(pdu, 6), client)
        return error or register_message.WriteMultipleRegistersResponse(address=address, count=1)

    def _read_identification(self, pdu: bytes, _client: ModbusClient) -> ModbusPDU | int:
        """Device identification, section 6.21: an unknown object restarts the stream."""
        if len(pdu) < 2 or pdu[1] != _MEI:
            return ILLEGAL_FUNCTION
        if len(pdu) != 4 or not _BASIC <= pdu[2] <= _SPECIFIC:
            return ILLEGAL_VALUE
        code, first = pdu[2], pdu[3]
        objects = {
            number: text[:_MAX_OBJECT_LENGTH] for number, text in self._source.identity().items()
        }
        if code == _SPECIFIC:
            if first not in objects:
                return ILLEGAL_ADDRESS
            chosen = {first: objects[first]}
        else:
            category = [number for number in sorted(objects) if number in _CATEGORY_OBJECTS[code]]
            start = first if first in category else 0
            chosen = {number: objects[number] for number in category if number >= start}
        reply = mei_message.ReadDeviceInformationResponse(code, dict(chosen))
        reply.conformity = _CONFORMITY
        return reply


def _decode(pdu: bytes) -> ModbusPDU:
    request = _DECODER.decode(pdu)
    if request is None:
        raise ValueError("not decoded")
    return request


def _read_u16(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 2], "big")
