# SPDX-License-Identifier: Apache-2.0
"""The unit of a year: a configuration file of an agent, checked and compiled by the agent itself.

Does not run the agent; `policy` gives its control code the settings. Without a file, `write_unit`
writes the configuration that an engineer would write for the reference plant: data sheets of
exchanger, pumps and cooler, two humidity sensors, a meter of the IT, a meter of the pumps, a flow
meter in the valve, a sensor behind the pads. The names of the devices say which readings the unit
has. What a file leaves out, the control code does not get.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from agent.config.load import load
from agent.config.text_file import read_file
from agent.core.config_records import LoopConfig
from agent.core.errors import ConfigError
from drivers.tools.lib.profile_folders import profile_files, read_profiles
from hil.annual.site import DEW_MARGIN_K, AnnualSite
from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, read_regular
from hil.io.strict_json import sha256
from hil.plant.facility import facility_pump_w

SUPPLY_MARGIN_K = 0.6
"""Distance of the highest set-point below its limit: load shedding starts at the limit."""
CASE_MARGIN_K = 0.6
_FULL_FLOW = 1.16
"""Flow at full pump speed, as a fraction of the design flow."""
_DESIGN_TOLERANCE = 0.05
"""`design_kw` may differ by this fraction from the IT power of the row without a note."""
_SPEED_TOLERANCE_PCT = 0.1
_BAUD = "?baud=115200&parity=E"


class UnitSensors(NamedTuple):
    """The readings that a unit has; without one the control code estimates it or does without."""

    humidity: int
    outdoor: bool
    wet_air: bool
    it_meter: bool
    pump_meter: bool
    facility_flow: bool


class YearUnit(NamedTuple):
    """A compiled unit: sections of the control code, loops, sensors, and what the record names.

    `digest`: SHA-256 of the bytes of the file. `profile_digests`: the same of each profile that the
    unit uses. `supply_max_c`: its alarm limit. `notes`: settings that do not fit the site.
    """

    settings: dict[str, Any]
    supply: LoopConfig
    pressure: LoopConfig
    sensors: UnitSensors
    name: str
    digest: str
    profile_digests: dict[str, str]
    supply_max_c: float
    notes: tuple[str, ...] = ()


def read_unit(path: Path | None, site: AnnualSite) -> YearUnit:
    """Read and compile a unit's file (JSON or TOML, read as the agent reads it), or the default.

    Raises `BenchError`.
    """
    if path is None:
        unit = compile_unit(write_unit(site), "default")
    else:
        try:
            digest = sha256(read_regular(path, SMALL_BYTES, follow_links=True))
            raw = read_file(str(path))
        except (BenchError, ConfigError) as error:
            raise BenchError(f"--unit: {str(error).splitlines()[0]}") from None
        except RecursionError:
            raise BenchError(f"--unit: {path}: nested too deeply") from None
        unit = compile_unit(raw, str(path), path)._replace(digest=digest)
    return unit._replace(notes=_notes(unit, site))


def format_unit(raw: Any) -> str:
    """Return the text of a configuration file, as `--write-unit` writes it."""
    return json.dumps(raw, indent=1) + "\n"


def _notes(unit: YearUnit, site: AnnualSite) -> tuple[str, ...]:
    """Return notes about settings of the unit that do not fit the site."""
    notes = []
    highest_c, high_c = site.limits.supply_max_c, unit.settings["supply"]["high_c"]
    if unit.supply_max_c < highest_c:
        notes.append(
            f"limits.supply_max_c of the unit is {unit.supply_max_c:g} degC. The year does not use "
            f"it: it sheds load at the limit of the platform, {highest_c:g} degC"
        )
    if high_c > highest_c:
        notes.append(
            f"cooling.high_c of the unit is {high_c:g} degC, above the {highest_c:g} degC of the "
            "platform"
        )
    design_kw = unit.settings.get("optimum", {}).get("design_kw")
    if design_kw is not None and abs(design_kw / site.it_kw - 1.0) > _DESIGN_TOLERANCE:
        notes.append(
            f"cooling.optimum.design_kw of the unit is {design_kw:g}, and the row has "
            f"{site.it_kw:g} kW"
        )
    return (*notes, *_limit_notes(unit, site))


def _limit_notes(unit: YearUnit, site: AnnualSite) -> list[str]:
    """Return notes about settings that let the unit leave the limits of the platform, or assume
    another thermostat. A unit below the least flow can cost less than the bound, which keeps it.
    """
    limits, optimum = site.limits, unit.settings.get("optimum", {})
    slowest_pct = min(unit.pressure.min_pct, optimum.get("pump_min_pct", 100.0))
    notes = []
    if slowest_pct < site.min_pump_pct - _SPEED_TOLERANCE_PCT:
        notes.append(
            f"the pumps of the unit may run at {slowest_pct:g} %: the flow of the platform, "
            f"{limits.min_lpm_kw:g} L/min per kW, needs {site.min_pump_pct:.4g} %. See "
            "hours_below_flow"
        )
    case_c = optimum.get("case_max_c")
    if case_c is not None and case_c > limits.case_max_c:
        notes.append(
            f"cooling.optimum.case_max_c of the unit is {case_c:g} degC, above the "
            f"{limits.case_max_c:g} degC of the platform"
        )
    wet_c = unit.settings.get("fans", {}).get("wet_above_c")
    if wet_c is not None and site.kind == "adiabatic" and wet_c != site.wet_above_c:
        notes.append(
            f"cooling.fans.wet_above_c of the unit is {wet_c:g} degC, and the pads of the site are "
            f"wet above {site.wet_above_c:g} degC"
        )
    return notes


def compile_unit(raw: Any, name: str, path: Path | None = None) -> YearUnit:
    """Check a configuration as the agent does, and take the sections of its control code."""
    try:
        config = load(raw, read_profiles(None if path is None else str(path)))
    except RecursionError:
        raise BenchError(f"--unit: {name}: nested too deeply") from None
    except ConfigError as error:
        raise BenchError(f"--unit: {name}: {str(error).splitlines()[0]}") from None
    section = next((s for n, s, _ in config.components if n == "cooling"), {})
    if "exchanger" not in section or not config.pressure.is_driven or not config.supply.is_driven:
        raise BenchError(f"--unit: {name}: needs cooling.exchanger, a valve and pumps")
    facility = next(d for d in config.devices if d.name == section["facility"])
    optimum = section.get("optimum", {})
    sensors = UnitSensors(
        len(section.get("dew", {}).get("sensors", [])),
        "air" in optimum,
        "wet_air" in optimum,
        "it_meter" in optimum,
        "pump_meter" in optimum,
        facility.profile.has_point("PrimaryFlowLitersPerMinute"),
    )
    digest = sha256(format_unit(raw).encode())
    files = profile_files(None if path is None else str(path))
    used = sorted({device["profile"] for device in raw["devices"]})
    profile_digests = {model: sha256(files[model].read_bytes()) for model in used}
    supply, pressure = config.supply, config.pressure
    settings = _control_settings(section, supply)
    return YearUnit(
        settings, supply, pressure, sensors, name, digest, profile_digests, config.supply_max_c
    )


def _control_settings(section: dict[str, Any], supply: LoopConfig) -> dict[str, Any]:
    """Return the sections as `agent.control.component` gives them to its control code."""
    settings: dict[str, Any] = {
        "exchanger": section["exchanger"],
        "supply": {
            "setpoint_c": supply.setpoint,
            "low_c": section["low_c"],
            "high_c": section["high_c"],
            "min_pct": supply.min_pct,
            "max_pct": supply.max_pct,
            "rate_pct_per_s": supply.rate_pct_per_s,
            "lag_s": section["lag_s"],
        },
    }
    if "dew" in section:
        settings["dew"] = dict(section["dew"], sensors=len(section["dew"]["sensors"]))
    settings.update({key: section[key] for key in ("optimum", "fans") if key in section})
    return settings


def write_unit(site: AnnualSite) -> dict[str, Any]:
    """Write the default configuration for a site."""
    return {
        "version": 1,
        "site": "reference",
        "unit": "year",
        "buses": {name: f"serial:/dev/{name}{_BAUD}" for name in ("field", "air", "fans")},
        "devices": _devices(),
        "control": _control(site),
        "limits": {"supply_max_c": 50, "stale_s": 5},
        "cooling": _cooling(site),
    }


def _devices() -> list[dict[str, Any]]:
    return [
        _device("rpu", "field", 1, "orv3_rpu"),
        _device("valve", "field", 2, "belimo_valve"),
        _device("pump-a", "field", 3, "abb_acs580"),
        _device("pump-b", "field", 4, "abb_acs580"),
        *[_device(f"room{i}", "air", i, "vaisala_hmd65") for i in (1, 2)],
        _device("outdoor", "air", 3, "vaisala_hmd65"),
        _device("pads", "air", 4, "vaisala_hmd65"),
        _device("meter-it", "air", 5, "abb_meter"),
        _device("meter-pumps", "air", 6, "abb_meter"),
        *[_device(f"fan{i}", "fans", i, "abb_acs580") for i in (1, 2, 3)],
    ]


def _control(site: AnnualSite) -> dict[str, Any]:
    p = site.row
    return {
        "supply": {
            "setpoint_c": 32,
            "sensor": "rpu",
            "valve": "valve",
            "min_pct": 20,
            "max_pct": 100,
            "safe_pct": 90,
            "rate_pct_per_s": _rounded(100.0 / p.valve_stroke_s),
        },
        "dp": {
            "setpoint_kpa": _rounded(p.row_kpa),
            "sensor": "rpu",
            "pumps": ["pump-a", "pump-b"],
            "min_pct": _rounded(site.min_pump_pct),
            "max_pct": 100,
            "safe_pct": 90,
            "rate_pct_per_s": 2,
        },
    }


def _cooling(site: AnnualSite) -> dict[str, Any]:
    fans: dict[str, Any] = {
        "drives": ["fan1", "fan2", "fan3"],
        "min_pct": 0,
        "max_pct": 100,
        "middle_pct": 72,
        "rate_pct_per_s": 0.5,
    }
    if site.kind != "dry":
        fans["wet_above_c"] = site.wet_above_c if site.kind == "adiabatic" else -50
    return {
        "facility": "valve",
        "exchanger": _exchanger(site),
        "lag_s": site.row.temperature_lag_s,
        "low_c": 20,
        "high_c": site.limits.supply_max_c - SUPPLY_MARGIN_K,
        "pumps": {},
        "dew": {
            "sensors": ["room1", "room2"],
            "margin_k": DEW_MARGIN_K,
            "allowance_k": 1,
            "fallback_c": min(33, site.limits.supply_max_c - SUPPLY_MARGIN_K),
        },
        "fans": fans,
        "optimum": _optimum(site),
    }


def _device(name: str, bus: str, unit: int, profile: str) -> dict[str, Any]:
    return {"name": name, "bus": bus, "unit": unit, "profile": profile}


def _rounded(value: float) -> float:
    return round(value, 2)


def _exchanger(site: AnnualSite) -> dict[str, Any]:
    p = site.row
    return {
        "ua_kw_k": _rounded(p.hx_ua_kw_k),
        "tcs_lpm": p.tcs_design_lpm,
        "fws_lpm": p.hx_fws_design_lpm,
        "fws_open_lpm": p.fws_open_lpm,
        "rangeability": p.valve_rangeability,
        "authority": p.valve_authority,
        "tcs_j_lk": _rounded(0.001 * p.tcs_rho_kg_m3 * p.tcs_cp_j_kgk),
        "fws_j_lk": _rounded(0.001 * p.fws_rho_kg_m3 * p.fws_cp_j_kgk),
    }


def _optimum(site: AnnualSite) -> dict[str, Any]:
    """Return the optimiser's settings: data sheets of the design, not the present state."""
    p, megawatts = site.row, site.it_kw / 1000.0
    tower = site.kind == "tower"
    floor = site.limits.min_lpm_kw * site.it_kw / p.tcs_design_lpm
    settings: dict[str, Any] = {
        "air": "outdoor",
        "it_meter": "meter-it",
        "pump_meter": "meter-pumps",
        "every_s": 600,
        "design_kw": site.it_kw,
        "pump_w": 13_500.0 * megawatts,
        "full_lpm": _FULL_FLOW * p.tcs_design_lpm,
        "zero_pct": 28,
        "facility_w": _rounded(facility_pump_w(site.water, 1.0, p.hx_fws_design_lpm)),
        "fan_w": (10_000.0 if tower else 30_000.0) * megawatts,
        "cooler_kw_k": 60.0 * megawatts,
        "middle_pct": 72,
        "plate_r0_k_kw": 1000.0 * p.plate_r0_k_w,
        "plate_r1_k_kw": 1000.0 * p.plate_r1_k_w,
        "leak_pct_k": 0.057,
        "case_max_c": site.limits.case_max_c - CASE_MARGIN_K,
        "pump_min_pct": _rounded(site.min_pump_pct),
        "fan_min_pct": 0,
        "middle_min_pct": 52,
        "middle_max_pct": 92,
        "dp_min_kpa": _rounded(p.row_kpa * floor * floor),
        "dp_max_kpa": _rounded(p.row_kpa * _FULL_FLOW * _FULL_FLOW),
    }
    if tower:
        del settings["middle_min_pct"], settings["middle_max_pct"], settings["facility_w"]
        settings["cooler_ntu"] = 0.1
    else:
        # the data sheet: deviations of the site are not known to the unit
        settings["cooler_ua_kw_k"] = 220.0 * megawatts
        settings["cooler_air_kw_k"] = 180.0 * megawatts
    if site.kind != "dry":
        settings["wet_air"] = "pads"  # for a tower: the wet bulb
    if site.kind == "adiabatic":
        settings["water_w_k"] = _rounded(_water_w_k(site))
    return settings


def _water_w_k(site: AnnualSite) -> float:
    """Return the price of the pads' water for each kelvin of their cooling at full speed, W."""
    cooler = site.cooler
    kg_s_k = 1000.0 * cooler.air_kw_k / 2.45e6
    return site.water_j(kg_s_k * (1.0 + 1.0 / (cooler.cycles - 1.0) + cooler.drift_fraction))
