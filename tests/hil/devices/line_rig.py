# SPDX-License-Identifier: Apache-2.0
"""The emulated Modbus line with the devices of a row, and an independent master."""

from __future__ import annotations

from random import Random

from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    WriteSingleRegisterRequest,
)

from hil.devices.cooling.belimo_valve import BelimoValve
from hil.devices.cooling.rpu import Rpu
from hil.devices.drives.abb_acs580 import AbbAcs580
from hil.devices.modbus.line import ModbusLine
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant

SECOND = 1_000_000


MASTER = FramerRTU(DecodePDU(False))


class ModbusLineBench:
    """A line with an RPU (12), a valve (2) and two drives (1, 3), and the functions of a client."""

    def __init__(self) -> None:
        self.plant = Plant(Random(1), PlantParameters(fws_swing_k=0.0))
        self.rpu = Rpu(self.plant)
        self.valve = BelimoValve(self.plant)
        self.lead = AbbAcs580(self.plant, 0, unit=1)
        self.lag = AbbAcs580(self.plant, 1, unit=3)
        self.line = ModbusLine([self.rpu, self.valve, self.lead, self.lag])

    def send(self, request: ModbusPDU, now: int = 0) -> bytes:
        """Return the bytes of the one reply, b"" for none."""
        replies = self.line.receive(MASTER.buildFrame(request), now)
        assert len(replies) <= 1
        return replies[0][1] if replies else b""

    def read(self, unit: int, address: int, count: int = 1, now: int = 0) -> list[int]:
        """Return the registers of a normal reply."""
        reply = self.send(read_request(unit, address, count), now)
        pdu = MASTER.handleFrame(reply, unit, 0)[1]
        assert pdu is not None
        assert not pdu.isError(), pdu
        return list(pdu.registers)

    def write(self, unit: int, address: int, value: int, now: int = 0) -> int:
        """Return 0 or the exception code."""
        request = WriteSingleRegisterRequest(dev_id=unit, address=address, registers=[value])
        pdu = MASTER.handleFrame(self.send(request, now), unit, 0)[1]
        assert pdu is not None
        return pdu.exception_code


def read_request(unit: int, address: int, count: int) -> ModbusPDU:
    return ReadHoldingRegistersRequest(dev_id=unit, address=address, count=count)


def with_crc(body: bytes) -> bytes:
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")
