# SPDX-License-Identifier: Apache-2.0
"""`coldloop modbus commission`: scan, identify, ask, and write a configuration for the agent.

Does not check that configuration. `coldloop agent --config FILE --check` does, and the command
prints it as the next step. The proposals follow from the profiles. A device with the profile of a
valve or pump gets that role. The first device that measures the supply temperature, or the
pressures of the loop, is the sensor. A model that only resembles a profile is marked, because only
the technician can confirm it.

With several ports, each port becomes a bus.
"""

import argparse
import json
import re
from pathlib import Path
from typing import NamedTuple

from drivers.device.profile import DeviceProfile
from drivers.ports.cpython.whole_file import replace_file
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    PORT_HELP,
    UsageError,
    add_json,
    describe_port,
    format_table,
    plain,
    print_error,
    print_json,
    print_line,
    prompt,
    raw_profile,
)
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.lib.scan_records import FoundUnit
from drivers.tools.modbus_scan import add_scan, scan_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXAMPLE = "coldloop modbus commission '/dev/ttyUSB0?baud=19200&parity=E' --units 1-40 -o unit.json"
_NAME = re.compile("^[a-z0-9][a-z0-9_-]{0,31}$")  # as in the schema of the agent
_EXCLUDE = "-"
_MAX_DEVICES, _MAX_BUSES, _MAX_PUMPS = 16, 4, 2


class SetpointQuestion(NamedTuple):
    """A set-point of the configuration: question, proposal and range."""

    text: str
    proposal: float
    low: float
    high: float


_SETPOINTS = {  # ranges as in the schema of the agent
    "setpoint_c": SetpointQuestion("supply temperature set-point, °C", 32.0, 15, 45),
    "setpoint_kpa": SetpointQuestion("differential pressure set-point, kPa", 80.0, 5, 400),
}


class UnitOnBus(NamedTuple):
    """A unit that the scan found, and the name of its bus in the configuration."""

    bus: str
    found_unit: FoundUnit


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("ports", nargs="+", metavar="PORT", help=PORT_HELP)
    add_json(parser)
    add_scan(parser)
    parser.add_argument("-o", "--output", default="unit.json", metavar="FILE", help="(unit.json)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--yes", action="store_true", help="do not ask; accept all proposals")
    parser.add_argument(
        "--site", default="site1", type=_parse_name, help="name of the site (site1)"
    )
    parser.add_argument("--name", default="cdu1", type=_parse_name, help="name of this unit (cdu1)")
    for key, setpoint in _SETPOINTS.items():
        option = "--" + key.replace("_", "-")
        help_text = "%s (%g)" % (setpoint.text, setpoint.proposal)
        parser.add_argument(
            option, default=setpoint.proposal, type=float, metavar="X", help=help_text
        )
    parser.add_argument("--receiver", metavar="ADDRESS", help="port of the BeiDou receiver")
    parser.add_argument("--broker", metavar="ADDRESS", help="MQTT broker, tcp:HOST:PORT")
    parser.add_argument(
        "--state", metavar="ADDRESS", help="store for the status, such as store:/run/coldloop"
    )


def _parse_name(text: str) -> str:
    if not _NAME.match(text):
        raise argparse.ArgumentTypeError("%r is not like cdu1 (a-z, 0-9, _ and -)" % text)
    return text


class ChosenDevice:
    """A device of the configuration."""

    def __init__(self, found_unit: FoundUnit, bus: str, name: str, model: str) -> None:
        self.found_unit = found_unit
        self.bus = bus
        self.name = name
        self.model = model
        self.profile = DeviceProfile(raw_profile(model))

    def entry(self) -> "dict[str, Any]":
        """Return its entry in the configuration."""
        location = {"name": self.name, "bus": self.bus}
        return {**location, "unit": self.found_unit.unit, "profile": self.model}

    def reads_pressure(self) -> bool:
        """Return whether it measures the differential pressure of the loop."""
        has = self.profile.has_point
        has_both = has("SupplyPressurekPa") and has("ReturnPressurekPa")
        return has("DeltaPressurekPa") or has_both


def run(arguments: argparse.Namespace) -> int:
    """Scan, ask, write; return 1 if a necessary device is missing."""
    output = Path(arguments.output)
    _check_arguments(arguments, output)
    buses: dict[str, str] = {}
    found: list[UnitOnBus] = []
    for number, text in enumerate(arguments.ports):
        bus = "bus" if len(arguments.ports) == 1 else "bus%d" % (number + 1)
        address = port_address(text)
        scans = scan_port(arguments, address, True)
        devices = [device for scan in scans for device in scan.found_units]
        buses[bus] = str(devices[0].address if devices else address)
        found += [UnitOnBus(bus, device) for device in devices]
        if not devices:
            for scan in scans:
                print_error("commission", scan.describe())
    if not arguments.json:
        _show_found(found)
    chosen = _choose(found, arguments.yes)
    roles, missing = assign_roles(chosen)
    if missing:
        return _report_missing(missing, arguments.json)
    config = _build_configuration(arguments, buses, chosen, roles)
    _write(output, config)
    _report(arguments, config, chosen)
    return GOOD_EXIT


def _check_arguments(arguments: argparse.Namespace, output: Path) -> None:
    if len(arguments.ports) > _MAX_BUSES:
        raise UsageError("%d ports; the agent takes %d buses" % (len(arguments.ports), _MAX_BUSES))
    if not arguments.units[0]:
        raise UsageError("--units: unit 0: the agent needs 1 to 255")
    for text in arguments.ports:
        port_address(text)
    for key in _SETPOINTS:
        _check_setpoint(key, getattr(arguments, key))
    if output.exists() and not arguments.force:
        raise UsageError("%s: exists; add --force to overwrite it" % output)
    if not output.parent.is_dir():
        raise UsageError("%s: no such folder: create it" % output.parent)


def _check_setpoint(key: str, raw_value: "str | float") -> float:
    """Return a set-point if it is within the limits of the agent. Raises `UsageError`."""
    setpoint = _SETPOINTS[key]
    try:
        value = float(plain(raw_value) if isinstance(raw_value, str) else raw_value)
    except ValueError:
        raise UsageError("%s: %r is not a number" % (setpoint.text, raw_value))
    if not setpoint.low <= value <= setpoint.high:
        limits = (setpoint.text, value, setpoint.low, setpoint.high)
        raise UsageError("%s: %g is not %g to %g" % limits)
    return value


def _show_found(found: "list[UnitOnBus]") -> None:
    rows: list[tuple[str, ...]] = [("bus", "unit", "settings", "model")]
    for bus, device in found:
        rows.append((bus, str(device.unit), describe_port(device.address), device.describe()))
    for row in format_table(rows):
        print_line(row)


# Devices and roles.


def _choose(found: "list[UnitOnBus]", assume_yes: bool) -> "list[ChosenDevice]":
    """Ask for the profile and the name of each device, with proposals."""
    chosen: list[ChosenDevice] = []
    for bus, device in found:
        question = "%s unit %d: profile (%s excludes it)" % (bus, device.unit, _EXCLUDE)
        model = prompt(question, device.best_model() or _EXCLUDE, assume_yes)
        if model == _EXCLUDE:
            print_error(
                "commission",
                "%s unit %d: excluded, because its model is unknown" % (bus, device.unit),
            )
            continue
        taken_names = [other.name for other in chosen]
        proposal = _propose_name(DeviceProfile(raw_profile(model)), taken_names)
        name = prompt("%s unit %d: name" % (bus, device.unit), proposal, assume_yes)
        if not _NAME.match(name) or name in taken_names:
            raise UsageError(
                "name %r: already in use, or not like pump1 (a-z, 0-9, _ and -)" % name
            )
        chosen.append(ChosenDevice(device, bus, name, model))
    if len(chosen) > _MAX_DEVICES:
        raise UsageError("%d devices; the agent takes %d" % (len(chosen), _MAX_DEVICES))
    return chosen


def _propose_name(profile: DeviceProfile, taken_names: "list[str]") -> str:
    """Return a free name for the kind of device, if necessary with a number."""
    stem = "valve" if profile.valve else "pump" if profile.pump else profile.model.split("_")[-1]
    names = [stem] if stem != "pump" else []
    names += ["%s%d" % (stem, number) for number in range(1 if stem == "pump" else 2, 248)]
    return next(name for name in names if name not in taken_names)


def assign_roles(chosen: "list[ChosenDevice]") -> "tuple[dict[str, Any], list[str]]":
    """Return (device names by role, missing roles)."""
    valves = [device.name for device in chosen if device.profile.valve]
    pumps = [device.name for device in chosen if device.profile.pump]
    supply_sensors = [
        device.name for device in chosen if device.profile.has_point("SupplyTemperatureCelsius")
    ]
    pressure_sensors = [device.name for device in chosen if device.reads_pressure()]
    missing = []
    for names, description in (
        (valves, "a valve"),
        (pumps, "a pump's drive"),
        (supply_sensors, "a sensor of SupplyTemperatureCelsius"),
        (pressure_sensors, "a sensor of the loop's pressures"),
    ):
        if not names:
            missing.append(description)
    if missing:
        return {}, missing
    roles = {
        "valve": valves[0],
        "pumps": pumps[:_MAX_PUMPS],
        "supply": supply_sensors[0],
        "dp": pressure_sensors[0],
    }
    return roles, []


def _report_missing(missing: "list[str]", as_json: bool) -> int:
    if as_json:
        print_json({"written": None, "missing": missing})
    text = "nothing written: the agent needs %s; add the other ports, or widen --units"
    print_error("commission", text % ", ".join(missing))
    return BAD_EXIT


def _build_configuration(
    arguments: argparse.Namespace,
    buses: "dict[str, str]",
    chosen: "list[ChosenDevice]",
    roles: "dict[str, Any]",
) -> "dict[str, Any]":
    points = {}
    for key, setpoint in _SETPOINTS.items():
        answer = prompt(setpoint.text, "%g" % getattr(arguments, key), arguments.yes)
        points[key] = _check_setpoint(key, answer)
    used = {device.bus for device in chosen}
    config: dict[str, Any] = {"version": 1, "site": arguments.site, "unit": arguments.name}
    config["buses"] = {name: address for name, address in buses.items() if name in used}
    config["devices"] = [device.entry() for device in chosen]
    supply = {"sensor": roles["supply"], "valve": roles["valve"]}
    pressure = {"sensor": roles["dp"], "pumps": roles["pumps"]}
    config["control"] = {
        "supply": {"setpoint_c": points["setpoint_c"], **supply},
        "dp": {"setpoint_kpa": points["setpoint_kpa"], **pressure},
    }
    if arguments.receiver:
        config["receiver"] = {"port": arguments.receiver}
    if arguments.broker:
        config["broker"] = {"address": arguments.broker}
    if arguments.state:
        config["state"] = arguments.state
    return config


def _write(output: Path, config: "dict[str, Any]") -> None:
    try:
        replace_file(output, (json.dumps(config, indent=2) + "\n").encode())
    except OSError as error:
        raise UsageError("%s: %s; name another file with -o" % (output, error.strerror))


def _report(
    arguments: argparse.Namespace, config: "dict[str, Any]", chosen: "list[ChosenDevice]"
) -> None:
    unproven_names = [d.name for d in chosen if not d.found_unit.is_proven(d.model)]
    if arguments.json:
        print_json({"written": arguments.output, "unproven": unproven_names, "config": config})
        return
    supply, pressure = config["control"]["supply"], config["control"]["dp"]
    print_line("%s: written, %d devices" % (arguments.output, len(chosen)))
    print_line("  supply %(setpoint_c)g °C: sensor %(sensor)s, valve %(valve)s" % supply)
    pumps = ", ".join(pressure["pumps"])
    print_line("  dp %(setpoint_kpa)g kPa: sensor %(sensor)s, pumps " % pressure + pumps)
    if unproven_names:
        print_line(
            "  not identified by a probe, check the nameplate: %s" % ", ".join(unproven_names)
        )
    print_line("next: coldloop agent --config %s --check" % arguments.output)
