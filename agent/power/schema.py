# SPDX-License-Identifier: Apache-2.0
"""Section `throttle` of the configuration: loads and the limits of their power.

A part of `agent.config.schema`; loaded only with a configuration that has the section, or for the
whole schema. `check` makes the checks that a schema cannot express: names must exist, limits must
be in order.
"""

from agent.core.schema.rules import NAME_PATTERN, enum, integer, list_of, name, object_of, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile


_POINT = {
    "device": name("device that measures it"),
    "point": text("its point", 64),
}

_OUTLET = dict(_POINT, watts=text("point with the power of the outlet, W", 64))

_LOAD = object_of(
    "a load",
    ["name", "class", "max_w", "min_w"],
    {
        "name": name("name of this load, unique"),
        "class": name("gpu, cpu, server, storage, optics, or one of `classes`"),
        "priority": integer("priority: 9 gets its power before 1", 1, 9, 5),
        "max_w": integer("rated power, W; as a limit it means no limit", 1, 10_000_000),
        "min_w": integer("lowest possible limit, W", 0, 10_000_000),
        "port": name("its Redfish service, a name in `ports`"),
        "path": text("resource of its limit, /redfish/v1/Chassis/.../EnvironmentMetrics"),
        "schema": enum(
            "environment: PowerLimitWatts; power: the older PowerControl.PowerLimit",
            ["environment", "power"],
            "environment",
        ),
        "effect_ms": integer("time until a limit acts and is reported, ms", 0, 600_000, 3000),
        "deferred": integer("1: a limit acts only after a restart", 0, 1, 0),
        "system": text("its computer system, for switching off: /redfish/v1/Systems/..."),
        "outlets": list_of(
            "outlets of power strips that feed it", object_of("an outlet", [], _OUTLET), 0, 4
        ),
    },
)

_CLASS = object_of(
    "a class of load of this site",
    ["name", "case_limit_c", "rise_k", "curve"],
    {
        "name": name("its name"),
        "case_limit_c": integer("highest case temperature, °C", 40, 110),
        "rise_k": integer("rise of the hottest case above the supply at rated power, K", 1, 90),
        "curve": list_of(
            "derating curve: rated power against supply temperature; temperatures must rise",
            object_of(
                "a point",
                ["supply_c", "pct"],
                {
                    "supply_c": integer("supply temperature, °C", 10, 100),
                    "pct": integer("limit, % of the rated power", 0, 100),
                },
            ),
            1,
            12,
        ),
    },
)

THROTTLE: "dict[str, Any]" = object_of(
    "power limits of the IT loads",
    ["loads"],
    {
        "port": text("store of the schedule and the limits, for example store:/var/lib/x"),
        "ports": {
            "type": "object",
            "description": "Redfish services: name, and tcp:HOST:PORT or tls:HOST:PORT?ca=FILE",
            "propertyPattern": NAME_PATTERN,
            "minProperties": 1,
            "maxProperties": 16,
            "values": text("address of the service"),
        },
        "logins": list_of(
            "logins of the services",
            object_of(
                "a login",
                ["port", "username", "password"],
                {
                    "port": name("name in `ports`"),
                    "username": text("user name", 64),
                    "password": text("password; never shown", 128),
                    "by": enum("session token or basic", ["session", "basic"], "session"),
                },
            ),
            0,
            16,
        ),
        "loads": list_of("the loads", _LOAD, 1, 64),
        "classes": list_of("classes of load of this site", _CLASS, 0, 8),
        "optics": list_of(
            "monitored optical modules",
            object_of(
                "a module",
                ["name", "device", "point"],
                {
                    "name": name("its name"),
                    "device": _POINT["device"],
                    "point": _POINT["point"],
                    "warn_c": integer("case temperature of the warning, °C", 30, 100, 68),
                    "hot_c": integer(
                        "case temperature at which `load` is switched off, °C", 30, 110, 75
                    ),
                    "load": name(
                        "load that is switched off to protect it; without it the agent only reports"
                    ),
                },
            ),
            0,
            32,
        ),
        "meter": object_of("meter of the power of the loads", ["device", "point"], _POINT),
        "droop": object_of(
            "frequency droop: less power at a low grid frequency",
            ["device", "point"],
            {
                "device": _POINT["device"],
                "point": _POINT["point"],
                "nominal_hz": integer("nominal frequency, Hz", 50, 60, 50),
                "deadband_mhz": integer("deadband, mHz", 10, 2000, 200),
                "full_mhz": integer(
                    "further deviation that leads to `least_pct`, mHz", 50, 5000, 800
                ),
                "least_pct": integer("lowest limit, % of the rated power", 0, 100, 60),
            },
        ),
        "blind_pct": integer(
            "limit without a supply temperature, % of the rated power", 0, 100, 70
        ),
        "hold_s": integer("time before a lowered limit can rise, s", 5, 3600, 60),
        "step_pct": integer("largest step up, % of the rated power", 1, 100, 10),
        "step_s": integer("time between two steps up, s", 1, 600, 15),
        "shed_lead_s": integer(
            "lead time: a load is switched off so long before its case is too hot, s", 5, 300, 30
        ),
        "slot": integer("restore slot of this row, below `slots`", 0, 1023, 0),
        "slots": integer("rows that raise their limits one after the other", 1, 1024, 1),
        "stagger_ms": integer("delay of scheduled actions for each slot, ms", 0, 10_000, 0),
        "profile_s": integer("demand interval, aligned with UTC, s", 10, 3600, 60),
        "schedule": list_of(
            "actions at UTC instants",
            object_of(
                "an entry",
                ["at_utc_s", "action", "value"],
                {
                    "at_utc_s": integer("seconds since 1970, UTC", 1_700_000_000, 9_999_999_999),
                    "action": enum(
                        "kind of the action", ["cap_w", "cap_pct", "supply_milli_c", "dp_milli_kpa"]
                    ),
                    "value": integer("value: W, %, or thousandths of °C or kPa", 0, 100_000_000),
                },
            ),
            0,
            32,
        ),
    },
)


def check(
    config: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]"
) -> None:
    """Append the errors of the section to `errors`. `profiles`: profiles by device name."""
    raw = config["throttle"]
    names = [load["name"] for load in raw["loads"]]
    for i, load in enumerate(raw["loads"]):
        path = "throttle.loads[%d]" % i
        if load["name"] in names[:i]:
            errors.append("%s.name: %s is named twice" % (path, load["name"]))
        _check_load(load, raw, path, errors)
        for j, outlet in enumerate(load["outlets"]):
            _check_point(outlet, profiles, "%s.outlets[%d]" % (path, j), errors, writable=True)
            if "watts" in outlet:
                watts = {"device": outlet.get("device"), "point": outlet["watts"]}
                _check_point(watts, profiles, "%s.outlets[%d]" % (path, j), errors)
    for i, module in enumerate(raw["optics"]):
        path = "throttle.optics[%d]" % i
        _check_point(module, profiles, path, errors)
        if module["hot_c"] <= module["warn_c"]:
            errors.append("%s.hot_c: %d is not above warn_c" % (path, module["hot_c"]))
        if "load" in module and module["load"] not in names:
            errors.append("%s.load: no load is named %s" % (path, module["load"]))
    for key in ("meter", "droop"):
        if key in raw:
            _check_point(raw[key], profiles, "throttle." + key, errors)
    _check_sections(raw, errors)


def _check_load(
    load: "dict[str, Any]", raw: "dict[str, Any]", path: str, errors: "list[str]"
) -> None:
    if load["min_w"] > load["max_w"]:
        errors.append("%s.min_w: %d is above max_w" % (path, load["min_w"]))
    if "port" in load and load["port"] not in raw.get("ports", {}):
        errors.append("%s.port: no port is named %s" % (path, load["port"]))
    if ("port" in load) != ("path" in load):
        errors.append("%s: port and path go together" % path)
    if not _is_known_class(load["class"], raw):
        errors.append("%s.class: no class is named %s" % (path, load["class"]))


def _check_sections(raw: "dict[str, Any]", errors: "list[str]") -> None:
    for i, login in enumerate(raw["logins"]):
        if login["port"] not in raw.get("ports", {}):
            errors.append("throttle.logins[%d].port: no port is named %s" % (i, login["port"]))
    for i, load_class in enumerate(raw["classes"]):
        temperatures = [point["supply_c"] for point in load_class["curve"]]
        if temperatures != sorted(temperatures) or len(set(temperatures)) != len(temperatures):
            errors.append("throttle.classes[%d].curve: supply_c does not rise" % i)
    if raw["slot"] >= raw["slots"]:
        errors.append("throttle.slot: %d is not below slots (%d)" % (raw["slot"], raw["slots"]))
    for i, entry in enumerate(raw["schedule"]):
        from agent.power.schedule import Schedule  # noqa: PLC0415

        fault = Schedule().add(0, entry["action"], entry["value"])
        if fault:
            errors.append("throttle.schedule[%d].value: %s" % (i, fault))


def _is_known_class(name: str, raw: "dict[str, Any]") -> bool:
    names = [row["name"] for row in raw["classes"]]
    return name in names or name in ("gpu", "cpu", "server", "storage", "optics")


def _check_point(
    point_config: "dict[str, Any]",
    profiles: "dict[str, DeviceProfile]",
    path: str,
    errors: "list[str]",
    writable: bool = False,
) -> None:
    profile = profiles.get(point_config.get("device", ""))
    if profile is None:
        errors.append("%s.device: no device is named %s" % (path, point_config.get("device")))
        return
    if not profile.has_point(point_config.get("point", "")):
        errors.append(
            "%s.point: %s has no point %s" % (path, profile.model, point_config.get("point"))
        )
    elif writable and profile.points[profile.point_index(point_config["point"])].limits is None:
        errors.append("%s.point: %s cannot be written" % (path, point_config["point"]))
