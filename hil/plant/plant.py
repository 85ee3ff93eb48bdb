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
shut, and facility water without cooling (`rejection_lost`).

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

from dataclasses import dataclass, replace
from math import exp, pi, sin
from random import Random

from hil.plant.facility import Facility
from hil.plant.fluid.exchanger import capacity_w_k, exchanger_w_k, plate_w_k
from hil.plant.fluid.hydraulics import PlantPump, operating_point
from hil.plant.fluid.parameters import PlantParameters
from hil.plant.fluid.pipe import Pipe
from hil.plant.fluid.sensor import PlantSensor
from hil.plant.fluid.sensor_fault import PlantSensorFault
from hil.plant.fluid.valve import Actuator, valve_flow_lpm
from hil.plant.inventory import Inventory, head_fraction
from hil.plant.power.load_schedule import LoadSchedule
from hil.plant.steady_state import shaft_w, steady_return_c, steady_supply_c, steady_valve_pct

_SECOND_US = 1_000_000
_PIPE_PARCELS = 64
_MIN_PIPE_L = 10.0  # more than the flow in one step of 2 s at the default size


@dataclass(frozen=True, slots=True)
class EnergyBalance:
    """Energy since the start in J: heat in, heat out, change of the stored energy."""

    in_j: float
    out_j: float
    stored_j: float

    @property
    def residual_j(self) -> float:
        """Return stored + out - in, J: 0 for a plant that conserves energy."""
        return self.stored_j + self.out_j - self.in_j


class Plant:
    """The row. Devices read attributes and call `pumps[i].command` and `valve.command`.

    Call `advance(now)` first: the attributes are those of the last complete step before `now`.
    `supply_c`, `return_c`, `flow_lpm`, `supply_kpa` and `return_kpa` are sensor values; all other
    attributes are true values. Inputs at any time: `load` (schedule, limit), `set_fws`,
    `pumps[i].seized`, `valve.stuck`, `fouling` (fraction of UA, above 0 to 1.5), `fws_pressure`
    (fraction of the design pressure, 0 to 2), and the optional parts (see the module).
    """

    def __init__(
        self,
        rng: Random,
        parameters: PlantParameters | None = None,
        start_us: int = 0,
        quantum_us: int = 250_000,
    ) -> None:
        """Start in the steady state of the start point. Raises `ValueError` for unusable
        parameters.
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
        self.load = LoadSchedule(p.start_it_kw)
        self.fws_target_c = p.fws_c
        self.fws_rate_k_min = 0.0
        self._fouling = 1.0
        self._fws_pressure = 1.0
        self._rng = rng
        self._reset_optional()
        self._start_us = start_us
        self._due_us = start_us + quantum_us
        self._set_steady_state(quantum_us)
        self._create_sensors(rng)

    # Construction.

    def _reset_optional(self) -> None:
        """Start without optional parts."""
        self.rejection_lost = False
        self.facility: Facility | None = None
        self._inventory: Inventory | None = None
        self._sensor_faults: dict[str, PlantSensorFault] = {}
        self._clogging = 0.0
        self._stuck_open: frozenset[int] = frozenset()
        self._network = self.parameters
        self._leak_w = 0.0

    def _set_steady_state(self, quantum_us: int) -> None:
        """Set every state to the steady state."""
        p = self.parameters
        self.pumps = [PlantPump(p.pump_slew_pct_s, n, n) for n in p.start_pump_pct]
        self.point = operating_point(p, list(p.start_pump_pct))
        if self.point.flow_lpm <= 0.0:
            raise ValueError("start_pump_pct gives no flow: a run cannot start in steady state")
        valve_pct = steady_valve_pct(p, p.start_it_kw, p.start_supply_c, p.start_pump_pct)
        self.valve = Actuator(p.valve_stroke_s, p.valve_deadband_pct, valve_pct, valve_pct)
        self.it_kw = p.start_it_kw
        self.fws_base_c = self.fws_c = p.fws_c
        self.return_true_c = steady_return_c(p, p.start_it_kw, self.point, valve_pct)
        self.supply_true_c = steady_supply_c(p, p.start_it_kw, self.point, valve_pct)
        self.rack_in_c = self.supply_true_c
        self._supply_pipe = self._create_pipe(p.supply_pipe_l, self.supply_true_c)
        self._return_pipe = self._create_pipe(p.return_pipe_l, self.return_true_c)
        self.set_quantum(quantum_us)
        self.rack_case_c = [
            self.rack_in_c + 1000.0 * p.start_it_kw * fraction / plate
            for fraction, plate in zip(p.rack_fraction, self._plate_w_k, strict=True)
        ]
        self._in_j = self._out_j = 0.0
        self._stored0_j = self._stored_j()
        self.hx_w = 1000.0 * self.it_kw + self.shaft_w

    @staticmethod
    def _create_pipe(volume_l: float, start_c: float) -> Pipe:
        return Pipe(volume_l, start_c, volume_l / _PIPE_PARCELS)

    def _create_sensors(self, rng: Random) -> None:
        """Create the sensors in steady state."""
        p, dt = self.parameters, self._dt_s
        lag, sigma = p.temperature_lag_s, p.temperature_noise_k
        self._supply_t = PlantSensor(rng, self.supply_true_c, lag, sigma, dt)
        self._return_t = PlantSensor(rng, self.return_true_c, lag, sigma, dt)
        self._flow = PlantSensor(rng, self.point.flow_lpm, p.flow_lag_s, p.flow_noise_lpm, dt)
        lag, sigma = p.pressure_lag_s, p.pressure_noise_kpa
        self._supply_p = PlantSensor(rng, p.suction_kpa + self.dp_kpa, lag, sigma, dt)
        self._return_p = PlantSensor(rng, p.suction_kpa, lag, sigma, dt)
        self._sensors = (self._supply_t, self._return_t, self._flow, self._supply_p, self._return_p)

    def set_quantum(self, quantum_us: int) -> None:
        """Set the step length (1 ms to 5 s) from the next step; raises `ValueError` outside this
        range.

        The flow in one step must be smaller than the volume of the smaller pipe.
        """
        if not 1_000 <= quantum_us <= 5_000_000:
            raise ValueError("quantum_us: 1 ms to 5 s")
        self.quantum_us = quantum_us
        self._dt_s = quantum_us / _SECOND_US
        self._noise_every = max(1, _SECOND_US // quantum_us)
        self._it_decay = exp(-self._dt_s / self.parameters.it_lag_s)
        for sensor in getattr(self, "_sensors", ()):
            sensor.set_quantum(self._dt_s)
        self._update_flows()

    # Sensor values and other outputs.

    @property
    def supply_c(self) -> float:
        """Sensed supply temperature at the CDU's outlet, degC."""
        return self._supply_t.value

    @property
    def return_c(self) -> float:
        """Sensed return temperature at the CDU's inlet, degC."""
        return self._return_t.value

    @property
    def flow_lpm(self) -> float:
        """Sensed secondary flow, L/min."""
        return max(self._flow.value, 0.0)

    @property
    def supply_kpa(self) -> float:
        """Sensed pressure at the CDU's outlet, kPa (gauge)."""
        return self._supply_p.value

    @property
    def return_kpa(self) -> float:
        """Sensed pressure at the CDU's inlet, kPa (gauge)."""
        return self._return_p.value

    @property
    def flow_true_lpm(self) -> float:
        """Secondary flow, L/min."""
        return self.point.flow_lpm

    @property
    def case_c(self) -> float:
        """Hottest case of the row, degC."""
        return max(self.rack_case_c)

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
        return self.fws_c + self.hx_w / self._fws_c_w_k if self._fws_c_w_k > 0.0 else self.fws_c

    @property
    def pump_electric_w(self) -> float:
        """Electric power of the pumps, W."""
        return self.shaft_w / self.parameters.motor_efficiency

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
        return EnergyBalance(self._in_j, self._out_j, self._stored_j() - self._stored0_j)

    @property
    def missing_l(self) -> float:
        """Missing coolant, L: 0 for a plant that conserves mass."""
        p = self.parameters
        pipes = self._supply_pipe.stored_l() - p.supply_pipe_l
        pipes += self._return_pipe.stored_l() - p.return_pipe_l
        return pipes + (self._inventory.residual_l if self._inventory is not None else 0.0)

    def set_load(self, kw: float) -> None:
        """Step the row's IT power to `kw` now."""
        self.load.set_power(kw)

    def set_fws(self, celsius: float, rate_k_min: float = 0.0) -> None:
        """Move the facility water to `celsius`: immediately, or at `rate_k_min` K/min."""
        self.fws_target_c = celsius
        self.fws_rate_k_min = rate_k_min

    @property
    def fouling(self) -> float:
        """Remaining fraction of the exchanger's UA, above 0 to 1.5."""
        return self._fouling

    @fouling.setter
    def fouling(self, share: float) -> None:
        if not 0.0 < share <= 1.5:
            raise ValueError("fouling: a fraction above 0, at most 1.5")
        self._fouling = share
        self._update_flows()

    @property
    def fws_pressure(self) -> float:
        """Facility water pressure as a fraction of its design value, 0 to 2."""
        return self._fws_pressure

    @fws_pressure.setter
    def fws_pressure(self, share: float) -> None:
        if not 0.0 <= share <= 2.0:
            raise ValueError("fws_pressure: a fraction from 0 to 2")
        self._fws_pressure = share
        self._update_flows()

    @property
    def clogging(self) -> float:
        """Lost fraction of the filter's free area, 0 to below 1."""
        return self._clogging

    @clogging.setter
    def clogging(self, share: float) -> None:
        if not 0.0 <= share < 1.0:
            raise ValueError("clogging: a fraction from 0 to below 1")
        self._clogging = share
        self._update_network()

    def stick_open(self, pump: int, stuck: bool) -> None:
        """Make the non-return valve of a pump (from 0) stay open, or let it shut again."""
        stuck_pumps = self._stuck_open | {pump} if stuck else self._stuck_open - {pump}
        self._stuck_open = frozenset(stuck_pumps)
        self._update_flows()

    @property
    def inventory(self) -> Inventory:
        """The coolant inventory; the plant steps it from the first access."""
        if self._inventory is None:
            self._inventory = Inventory(self.parameters)
        return self._inventory

    @property
    def filter_kpa(self) -> float:
        """Pressure lost in the filter, kPa."""
        p = self.parameters
        clean = p.filter_kpa * (self.point.flow_lpm / p.tcs_design_lpm) ** 2
        return clean / (1.0 - self._clogging) ** 2

    def sensor_fault(self, name: str) -> PlantSensorFault:
        """Return the faults of a sensor: supply_c, return_c, flow_lpm, supply_kpa, return_kpa.

        Raises `ValueError` for another name.
        """
        names = ("supply_c", "return_c", "flow_lpm", "supply_kpa", "return_kpa")
        if name not in names:
            raise ValueError(f"no sensor {name!r}: one of {', '.join(names)}")
        if name not in self._sensor_faults:
            self._sensor_faults[name] = PlantSensorFault(
                self._sensors[names.index(name)], self._rng
            )
        return self._sensor_faults[name]

    # Time.

    def resume_at(self, now: int) -> None:
        """After `set_quantum`, schedule the next step after `now`; all time up to `now` must be
        stepped.
        """
        self._due_us = now + self.quantum_us

    def advance(self, now: int) -> None:
        """Step up to `now` (monotonic, µs), in complete steps only."""
        while self._due_us <= now:
            self._step(self._due_us)
            self._due_us += self.quantum_us

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
        if renew_noise:
            self._step_facility_water(now)
        demand_kw = self.load.power_kw(now)
        self.it_kw = demand_kw + (self.it_kw - demand_kw) * self._it_decay
        if self._inventory is not None:
            self._step_inventory(dt, self._inventory)
        if self.facility is not None:
            self.fws_c = self.facility.step(dt, self.fws_flow_lpm, self.hx_w)
        litres = self.point.flow_lpm * dt / 60.0
        self._step_thermal(dt, litres)
        self._step_sensors(renew_noise)
        if self._sensor_faults:
            for fault in self._sensor_faults.values():
                fault.apply(dt)

    def _step_thermal(self, dt: float, litres: float) -> None:
        """Step racks, pipes and exchanger: first the outflow of the pipes, then the inflow."""
        return_c = self.return_true_c = self._return_pipe.draw(litres)
        rack_in = self.rack_in_c = self._supply_pipe.draw(litres)
        self._supply_pipe.fill(litres, self._step_exchanger(dt, return_c))
        total = self._step_racks(dt, rack_in)
        rise = total / self._tcs_c_w_k if self._tcs_c_w_k > 0.0 else 0.0
        self._return_pipe.fill(litres, rack_in + rise)
        self._in_j += (1000.0 * self.it_kw + self.shaft_w + self._leak_w) * dt

    def _step_racks(self, dt: float, rack_in: float) -> float:
        """Step the cases; return the mean heat into the coolant, W."""
        case, plates, decays = self.rack_case_c, self._plate_w_k, self._plate_decay
        it_w, mass, total = 1000.0 * self.it_kw, self.parameters.plate_j_k, 0.0
        for i, fraction in enumerate(self.parameters.rack_fraction):
            q = it_w * fraction
            before = case[i]
            if plates[i] > 0.0:
                end = rack_in + q / plates[i]
                after = end + (before - end) * decays[i]
            else:
                after = before + q * dt / mass
            case[i] = after
            total += q - mass * (after - before) / dt
        return total

    def _step_exchanger(self, dt: float, return_c: float) -> float:
        """Step the exchanger; return its mean outlet temperature, degC."""
        c = self._tcs_c_w_k
        if c <= 0.0:
            self.hx_w = 0.0
            return self.supply_true_c
        q = self.hx_w = self._hx_w_k * (return_c - self.fws_c)
        end = return_c + (self.shaft_w + self._leak_w - q) / c
        before = self.supply_true_c
        after = self.supply_true_c = end + (before - end) * self._hx_decay
        self._out_j += q * dt
        return end - self.parameters.hx_j_k * (after - before) / (c * dt)

    def _step_inventory(self, dt: float, inventory: Inventory) -> None:
        """Step the inventory: a leak removes warm coolant, the reservoir adds coolant at its
        temperature.
        """
        p, before = self.parameters, inventory.leaked_l
        changed = inventory.step(dt)
        litres = inventory.leaked_l - before
        kelvin = p.reservoir_c - self.supply_true_c
        joules = 0.001 * litres * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk * kelvin
        if changed:
            self._update_network()
        self._leak_w = joules / dt if self.point.flow_lpm > 0.0 else 0.0

    def _update_network(self) -> None:
        """Update the parameters of the hydraulic network with filter and gas."""
        p = self.parameters
        filter_kpa = p.filter_kpa * (1.0 / (1.0 - self._clogging) ** 2 - 1.0)
        head = head_fraction(self._inventory.air_pct) if self._inventory is not None else 1.0
        self._network = replace(
            p, inner_kpa=p.inner_kpa + filter_kpa, pump_shutoff_kpa=p.pump_shutoff_kpa * head
        )
        self._update_flows()

    def _step_sensors(self, renew_noise: bool) -> None:
        """Step the sensors; take new noise once a second."""
        if renew_noise:
            for sensor in self._sensors:
                sensor.next_noise_sample()
        suction = self.parameters.suction_kpa
        self._supply_t.step(self.supply_true_c)
        self._return_t.step(self.return_true_c)
        self._flow.step(self.point.flow_lpm)
        self._supply_p.step(suction + self.dp_kpa)
        self._return_p.step(suction)

    def _step_facility_water(self, now: int) -> None:
        """Step the facility water once a second: a ramp to its target, with a slow swing."""
        p = self.parameters
        if self.facility is not None:
            return
        if self.rejection_lost:
            mass = 0.001 * p.fws_volume_l * p.fws_rho_kg_m3 * p.fws_cp_j_kgk
            self.fws_base_c += self.hx_w * max(1.0, self._dt_s) / mass
            self.fws_c = self.fws_base_c
            return
        difference = self.fws_target_c - self.fws_base_c
        if difference != 0.0:
            max_step = self.fws_rate_k_min / 60.0 * max(1.0, self._dt_s)
            if self.fws_rate_k_min <= 0.0 or abs(difference) <= max_step:
                self.fws_base_c = self.fws_target_c
            else:
                self.fws_base_c += max_step if difference > 0.0 else -max_step
        phase = 2.0 * pi * (now - self._start_us) / _SECOND_US / p.fws_swing_period_s
        self.fws_c = self.fws_base_c + p.fws_swing_k * sin(phase)

    def _update_flows(self) -> None:
        """Update all values that depend only on flows."""
        p, dt = self.parameters, self._dt_s
        speeds = [pump.speed_pct for pump in self.pumps]
        self.point = operating_point(self._network, speeds, self._stuck_open)
        flow = self.point.flow_lpm
        self.dp_kpa = p.row_kpa * (flow / p.tcs_design_lpm) ** 2
        self.shaft_w = shaft_w(p, self.point)
        self.fws_flow_lpm = valve_flow_lpm(p, self.valve.position_pct) * self._fws_pressure**0.5
        self._tcs_c_w_k = capacity_w_k(flow, p.tcs_rho_kg_m3, p.tcs_cp_j_kgk)
        self._fws_c_w_k = capacity_w_k(self.fws_flow_lpm, p.fws_rho_kg_m3, p.fws_cp_j_kgk)
        self._hx_w_k = exchanger_w_k(p, flow, self.fws_flow_lpm, self._fouling)
        self._hx_decay = exp(-self._tcs_c_w_k * dt / p.hx_j_k)
        design = p.tcs_design_lpm
        self._plate_w_k = [plate_w_k(p, flow * s, design * s) for s in p.rack_fraction]
        self._plate_decay = [exp(-g * dt / p.plate_j_k) for g in self._plate_w_k]

    def _stored_j(self) -> float:
        """Return the energy above 0 degC in cases, exchanger and pipes, J."""
        p = self.parameters
        litres = self._supply_pipe.litre_degrees() + self._return_pipe.litre_degrees()
        stored = 0.001 * litres * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk
        stored += p.hx_j_k * self.supply_true_c
        return stored + p.plate_j_k * sum(self.rack_case_c)
