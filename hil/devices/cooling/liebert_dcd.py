# SPDX-License-Identifier: Apache-2.0
"""An emulated Liebert DCD rack cooler: floats in input registers, low word first.

Input registers (function 04, 0-based) as on page 69 of the manual: 110 cabinet temperature, 122
temperature at the valve, 130 supply water, 134 return water, 138 dP in Pa, 146 to 158 fan speeds
(int16), 162 valve position in %. A value uses every fourth register; the others read as 0. The
cooler controls itself: fans and valve follow the cabinet temperature. It accepts no writes. A
broken sensor shows NaN.

The cabinet is a small model: one rack heats its air, and the coil cools it.
"""

from __future__ import annotations

from math import exp
from typing import ClassVar

from hil.devices.base import MILLISECOND, SECOND
from hil.devices.modbus.register_codec import RegisterFormat
from hil.devices.modbus.table_server import MeasuredPoint, TableServer
from hil.plant.plant import Plant

CABINET, VALVE_T, SUPPLY, RETURN, DP, FANS, VALVE = 110, 122, 130, 134, 138, 146, 162
FAN_COUNT = 4

_F32 = RegisterFormat("f", swapped=True)
_RPM = RegisterFormat("h")
_TARGET_C, _SPAN_K = 27.0, 8.0
_MIN_PCT, _FULL_RPM = 25.0, 3200.0
_LAG_S, _COIL_K = 90.0, 14.0
_BLOCK = range(108, 166)


class LiebertDcd(TableServer):
    """The cooler; fault besides those of `TableServer`: broken_fans (indices 0 to 3)."""

    FAULTS: ClassVar = TableServer.FAULTS | {"broken_fans"}
    functions = frozenset((4,))
    inputs_only = True
    table: tuple[MeasuredPoint, ...] = (
        MeasuredPoint("cabinet_c", CABINET, _F32, lambda d: d.cabinet_c),
        MeasuredPoint("valve_c", VALVE_T, _F32, lambda d: d.water_c + 0.2),
        MeasuredPoint("supply_c", SUPPLY, _F32, lambda d: d.water_c),
        MeasuredPoint("return_c", RETURN, _F32, lambda d: d.water_c + 5.0 * d.demand / 100.0),
        MeasuredPoint("dp_pa", DP, _F32, lambda d: 18_000.0 * (d.demand / 100.0) ** 2),
        MeasuredPoint("fan_1", FANS, _RPM, lambda d: d.fan_rpm(0)),
        MeasuredPoint("fan_2", FANS + 4, _RPM, lambda d: d.fan_rpm(1)),
        MeasuredPoint("fan_3", FANS + 8, _RPM, lambda d: d.fan_rpm(2)),
        MeasuredPoint("fan_4", FANS + 12, _RPM, lambda d: d.fan_rpm(3)),
        MeasuredPoint("valve_pct", VALVE, _F32, lambda d: d.demand),
    )

    def __init__(self, plant: Plant, unit: int = 1) -> None:
        """Cool one of the plant's racks with chilled water."""
        super().__init__(plant, unit, 15 * MILLISECOND)
        self.broken_fans: set[int] = set()
        self.cabinet_c = _TARGET_C
        self.demand = 50.0
        self._updated_at = -1
        self.inputs = dict.fromkeys(_BLOCK, 0)

    @property
    def water_c(self) -> float:
        """Supply water of a chilled circuit, 6 K below the facility water, °C."""
        return self.plant.fws_c - 6.0

    def fan_rpm(self, index: int) -> float:
        """Return the speed of a fan, 1/min."""
        if index in self.broken_fans:
            return 0.0
        return _FULL_RPM * max(self.demand, _MIN_PCT) / 100.0

    def update_state(self, now: int) -> None:
        """Step the cabinet temperature and the demand on fans and valve."""
        elapsed_s = (now - self._updated_at) / SECOND if self._updated_at >= 0 else 0.0
        self._updated_at = now
        heat = self.plant.it_kw / self.plant.parameters.racks / 25.0
        airflow = 1.0 - len(self.broken_fans) / FAN_COUNT
        fraction = max(self.demand, _MIN_PCT) / 100.0 * max(airflow, 0.05)
        end = self.water_c + _COIL_K * heat / fraction
        self.cabinet_c = end + (self.cabinet_c - end) * exp(-elapsed_s / _LAG_S)
        demand_pct = 50.0 + (self.cabinet_c - _TARGET_C) / _SPAN_K * 100.0
        self.demand = min(max(demand_pct, 0.0), 100.0)
