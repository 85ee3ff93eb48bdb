# SPDX-License-Identifier: Apache-2.0
"""The control policies of a year, and their interface to the plant.

    policy.step(readings, case_c, now, dt)   once a control step, with `ControlReadings` of the
    agent
    outputs are attributes: valve_pct, pump_pct, fan_pct, limit_kw

`coldloop` is the agent's own `CoolingControl` and supply loop with the configuration of a unit
(`unit_file`). `track:C` is the
same with a fixed set-point instead of the optimiser: the supply is C or, if higher, the dew-point
limit. `fixed:C` uses the agent's loops for supply and dP: the fans hold the supply at C, the pumps
have design flow, the valve is open. `phosphor` and `pi` are two published control laws on the
valve, with a set-point of 32 degC, pumps at design flow and a facility that holds its water at 27
degC.
"""

from __future__ import annotations

from typing import Any

from agent.control.actuator.arbiter import Arbiter
from agent.control.fan_group import FULL_SPEED_S
from agent.control.law.cooling import ControlReadings, CoolingControl
from agent.control.law.pi import PiController
from agent.control.law.plausibility import RowPlausibility
from agent.control.law.pump_speed import PumpSpeedControl
from agent.control.law.row.readings import RowReadings
from agent.control.loop.pressure_loop import PressureLoop
from agent.control.loop.supply_feedforward import SupplyLoopFf
from agent.control.loop.supply_loop import SupplyLoop
from agent.core.actuator import AT_LEAST, PROTECTION
from agent.core.config_records import LoopConfig
from hil.annual.power_cap import PowerCap
from hil.annual.site import AnnualSite
from hil.annual.unit_file import UnitSensors, YearUnit, read_unit
from hil.annual.words import POLICIES
from hil.errors import BenchError
from hil.plant.plant import Plant

_MIN_C = 15.0
_SETPOINT_C, _FACILITY_C = 32.0, 27.0
_COARSE_SHARE = 0.3
_TRIM_RANGE, _MAX_DP = 0.5, 1.35
"""Range of the flow of the power cap, and its highest dP, over those of the design."""
_SATURATED_PCT = 99.0


class Policy:
    """The outputs, and the power cap that all policies have. `sensors`: its readings."""

    _plant: Plant | None = None
    sensors = UnitSensors(
        humidity=2,
        outdoor=True,
        wet_air=True,
        it_meter=True,
        pump_meter=True,
        facility_flow=True,
    )

    def __init__(self, site: AnnualSite) -> None:
        self.site = site
        self.valve_pct = 60.0
        self.pump_pct = 90.0
        self.fan_pct = 30.0
        self.limit_kw: float | None = None
        self.setpoint_c = _SETPOINT_C
        self._power_cap = PowerCap(site.it_kw, site.limits.case_max_c, site.limits.supply_max_c)

    def use_plant(self, plant: Plant) -> None:
        """Take the plant for readings that are not in `ControlReadings`, and for its load."""
        self._plant = plant

    def set_humidity(
        self, sensor: int, air_c: float | None, rh_pct: float | None, now: int
    ) -> None:
        """Take a reading of humidity sensor `sensor` of the room."""

    def step(self, readings: ControlReadings, case_c: float, now: int, dt: float) -> None:
        """Step by `dt` seconds to `now`, monotonic µs."""
        self.update_outputs(readings, now, dt)
        supply_c = readings.supply_c
        if supply_c is None:
            supply_c = self.site.limits.supply_max_c
        is_saturated = min(self.valve_pct, self.fan_pct, self.pump_pct) >= _SATURATED_PCT
        demand_kw = self.site.it_kw if self._plant is None else self._plant.load.demand_kw
        self.limit_kw = self._power_cap.step(
            case_c, supply_c, dt, is_saturated, demand_kw / self.site.it_kw
        )

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Update the outputs."""
        raise NotImplementedError

    @property
    def setpoint_error_k(self) -> float:
        """Distance of the set-point to its target, K; 0 for a policy that never moves it."""
        return 0.0

    def record(self) -> dict[str, Any]:
        """Return what the policy was, for the record of a run."""
        return {"unit": None}


class ColdloopPolicy(Policy):
    """The agent's control code with the settings of a unit: optimiser, dew-point limit, fans."""

    def __init__(self, site: AnnualSite, unit: YearUnit | None = None) -> None:
        super().__init__(site)
        self.unit = unit or read_unit(None, site)
        self.sensors = self.unit.sensors
        self.cooling = CoolingControl(self.unit.settings)
        self.cooling.track_valve(self.valve_pct)
        self.cooling.track_fans(self.fan_pct)
        pumps = self.unit.pressure
        self._pump_speed = PumpSpeedControl(pumps.min_pct, pumps.max_pct, pumps.rate_pct_per_s)
        self._pump_speed.track(self.pump_pct)
        self._readings = ControlReadings()
        exchanger = self.cooling.exchanger
        self._raw, self._row = RowReadings(), RowPlausibility(exchanger, exchanger.design_lpm)
        self._supply, self._valve = _InputSensor(), _OutputActuator(self.valve_pct)
        self._arbiter = Arbiter()
        sensor: Any = self._supply
        valve: Any = self._valve
        self._loop = SupplyLoopFf(
            self.unit.supply, sensor, valve, self._arbiter, self.cooling, self._readings
        )
        self.travel_budget = self._loop.travel_budget
        self._dp_kpa = self.unit.pressure.setpoint
        self._has_fans = "fans" in self.unit.settings
        self._no_control_s = self._flow_trim = 0.0

    def set_humidity(
        self, sensor: int, air_c: float | None, rh_pct: float | None, now: int
    ) -> None:
        """Pass the reading to the agent, if the unit has this sensor."""
        if sensor < self.sensors.humidity:
            self.cooling.add_humidity(sensor, air_c, rh_pct, now)

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Step the agent's control code as `agent.control.component` does."""
        cooling, boost = self.cooling, self._power_cap.boost
        self._check_sensors(readings, dt)
        cooling.optimise(readings, now)
        cooling.ramp_setpoint(now, dt)
        self._arbiter.begin_cycle()
        if boost > 0.0:
            self._arbiter.claim(PROTECTION, "cap", AT_LEAST, 100.0 * boost, "power cap")
        vars(self._readings).update(vars(readings))
        self._supply.reading = readings.supply_c
        self._loop.step(now, dt)
        self.valve_pct = self._valve.pct
        self._step_pumps(readings, dt)
        if self._has_fans:
            is_known = readings.return_c is not None and cooling.facility_c(readings) is not None
            self._no_control_s = 0.0 if is_known else self._no_control_s + dt
            cooling.step_fans(readings, dt)
            if self._no_control_s >= FULL_SPEED_S:
                cooling.track_fans(100.0)
            if cooling.fan_pct < 100.0 * boost:
                cooling.track_fans(100.0 * boost)
            self.fan_pct = cooling.fan_pct
        else:
            self.fan_pct = 100.0
        self.setpoint_c = cooling.setpoint_c

    def _check_sensors(self, readings: ControlReadings, dt: float) -> None:
        """Check the readings of the row as the unit does; estimate those that are missing."""
        raw, row, cooling = self._raw, self._row, self.cooling
        raw.supply_c, raw.return_c = readings.supply_c, readings.return_c
        raw.supply_age_s = raw.return_age_s = dt  # they show the plant before this step
        raw.flow_lpm, raw.dp_kpa = readings.flow_lpm, readings.dp_kpa
        raw.fws_supply_c, raw.fws_flow_lpm = readings.fws_supply_c, readings.fws_flow_lpm
        raw.fws_return_c = None if self._plant is None else round(self._plant.fws_out_c, 2)
        raw.pump_pct = readings.pump_pct
        row.step(raw, dt)
        cooling.exchanger.permit_ua_learning(row.may_learn_ua)
        readings.supply_c, readings.return_c = row.supply.value, row.return_signal.value
        readings.flow_lpm, readings.dp_kpa = row.flow.value, row.dp.value
        cooling.set_uncertainty(row.supply.uncertainty)

    def _step_pumps(self, readings: ControlReadings, dt: float) -> None:
        """Ramp the dP set-point to that of the optimiser; hold it with the pumps."""
        cooling, config = self.cooling, self.unit.pressure
        if self._power_cap.boost < 1.0:
            self._dp_kpa = cooling.ramp_dp(self._dp_kpa, config.setpoint, readings, dt)
        self._trim_flow(config.setpoint)
        if readings.dp_kpa is not None and dt <= 1.0:
            self.pump_pct = self._pump_speed.step(self._dp_kpa, readings.dp_kpa, dt)
        elif readings.dp_kpa is not None:
            # the loop is faster than a coarse step: a part of the way by the affinity laws
            ratio = (self._dp_kpa / max(readings.dp_kpa, 1.0)) ** 0.5
            self.pump_pct += _COARSE_SHARE * (min(max(ratio, 0.8), 1.2) - 1.0) * self.pump_pct
            self._pump_speed.track(self.pump_pct)
        self.pump_pct = min(max(self.pump_pct, config.min_pct), config.max_pct)

    def _trim_flow(self, design_kpa: float) -> None:
        """Move the dP set-point as the power cap moves the flow, which follows the root of dP."""
        trim = self._power_cap.flow_trim
        if trim:
            root = self._dp_kpa**0.5 + _TRIM_RANGE * design_kpa**0.5 * (trim - self._flow_trim)
            self._dp_kpa = min(max(root, 0.0) ** 2, _MAX_DP * design_kpa)
        self._flow_trim = trim

    def shut_valve(self) -> None:
        """Shut the valve after this step, with bumpless transfer."""
        self.valve_pct = 0.0
        self._valve.request(0.0)
        self.cooling.track_valve(0.0)

    @property
    def setpoint_error_k(self) -> float:
        """Distance of the set-point to its target, K."""
        return float(self.cooling.target_c - self.cooling.setpoint_c)

    def record(self) -> dict[str, Any]:
        """Return the unit: name, hashes of its file and profiles, sensors, notes."""
        unit = self.unit
        return {
            "unit": unit.name,
            "unit_sha256": unit.digest,
            "profiles_sha256": unit.profile_digests,
            **unit.sensors._asdict(),
            "notes": list(unit.notes),
        }


class SetpointPolicy(ColdloopPolicy):
    """The same without optimiser: the set-point or, if higher, the dew-point limit is held."""

    def __init__(self, site: AnnualSite, setpoint_c: float, unit: YearUnit | None = None) -> None:
        unit = unit or read_unit(None, site)
        settings = {key: part for key, part in unit.settings.items() if key != "optimum"}
        super().__init__(site, unit._replace(settings=settings))
        self.cooling.set_target(setpoint_c)


class _InputSensor:
    """A sensor of the agent's loops with a settable reading."""

    def __init__(self) -> None:
        self.name = "year"
        self.reading: float | None = None

    def value(self, _now: int) -> float | None:
        return self.reading


class _OutputActuator:
    """A valve or pump of the agent's loops; its position is the requested position."""

    def __init__(self, start_pct: float) -> None:
        self.pct = start_pct

    def request(self, percent: float) -> None:
        self.pct = percent

    def position(self) -> float:
        return self.pct

    def speed(self) -> float:
        return self.pct

    def available(self) -> bool:
        return True


def _loop_config(
    setpoint: float, unit: str, gain: float, integral_s: float, low: float
) -> LoopConfig:
    """Return the settings of one of the agent's loops."""
    raw = {
        f"setpoint_{unit}": setpoint,
        "sensor": "plant",
        "gain_pct_per_" + ("k" if unit == "c" else unit): gain,
        "integral_s": integral_s,
        "min_pct": low,
        "max_pct": 100.0,
        "safe_pct": 90.0,
        "rate_pct_per_s": 1.0,
    }
    return LoopConfig(raw, unit, ["plant"])


class FixedSupplyPolicy(Policy):
    """The agent's two loops: fans hold the supply, pumps hold dP at the design flow."""

    def __init__(self, site: AnnualSite, setpoint_c: float) -> None:
        super().__init__(site)
        self.valve_pct, self.setpoint_c = 100.0, setpoint_c
        self._supply, self._dp = _InputSensor(), _InputSensor()
        self._fans, self._pump = _OutputActuator(self.fan_pct), _OutputActuator(self.pump_pct)
        supply: Any = self._supply
        dp: Any = self._dp
        fans: Any = self._fans
        pump: Any = self._pump
        self._supply_loop = SupplyLoop(_loop_config(setpoint_c, "c", 2.0, 150.0, 0.0), supply, fans)
        row = _loop_config(site.row.row_kpa, "kpa", 0.05, 10.0, site.min_pump_pct)
        self._dp_loop = PressureLoop(row, dp, [pump])

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Step both loops."""
        self._supply.reading, self._dp.reading = readings.supply_c, readings.dp_kpa
        self._supply_loop.step(now, dt)
        self._dp_loop.step(now, dt)
        self.fan_pct, self.pump_pct = self._fans.pct, self._pump.pct


class _ValvePolicy(Policy):
    """A control law on the valve; pumps, fans and facility have their usual control."""

    def __init__(self, site: AnnualSite) -> None:
        super().__init__(site)
        self._facility = PiController(gain=4.0, integral_s=200.0, low=0.0, high=100.0, rate=0.5)
        self._facility.track(self.fan_pct)

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Step the control law and the facility's own fans."""
        if readings.supply_c is not None:
            self.valve_pct = self.valve_output(readings.supply_c - _SETPOINT_C, dt)
        if readings.fws_supply_c is not None:
            self.fan_pct = self._facility.step(readings.fws_supply_c - _FACILITY_C, dt)

    def valve_output(self, error_k: float, dt: float) -> float:
        """Return the opening of the valve, %, for a supply that is `error_k` too warm."""
        raise NotImplementedError


class PhosphorPolicy(_ValvePolicy):
    """The control law of openbmc/phosphor-pid-control (pid/ec/pid.cpp): PI with slew limit.

    With an active slew limit the integral is set to output - proportional term (back-calculation).
    The gains are chosen for this plant.
    """

    _KP, _KI, _SLEW = 5.0, 0.2, 100.0 / 60.0

    def __init__(self, site: AnnualSite) -> None:
        super().__init__(site)
        self._integral = self._last = self.valve_pct

    def valve_output(self, error_k: float, dt: float) -> float:
        """One cycle of pid.cpp."""
        proportional = self._KP * error_k
        self._integral = min(max(self._integral + error_k * self._KI * dt, 0.0), 100.0)
        output = min(max(proportional + self._integral, 0.0), 100.0)
        max_step = self._SLEW * dt
        limited = min(max(output, self._last - max_step), self._last + max_step)
        if limited != output:
            self._integral = limited - proportional
        self._last = limited
        return limited


class CommercialCduPolicy(_ValvePolicy):
    """The PI of a commercial CDU's manual: P = (T - SP) / PB, I += (T - SP) / IR, both in %."""

    _PB_K, _IR = 10.0, 100.0

    def __init__(self, site: AnnualSite) -> None:
        super().__init__(site)
        self._integral = self.valve_pct

    def valve_output(self, error_k: float, dt: float) -> float:
        """One cycle of the manual's form; I is limited to ±100 %."""
        self._integral = min(max(self._integral + error_k / self._IR * 100.0 * dt, -100.0), 100.0)
        return min(max(error_k / self._PB_K * 100.0 + self._integral, 0.0), 100.0)


def make_policy(name: str, site: AnnualSite, unit: YearUnit | None = None) -> Policy:
    """Return the policy `name` (not `optimum`, see `optimum`); raises `BenchError` for others."""
    if name == "coldloop":
        return ColdloopPolicy(site, unit)
    if name == "phosphor":
        return PhosphorPolicy(site)
    if name == "pi":
        return CommercialCduPolicy(site)
    kind, _, text = name.partition(":")
    if kind in ("fixed", "track"):
        try:
            celsius = float(text)
        except ValueError:
            celsius = 0.0
        if not _MIN_C <= celsius <= site.limits.supply_max_c:
            expected = f"a supply of {_MIN_C:g} to {site.limits.supply_max_c:g} degC"
            raise BenchError(f"{name}: {expected}, such as {kind}:30")
        return (
            FixedSupplyPolicy(site, celsius)
            if kind == "fixed"
            else SetpointPolicy(site, celsius, unit)
        )
    raise BenchError(f"{name}: no such policy: give {', '.join(POLICIES)}")
