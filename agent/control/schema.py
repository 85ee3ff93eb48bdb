"""The configuration's section `cooling`: the model behind the loops, dew point, pumps, optimiser.

Part of `agent.config.schema`; only read when a configuration is loaded. `check` is what a schema
cannot say: devices that exist and read what is needed.
"""

from agent.core.config_records import check_outputs
from agent.core.schema_rules import enum, integer, list_of, name, number, object_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile


_EXCHANGER = object_of(
    "the plate exchanger and its valve; 25 % propylene glycol and water unless stated",
    ["ua_kw_k", "tcs_lpm", "fws_lpm", "fws_open_lpm"],
    {
        "ua_kw_k": number("UA at the design flows, kW/K", 0.1, 5000),
        "tcs_lpm": number("design flow of the secondary, L/min", 1, 20_000),
        "fws_lpm": number("design flow of the facility water, L/min", 1, 20_000),
        "fws_open_lpm": number("facility water with the valve wide open, L/min", 1, 40_000),
        "rangeability": number("of the equal-percentage valve", 5, 200, 30),
        "authority": number("of the valve in its pipework", 0.05, 1, 0.3),
        "tcs_j_lk": number("heat capacity of the coolant, J per litre and K", 2000, 5000, 4008),
        "fws_j_lk": number("heat capacity of the water, J per litre and K", 2000, 5000, 4168),
    },
)

_PUMPS = object_of(
    "what the pumps hold, and who of them runs",
    [],
    {
        "mode": enum(
            "one control holds the pumps; the set-point of dp is in control.dp",
            ["dp", "flow", "delta_t"],
            "dp",
        ),
        "setpoint_lpm": number("flow to hold, L/min", 1, 20_000, 100),
        "setpoint_k": number("temperature difference to hold, K", 2, 30, 10),
        "rotate_h": number("hours after which the lead changes; 0: never", 0, 8760, 168),
        "stagger_s": number("wait before pumps start after all were gone", 0, 600, 0),
        "slot": integer("this row's number among those that start after each other", 0, 1023, 0),
        "slot_s": number("wait longer by this for each slot", 0, 60, 0),
        "auto_reset": number("resets of a tripped drive an hour", 0, 10, 3),
        "glance_ms": number("how often running drives are asked; 0: once a cycle", 0, 1000, 200),
    },
)

_DEW = object_of(
    "keeps the supply above the dew point of the room",
    ["sensors"],
    {
        "sensors": list_of(
            "two or more: the worst counts, one may die",
            name("device with TemperatureCelsius and HumidityPercent"),
            1,
            4,
        ),
        "margin_k": number("what must remain between supply and dew point", 0, 10, 2),
        "allowance_k": number("on top, for errors of sensors and loop", 0, 5, 1),
        "fallback_c": number("least set-point when no sensor is believed", 15, 45, 32),
    },
)

_OPTIMUM = object_of(
    "moves set-points to the least power of pumps, fans and leakage",
    ["pump_w", "full_lpm", "fan_w", "cooler_kw_k", "design_kw", "air"],
    {
        "air": name("device that reads the outdoor air's TemperatureCelsius"),
        "every_s": number("how often it proposes", 60, 86_400, 600),
        "design_kw": number("IT power of the row, kW", 1, 10_000),
        "pump_w": number("electric power of the pumps at full speed, W", 1, 1e6),
        "full_lpm": number("secondary flow at full speed, L/min", 1, 40_000),
        "fan_w": number("power of the cooler's fans at full speed, W", 1, 1e6),
        "cooler_kw_k": number("heat per kelvin of the cooler at full speed, kW/K", 0.1, 10_000),
        "cooler_ntu": number("its air side's NTU at full speed", 0.1, 10, 1),
        "middle_pct": number("opening that the fans leave to the valve", 20, 100, 70),
        "plate_r0_k_kw": number("cold plate's resistance, fixed part, K/kW", 1, 100, 18),
        "plate_r1_k_kw": number("part that goes with flow^-0.7, K/kW", 0, 100, 10),
        "leak_pct_k": number("leakage of the chips, % of the load per K of case", 0, 2, 0),
        "case_max_c": number("warmest case allowed", 40, 110, 75),
        "pump_min_pct": number("slowest that the pumps may be asked for", 10, 100, 30),
        "fan_min_pct": number("slowest that the fans turn", 0, 100, 10),
        "zero_pct": number("speed at which the flow begins, for a loop with static head", 0, 60),
        "facility_w": number("power of the facility's pump at its design flow, W", 0, 1e6),
        "cooler_ua_kw_k": number("UA of a dry cooler at full speed; then NTU is not used", 1, 1e5),
        "cooler_air_kw_k": number("heat capacity rate of its air at full speed, kW/K", 1, 1e5),
        "middle_min_pct": number("the fans may leave the valve as little as this", 20, 100),
        "middle_max_pct": number("and as much as this; without both it stays", 20, 100),
        "dp_min_kpa": number("least dP that the racks need, kPa", 1, 400, 20),
    },
)

_FANS = object_of(
    "the cooler's fans on drives on the bus; they leave the valve its middle",
    ["drives"],
    {
        "drives": list_of(
            "all turn alike; the others carry the air of one that is lost",
            name("drive, of a profile with the role pump"),
            1,
            8,
        ),
        "min_pct": number("slowest that they are asked for", 0, 100, 10),
        "max_pct": number("fastest, and their safe speed", 10, 100, 100),
        "rate_pct_per_s": number("how fast their speed moves", 0.05, 10, 0.5),
        "middle_pct": number("opening that they leave to the valve", 20, 100, 70),
        "auto_reset": number("resets of tripped drives an hour", 0, 10, 3),
    },
)

COOLING: "dict[str, Any]" = object_of(
    "more than two PI loops: model, dew point, a pair of pumps, sensor checks, proofs, optimiser",
    ["facility"],
    {
        "port": text("store that keeps proof records, such as store:/var/lib/x"),
        "facility": name("device with PrimarySupplyTemperatureCelsius, usually the valve"),
        "exchanger": _EXCHANGER,
        "lag_s": number("lag of the return temperature's sensor, seconds", 0, 30, 4),
        "low_c": number("coldest supply the optimiser may ask for", 10, 45, 20),
        "high_c": number("warmest set-point, whatever the dew point: heat is worse", 20, 60, 45),
        "pumps": _PUMPS,
        "dew": _DEW,
        "spare_supply": name("device whose SupplyTemperatureCelsius is the spare"),
        "supply_offset_k": number("added to the supply reading: its calibration", -5, 5, 0),
        "return_offset_k": number("added to the return reading", -5, 5, 0),
        "valve_apart_pct": number("demand and feedback may differ by", 1, 100, 10),
        "valve_apart_s": number("for how long: longer than the stroke", 5, 3600, 90),
        "balance_pct": number("heat on both sides may differ by; 0: not looked at", 0, 100, 0),
        "optimum": _OPTIMUM,
        "fans": _FANS,
    },
)


def check(raw: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]") -> None:
    """Hold the devices that are named against what they must read."""
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
        required.append(("optimum.air", cooling["optimum"]["air"], "TemperatureCelsius"))
        _check_optimum(cooling, errors)
    if "fans" in cooling:
        _check_fans(raw, profiles, errors)
    for path, device, point in required:
        profile = profiles.get(device)
        if profile is None:
            errors.append("cooling.%s: no device is named %s" % (path, device))
        elif not profile.has_point(point):
            errors.append("cooling.%s: %s reads no %s" % (path, device, point))


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
    """Drives that exist, are no pumps of the row, and may be asked for what they may be asked."""
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
        elif not profile.pump:
            errors.append("%s: %s (profile %s) is no drive" % (path, drive, profile.model))
        elif drive in pumps:
            errors.append("%s: %s is one of control.dp.pumps" % (path, drive))
        if drive in fans["drives"][:i]:
            errors.append("%s: %s is named twice" % (path, drive))
        limits = {"min_pct": fans["min_pct"], "max_pct": fans["max_pct"]}
        limits["safe_pct"] = fans["max_pct"]
        check_outputs(profile, "pump", limits, "cooling.fans", errors)
