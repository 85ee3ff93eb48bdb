# SPDX-License-Identifier: Apache-2.0
"""The five sensors of the row: supply and return temperature, flow, supply and return pressure.

Does not know the registers that show the values; see `hil.devices`. The plant steps the set with
the true values of each step. A sensor fault is made on demand and applied after the sensors' step.
"""

from __future__ import annotations

from random import Random

from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.sensor import PlantSensor
from hil.plant.fluid.sensor_fault import PlantSensorFault

NAMES = ("supply_c", "return_c", "flow_lpm", "supply_kpa", "return_kpa")


class SensorSet:
    """The sensors, each with `value` in °C, L/min or kPa."""

    def __init__(
        self,
        rng: Random,
        parameters: PlantParameters,
        step_s: float,
        true_values: tuple[float, float, float, float],
    ) -> None:
        """Start in steady state at `true_values`: supply °C, return °C, flow L/min, dP kPa."""
        supply_c, return_c, flow_lpm, dp_kpa = true_values
        lag, sigma = parameters.temperature_lag_s, parameters.temperature_noise_k
        self.supply_c = PlantSensor(rng, supply_c, lag, sigma, step_s)
        self.return_c = PlantSensor(rng, return_c, lag, sigma, step_s)
        self.flow_lpm = PlantSensor(
            rng, flow_lpm, parameters.flow_lag_s, parameters.flow_noise_lpm, step_s
        )
        lag, sigma = parameters.pressure_lag_s, parameters.pressure_noise_kpa
        self.supply_kpa = PlantSensor(rng, parameters.suction_kpa + dp_kpa, lag, sigma, step_s)
        self.return_kpa = PlantSensor(rng, parameters.suction_kpa, lag, sigma, step_s)
        self._all = (self.supply_c, self.return_c, self.flow_lpm, self.supply_kpa, self.return_kpa)
        self._suction_kpa = parameters.suction_kpa
        self._rng = rng
        self._faults: dict[str, PlantSensorFault] = {}

    def set_step(self, step_s: float) -> None:
        """Set the step length, s."""
        for sensor in self._all:
            sensor.set_step(step_s)

    def set_suction(self, suction_kpa: float) -> None:
        """Set the true static pressure at the return side, kPa."""
        self._suction_kpa = suction_kpa

    def step(
        self,
        true_values: tuple[float, float, float, float],
        dt_s: float,
        renew_noise: bool,
    ) -> None:
        """Follow the true values (supply °C, return °C, flow L/min, dP kPa) for one step."""
        if renew_noise:
            for sensor in self._all:
                sensor.next_noise_sample()
        supply_c, return_c, flow_lpm, dp_kpa = true_values
        suction_kpa = self._suction_kpa
        self.supply_c.step(supply_c)
        self.return_c.step(return_c)
        self.flow_lpm.step(flow_lpm)
        self.supply_kpa.step(suction_kpa + dp_kpa)
        self.return_kpa.step(suction_kpa)
        if self._faults:
            for fault in self._faults.values():
                fault.apply(dt_s)

    def fault(self, name: str) -> PlantSensorFault:
        """Return the faults of the sensor `name` (of `NAMES`); raises `ValueError` for others."""
        if name not in NAMES:
            raise ValueError(f"no sensor {name!r}: one of {', '.join(NAMES)}")
        if name not in self._faults:
            self._faults[name] = PlantSensorFault(self._all[NAMES.index(name)], self._rng)
        return self._faults[name]
