# SPDX-License-Identifier: Apache-2.0
"""Check of the loops of a configuration: form, devices, outputs. A board drops this module.

Does not check the rest of the configuration; see `agent.config.compiler`. A loop has one of three
forms: with actuators (`valve` or `pumps`), with `cdu` for a CDU that controls itself, or with a
sensor only. A loop that is absent is neither controlled nor monitored.
"""

from agent.core.schema.outputs import check_outputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import DeviceConfig
    from drivers.device.profile import DeviceProfile

    Devices = dict[str, DeviceProfile | None]


def check_loops(raw: "dict[str, Any]", parsed: "list[DeviceConfig]", errors: "list[str]") -> None:
    """Check both loops. `raw` has its defaults; `parsed` are the devices with valid profiles."""
    devices: Devices = {}
    for named in raw["devices"]:
        devices[named["name"]] = None
    for device in reversed(parsed):  # if two devices have one name, the first counts
        devices[device.name] = device.profile
    supply, dp = raw["control"]["supply"], raw["control"]["dp"]
    _check_form("control.supply", supply, "valve", "setpoint_c", errors)
    _check_form("control.dp", dp, "pumps", "setpoint_kpa", errors)
    if "sensor" in supply:
        _require_device(devices, supply["sensor"], "control.supply.sensor", _supply_problem, errors)
    if "sensor" in dp:
        _require_device(devices, dp["sensor"], "control.dp.sensor", _pressure_problem, errors)
    if "valve" in supply:
        _require_device(devices, supply["valve"], "control.supply.valve", _valve_problem, errors)
        _check_range("control.supply", supply, errors)
        check_outputs(devices.get(supply["valve"]), "valve", supply, "control.supply", errors)
    _check_pumps(dp, devices, errors)
    for path, loop, key in (("control.supply", supply, "supply"), ("control.dp", dp, "dp")):
        if "cdu" in loop:
            find_problem = _cdu_supply_problem if key == "supply" else _cdu_dp_problem
            _require_device(devices, loop["cdu"], path + ".cdu", find_problem, errors)
            _check_setpoint(devices.get(loop["cdu"]), key, loop, path, errors)


def _check_form(
    path: str, loop: "dict[str, Any]", actuators: str, setpoint: str, errors: "list[str]"
) -> None:
    """Check that the keys of a loop belong to one of its three forms."""
    if actuators in loop and "cdu" in loop:
        errors.append("%s: has both %s and cdu" % (path, actuators))
    if actuators in loop or "cdu" in loop:
        if setpoint not in loop:
            errors.append("%s.%s: missing (the set-point)" % (path, setpoint))
    elif setpoint in loop:
        errors.append(
            "%s.%s: has no effect without %s or cdu; leave it out to only monitor"
            % (path, setpoint, actuators)
        )


def _check_pumps(dp: "dict[str, Any]", devices: "Devices", errors: "list[str]") -> None:
    pumps = dp.get("pumps", [])
    for index, pump in enumerate(pumps):
        _require_device(devices, pump, "control.dp.pumps[%d]" % index, _pump_problem, errors)
        if pump in pumps[:index]:
            errors.append("control.dp.pumps[%d]: %s is named twice" % (index, pump))
    if pumps:
        _check_range("control.dp", dp, errors)
    for pump in pumps:
        check_outputs(devices.get(pump), "pump", dp, "control.dp", errors)


def _check_range(path: str, loop: "dict[str, Any]", errors: "list[str]") -> None:
    if not loop["min_pct"] < loop["max_pct"]:
        errors.append("%s.min_pct: %s is not below max_pct" % (path, loop["min_pct"]))


def _check_setpoint(
    profile: "DeviceProfile | None",
    key: str,
    loop: "dict[str, Any]",
    path: str,
    errors: "list[str]",
) -> None:
    """Check that the CDU accepts the set-point of the loop."""
    name = "setpoint_c" if key == "supply" else "setpoint_kpa"
    if profile is None or key not in profile.cdu or name not in loop:
        return
    point = profile.points[profile.point_index(profile.cdu[key])]
    low, high = point.limits or (0, 0)
    if not low - 0.5 < loop[name] * point.denominator / point.numerator < high + 0.5:
        limits = (
            low * point.numerator / point.denominator,
            high * point.numerator / point.denominator,
        )
        errors.append(
            "%s.%s: %s is outside what profile %s lets be written, %.1f to %.1f"
            % ((path, name, loop[name], profile.model) + limits)
        )


def check_shared_unit(
    device: "DeviceConfig", others: "list[DeviceConfig]", path: str, errors: "list[str]"
) -> None:
    """Check that the devices of one unit write different registers."""
    for other in others:
        if (other.bus, other.unit) != (device.bus, device.unit):
            continue
        shared = _writable_registers(device.profile) & _writable_registers(other.profile)
        if shared:
            errors.append(
                "%s.unit: writes register %d of unit %d, as %s does"
                % (path, min(shared), device.unit, other.name)
            )


def _writable_registers(profile: "DeviceProfile") -> "set[int]":
    """Return the addresses of the registers that a profile can write."""
    addresses: set[int] = set()
    for point in profile.points:
        if point.limits is not None:
            addresses.update(range(point.address, point.address + point.registers))
    return addresses


def _supply_problem(profile: "DeviceProfile") -> "str | None":
    return (
        None
        if profile.has_point("SupplyTemperatureCelsius")
        else "reads no SupplyTemperatureCelsius"
    )


def _pressure_problem(profile: "DeviceProfile") -> "str | None":
    if profile.has_point("DeltaPressurekPa"):
        return None
    both = profile.has_point("SupplyPressurekPa") and profile.has_point("ReturnPressurekPa")
    return None if both else "reads neither DeltaPressurekPa nor both pressures"


def _valve_problem(profile: "DeviceProfile") -> "str | None":
    return None if profile.valve else "is no valve"


def _pump_problem(profile: "DeviceProfile") -> "str | None":
    return None if profile.pump else "is no pump"


def _cdu_supply_problem(profile: "DeviceProfile") -> "str | None":
    return None if "supply" in profile.cdu else "takes no set-point of the supply temperature"


def _cdu_dp_problem(profile: "DeviceProfile") -> "str | None":
    return None if "dp" in profile.cdu else "takes no set-point of the differential pressure"


def _require_device(
    devices: "Devices", name: str, path: str, find_problem: "Any", errors: "list[str]"
) -> None:
    if name not in devices:
        errors.append("%s: no device is named %s" % (path, name))
        return
    profile = devices[name]
    problem = (
        None if profile is None else find_problem(profile)
    )  # an invalid profile is reported once, elsewhere
    if profile is not None and problem:
        errors.append("%s: %s (profile %s) %s" % (path, name, profile.model, problem))
