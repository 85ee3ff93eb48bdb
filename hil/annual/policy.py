# SPDX-License-Identifier: Apache-2.0
"""The control policies of a year, and their interface to the plant.

    policy.step(readings, case_c, now, dt)   once a control step, with `ControlReadings` of the
    agent
    outputs are attributes: valve_pct, pump_pct, fan_pct, wet, limit_kw

`coldloop` is the agent's own `CoolingControl` with optimiser and dew-point limit. `track:C` is the
same with a fixed set-point instead of the optimiser: the supply is C or, if higher, the dew-point
limit. `fixed:C` uses the agent's loops for supply and dP: the fans hold the supply at C, the pumps
have design flow, the valve is open. `phosphor` and `pi` are two published control laws on the
valve, with a set-point of 32 degC, pumps at design flow and a facility that holds its water at 27
degC.
"""

from __future__ import annotations

from typing import Any

from agent.control.law.cooling import ControlReadings, CoolingControl
from agent.control.law.pi import PiController
from agent.control.loop.pressure_loop import PressureLoop
from agent.control.loop.supply_loop import SupplyLoop
from agent.core.config_records import LoopConfig
from hil.annual.power_cap import PowerCap
from hil.annual.site import (
    DEW_MARGIN_K,
    AnnualSite,
)
from hil.annual.words import POLICIES
from hil.errors import BenchError
from hil.plant.facility import facility_pump_w

_MIN_C = 15.0
_SETPOINT_C, _FACILITY_C = 32.0, 27.0
_SETPOINT_MARGIN_K = 0.6
"""Distance of the set-point below its limit: load shedding starts at the limit."""
_MIDRANGE_LIMITS = {"middle_min_pct": 52.0, "middle_max_pct": 92.0}
"""Range in which the optimiser can move the valve's mid-range position."""
_CASE_GUARD_K, _GUARD_PCT_K = 0.5, 15.0
"""Cases within this distance of their limit get this additional flow immediately."""


class Policy:
    """The outputs, and the power cap that all policies have."""

    def __init__(self, site: AnnualSite) -> None:
        self.site = site
        self.valve_pct = 60.0
        self.pump_pct = 90.0
        self.fan_pct = 30.0
        self.limit_kw: float | None = None
        self.setpoint_c = _SETPOINT_C
        self._power_cap = PowerCap(site.it_kw, site.limits.case_max_c, site.limits.supply_max_c)

    def set_humidity(
        self, sensor: int, air_c: float | None, rh_pct: float | None, now: int
    ) -> None:
        """Take a reading of humidity sensor `sensor` of the room."""

    def step(self, readings: ControlReadings, case_c: float, now: int, dt: float) -> None:
        """Step by `dt` seconds to `now`, monotonic µs."""
        self.update_outputs(readings, now, dt)
        supply_c = (
            readings.supply_c if readings.supply_c is not None else self.site.limits.supply_max_c
        )
        self.limit_kw = self._power_cap.step(case_c, supply_c, dt)

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Update the outputs."""
        raise NotImplementedError

    @property
    def setpoint_error_k(self) -> float:
        """Distance of the set-point to its target, K; 0 for a policy that never moves it."""
        return 0.0


class _AnnualControl(CoolingControl):
    """The agent's control code with two more inputs."""

    def track_valve(self, valve_pct: float) -> None:
        """Continue from a valve position that another rule has set, %."""
        self.valve_pct = valve_pct
        self.feedforward.track(valve_pct)

    def hold_setpoint(self, setpoint_c: float) -> None:
        """Ramp to `setpoint_c` and hold it; the optimiser is off."""
        self.optimizer = None
        self.target_c = setpoint_c


class ColdloopPolicy(Policy):
    """The agent's control code with all functions: optimiser, dew-point limit, fans."""

    def __init__(self, site: AnnualSite, sensors: int = 2) -> None:
        super().__init__(site)
        self.cooling = _AnnualControl(unit_settings(site, sensors))
        self.cooling.track(self.valve_pct, self.pump_pct, self.fan_pct)

    def set_humidity(
        self, sensor: int, air_c: float | None, rh_pct: float | None, now: int
    ) -> None:
        """Pass the reading to the agent."""
        self.cooling.add_humidity(sensor, air_c, rh_pct, now)

    def update_outputs(self, readings: ControlReadings, now: int, dt: float) -> None:
        """Step the agent's cooling."""
        cooling = self.cooling
        cooling.step(readings, now, dt)
        self.valve_pct, self.pump_pct = cooling.valve_pct, cooling.pump_pct
        self.fan_pct = cooling.fan_pct
        boost = self._power_cap.boost
        if boost > 0.0:
            self._raise_outputs(100.0 * boost)
            self.pump_pct += (100.0 - self.site.min_pump_pct) * self._power_cap.flow_trim
        excess_k = self._power_cap.case_over_k + _CASE_GUARD_K
        if excess_k > 0.0:
            self.pump_pct += _GUARD_PCT_K * excess_k
        self.pump_pct = min(max(self.pump_pct, self.site.min_pump_pct), 100.0)
        self.setpoint_c = cooling.setpoint_c

    def _raise_outputs(self, min_pct: float) -> None:
        """Open valve and fans to `min_pct` at least; their controllers track this."""
        cooling = self.cooling
        if self.valve_pct < min_pct:
            self.valve_pct = min_pct
            cooling.track_valve(min_pct)
        if self.fan_pct < min_pct:
            self.fan_pct = min_pct
            cooling.track_fans(min_pct)

    @property
    def setpoint_error_k(self) -> float:
        """Distance of the set-point to its target, K."""
        return float(self.cooling.target_c - self.cooling.setpoint_c)


class SetpointPolicy(ColdloopPolicy):
    """The same without optimiser: the set-point or, if higher, the dew-point limit is held."""

    def __init__(self, site: AnnualSite, setpoint_c: float, sensors: int = 2) -> None:
        super().__init__(site, sensors)
        self.cooling.hold_setpoint(setpoint_c)


def unit_settings(site: AnnualSite, sensors: int) -> dict[str, Any]:
    """Return the sections of a unit's configuration for the site, as after commissioning."""
    p = site.row
    wet_above = {"adiabatic": site.wet_above_c, "tower": -50.0}.get(site.kind)
    return {
        "exchanger": {
            "ua_kw_k": p.hx_ua_kw_k,
            "tcs_lpm": p.tcs_design_lpm,
            "fws_lpm": p.hx_fws_design_lpm,
            "tcs_j_lk": 0.001 * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk,
            "fws_j_lk": 0.001 * p.fws_rho_kg_m3 * p.fws_cp_j_kgk,
            "fws_open_lpm": p.fws_open_lpm,
            "rangeability": p.valve_rangeability,
            "authority": p.valve_authority,
        },
        "supply": {
            "setpoint_c": _SETPOINT_C,
            "low_c": 20.0,
            "high_c": site.limits.supply_max_c - _SETPOINT_MARGIN_K,
            "min_pct": 20.0,
            "max_pct": 100.0,
            "rate_pct_per_s": 100.0 / p.valve_stroke_s,
            "lag_s": p.temperature_lag_s,
        },
        "pumps": {
            "mode": "flow",
            "setpoint": p.tcs_design_lpm,
            "min_pct": site.min_pump_pct,
            "max_pct": 100.0,
            "rate_pct_per_s": 2.0,
        },
        "dew": {
            "sensors": sensors,
            "margin_k": DEW_MARGIN_K,
            "allowance_k": 1.0,
            "fallback_c": 33.0,
        },
        "fans": {
            "min_pct": 0.0,
            "max_pct": 100.0,
            "middle_pct": 72.0,
            "rate_pct_per_s": 0.5,
            **({"wet_above_c": wet_above} if wet_above is not None else {}),
        },
        "optimum": _optimum_settings(site),
    }


def _optimum_settings(site: AnnualSite) -> dict[str, Any]:
    """Return the optimiser's settings.

    The optimiser's model is simpler than the plant in three points, so these figures are fitted.
    The flow is linear in the pumps' speed from `zero_pct` (correct at half and full flow). The
    cases are a wall along the coolant: 22.6 K/kW gives the plant's case rise within 0.3 K from half
    to full flow. A tower is a power of the fans' speed. The optimiser learns the rest.
    """
    p, cooler, megawatts = site.row, site.cooler, site.it_kw / 1000.0
    return {
        "every_s": 900,
        "design_kw": site.it_kw,
        "pump_w": 13_500.0 * megawatts,
        "full_lpm": 1.16 * p.tcs_design_lpm,
        "zero_pct": 28.0,
        "facility_w": facility_pump_w(site.water, 1.0, p.hx_fws_design_lpm),
        "fan_w": 1000.0 * (cooler.tower_fan_kw if site.kind == "tower" else cooler.fan_kw),
        "cooler_kw_k": 60.0 * megawatts,
        "cooler_ntu": 0.1,
        "middle_pct": 72.0,
        "plate_r0_k_kw": 1000.0 * p.plate_r0_k_w,
        "plate_r1_k_kw": 1000.0 * p.plate_r1_k_w,
        "leak_pct_k": 0.057,
        "case_max_c": site.limits.case_max_c - 1.0,
        "pump_min_pct": site.min_pump_pct,
        "fan_min_pct": 0.0,
        **(_MIDRANGE_LIMITS if site.kind != "tower" else {}),
        **({} if site.kind == "tower" else _cooler_settings(site)),
    }


def _cooler_settings(site: AnnualSite) -> dict[str, float]:
    """Return the settings of a dry or adiabatic cooler from its data sheet."""
    return {"cooler_ua_kw_k": site.cooler.ua_kw_k, "cooler_air_kw_k": site.cooler.air_kw_k}


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
        self._facility = PiController(4.0, 200.0, 0.0, 100.0, 0.5)
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


def make_policy(name: str, site: AnnualSite, sensors: int = 2) -> Policy:
    """Return the policy `name` (not `optimum`, see `optimum`); raises `BenchError` for others."""
    if name == "coldloop":
        return ColdloopPolicy(site, sensors)
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
            else SetpointPolicy(site, celsius, sensors)
        )
    raise BenchError(f"{name}: no such policy: give {', '.join(POLICIES)}")
