# SPDX-License-Identifier: Apache-2.0
"""Modbus master for emulated devices: requests and replies through pymodbus.

No socket and no clock: the test sets the time. `LineMaster` speaks RTU to a `ModbusLine`,
`TcpMaster` Modbus TCP to a `ModbusTcpHost`.
"""

import struct

from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu import bit_message as bit
from pymodbus.pdu import mei_message as mei
from pymodbus.pdu import register_message as reg

from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.tcp import ModbusTcpHost

RTU = FramerRTU(DecodePDU(False))
TCP = FramerSocket(DecodePDU(False))
READS = {3: reg.ReadHoldingRegistersRequest, 4: reg.ReadInputRegistersRequest}
BITS = {1: bit.ReadCoilsRequest, 2: bit.ReadDiscreteInputsRequest}


def with_crc(body: bytes) -> bytes:
    """Return a frame with its CRC."""
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


class ModbusMaster:
    """Common part; `request` returns the decoded reply or None without a reply."""

    def __init__(self) -> None:
        self.now = 0

    def request(self, request: ModbusPDU) -> ModbusPDU | None:
        raise NotImplementedError

    def _expect_reply(self, request: ModbusPDU) -> ModbusPDU:
        reply = self.request(request)
        assert reply is not None, "no reply"
        assert not reply.isError(), reply
        return reply

    def exception_code(self, request: ModbusPDU) -> int:
        """Return the exception code, 0 for a good reply, -1 without a reply."""
        reply = self.request(request)
        return -1 if reply is None else reply.exception_code

    def read(self, unit: int, address: int, count: int = 1, function: int = 3) -> list[int]:
        request = READS[function](dev_id=unit, address=address, count=count)
        return list(self._expect_reply(request).registers)

    def read_exception(self, unit: int, address: int, count: int = 1, function: int = 3) -> int:
        return self.exception_code(READS[function](dev_id=unit, address=address, count=count))

    def read_bits(self, unit: int, address: int, count: int = 1, function: int = 1) -> list[bool]:
        reply = self._expect_reply(BITS[function](dev_id=unit, address=address, count=count))
        return list(reply.bits)[:count]

    def write(self, unit: int, address: int, *values: int) -> int:
        """Return 0 or the exception code; function 06 for one value, 16 for more."""
        if len(values) == 1:
            request: ModbusPDU = reg.WriteSingleRegisterRequest(
                dev_id=unit, address=address, registers=list(values)
            )
        else:
            request = reg.WriteMultipleRegistersRequest(
                dev_id=unit, address=address, count=len(values), registers=list(values)
            )
        return self.exception_code(request)

    def read_identity(self, unit: int, code: int = 1, first: int = 0) -> dict[int, bytes]:
        request = mei.ReadDeviceInformationRequest(code, first, dev_id=unit)
        reply = self._expect_reply(request)
        assert isinstance(reply, mei.ReadDeviceInformationResponse)
        return dict(reply.information)

    # Numbers.

    def read_float(
        self, unit: int, address: int, function: int = 3, swapped: bool = False
    ) -> float:
        registers = self.read(unit, address, 2, function)
        value: float = struct.unpack(
            ">f", struct.pack(">2H", *(registers[::-1] if swapped else registers))
        )[0]
        return value

    def read_integer(self, unit: int, address: int, code: str, function: int = 3) -> int:
        size = struct.calcsize(">" + code) // 2
        registers = self.read(unit, address, size, function)
        value: int = struct.unpack(">" + code, struct.pack(f">{size}H", *registers))[0]
        return value


class LineMaster(ModbusMaster):
    """A master on a line; `advance` advances the time and the clocks of the devices."""

    def __init__(self, line: ModbusLine) -> None:
        super().__init__()
        self.line = line

    def exchange_bytes(self, data: bytes) -> list[tuple[int, bytes]]:
        return self.line.receive(data, self.now)

    def request(self, request: ModbusPDU) -> ModbusPDU | None:
        replies = self.exchange_bytes(RTU.buildFrame(request))
        assert len(replies) <= 1
        return RTU.handleFrame(replies[0][1], request.dev_id, 0)[1] if replies else None

    def advance(self, seconds: float) -> None:
        end = self.now + round(seconds * 1e6)
        while self.line.deadline() <= end:
            self.now = max(self.now, self.line.deadline())
            self.line.wake(self.now)
        self.now = end


class TcpMaster(ModbusMaster):
    """A client of a host on connection `connection`."""

    def __init__(self, host: ModbusTcpHost, connection: int = 1) -> None:
        super().__init__()
        self.host, self.connection, self.transaction = host, connection, 0
        assert host.opened(connection, 0) == []

    def request(self, request: ModbusPDU) -> ModbusPDU | None:
        self.transaction += 1
        request.transaction_id = self.transaction
        out = self.host.receive(self.connection, TCP.buildFrame(request), self.now)
        assert len(out) <= 1
        if not out or out[0][2] is None:
            return None
        assert out[0][0] == self.connection
        data = out[0][2]
        assert int.from_bytes(data[:2], "big") == self.transaction
        assert data[6] == request.dev_id
        return TCP.handleFrame(data, request.dev_id, self.transaction)[1]

    def advance(self, seconds: float) -> None:
        end = self.now + round(seconds * 1e6)
        while self.host.deadline() <= end:
            self.now = max(self.now, self.host.deadline())
            self.host.wake(self.now)
        self.now = end
