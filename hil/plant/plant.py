# SPDX-License-Identifier: Apache-2.0
"""The thermal-hydraulic plant behind the emulated devices: one row, its CDU and facility water.

    racks (cold plates) --return pipe--> heat exchanger --supply pipe--> racks      secondary, TCS
    facility water --control valve--> heat exchanger --> facility return            primary, FWS

It is a lumped model with fixed steps (250 ms). A device advances it to the present time when it
needs a value. Each thermal mass is solved exactly over the step with constant inputs, so that
energy balances to rounding at any step length. Only the flows between the parts are held for one
step. Values that depend only on flows (hydraulics, exchanger, cold plates) are computed again only
when a flow changed.

Optional parts are made on demand and cost no time before: the coolant inventory with leaks and air
(`inventory`), sensor faults (`sensor_fault`), a clogged filter, a non-return valve that does not
shut, facility water without cooling (`set_rejection_lost`), and a header that other units share
(`set_header`).

Does not model the facility behind the inlet temperature (see `hil.plant.facility`), the inertia of
the fluid, heat loss to the room, or properties that change with temperature.

Response at the default point (for controller tuning; the tests check these figures):
    100 kW, 32 degC, FWS 24 degC: valve 54 %, -0.43 K of supply per % of valve in the long run
     50 kW, the same:             valve 41 %, -0.39 K per %
    sensed supply after a valve step, as a fraction of the final value, at 100 (50) kW: 29 (20) %
    in 10 s, 49 (34) % in 20 s, 81 (65) % in 60 s, 98 (92) % in 150 s. The exchanger (8 s) and the
    sensor (4 s) act first, without dead time; then the coolant circulates (20 s of pipes).
    a load step reaches the supply after 12 s; with a constant valve, 50 to 100 kW ends 8 K higher.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp
from random import Random

from hil.plant.facility import Facility
from hil.plant.facility_supply import FacilitySupply
from hil.plant.fluid.header import Branch
from hil.plant.fluid.hydraulics import PlantPump, header_point, operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.row_valves import RowValves
from hil.plant.fluid.sensor_fault import PlantSensorFault
from hil.plant.fluid.sensor_set import SensorSet
from hil.plant.fluid.valve import Actuator, valve_flow_lpm
from hil.plant.inventory import Inventory, head_fraction
from hil.plant.plant_outputs import PlantOutputs
from hil.plant.power.load_schedule import LoadSchedule
from hil.plant.power.server import LEAK_AT_C
from hil.plant.steady_state import (
    pump_electric_w,
    shaft_w,
    steady_return_c,
    steady_supply_c,
    steady_valve_pct,
)
from hil.plant.thermal_loop import ThermalLoop

_SECOND_US = 1_000_000
_MAX_LEAK_C = 110.0  # devices shut down above: the leakage does not run away
_MIN_PIPE_L = 10.0  # more than the flow in one step of 2 s at the default size


class Plant(PlantOutputs):
    """The row. Devices read attributes and call `pumps[i].command` and `valve.command`.

    Call `advance(now)` first: the attributes are those of the last complete step before `now`.
    `supply_c`, `return_c`, `flow_lpm`, `supply_kpa` and `return_kpa` are sensor values; all other
    attributes are true values. Inputs at any time: `load` (schedule, limit), `set_fws`,
    `set_fouling`, `set_fws_pressure`, `pumps[i].set_seized`, `valve.set_stuck`, and the optional
    parts (see the module).
    """

    def __init__(
        self,
        rng: Random,
        parameters: PlantParameters | None = None,
        start_us: int = 0,
        step_us: int = 250_000,
    ) -> None:
        """Start in the steady state of the start point.

        Raises `ValueError` for unusable parameters.
        """
        p = parameters or PlantParameters()
        if len(p.rack_fraction) != p.racks or abs(sum(p.rack_fraction) - 1.0) > 1e-9:
            raise ValueError("rack_fraction needs one fraction for each rack, with a sum of 1.0")
        if len(p.start_pump_pct) != p.pumps:
            raise ValueError("start_pump_pct needs one speed for each pump")
        if min(p.supply_pipe_l, p.return_pipe_l) < _MIN_PIPE_L:
            raise ValueError(f"pipe volume: at least {_MIN_PIPE_L:g} L")
        self.parameters = p
        self.steps = 0
        self._leak_kw = p.leak_fraction * p.rack_design_kw * p.racks
        self.leak_kw = self._leak_kw  # at the present case temperature
        self.load = LoadSchedule(p.start_it_kw)
        self._facility_supply = FacilitySupply(p, start_us)
        self._fouling = 1.0
        self._fws_pressure = 1.0
        self._reset_optional()
        self._due_us = start_us + step_us
        self._set_steady_state(step_us)
        self._sensors = SensorSet(rng, p, self._dt_s, self._true_values())

    # Construction.

    def _reset_optional(self) -> None:
        """Start without optional parts."""
        self.facility: Facility | None = None
        self._inventory: Inventory | None = None
        self._clogging = 0.0
        self._stuck_open: frozenset[int] = frozenset()
        self._row = RowValves()
        self._network = self.parameters
        self._header_kpa: float | None = None
        self._leak_w = 0.0

    def _set_steady_state(self, step_us: int) -> None:
        """Set every state to the steady state."""
        p = self.parameters
        self.pumps = [PlantPump(p.pump_slew_pct_s, n, n) for n in p.start_pump_pct]
        self.point = operating_point(p, list(p.start_pump_pct))
        if self.point.flow_lpm <= 0.0:
            raise ValueError("start_pump_pct gives no flow: a run cannot start in steady state")
        valve_pct = steady_valve_pct(p, p.start_it_kw, p.start_supply_c, p.start_pump_pct)
        self.valve = Actuator(p.valve_stroke_s, p.valve_deadband_pct, valve_pct, valve_pct)
        self.it_kw = p.start_it_kw
        self.fws_c = p.fws_c
        self._thermal = ThermalLoop(
            p,
            steady_supply_c(p, p.start_it_kw, self.point, valve_pct),
            steady_return_c(p, p.start_it_kw, self.point, valve_pct),
        )
        self._apply_step(step_us)
        self._thermal.start(self.it_kw, self.shaft_w)

    def set_step(self, step_us: int) -> None:
        """Set the step length (1 ms to 5 s) from the next step.

        The flow in one step must be smaller than the volume of the smaller pipe. Raises
        `ValueError` outside the range.
        """
        self._apply_step(step_us)
        self._sensors.set_step(self._dt_s)

    def _apply_step(self, step_us: int) -> None:
        if not 1_000 <= step_us <= 5_000_000:
            raise ValueError("step_us: 1 ms to 5 s")
        self.step_us = step_us
        self._dt_s = step_us / _SECOND_US
        self._noise_every = max(1, _SECOND_US // step_us)
        self._it_decay = exp(-self._dt_s / self.parameters.it_lag_s)
        self._update_flows()

    # Inputs.

    def set_load(self, kw: float) -> None:
        """Step the row's IT power to `kw` now."""
        self.load.set_power(kw)

    def set_fws(self, celsius: float, rate_k_min: float = 0.0) -> None:
        """Move the facility water to `celsius`: immediately, or at `rate_k_min` K/min."""
        self._facility_supply.set_target(celsius, rate_k_min)

    def set_rejection_lost(self, is_lost: bool) -> None:
        """Stop the facility's coolers (a fault), or start them again."""
        self._facility_supply.set_rejection_lost(is_lost)

    def attach_facility(self, facility: Facility) -> None:
        """Take the facility water from `facility` and step it with the plant."""
        self.facility = facility

    def attach_load(self, load: LoadSchedule) -> None:
        """Take the IT power from `load`."""
        self.load = load

    @property
    def fouling(self) -> float:
        """Remaining fraction of the exchanger's UA, above 0 to 1.5."""
        return self._fouling

    def set_fouling(self, fraction: float) -> None:
        """Set the remaining fraction of UA; raises `ValueError` outside its range."""
        if not 0.0 < fraction <= 1.5:
            raise ValueError("fouling: a fraction above 0, at most 1.5")
        self._fouling = fraction
        self._update_flows()

    @property
    def fws_pressure(self) -> float:
        """Facility water pressure as a fraction of its design value, 0 to 2."""
        return self._fws_pressure

    def set_fws_pressure(self, fraction: float) -> None:
        """Set the facility water pressure; raises `ValueError` outside its range."""
        if not 0.0 <= fraction <= 2.0:
            raise ValueError("fws_pressure: a fraction from 0 to 2")
        self._fws_pressure = fraction
        self._update_flows()

    @property
    def clogging(self) -> float:
        """Lost fraction of the filter's free area, 0 to below 1."""
        return self._clogging

    def set_clogging(self, fraction: float) -> None:
        """Clog this fraction of the filter; raises `ValueError` outside its range."""
        if not 0.0 <= fraction < 1.0:
            raise ValueError("clogging: a fraction from 0 to below 1")
        self._clogging = fraction
        self._update_network()

    def stick_open(self, pump: int, stuck: bool) -> None:
        """Make the non-return valve of a pump (from 0) stay open, or let it shut again."""
        stuck_pumps = self._stuck_open | {pump} if stuck else self._stuck_open - {pump}
        self._stuck_open = frozenset(stuck_pumps)
        self._update_flows()

    def set_valve_reversed(self, is_reversed: bool) -> None:
        """Reverse the facility water valve against its actuator (a fault), or mount it right."""
        self.valve.set_reversed(is_reversed)
        self._update_flows()

    def set_uncoupled(self, pump: int, is_uncoupled: bool) -> None:
        """Break the coupling of a pump (from 0), or repair it."""
        self.pumps[pump].set_uncoupled(is_uncoupled)
        self._update_flows()

    def branch(self) -> Branch:
        """Return the network of this unit, and the speeds of its impellers in %."""
        return self._network, [pump.impeller_pct for pump in self.pumps]

    def set_header(self, kpa: float) -> None:
        """Pump from now on against a shared header at this pressure; see `hil.plant.fluid.header`.

        Its pressure is then also that of the row.
        """
        if kpa != self._header_kpa:
            self._header_kpa = kpa
            self._update_flows()

    def set_isolated(self, is_isolated: bool) -> None:
        """Shut the isolating valve of the row, or open it."""
        self._row.set_isolated(is_isolated)
        self._update_network()

    def set_rack_blocked(self, rack: int, is_blocked: bool) -> None:
        """Kink the hose of a rack (from 0), or straighten it."""
        self._row.set_blocked(rack, is_blocked)
        self._update_network()

    @property
    def inventory(self) -> Inventory:
        """The coolant inventory; the plant steps it from the first access."""
        if self._inventory is None:
            self._inventory = Inventory(self.parameters)
        return self._inventory

    def sensor_fault(self, name: str) -> PlantSensorFault:
        """Return the faults of a sensor: supply_c, return_c, flow_lpm, supply_kpa, return_kpa.

        Raises `ValueError` for another name.
        """
        return self._sensors.fault(name)

    # Time.

    def resume_at(self, now: int) -> None:
        """After `set_step`: count the next step from `now`, the end of the last step."""
        self._due_us = now + self.step_us

    def advance(self, now: int) -> None:
        """Step up to `now` (monotonic, µs), in complete steps only."""
        while self._due_us <= now:
            self._step(self._due_us)
            self._due_us += self.step_us

    def _step(self, now: int) -> None:
        """Execute one step that ends at `now`, µs."""
        dt = self._dt_s
        self.steps += 1
        changed = self.valve.step(dt)
        for pump in self.pumps:
            if pump.step(dt):
                changed = True
        if changed:
            self._update_flows()
        renew_noise = self.steps % self._noise_every == 0
        if renew_noise and self.facility is None:
            self.fws_c = self._facility_supply.step(now, max(1.0, self._dt_s), self.hx_w)
        demand_kw = self.load.power_kw(now)
        if self._leak_kw > 0.0:
            demand_kw = self._step_leakage(demand_kw)
        self.it_kw = demand_kw + (self.it_kw - demand_kw) * self._it_decay
        if self._inventory is not None:
            self._step_inventory(dt, self._inventory)
        if self.facility is not None:
            self.fws_c = self.facility.step(dt, self.fws_flow_lpm, self.hx_w)
        litres = self.point.flow_lpm * dt / 60.0
        powers_w = (self.shaft_w, self._leak_w)
        self._thermal.set_heat_fractions(self.load.rack_fractions)
        self._thermal.step(dt, litres, self.it_kw, self.fws_c, powers_w)
        self._sensors.step(self._true_values(), dt, renew_noise)

    def _step_leakage(self, demand_kw: float) -> float:
        """Update the leakage of the chips; return the demand (given at 60 degC) with it, kW."""
        p, cases = self.parameters, self._thermal.rack_case_c
        kelvin = min(sum(cases) / len(cases), _MAX_LEAK_C) - LEAK_AT_C
        self.leak_kw = self._leak_kw * exp(p.leak_per_k * kelvin)
        return max(demand_kw + self.leak_kw - self._leak_kw, 0.0)

    def _step_inventory(self, dt: float, inventory: Inventory) -> None:
        """Step the inventory: a leak removes loop coolant, the reservoir adds its own."""
        p, before = self.parameters, inventory.lost_l
        changed = inventory.step(dt)
        litres = inventory.lost_l - before
        kelvin = p.reservoir_c - self.supply_true_c
        joules = 0.001 * litres * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk * kelvin
        if changed:
            self._update_network()
        lost_l = inventory.capacity_l - inventory.reservoir_volume_l
        self._sensors.set_suction(p.suction_kpa - p.vessel_slope_kpa_l * lost_l)
        self._leak_w = joules / dt if self.point.flow_lpm > 0.0 else 0.0

    def _update_network(self) -> None:
        """Update the parameters of the hydraulic network with filter and gas."""
        p = self.parameters
        filter_kpa = p.filter_kpa * (1.0 / (1.0 - self._clogging) ** 2 - 1.0)
        head = head_fraction(self._inventory.air_pct) if self._inventory is not None else 1.0
        self._network = replace(
            p,
            row_kpa=p.row_kpa * self._row.resistance_factor(p.rack_fraction),
            cdu_internal_kpa=p.cdu_internal_kpa + filter_kpa,
            pump_shutoff_kpa=p.pump_shutoff_kpa * head,
        )
        self._update_flows()

    def _true_values(self) -> tuple[float, float, float, float]:
        """Return what the sensors measure: supply °C, return °C, flow L/min, dP kPa."""
        thermal = self._thermal
        return thermal.supply_c, thermal.return_c, self.point.flow_lpm, self.dp_kpa

    def _update_flows(self) -> None:
        """Update all values that depend only on flows."""
        p, dt = self.parameters, self._dt_s
        speeds = [pump.impeller_pct for pump in self.pumps]
        if self._header_kpa is None:
            self.point = operating_point(self._network, speeds, self._stuck_open)
        else:
            self.point = header_point(self._network, speeds, self._header_kpa)
        flow = self.point.flow_lpm
        own_kpa = self._network.row_kpa * (flow / p.tcs_design_lpm) ** 2
        self.dp_kpa = own_kpa if self._header_kpa is None else self._header_kpa
        self.shaft_w = shaft_w(p, self.point, speeds)
        running = sum(1 for lpm in self.point.pump_lpm if lpm > 0.0)
        self.pump_electric_w = pump_electric_w(p, self.shaft_w, running)
        self.fws_flow_lpm = valve_flow_lpm(p, self.valve.opening_pct) * self._fws_pressure**0.5
        shares = self._row.flow_shares(p.rack_fraction)
        self._thermal.set_flows(flow, self.fws_flow_lpm, self._fouling, dt, shares)
