"""Emulated optical modules, as a switch passes their case temperatures on: Modbus, input registers.

Register N (0-based) is module N's temperature as CMIS has it in bytes 14 and 15 of its lower page:
signed, 1/256 degC. A module stands `rise_k` above the coolant that its cage's plate gets, and
follows it in half a minute. That a switch serves this over Modbus is the bench's own choice; on a
site it comes through the switch's system or Redfish.
"""

from __future__ import annotations

from math import exp

from hil.devices.modbus.server import ModbusServer
from hil.plant.plant import Plant

_LAG_S = 30.0


class OpticsGateway(ModbusServer):
    """Modules on one plate; `extra_k` of module i is settable (a module with a dirty contact)."""

    functions = frozenset((4,))

    def __init__(self, plant: Plant, unit: int, modules: int = 2, rise_k: float = 20.0) -> None:
        super().__init__(unit)
        self.plant = plant
        self.rise_k = rise_k
        self.extra_k = [0.0] * modules
        self.case_c = [plant.rack_in_c + rise_k] * modules
        self.inputs = dict.fromkeys(range(modules), 0)
        self._updated_at = 0

    def set_offset(self, module: int, kelvin: float) -> None:
        """Make module `module` (from 0) warmer by `kelvin` (a dirty contact)."""
        self.extra_k[module] = kelvin

    def refresh(self, now: int) -> None:
        """Show the modules as of now."""
        assert self.inputs is not None
        self.plant.advance(now)
        decay = exp(-(now - self._updated_at) / 1e6 / _LAG_S)
        self._updated_at = now
        for i, extra in enumerate(self.extra_k):
            target = self.plant.rack_in_c + self.rise_k + extra
            self.case_c[i] = target + (self.case_c[i] - target) * decay
            raw = round(self.case_c[i] * 256.0) & 0xFFFF
            if self.inputs[i] != raw:
                self.inputs[i] = raw
                self.version += 1
