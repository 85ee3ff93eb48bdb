# SPDX-License-Identifier: Apache-2.0
"""Case temperatures of optical modules, as a switch reports them: Modbus, input registers.

Register N (0-based) is the temperature of module N in the format of CMIS (lower page, bytes 14 and
15): signed, 1/256 degC. A module is `rise_k` above the coolant of its cage's plate, with a lag of
30 s. That a switch has a Modbus server is a choice of this bench. On a site the values come from
the switch's management system or from Redfish.
"""

from __future__ import annotations

from math import exp

from hil.devices.modbus.server import ModbusServer
from hil.plant.plant import Plant

_LAG_S = 30.0


class OpticsGateway(ModbusServer):
    """Modules on one plate; `set_offset` makes one warmer (a contaminated connector)."""

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
        """Make module `module` (from 0) warmer by `kelvin`."""
        self.extra_k[module] = kelvin

    def refresh(self, now: int) -> None:
        """Show the modules at time `now`."""
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
