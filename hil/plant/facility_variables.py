# SPDX-License-Identifier: Apache-2.0
"""The variables of facility, room, grid and inventory, in the form of `hil.plant.variables`.

The names are attributes of `Facility`, `Room`, `Grid` and `Inventory`, with the owner as prefix.
"""

from __future__ import annotations

from hil.plant.variables import Causality, Variable

_IN, _OUT, _LOCAL = Causality.INPUT, Causality.OUTPUT, Causality.LOCAL

FACILITY_VARIABLES: tuple[Variable, ...] = (
    Variable("facility.fan_command_pct", "%", 0.0, 100.0, _IN),
    Variable("facility.wet", "bool", 0.0, 1.0, _IN),
    Variable("facility.stopped", "bool", 0.0, 1.0, _IN),
    Variable("facility.air.dry_c", "degC", -40.0, 60.0, _IN),
    Variable("facility.air.wet_c", "degC", -40.0, 40.0, _IN),
    Variable("facility.air.density", "1", 0.5, 1.3, _IN),
    Variable("facility.cold_c", "degC", -10.0, 90.0, _OUT),
    Variable("facility.hot_c", "degC", -10.0, 90.0, _OUT),
    Variable("facility.fan_pct", "%", 0.0, 100.0, _OUT),
    Variable("facility.fan_w", "W", 0.0, 1e6, _LOCAL),
    Variable("facility.pump_w", "W", 0.0, 1e6, _LOCAL),
    Variable("facility.rejected_w", "W", -1e7, 1e8, _LOCAL),
    Variable("facility.water_kg", "kg", 0.0, 1e12, _LOCAL),
    Variable("inventory.leak_lpm", "L/min", 0.0, 1000.0, _IN),
    Variable("inventory.makeup_lpm", "L/min", 0.0, 1000.0, _IN),
    Variable("inventory.level_pct", "%", 0.0, 100.0, _OUT),
    Variable("inventory.air_pct", "%", 0.0, 100.0, _LOCAL),
    Variable("room.celsius", "degC", 0.0, 60.0, _IN),
    Variable("room.humidity_pct", "%", 0.0, 100.0, _IN),
    Variable("room.dew_c", "degC", -60.0, 60.0, _LOCAL),
    Variable("grid.voltage", "1", 0.0, 1.2, _IN),
    Variable("grid.hertz", "Hz", 45.0, 65.0, _IN),
)
