# SPDX-License-Identifier: Apache-2.0
"""Makes the configuration of a unit from its devices and their profiles.

Does not check it; `agent.commands.read_config` does. The roles decide the form of each loop: a
valve or pump is controlled, a CDU that controls itself gets the set-point, and without either the
agent only monitors.
"""

from typing import Any, NamedTuple

from drivers.device.profile import DeviceProfile
from hil.errors import BenchError

Raw = dict[str, Any]
MODES = ("auto", "monitor")
SETPOINT_C, SETPOINT_KPA = (15, 45), (5, 400)
"""Ranges of the set-points, as in the schema of the agent."""
_MAX_PUMPS = 2


class DraftDevice(NamedTuple):
    """A device of the unit: name, port and unit address, name of its profile."""

    name: str
    port: str
    unit: int
    profile: str


class Settings(NamedTuple):
    """Names and set-points of the unit. `mode`: "monitor" leaves out all control."""

    site: str
    unit: str
    setpoint_c: float
    setpoint_kpa: float
    mode: str


def check_one_cdu(devices: list[DraftDevice], profiles: dict[str, DeviceProfile]) -> None:
    """Raise BenchError if two devices are a whole CDU each: their sensors, pumps and valves.

    The agent would control the pumps of both by the pressure of one.
    """
    whole = [device.name for device in devices if _is_whole_cdu(profiles[device.profile])]
    if len(whole) > 1:
        raise BenchError(
            f"{' and '.join(whole)}: each measures its supply temperature and has outputs, so each "
            "is a unit of its own; repeat with one --dir and one of --units for each, or "
            "`--mode monitor`"
        )


def _is_whole_cdu(profile: DeviceProfile) -> bool:
    has_output = bool(profile.pump or profile.valve or profile.cdu)
    return profile.has_point("SupplyTemperatureCelsius") and has_output


def draft_unit(
    devices: list[DraftDevice], profiles: dict[str, DeviceProfile], settings: Settings
) -> Raw:
    """Return the configuration."""
    ports = list(dict.fromkeys(device.port for device in devices))
    names = {port: "bus" if len(ports) == 1 else f"bus{i + 1}" for i, port in enumerate(ports)}
    return {
        "version": 1,
        "site": settings.site,
        "unit": settings.unit,
        "buses": {names[port]: port for port in ports},
        "devices": [
            {
                "name": device.name,
                "bus": names[device.port],
                "unit": device.unit,
                "profile": device.profile,
            }
            for device in devices
        ],
        "control": _draft_control(devices, profiles, settings),
    }


def _draft_control(
    devices: list[DraftDevice], profiles: dict[str, DeviceProfile], settings: Settings
) -> Raw:
    by_name = {device.name: profiles[device.profile] for device in devices}
    supply_sensor = _first(by_name, lambda p: p.has_point("SupplyTemperatureCelsius"))
    dp_sensor = _first(by_name, _reads_pressure)
    control: Raw = {}
    actuator: Raw
    if supply_sensor:
        valve = _first(by_name, lambda p: bool(p.valve))
        cdu = _first(by_name, lambda p: "supply" in p.cdu)
        actuator = {"valve": valve} if valve else {"cdu": cdu} if cdu else {}
        control["supply"] = _loop(supply_sensor, actuator, "setpoint_c", settings)
    if dp_sensor:
        pumps = [name for name, profile in by_name.items() if profile.pump][:_MAX_PUMPS]
        cdu = _first(by_name, lambda p: "dp" in p.cdu)
        actuator = {"pumps": pumps} if pumps else {"cdu": cdu} if cdu else {}
        control["dp"] = _loop(dp_sensor, actuator, "setpoint_kpa", settings)
    return control


def _loop(sensor: str, actuator: Raw, key: str, settings: Settings) -> Raw:
    if not actuator or settings.mode == "monitor":
        return {"sensor": sensor}
    return {key: getattr(settings, key), "sensor": sensor, **actuator}


def _first(by_name: dict[str, DeviceProfile], test: Any) -> str:
    return next((name for name, profile in by_name.items() if test(profile)), "")


def _reads_pressure(profile: DeviceProfile) -> bool:
    has = profile.has_point
    return has("DeltaPressurekPa") or (has("SupplyPressurekPa") and has("ReturnPressurekPa"))


def describe_control(control: Raw) -> list[str]:
    """Return a line for each loop: what the agent does with it."""
    lines = []
    for loop, title in (("supply", "supply temperature"), ("dp", "differential pressure")):
        settings = control.get(loop)
        if settings is None:
            lines.append(f"{title}: not measured")
            continue
        setpoint = settings.get("setpoint_c", settings.get("setpoint_kpa"))
        unit = "°C" if loop == "supply" else "kPa"
        actuator = settings.get("valve") or ", ".join(settings.get("pumps", []))
        if actuator:
            lines.append(f"{title}: controlled at {setpoint:g} {unit} with {actuator}")
        elif "cdu" in settings:
            lines.append(f"{title}: set-point {setpoint:g} {unit} for {settings['cdu']}")
        else:
            lines.append(f"{title}: only monitored by {settings['sensor']}")
    return lines
