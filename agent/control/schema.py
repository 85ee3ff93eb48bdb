# SPDX-License-Identifier: Apache-2.0
"""Section `cooling` of the configuration: exchanger model, dew point, pumps, fans, optimiser.

A part of `agent.config.schema`, loaded only while a configuration is compiled. `check` covers rules
that a schema cannot express: the named devices exist and measure the necessary points.
"""

from agent.core.schema.outputs import check_outputs
from agent.core.schema.rules import enum, integer, list_of, name, number, object_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile


_EXCHANGER = object_of(
    "plate heat exchanger and its valve; the default coolant is 25 % propylene glycol in water",
    ["ua_kw_k", "tcs_lpm", "fws_lpm", "fws_open_lpm"],
    {
        "ua_kw_k": number("UA at the design flows, kW/K", 0.1, 5000),
        "tcs_lpm": number("design flow of the secondary loop, L/min", 1, 20_000),
        "fws_lpm": number("design flow of the facility water, L/min", 1, 20_000),
        "fws_open_lpm": number("flow of the facility water with an open valve, L/min", 1, 40_000),
        "rangeability": number("rangeability of the equal-percentage valve", 5, 200, 30),
        "authority": number("authority of the valve in its pipework", 0.05, 1, 0.3),
        "tcs_j_lk": number("heat capacity of the coolant, J/(L K)", 2000, 5000, 4008),
        "fws_j_lk": number("heat capacity of the facility water, J/(L K)", 2000, 5000, 4168),
    },
)

_PUMPS = object_of(
    "pump control, rotation and staggered start",
    [],
    {
        "mode": enum(
            "controlled quantity; the set-point of dp is in control.dp",
            ["dp", "flow", "delta_t"],
            "dp",
        ),
        "setpoint_lpm": number("flow set-point, L/min", 1, 20_000, 100),
        "setpoint_k": number("set-point of the temperature difference, K", 2, 30, 10),
        "rotate_h": number("period of the lead change, h; 0: no change", 0, 8760, 168),
        "stagger_s": number("start delay after a loss of all pumps, s", 0, 600, 0),
        "slot": integer(
            "start slot of this unit; units start in the order of their slots", 0, 1023, 0
        ),
        "slot_s": number("additional start delay for each slot, s", 0, 60, 0),
        "auto_reset": number("resets of drives in an hour; more while all are tripped", 0, 10, 3),
        "glance_ms": number("poll period of running drives, ms; 0: once a cycle", 0, 1000, 200),
    },
)

_DEW = object_of(
    "dew-point limit of the supply temperature",
    ["sensors"],
    {
        "sensors": list_of(
            "humidity sensors; the highest dew point applies, one sensor can fail",
            name("device with TemperatureCelsius and HumidityPercent"),
            1,
            4,
        ),
        "margin_k": number("margin between supply and dew point, K", 0, 10, 2),
        "allowance_k": number("additional margin for errors of sensors and loop, K", 0, 5, 1),
        "fallback_c": number("minimum set-point without a valid sensor, °C", 15, 45, 32),
    },
)

_OPTIMUM = object_of(
    "optimiser: set-points with the lowest power of pumps, fans and chip leakage",
    ["pump_w", "full_lpm", "fan_w", "cooler_kw_k", "design_kw", "air"],
    {
        "air": name("device that measures TemperatureCelsius of the outdoor air"),
        "wet_air": name(
            "device that measures TemperatureCelsius of the air behind the pads of the cooler"
        ),
        "it_meter": name("device that measures PowerWatts of the IT; without it: heat of the loop"),
        "pump_meter": name("device that measures PowerWatts of all pumps of the row"),
        "every_s": number("period of the optimisation, s", 60, 86_400, 600),
        "design_kw": number("IT power of the row, kW", 1, 10_000),
        "pump_w": number("electric power of the pumps at full speed, W", 1, 1e6),
        "full_lpm": number("secondary flow at full speed, L/min", 1, 40_000),
        "fan_w": number("power of the fans of the cooler at full speed, W", 1, 1e6),
        "cooler_kw_k": number("heat rejection of the cooler at full speed, kW/K", 0.1, 10_000),
        "cooler_ntu": number("NTU of the air side of the cooler at full speed", 0.1, 10, 1),
        "middle_pct": number(
            "mid-range position of the valve in the model, %; as in `fans`", 20, 100, 70
        ),
        "plate_r0_k_kw": number("resistance of the cold plate, constant part, K/kW", 1, 100, 18),
        "plate_r1_k_kw": number(
            "resistance of the cold plate, part proportional to flow^-0.7, K/kW", 0, 100, 10
        ),
        "leak_pct_k": number("chip leakage, % of design_kw per K of case temperature", 0, 2, 0),
        "water_w_k": number(
            "price of the pads' water as power, W per K of cooling at full fan speed", 0, 1e6, 0
        ),
        "case_max_c": number("maximum case temperature, °C", 40, 110, 75),
        "pump_min_pct": number("minimum pump speed, %", 10, 100, 30),
        "fan_min_pct": number("minimum fan speed, %", 0, 100, 10),
        "zero_pct": number("speed at which the flow begins in a loop with static head, %", 0, 60),
        "facility_w": number("power of the facility water pump at its design flow, W", 0, 1e6),
        "cooler_ua_kw_k": number("UA of a dry cooler at full speed, kW/K; replaces NTU", 1, 1e5),
        "cooler_air_kw_k": number("heat capacity rate of its air at full speed, kW/K", 1, 1e5),
        "middle_min_pct": number("lowest mid-range position of the valve, %", 20, 100),
        "middle_max_pct": number(
            "highest mid-range position, %; without both keys the position is constant", 20, 100
        ),
        "dp_min_kpa": number("minimum dP of the racks, kPa", 1, 400, 20),
        "dp_max_kpa": number("maximum dP of the racks, kPa; without it: control.dp", 1, 400),
    },
)

_FANS = object_of(
    "fans of the cooler, on drives on the bus (mid-ranging control)",
    ["drives"],
    {
        "drives": list_of(
            "drives with equal speed; if one is lost, the others run faster",
            name("drive; its profile has `pump` or `fan`"),
            1,
            8,
        ),
        "min_pct": number("minimum speed, %", 0, 100, 10),
        "max_pct": number("maximum speed and fail-safe speed, %", 10, 100, 100),
        "rate_pct_per_s": number("rate limit of the speed, % per second", 0.05, 10, 0.5),
        "middle_pct": number("position to which the fans move the valve, %", 20, 100, 70),
        "auto_reset": number("resets of drives in an hour; more while all are tripped", 0, 10, 3),
        "wet_above_c": number(
            "outdoor temperature above which the cooler wets its pads by its own thermostat, °C",
            -60,
            60,
        ),
    },
)

COOLING: "dict[str, Any]" = object_of(
    "model-based control, dew point, pump pair, sensor validation, proof tests, optimiser",
    ["facility"],
    {
        "port": text("store of the records of proof tests, for example store:/var/lib/x"),
        "facility": name("device with PrimarySupplyTemperatureCelsius, usually the valve"),
        "exchanger": _EXCHANGER,
        "lag_s": number("lag of the return temperature sensor, s", 0, 30, 4),
        "low_c": number("minimum set-point of the optimiser, °C", 10, 45, 20),
        "high_c": number(
            "maximum set-point, °C; also if the dew-point limit is higher", 20, 60, 45
        ),
        "pumps": _PUMPS,
        "dew": _DEW,
        "spare_supply": name("device with the redundant SupplyTemperatureCelsius"),
        "supply_offset_k": number("calibration offset of the supply reading, K", -5, 5, 0),
        "return_offset_k": number("calibration offset of the return reading, K", -5, 5, 0),
        "valve_apart_pct": number(
            "permitted difference of valve demand and feedback, %", 1, 100, 10
        ),
        "valve_apart_s": number(
            "permitted time of a larger difference, s; longer than the stroke time", 5, 3600, 90
        ),
        "balance_pct": number(
            "permitted difference of the heat on both sides, %; 0: no check", 0, 100, 0
        ),
        "optimum": _OPTIMUM,
        "fans": _FANS,
    },
)


_NEEDS = (
    ("lag_s", "exchanger"),
    ("high_c", "exchanger"),
    ("low_c", "optimum"),
    ("dew", "exchanger"),
)
"""(key, key of the section without which it has no effect)."""
_PUMP_MODES = (("setpoint_lpm", "flow"), ("setpoint_k", "delta_t"))
"""(key of `pumps`, its mode). The command `hold` brings a set-point of its own."""


def check_effect(raw: "dict[str, Any]", errors: "list[str]") -> None:
    """Refuse given keys that have no effect beside the others; append to `errors`. `raw` is the
    configuration without defaults.
    """
    cooling = raw["cooling"]
    for key, needed in _NEEDS:
        if key in cooling and needed not in cooling:
            errors.append("cooling.%s: has no effect without cooling.%s" % (key, needed))
    pumps = cooling.get("pumps", {})
    mode = pumps.get("mode", "dp")
    for key, needed in _PUMP_MODES:
        if key in pumps and mode != needed:
            errors.append("cooling.pumps.%s: has no effect in the mode %s" % (key, mode))
    if "slot_s" in pumps and not pumps.get("slot", 0):
        errors.append("cooling.pumps.slot_s: has no effect with slot 0")
    if "rotate_h" in pumps and len(raw["control"]["dp"]["pumps"]) < 2:
        errors.append("cooling.pumps.rotate_h: has no effect with one pump")
    optimum = cooling.get("optimum", {})
    if "cooler_ntu" in optimum and "cooler_ua_kw_k" in optimum:
        errors.append("cooling.optimum.cooler_ntu: cooler_ua_kw_k replaces it")
    wet_above = "wet_above_c" in cooling.get("fans", {})
    for key in ("wet_air", "water_w_k"):
        if key in optimum and not wet_above:
            errors.append("cooling.optimum.%s: has no effect without fans.wet_above_c" % key)
    if wet_above and "optimum" not in cooling:
        errors.append("cooling.fans.wet_above_c: has no effect without cooling.optimum")
    if "facility_w" in optimum and "middle_min_pct" not in optimum:
        errors.append("cooling.optimum.facility_w: has no effect without middle_min_pct")


def check(raw: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]") -> None:
    """Check that the named devices exist and have the necessary points; append to `errors`."""
    cooling = raw["cooling"]
    sensor = raw["control"]["supply"]["sensor"]
    required = [("facility", cooling["facility"], "PrimarySupplyTemperatureCelsius")]
    if "exchanger" in cooling:
        required.append(("exchanger", sensor, "ReturnTemperatureCelsius"))
        required.append(("exchanger", sensor, "FlowLitersPerMinute"))
    for i, device in enumerate(cooling.get("dew", {}).get("sensors", [])):
        required.append(("dew.sensors[%d]" % i, device, "TemperatureCelsius"))
        required.append(("dew.sensors[%d]" % i, device, "HumidityPercent"))
    if "spare_supply" in cooling:
        required.append(("spare_supply", cooling["spare_supply"], "SupplyTemperatureCelsius"))
    slot = cooling.get("pumps", {}).get("slot", 0)
    if slot and "throttle" in raw and raw["throttle"]["slot"] != slot:
        errors.append("cooling.pumps.slot: %d is not throttle.slot" % slot)
    if "optimum" in cooling:
        for key, point in _OPTIMUM_POINTS:
            if key in cooling["optimum"]:
                required.append(("optimum." + key, cooling["optimum"][key], point))
        _check_optimum(cooling, errors)
    if "fans" in cooling:
        _check_fans(raw, profiles, errors)
    for path, device, point in required:
        profile = profiles.get(device)
        if profile is None:
            errors.append("cooling.%s: no device is named %s" % (path, device))
        elif not profile.has_point(point):
            errors.append("cooling.%s: %s reads no %s" % (path, device, point))


_OPTIMUM_POINTS = (
    ("air", "TemperatureCelsius"),
    ("wet_air", "TemperatureCelsius"),
    ("it_meter", "PowerWatts"),
    ("pump_meter", "PowerWatts"),
)
"""(key of `optimum` that names a device, point that it must have)."""


def _check_optimum(cooling: "dict[str, Any]", errors: "list[str]") -> None:
    for key, partner in (
        ("cooler_ua_kw_k", "cooler_air_kw_k"),
        ("middle_min_pct", "middle_max_pct"),
    ):
        if (key in cooling["optimum"]) != (partner in cooling["optimum"]):
            errors.append("cooling.optimum: %s and %s belong together" % (key, partner))
    if "exchanger" not in cooling:
        errors.append("cooling.optimum: needs cooling.exchanger too")


def _check_fans(
    raw: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]"
) -> None:
    """Check the fan drives: they exist, are not pumps of the row, and permit the speed limits."""
    fans, pumps = raw["cooling"]["fans"], raw["control"]["dp"]["pumps"]
    if "exchanger" not in raw["cooling"]:
        errors.append("cooling.fans: needs cooling.exchanger too")
    if not fans["min_pct"] < fans["max_pct"]:
        errors.append("cooling.fans.min_pct: %s is not below max_pct" % fans["min_pct"])
    for i, drive in enumerate(fans["drives"]):
        path = "cooling.fans.drives[%d]" % i
        profile = profiles.get(drive)
        if profile is None:
            errors.append("%s: no device is named %s" % (path, drive))
        elif not (profile.pump or profile.fan):
            errors.append(
                "%s: %s (profile %s) is not a drive: its profile has no `pump` or `fan`"
                % (path, drive, profile.model)
            )
        elif drive in pumps and not profile.fan:
            errors.append("%s: %s is one of control.dp.pumps" % (path, drive))
        if drive in fans["drives"][:i]:
            errors.append("%s: %s is named twice" % (path, drive))
        limits = {"min_pct": fans["min_pct"], "max_pct": fans["max_pct"]}
        limits["safe_pct"] = fans["max_pct"]
        role = "fan" if profile is not None and profile.fan else "pump"
        check_outputs(profile, role, limits, "cooling.fans", errors)
