"""The configuration's section `throttle`: loads, how they are limited, and by what.

Loaded only when a configuration has the section, or when the whole schema is asked for. `check`
says what a schema cannot: names that must exist, limits that must be in order.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.profile import Profile

_NAME = "^[a-z0-9][a-z0-9_-]{0,31}$"


def _text(about: str, longest: int = 200) -> "dict[str, Any]":
    return {"type": "string", "minLength": 1, "maxLength": longest, "description": about}


def _name(about: str) -> "dict[str, Any]":
    return {"type": "string", "pattern": _NAME, "description": about}


def _whole(about: str, low: int, high: int, default: "int | None" = None) -> "dict[str, Any]":
    rule = {"type": "integer", "minimum": low, "maximum": high, "description": about}
    if default is not None:
        rule["default"] = default
    return rule


def _one(about: str, words: "list[str]", default: "str | None" = None) -> "dict[str, Any]":
    rule: dict[str, Any] = {"type": "string", "enum": words, "description": about}
    if default is not None:
        rule["default"] = default
    return rule


def _object(about: str, required: "list[str]", properties: "dict[str, Any]") -> "dict[str, Any]":
    return {
        "type": "object",
        "description": about,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _list(about: str, items: "dict[str, Any]", least: int, most: int) -> "dict[str, Any]":
    rule = {"type": "array", "description": about, "minItems": least, "maxItems": most}
    rule["items"] = items
    if not least:
        rule["default"] = []
    return rule


_POINT = {
    "device": _name("device that reads it"),
    "point": _text("its point", 64),
}

_LOAD = _object(
    "a load",
    ["name", "class", "max_w", "min_w"],
    {
        "name": _name("name of this load, unique"),
        "class": _name("gpu, cpu, server, storage, optics, or one of `classes`"),
        "priority": _whole("who is served first: 9 before 1", 1, 9, 5),
        "max_w": _whole("rated power, watts: this limit is no limit", 1, 10_000_000),
        "min_w": _whole("the least it can run with, watts", 0, 10_000_000),
        "port": _name("which of `ports` its Redfish service is"),
        "path": _text("resource that holds its limit, /redfish/v1/Chassis/.../EnvironmentMetrics"),
        "schema": _one(
            "environment: PowerLimitWatts; power: the older PowerControl.PowerLimit",
            ["environment", "power"],
            "environment",
        ),
        "effect_ms": _whole("time until a limit acts and is shown", 0, 600_000, 3000),
        "deferred": _whole("1: a limit acts only after a restart", 0, 1, 0),
        "system": _text("its computer system, to be switched off: /redfish/v1/Systems/..."),
        "outlets": _list(
            "outlets of power strips that feed it", _object("an outlet", [], _POINT), 0, 4
        ),
    },
)

_CLASS = _object(
    "a class of load of this site",
    ["name", "case_limit_c", "rise_k", "curve"],
    {
        "name": _name("its name"),
        "case_limit_c": _whole("case temperature that must be kept", 40, 110),
        "rise_k": _whole("hottest case above the supply at rated power, kelvin", 1, 90),
        "curve": _list(
            "derating: share of the rated power against supply temperature, rising",
            _object(
                "a point",
                ["supply_c", "pct"],
                {
                    "supply_c": _whole("supply temperature", 10, 100),
                    "pct": _whole("percent of the rated power", 0, 100),
                },
            ),
            1,
            12,
        ),
    },
)

THROTTLE: "dict[str, Any]" = _object(
    "limits of the loads' power",
    ["loads"],
    {
        "port": _text("store that keeps the schedule over a restart, such as store:/var/lib/x"),
        "ports": {
            "type": "object",
            "description": "Redfish services by name: tcp:HOST:PORT or tls:HOST:PORT?ca=FILE",
            "propertyPattern": _NAME,
            "minProperties": 1,
            "maxProperties": 16,
            "values": _text("address of the service"),
        },
        "logins": _list(
            "how to log in to services",
            _object(
                "a login",
                ["port", "username", "password"],
                {
                    "port": _name("which of `ports`"),
                    "username": _text("user name", 64),
                    "password": _text("password; shown nowhere", 128),
                    "by": _one("session token or basic", ["session", "basic"], "session"),
                },
            ),
            0,
            16,
        ),
        "loads": _list("the loads", _LOAD, 1, 64),
        "classes": _list("classes of load of this site", _CLASS, 0, 8),
        "optics": _list(
            "optical modules that are watched",
            _object(
                "a module",
                ["name", "device", "point"],
                {
                    "name": _name("its name"),
                    "device": _POINT["device"],
                    "point": _POINT["point"],
                    "warn_c": _whole("case temperature that is reported", 30, 100, 68),
                    "hot_c": _whole(
                        "case temperature at which `load` is switched off", 30, 110, 75
                    ),
                    "load": _name("load that is switched off for its sake; none: only reported"),
                },
            ),
            0,
            32,
        ),
        "meter": _object("the meter of the loads' power", ["device", "point"], _POINT),
        "droop": _object(
            "less power when the grid's frequency falls",
            ["device", "point"],
            {
                "device": _POINT["device"],
                "point": _POINT["point"],
                "nominal_hz": _whole("nominal frequency", 50, 60, 50),
                "deadband_mhz": _whole("deviation that changes nothing", 10, 2000, 200),
                "full_mhz": _whole(
                    "further deviation at which `least_pct` is reached", 50, 5000, 800
                ),
                "least_pct": _whole("percent of the rated power that stays", 0, 100, 60),
            },
        ),
        "blind_pct": _whole("percent of rated power without a supply temperature", 0, 100, 70),
        "hold_s": _whole("time a limit stays down", 5, 3600, 60),
        "step_pct": _whole("largest step up, percent of the rated power", 1, 100, 10),
        "step_s": _whole("time between two steps up", 1, 600, 15),
        "shed_lead_s": _whole(
            "loads whose case will be too hot so soon are switched off", 5, 300, 30
        ),
        "slot": _whole("this row's number among `slots`", 0, 1023, 0),
        "slots": _whole("rows that step up one after the other", 1, 1024, 1),
        "stagger_ms": _whole("scheduled actions come later by this for each slot", 0, 10_000, 0),
        "profile_s": _whole("interval of the load profile, aligned with UTC", 10, 3600, 60),
        "schedule": _list(
            "what is done at a UTC instant",
            _object(
                "an entry",
                ["at_utc_s", "action", "value"],
                {
                    "at_utc_s": _whole("seconds since 1970, UTC", 1_700_000_000, 9_999_999_999),
                    "action": _one("what", ["cap_w", "cap_pct", "supply_milli_c", "dp_milli_kpa"]),
                    "value": _whole("W, %, or thousandths", 0, 100_000_000),
                },
            ),
            0,
            32,
        ),
    },
)


def check(whole: "dict[str, Any]", known: "dict[str, Profile]", errors: "list[str]") -> None:
    """Add what is wrong with the section to `errors`; `known`: profiles by their devices' names."""
    raw = whole["throttle"]
    names = [load["name"] for load in raw["loads"]]
    for i, load in enumerate(raw["loads"]):
        path = "throttle.loads[%d]" % i
        if load["name"] in names[:i]:
            errors.append("%s.name: %s is named twice" % (path, load["name"]))
        _load(load, raw, path, errors)
        for j, outlet in enumerate(load["outlets"]):
            _point(outlet, known, "%s.outlets[%d]" % (path, j), errors, writable=True)
    for i, lot in enumerate(raw["optics"]):
        path = "throttle.optics[%d]" % i
        _point(lot, known, path, errors)
        if lot["hot_c"] <= lot["warn_c"]:
            errors.append("%s.hot_c: %d is not above warn_c" % (path, lot["hot_c"]))
        if "load" in lot and lot["load"] not in names:
            errors.append("%s.load: no load is named %s" % (path, lot["load"]))
    for key in ("meter", "droop"):
        if key in raw:
            _point(raw[key], known, "throttle." + key, errors)
    _rest(raw, errors)


def _load(load: "dict[str, Any]", raw: "dict[str, Any]", path: str, errors: "list[str]") -> None:
    if load["min_w"] > load["max_w"]:
        errors.append("%s.min_w: %d is above max_w" % (path, load["min_w"]))
    if "port" in load and load["port"] not in raw.get("ports", {}):
        errors.append("%s.port: no port is named %s" % (path, load["port"]))
    if ("port" in load) != ("path" in load):
        errors.append("%s: port and path go together" % path)
    if not _known_class(load["class"], raw):
        errors.append("%s.class: no class is named %s" % (path, load["class"]))


def _rest(raw: "dict[str, Any]", errors: "list[str]") -> None:
    for i, login in enumerate(raw["logins"]):
        if login["port"] not in raw.get("ports", {}):
            errors.append("throttle.logins[%d].port: no port is named %s" % (i, login["port"]))
    for i, own in enumerate(raw["classes"]):
        heats = [point["supply_c"] for point in own["curve"]]
        if heats != sorted(heats) or len(set(heats)) != len(heats):
            errors.append("throttle.classes[%d].curve: supply_c does not rise" % i)
    if raw["slot"] >= raw["slots"]:
        errors.append("throttle.slot: %d is not below slots (%d)" % (raw["slot"], raw["slots"]))
    for i, entry in enumerate(raw["schedule"]):
        from agent.throttle.schedule import Schedule  # noqa: PLC0415

        fault = Schedule().add(0, entry["action"], entry["value"])
        if fault:
            errors.append("throttle.schedule[%d].value: %s" % (i, fault))


def _known_class(name: str, raw: "dict[str, Any]") -> bool:
    own = [row["name"] for row in raw["classes"]]
    return name in own or name in ("gpu", "cpu", "server", "storage", "optics")


def _point(
    where: "dict[str, Any]",
    known: "dict[str, Profile]",
    path: str,
    errors: "list[str]",
    writable: bool = False,
) -> None:
    profile = known.get(where.get("device", ""))
    if profile is None:
        errors.append("%s.device: no device is named %s" % (path, where.get("device")))
        return
    if not profile.has(where.get("point", "")):
        errors.append("%s.point: %s has no point %s" % (path, profile.model, where.get("point")))
    elif writable and profile.points[profile.index(where["point"])].limits is None:
        errors.append("%s.point: %s cannot be written" % (path, where["point"]))
