# SPDX-License-Identifier: Apache-2.0
"""Check a configuration and compile it. MicroPython unloads this module after that.

Does not hold the schema (see `agent.config.schema`) or the compiled records (see
`agent.core.config_records`); see `agent.config.load.unload_checks`.

The schema is checked first: types, ranges, unknown keys. Then the compiler checks what a schema
cannot express: names must exist and be unique, ports must be unique, periods must divide. All
errors are collected, so one run shows them all. The outputs of each loop are checked against the
profiles of its actuators. Thus no request can exceed the limits of an actuator later.
"""

from agent.config.loop_check import check_loops, check_shared_unit
from agent.config.profile_files import ProfileFiles
from agent.core.component.registry import (
    COMPONENTS,
    LINK_KINDS,
    STREAM_KINDS,
    schema_module,
    sections,
)
from agent.core.config_records import Config, DeviceConfig, to_thousandths
from agent.core.errors import ConfigError
from agent.fieldbus.capacity import cycle_load_us, over_capacity
from drivers.device.profile import DeviceProfile
from drivers.errors import AddressError, ProfileError
from drivers.ports.address import parse_address
from drivers.ports.bus_address import BUS_KINDS
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.ports.address import Address

_RECEIVER_KINDS = ("serial", "uart", "tcp")
_BROKER_KINDS = ("tcp", "tls", "serial", "uart")  # serial: through a transparent modem
_STATE_KINDS = ("store", "uart")  # a board without a disk writes its state on a serial line
_CHECKED_SECTIONS = (
    "cooling",
    "safety",
    "throttle",
    "ledger",
    "remote",
    "northbound",
    "redundancy",
    "group",
    "receiver_setup",
    "modem",
    "modem_store",
)
_NEED_ACTUATORS = ("cooling", "safety", "group")


class ParsedConfig:
    """Parsed addresses, devices and sections, collected while the configuration is checked."""

    def __init__(self) -> None:
        self.receiver: Address | None = None
        self.broker: Address | None = None
        self.status_store: Address | None = None
        self.buses: list[tuple[str, Address]] = []
        self.devices: list[DeviceConfig] = []
        self.components: list[tuple[str, dict[str, Any], Address | None]] = []
        self.component_ports: list[tuple[str, str, Address]] = []


def compile_config(raw: "Any", profiles: "dict[str, dict[str, Any]] | ProfileFiles") -> Config:
    """Check `raw` and build the configuration from it; see `agent.config.load.load`."""
    errors: list[str] = []
    complete = _with_defaults(raw, errors)
    parsed = ParsedConfig()
    _parse_ports(complete, parsed, errors)
    _parse_devices(complete, profiles, parsed, errors)
    _check_times(complete["control"], complete["limits"], errors)
    check_loops(complete, parsed.devices, errors)
    _check_replaced(raw, errors)
    _check_temperatures(complete, parsed, errors)
    _check_telemetry(complete, errors)
    _check_components(complete, parsed, errors)
    _check_capacity(complete["control"]["cycle_ms"] * MILLISECOND, parsed, errors)
    if errors:
        raise ConfigError("\n".join(errors))
    return Config(complete, parsed)


def _with_defaults(raw: "Any", errors: "list[str]") -> "dict[str, Any]":
    """Check `raw` against the schema. Return it with its defaults."""
    from agent.config.schema import SCHEMA, with_components  # noqa: PLC0415
    from agent.config.validate import validate  # noqa: PLC0415

    schema = with_components(list(raw)) if type(raw) is dict else SCHEMA
    complete: dict[str, Any] = validate(raw, schema, "", errors)
    if errors:
        raise ConfigError("\n".join(errors))
    for name in ("receiver", "broker", "limits", "telemetry"):
        if name not in complete:
            section = _without_required(schema["properties"][name])
            complete[name] = validate({}, section, name, [])
    for name in ("supply", "dp"):
        if name not in complete["control"]:
            section = _without_required(schema["properties"]["control"]["properties"][name])
            complete["control"][name] = validate({}, section, name, [])
    return complete


def _without_required(section: "dict[str, Any]") -> "dict[str, Any]":
    """Return the schema of an absent section, without its required keys."""
    rule: dict[str, Any] = {"required": []}
    for key in ("type", "properties"):
        rule[key] = section[key]
    return rule


def _wrong_kind(address: "Address", kinds: "tuple[str, ...]") -> str:
    if address.kind not in kinds:
        use = " or ".join(kinds)
        return "a port of kind %s is not possible here; use %s" % (address.kind, use)
    return (
        "option utc is not allowed here: the agent sets it from its own clock"
        if "utc" in address.options
        else ""
    )


def _parse_ports(raw: "dict[str, Any]", parsed: ParsedConfig, errors: "list[str]") -> None:
    used_ports: dict[str, str] = {}

    def parse_port(text: "str | None", path: str, kinds: "tuple[str, ...]") -> "Address | None":
        if text is None:
            return None
        try:
            address = parse_address(text)
        except AddressError as error:
            errors.append("%s: %s" % (path, error))
            return None
        fault = _wrong_kind(address, kinds)
        if fault:
            errors.append("%s: %s" % (path, fault))
            return None
        place = address.location()
        if place in used_ports:
            errors.append("%s: %s is already the port of %s" % (path, place, used_ports[place]))
        used_ports[place] = path
        return address

    parsed.receiver = parse_port(raw["receiver"].get("port"), "receiver.port", _RECEIVER_KINDS)
    if "password" in raw["broker"] and "username" not in raw["broker"]:
        errors.append("broker.password: needs broker.username too")
    parsed.broker = parse_port(raw["broker"].get("address"), "broker.address", _BROKER_KINDS)
    parsed.status_store = parse_port(raw.get("state"), "state", _STATE_KINDS)
    for name in sorted(raw["buses"]):
        address = parse_port(raw["buses"][name], "buses." + name, BUS_KINDS)
        if address is not None:
            parsed.buses.append((name, address))
    for section, port_kinds in sections(raw):
        settings = raw[section]
        address = parse_port(settings.get("port"), section + ".port", port_kinds)
        parsed.components.append((section, settings, address))
        named = settings.get("ports", {})
        kinds = LINK_KINDS.get(section, STREAM_KINDS)
        for name in sorted(named):
            address = parse_port(named[name], section + ".ports." + name, kinds)
            if address is not None:
                parsed.component_ports.append((section, name, address))


def _parse_devices(
    raw: "dict[str, Any]",
    profiles: "dict[str, dict[str, Any]] | ProfileFiles",
    parsed: ParsedConfig,
    errors: "list[str]",
) -> None:
    cache: dict[str, DeviceProfile] = {}
    names: list[str] = []
    units: list[tuple[str, int]] = []
    for i, device in enumerate(raw["devices"]):
        path = "devices[%d]" % i
        name, unit = device["name"], (device["bus"], device["unit"])
        if name in names:
            errors.append(
                "%s.name: %s is the name of devices[%d] too" % (path, name, names.index(name))
            )
        if unit in units and device.get("part_of") != names[units.index(unit)]:
            errors.append(
                "%s.unit: unit %d on bus %s is %s already"
                % (path, device["unit"], device["bus"], names[units.index(unit)])
            )
        for bus, address in parsed.buses:
            if bus == device["bus"] and device["unit"] > address.max_unit:
                errors.append(
                    "%s.unit: %d is above %d; units=255 in the address of bus %s permits it"
                    % (path, device["unit"], address.max_unit, bus)
                )
        names.append(name)
        units.append(unit)
        if device["bus"] not in raw["buses"]:
            errors.append("%s.bus: no bus is named %s" % (path, device["bus"]))
        profile = _profile(device["profile"], profiles, cache, path + ".profile", errors)
        if profile is not None:
            found = DeviceConfig(name, device["bus"], device["unit"], profile)
            check_shared_unit(found, parsed.devices, path, errors)
            parsed.devices.append(found)


def _profile(
    name: str,
    profiles: "dict[str, dict[str, Any]] | ProfileFiles",
    cache: "dict[str, DeviceProfile]",
    path: str,
    errors: "list[str]",
) -> "DeviceProfile | None":
    if name not in profiles:
        known = ", ".join(sorted(profiles))
        errors.append("%s: no profile is named %s; there are %s" % (path, name, known))
        return None
    if name not in cache:
        raw: Any = profiles[name]
        if type(raw) is str:  # the file could not be read
            errors.append("%s: %s" % (path, raw))
            return None
        try:
            checked = type(profiles) is ProfileFiles and profiles.checked
            cache[name] = DeviceProfile(raw, is_checked=checked)
        except ProfileError as error:
            errors.append("%s: %s" % (path, error))
            return None
    return cache[name]


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
    if to_thousandths(limits["stale_s"]) < 2 * cycle:
        errors.append(
            "limits.stale_s: %s s is less than two cycles (%d ms); one lost reply would be too much"
            % (limits["stale_s"], 2 * cycle)
        )


def _check_replaced(raw: "dict[str, Any]", errors: "list[str]") -> None:
    """Refuse given keys without effect: of a loop that a loop of `cooling` replaces, and of
    `cooling`. `raw` has no defaults.
    """
    from agent.core.tunable import without_effect  # noqa: PLC0415 - unloaded after loading

    for loop in ("supply", "dp"):
        for key in sorted(raw["control"].get(loop, {})):
            error = without_effect("control.%s.%s" % (loop, key), raw.get("cooling", {}))
            if error:
                errors.append(error)
    has_loops = "supply" in raw["control"] and "dp" in raw["control"]
    if "cooling" in raw and has_loops:
        spec = [spec for spec in COMPONENTS if spec.section == "cooling"][0]  # noqa: RUF015
        schema_module(spec, "check").check_effect(raw, errors)


def _check_temperatures(raw: "dict[str, Any]", parsed: ParsedConfig, errors: "list[str]") -> None:
    """Check the temperature sources of the sections about time. Most units have none."""
    if "timekeeping" in raw or "integrity" in raw:
        from agent.core.schema.sensor_source import check_sources  # noqa: PLC0415 - unloaded after loading

        devices: dict[str, DeviceProfile | None] = {d["name"]: None for d in raw["devices"]}
        for device in parsed.devices:
            devices[device.name] = device.profile
        check_sources(raw, devices, errors)


def _check_telemetry(raw: "dict[str, Any]", errors: "list[str]") -> None:
    period, tick = raw["telemetry"]["period_ms"], raw["control"]["tick_ms"]
    if period % tick:
        errors.append("telemetry.period_ms: %d is no multiple of tick_ms (%d)" % (period, tick))


def _check_components(raw: "dict[str, Any]", parsed: ParsedConfig, errors: "list[str]") -> None:
    """Run the checks that stand beside the schemas of optional components."""
    profiles = {}
    for device in reversed(parsed.devices):
        profiles[device.name] = device.profile
    control = raw["control"]
    supply = control["supply"]
    has_actuators = "valve" in supply and "pumps" in control["dp"]
    for section in _CHECKED_SECTIONS:
        if section in raw and section in _NEED_ACTUATORS and not has_actuators:
            errors.append("%s: needs control.supply.valve and control.dp.pumps" % section)
        elif (
            section == "throttle"
            and section in raw
            and not ("sensor" in supply and _has_device(supply))
        ):
            errors.append("throttle: needs control.supply.sensor, and valve or cdu")
        elif section in raw:
            spec = [spec for spec in COMPONENTS if spec.section == section][0]  # noqa: RUF015
            schema_module(spec, "check").check(raw, profiles, errors)


def _has_device(supply: "dict[str, Any]") -> bool:
    """Return whether a device cools the supply: its valve, or a CDU that controls itself."""
    return "valve" in supply or "cdu" in supply


def _check_capacity(cycle_us: int, parsed: ParsedConfig, errors: "list[str]") -> None:
    """Check that a cycle is long enough for all polls of each bus."""
    for name, address in parsed.buses:
        devices = [device for device in parsed.devices if device.bus == name]
        problem = over_capacity(name, address, cycle_load_us(address, devices, cycle_us), cycle_us)
        if problem:
            errors.append(problem)
