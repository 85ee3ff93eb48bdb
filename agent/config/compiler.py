"""The configuration's checks, needed while it is loaded and forgotten after (`agent.config.load.forget_checks`).

First the text is checked against `agent.config.schema` (types, ranges, unknown keys), then what a schema
cannot say: names that must exist or be unique, ports named twice, periods that must divide. Every
error is collected, so that one run shows them all. What an actuator may be asked for is held
against its profile here, so that no request can be out of its limits when the agent runs.
"""

from agent.config.profile_files import Maps
from agent.core.config_records import Config, DeviceConfig, check_outputs, thousandths
from agent.core.errors import ConfigError
from agent.core.registry import COMPONENTS, STREAMS, schema_module, sections
from agent.fieldbus.fieldbus import round_us, too_much
from drivers.device.profile import Profile
from drivers.errors import AddressError, ProfileError
from drivers.ports.address import parse
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address

_BUS_KINDS = ("serial", "uart", "tcp")
_RECEIVER_KINDS = ("serial", "uart", "tcp")
_BROKER_KINDS = ("tcp", "tls", "serial", "uart")  # a serial one: through a transparent modem
_STATE_KINDS = ("store", "uart")  # a board without a disk says it on a line
_CHECKED_PARTS = ("cooling", "safety", "throttle", "ledger")


class Parts:
    """What is looked up by name or parsed while the configuration is checked."""

    def __init__(self) -> None:
        self.receiver: Address | None = None
        self.broker: Address | None = None
        self.state: Address | None = None
        self.buses: list[tuple[str, Address]] = []
        self.devices: list[DeviceConfig] = []
        self.optional: list[tuple[str, dict[str, Any], Address | None]] = []
        self.optional_ports: list[tuple[str, str, Address]] = []


def compiled(raw: "Any", profiles: "dict[str, dict[str, Any]] | Maps") -> Config:
    """Check `raw` and build the configuration from it; see `agent.config.load.load`."""
    errors: list[str] = []
    filled = _filled(raw, errors)
    parts = Parts()
    _take_ports(filled, parts, errors)
    _take_devices(filled, profiles, parts, errors)
    _check_times(filled["control"], filled["limits"], errors)
    _check_loops(filled, parts, errors)
    _check_temperatures(filled, parts, errors)
    _check_telemetry(filled, errors)
    _check_parts(filled, parts, errors)
    _check_capacity(filled["control"]["cycle_ms"] * MILLISECOND, parts, errors)
    if errors:
        raise ConfigError("\n".join(errors))
    return Config(filled, parts)


def _filled(raw: "Any", errors: "list[str]") -> "dict[str, Any]":
    """Give the text with its defaults."""
    from agent.config.schema import SCHEMA, with_parts  # noqa: PLC0415
    from agent.config.validate import validate  # noqa: PLC0415

    schema = with_parts(list(raw)) if type(raw) is dict else SCHEMA
    filled: dict[str, Any] = validate(raw, schema, "", errors)
    if errors:
        raise ConfigError("\n".join(errors))
    for name in ("receiver", "broker", "limits", "telemetry"):
        if name not in filled:
            section = _defaults_of(schema["properties"][name])
            filled[name] = validate({}, section, name, [])
    return filled


def _defaults_of(section: "dict[str, Any]") -> "dict[str, Any]":
    """Give the schema of a section without its required keys, for a section that is absent."""
    rule: dict[str, Any] = {"required": []}
    for key in ("type", "properties"):
        rule[key] = section[key]
    return rule


def _unfit(address: "Address", kinds: "tuple[str, ...]") -> str:
    if address.kind not in kinds:
        use = " or ".join(kinds)
        return "a port of kind %s is not possible here; use %s" % (address.kind, use)
    return "utc is for the agent to say, by its own clock" if "utc" in address.options else ""


def _take_ports(raw: "dict[str, Any]", parts: Parts, errors: "list[str]") -> None:
    seen: dict[str, str] = {}

    def take(text: "str | None", path: str, kinds: "tuple[str, ...]") -> "Address | None":
        if text is None:
            return None
        try:
            address = parse(text)
        except AddressError as error:
            errors.append("%s: %s" % (path, error))
            return None
        fault = _unfit(address, kinds)
        if fault:
            errors.append("%s: %s" % (path, fault))
            return None
        place = address.place()
        if place in seen:
            errors.append("%s: %s is already the port of %s" % (path, place, seen[place]))
        seen[place] = path
        return address

    parts.receiver = take(raw["receiver"].get("port"), "receiver.port", _RECEIVER_KINDS)
    if "password" in raw["broker"] and "username" not in raw["broker"]:
        errors.append("broker.password: needs broker.username too")
    parts.broker = take(raw["broker"].get("address"), "broker.address", _BROKER_KINDS)
    parts.state = take(raw.get("state"), "state", _STATE_KINDS)
    for name in sorted(raw["buses"]):
        address = take(raw["buses"][name], "buses." + name, _BUS_KINDS)
        if address is not None:
            parts.buses.append((name, address))
    for section, port_kinds in sections(raw):
        settings = raw[section]
        address = take(settings.get("port"), section + ".port", port_kinds)
        parts.optional.append((section, settings, address))
        named = settings.get("ports", {})
        for name in sorted(named):
            address = take(named[name], section + ".ports." + name, STREAMS)
            if address is not None:
                parts.optional_ports.append((section, name, address))


def _take_devices(
    raw: "dict[str, Any]",
    profiles: "dict[str, dict[str, Any]] | Maps",
    parts: Parts,
    errors: "list[str]",
) -> None:
    compiled: dict[str, Profile] = {}
    names: list[str] = []
    places: list[tuple[str, int]] = []
    for i, device in enumerate(raw["devices"]):
        path = "devices[%d]" % i
        name, place = device["name"], (device["bus"], device["unit"])
        if name in names:
            errors.append(
                "%s.name: %s is the name of devices[%d] too" % (path, name, names.index(name))
            )
        if place in places:
            errors.append(
                "%s.unit: unit %d on bus %s is %s already"
                % (path, device["unit"], device["bus"], names[places.index(place)])
            )
        names.append(name)
        places.append(place)
        if device["bus"] not in raw["buses"]:
            errors.append("%s.bus: no bus is named %s" % (path, device["bus"]))
        profile = _profile(device["profile"], profiles, compiled, path + ".profile", errors)
        if profile is not None:
            parts.devices.append(DeviceConfig(name, device["bus"], device["unit"], profile))


def _profile(
    name: str,
    profiles: "dict[str, dict[str, Any]] | Maps",
    compiled: "dict[str, Profile]",
    path: str,
    errors: "list[str]",
) -> "Profile | None":
    if name not in profiles:
        known = ", ".join(sorted(profiles))
        errors.append("%s: no profile is named %s; there are %s" % (path, name, known))
        return None
    if name not in compiled:
        try:
            checked = type(profiles) is Maps and profiles.checked
            compiled[name] = Profile(profiles[name], checked=checked)
        except ProfileError as error:
            errors.append("%s: %s" % (path, error))
            return None
    return compiled[name]


def _check_times(control: "dict[str, Any]", limits: "dict[str, Any]", errors: "list[str]") -> None:
    tick, cycle = control["tick_ms"], control["cycle_ms"]
    if 1000 % tick:
        errors.append("control.tick_ms: %d does not divide 1000" % tick)
    elif cycle % tick or cycle < 4 * tick:
        errors.append("control.cycle_ms: %d is not 4 or more times tick_ms (%d)" % (cycle, tick))
    if control["slot_ms"] >= tick:
        errors.append(
            "control.slot_ms: %d is not less than tick_ms (%d)" % (control["slot_ms"], tick)
        )
    if thousandths(limits["stale_s"]) < 2 * cycle:
        errors.append(
            "limits.stale_s: %s s is less than two cycles (%d ms); one lost reply would be too much"
            % (limits["stale_s"], 2 * cycle)
        )


def _check_loops(raw: "dict[str, Any]", parts: Parts, errors: "list[str]") -> None:
    devices: dict[str, Profile | None] = {}
    for named in raw["devices"]:
        devices[named["name"]] = None
    for device in reversed(parts.devices):  # of two with one name, the first is meant
        devices[device.name] = device.profile
    control = raw["control"]
    supply, dp = control["supply"], control["dp"]
    _need(devices, supply["sensor"], "control.supply.sensor", _reads_supply, errors)
    _need(devices, supply["valve"], "control.supply.valve", _is_valve, errors)
    _need(devices, dp["sensor"], "control.dp.sensor", _reads_pressure, errors)
    for i, pump in enumerate(dp["pumps"]):
        _need(devices, pump, "control.dp.pumps[%d]" % i, _is_pump, errors)
        if pump in dp["pumps"][:i]:
            errors.append("control.dp.pumps[%d]: %s is named twice" % (i, pump))
    for path, loop in (("control.supply", supply), ("control.dp", dp)):
        if not loop["min_pct"] < loop["max_pct"]:
            errors.append("%s.min_pct: %s is not below max_pct" % (path, loop["min_pct"]))
    check_outputs(devices.get(supply["valve"]), "valve", supply, "control.supply", errors)
    for pump in dp["pumps"]:
        check_outputs(devices.get(pump), "pump", dp, "control.dp", errors)


def _check_temperatures(raw: "dict[str, Any]", parts: Parts, errors: "list[str]") -> None:
    """Look for the temperatures that the sections about time name; most units have none."""
    if "timekeeping" in raw or "integrity" in raw:
        from agent.core.schema_sensor_source import check_sources  # noqa: PLC0415 - dropped after loading

        devices: dict[str, Profile | None] = {d["name"]: None for d in raw["devices"]}
        for device in parts.devices:
            devices[device.name] = device.profile
        check_sources(raw, devices, errors)


def _check_telemetry(raw: "dict[str, Any]", errors: "list[str]") -> None:
    period, tick = raw["telemetry"]["period_ms"], raw["control"]["tick_ms"]
    if period % tick:
        errors.append("telemetry.period_ms: %d is no multiple of tick_ms (%d)" % (period, tick))


def _check_parts(raw: "dict[str, Any]", parts: Parts, errors: "list[str]") -> None:
    """What the schemas of optional parts cannot say; each beside its schema."""
    profiles = {}
    for device in reversed(parts.devices):
        profiles[device.name] = device.profile
    for section in _CHECKED_PARTS:
        if section in raw:
            spec = [spec for spec in COMPONENTS if spec.section == section][0]  # noqa: RUF015
            schema_module(spec, "check").check(raw, profiles, errors)


def _check_capacity(cycle_us: int, parts: Parts, errors: "list[str]") -> None:
    """A cycle must be long enough for what is polled in it."""
    for name, address in parts.buses:
        devices = [device for device in parts.devices if device.bus == name]
        fault = too_much(name, address, round_us(address, devices, cycle_us), cycle_us)
        if fault:
            errors.append(fault)


def _reads_supply(profile: Profile) -> "str | None":
    return None if profile.has("SupplyTemperatureCelsius") else "reads no SupplyTemperatureCelsius"


def _reads_pressure(profile: Profile) -> "str | None":
    if profile.has("DeltaPressurekPa"):
        return None
    both = profile.has("SupplyPressurekPa") and profile.has("ReturnPressurekPa")
    return None if both else "reads neither DeltaPressurekPa nor both pressures"


def _is_valve(profile: Profile) -> "str | None":
    return None if profile.valve else "is no valve"


def _is_pump(profile: Profile) -> "str | None":
    return None if profile.pump else "is no pump"


def _need(
    devices: "dict[str, Profile | None]", name: str, path: str, test: "Any", errors: "list[str]"
) -> None:
    if name not in devices:
        errors.append("%s: no device is named %s" % (path, name))
        return
    profile = devices[name]
    fault = None if profile is None else test(profile)  # what is wrong with a profile is said once
    if profile is not None and fault:
        errors.append("%s: %s (profile %s) %s" % (path, name, profile.model, fault))
