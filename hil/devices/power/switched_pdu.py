# SPDX-License-Identifier: Apache-2.0
"""An emulated PDU with switched outlets: Modbus, holding registers.

No public register map of such a PDU was found. The map is a choice of this bench, and the profile
states this. Addresses (0-based): 0 to 7 state of an outlet (1 on, 0 off, writable); 16 to 23 power
of an outlet, W. A relay switches in about 20 ms. The load behind it follows with its own delay.
"""

from __future__ import annotations

from typing import ClassVar

from hil.devices.modbus.server import ModbusServer
from hil.devices.power.capped_load import CappedLoad

OUTLETS = 8
WATTS = 16


class SwitchedPdu(ModbusServer):
    """The PDU; `loads` are connected to its outlets in order.

    Fault besides those of `ModbusServer`: `relays_stuck`, the outlets confirm and show a switching,
    and the relays do not move.
    """

    FAULTS: ClassVar = ModbusServer.FAULTS | {"relays_stuck"}
    nonvolatile = frozenset(range(OUTLETS))

    def __init__(self, unit: int, loads: list[CappedLoad]) -> None:
        super().__init__(unit)
        self.loads = loads
        self.relays_stuck = False
        self.registers = dict.fromkeys(range(OUTLETS), 1)
        self.registers.update(dict.fromkeys(range(WATTS, WATTS + OUTLETS), 0))
        self.writable = dict.fromkeys(range(OUTLETS), (0, 1))
        self.switch_log: list[tuple[int, int, int]] = []

    def refresh(self, now: int) -> None:
        """Show the power of each outlet."""
        for i, load in enumerate(self.loads):
            watts = min(65_535, round(load.watts(now)))
            if self.registers[WATTS + i] != watts:
                self.registers[WATTS + i] = watts
                self.version += 1

    def on_write(self, address: int, count: int, now: int) -> None:
        """Switch the written outlets."""
        for i in range(address, address + count):
            self.switch_log.append((now, i, self.registers[i]))
            if i < len(self.loads) and not self.relays_stuck:
                self.loads[i].switch(self.registers[i] == 1, now)
