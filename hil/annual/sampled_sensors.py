# SPDX-License-Identifier: Apache-2.0
"""The readings of the control code in a year: the plant's sensors with their register resolution.

Resolution as in the bench's devices: row temperatures 0.1 K, facility temperatures 0.01 K, flow
0.1 L/min, pressure 0.1 kPa, valve 0.01 %. The humidity sensors have errors: one reads 2 % and 0.2 K
too low, the other 1 % and 0.1 K too high. `faults` adds a fault of the humidity sensors.
"""

from __future__ import annotations

from agent.control.law.cooling import ControlReadings
from hil.annual.policy import Policy
from hil.plant.air.cooler import intake_c
from hil.plant.air.psychrometrics import humidity_pct
from hil.plant.plant import Plant

_ERRORS = ((-2.0, -0.2), (1.0, 0.1))  # relative humidity %, temperature K
_DEAD_FROM_S = 31 * 86_400
_AIR_ERROR_K = 0.3


class SampledSensors:
    """Fills the agent's `ControlReadings` from the plant."""

    def __init__(self, plant: Plant, faults: str = "none") -> None:
        self.plant = plant
        self.readings = ControlReadings()
        self._dead = {"none": 0, "dead": 1, "both-dead": 2}[faults]
        self._dead_from_s = _DEAD_FROM_S

    def sample(self) -> ControlReadings:
        """Read all sensors that are polled each second."""
        plant, readings = self.plant, self.readings
        facility = plant.facility
        readings.supply_c = round(plant.supply_c, 1)
        readings.return_c = round(plant.return_c, 1)
        readings.flow_lpm = round(plant.flow_lpm, 1)
        readings.dp_kpa = round(plant.supply_kpa - plant.return_kpa, 1)
        readings.fws_supply_c = round(plant.fws_c, 2)
        readings.fws_flow_lpm = plant.fws_flow_lpm
        readings.valve_pct = round(plant.valve.position_pct, 2)
        readings.pump_pct = plant.pumps[0].speed_pct
        readings.load_kw = plant.load.demand_kw  # the demand: a power cap is not a lower load
        readings.pump_w = plant.pump_electric_w
        if facility is not None:
            readings.air_c = facility.air.dry_c + _AIR_ERROR_K
            intake = intake_c(facility.cooler, facility.kind, facility.air, True)
            readings.adiabatic_air_c = intake + _AIR_ERROR_K
        return readings

    def sample_room(self, policy: Policy, room_c: float, dew_c: float, now: int) -> None:
        """Read the humidity sensors, once a minute."""
        dead = self._dead if now >= self._dead_from_s * 1_000_000 else 0
        for i, (humidity_error, error_k) in enumerate(_ERRORS):
            if i < dead:
                continue
            celsius = room_c + error_k
            # the noise of a living element: one count up and down
            noise = now // 60_000_000 % 2 / 100
            rh = min(humidity_pct(room_c, dew_c) + humidity_error + noise, 100.0)
            policy.set_humidity(i, round(celsius, 2), round(rh, 2), now)
