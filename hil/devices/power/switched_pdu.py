"""An emulated power strip whose outlets can be switched: Modbus, holding registers.

No public register map of a strip was found, so this one is the bench's own, and the profile says
so. Addresses (0-based): 0 to 7 an outlet's state, 1 on, 0 off (written too); 16 to 23 its watts.
A strip switches in 20 ms or so, the load behind it is off at once.
"""

from __future__ import annotations

from hil.devices.modbus.server import ModbusServer
from hil.devices.power.capped_load import CappedLoad

OUTLETS = 8
WATTS = 16


class SwitchedPdu(ModbusServer):
    """The strip; `loads` hang on its outlets in order."""

    nonvolatile = frozenset(range(OUTLETS))

    def __init__(self, unit: int, loads: list[CappedLoad]) -> None:
        super().__init__(unit)
        self.loads = loads
        self.registers = dict.fromkeys(range(OUTLETS), 1)
        self.registers.update(dict.fromkeys(range(WATTS, WATTS + OUTLETS), 0))
        self.writable = dict.fromkeys(range(OUTLETS), (0, 1))
        self.switch_log: list[tuple[int, int, int]] = []

    def refresh(self, now: int) -> None:
        """Show what each outlet draws."""
        for i, load in enumerate(self.loads):
            watts = min(65_535, round(load.watts(now)))
            if self.registers[WATTS + i] != watts:
                self.registers[WATTS + i] = watts
                self.version += 1

    def on_write(self, address: int, count: int, now: int) -> None:
        """Switch."""
        for i in range(address, address + count):
            self.switch_log.append((now, i, self.registers[i]))
            if i < len(self.loads):
                self.loads[i].switch(self.registers[i] == 1, now)
