# SPDX-License-Identifier: Apache-2.0
"""A plant, and a master with one emulated device on its line."""

from random import Random

from hil.devices.modbus.line import ModbusLine
from hil.devices.modbus.server import ModbusServer
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.plant import Plant
from tests.support.modbus_master import LineMaster

UNIT = 9


def plant() -> Plant:
    return Plant(Random(1), PlantParameters(fws_swing_k=0.0))


def single_device_master(server: ModbusServer) -> LineMaster:
    return LineMaster(ModbusLine([server]))
