# SPDX-License-Identifier: Apache-2.0
"""What can be read from the plant: sensor values, true temperatures and flows, positions, energy.

Does not step the plant and has no inputs; see `hil.plant.plant`.
"""

from __future__ import annotations

from hil.plant.facility_supply import FacilitySupply
from hil.plant.fluid.exchanger import capacity_w_k
from hil.plant.fluid.hydraulics import OperatingPoint, PlantPump
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.sensor_set import SensorSet
from hil.plant.fluid.valve import Actuator
from hil.plant.inventory import Inventory
from hil.plant.power.load_schedule import LoadSchedule
from hil.plant.thermal_loop import EnergyBalance, ThermalLoop


class PlantOutputs:
    """The outputs of `Plant`, which sets the attributes.

    `supply_c`, `return_c`, `flow_lpm`, `supply_kpa` and `return_kpa` are sensor values; all others
    are true values.
    """

    parameters: PlantParameters
    load: LoadSchedule
    pumps: list[PlantPump]
    valve: Actuator
    point: OperatingPoint
    fws_c: float
    _thermal: ThermalLoop
    _sensors: SensorSet
    _facility_supply: FacilitySupply
    _inventory: Inventory | None
    _clogging: float

    @property
    def supply_c(self) -> float:
        """Sensed supply temperature at the CDU's outlet, degC."""
        return self._sensors.supply_c.value

    @property
    def return_c(self) -> float:
        """Sensed return temperature at the CDU's inlet, degC."""
        return self._sensors.return_c.value

    @property
    def flow_lpm(self) -> float:
        """Sensed secondary flow, L/min."""
        return max(self._sensors.flow_lpm.value, 0.0)

    @property
    def supply_kpa(self) -> float:
        """Sensed pressure at the CDU's outlet, kPa (gauge)."""
        return self._sensors.supply_kpa.value

    @property
    def return_kpa(self) -> float:
        """Sensed pressure at the CDU's inlet, kPa (gauge)."""
        return self._sensors.return_kpa.value

    @property
    def flow_true_lpm(self) -> float:
        """Secondary flow, L/min."""
        return self.point.flow_lpm

    @property
    def supply_true_c(self) -> float:
        """Supply temperature at the exchanger's outlet, degC."""
        return self._thermal.supply_c

    @property
    def return_true_c(self) -> float:
        """Return temperature at the exchanger's inlet, degC."""
        return self._thermal.return_c

    @property
    def rack_in_c(self) -> float:
        """Coolant temperature at the racks' inlet, degC."""
        return self._thermal.rack_in_c

    @property
    def rack_case_c(self) -> list[float]:
        """Case temperature of each rack, degC."""
        return self._thermal.rack_case_c

    @property
    def hx_w(self) -> float:
        """Heat from the coolant into the facility water, W."""
        return self._thermal.hx_w

    @property
    def case_c(self) -> float:
        """Hottest case of the row, degC."""
        return max(self._thermal.rack_case_c)

    @property
    def load_kw(self) -> float:
        """IT power that the schedule asks for, before lag and limit, kW."""
        return self.load.demand_kw

    @property
    def valve_position_pct(self) -> float:
        """Stroke of the facility water valve, %."""
        return self.valve.position_pct

    @property
    def valve_command_pct(self) -> float:
        """Commanded stroke of the facility water valve, %."""
        return self.valve.command_pct

    @property
    def fws_out_c(self) -> float:
        """Facility water leaving the exchanger, degC."""
        return self._thermal.fws_out_c(self.fws_c)

    @property
    def cooling_w(self) -> float:
        """Heat that the CDU computes from its own sensors, W."""
        p = self.parameters
        c = capacity_w_k(self.flow_lpm, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
        return c * (self.return_c - self.supply_c)

    def pump_rpm(self, index: int) -> float:
        """Shaft speed of a pump, 1/min."""
        return self.pumps[index].speed_pct * self.parameters.pump_rpm / 100.0

    def energy(self) -> EnergyBalance:
        """Return the energy account since the start."""
        return self._thermal.energy()

    @property
    def missing_l(self) -> float:
        """Missing coolant, L: 0 for a plant that conserves mass."""
        pipes = self._thermal.missing_l()
        return pipes + (self._inventory.residual_l if self._inventory is not None else 0.0)

    @property
    def fws_target_c(self) -> float:
        """Target of the facility water's temperature, degC."""
        return self._facility_supply.target_c

    @property
    def filter_kpa(self) -> float:
        """Pressure lost in the filter, kPa."""
        p = self.parameters
        clean = p.filter_kpa * (self.point.flow_lpm / p.tcs_design_lpm) ** 2
        return clean / (1.0 - self._clogging) ** 2
