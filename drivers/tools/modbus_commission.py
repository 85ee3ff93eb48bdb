"""`coldloop modbus commission`: scan, identify, ask, and write a configuration for the agent.

Not the check of that configuration: `coldloop agent --config FILE --check` is, and the next step is
printed. What is proposed follows from the profiles: a device whose profile is a valve or a pump is
used as one, and the first that reads the supply temperature or the loop's pressures is the sensor.
A model that only resembles a profile is marked, since nobody but the technician knows.

Several ports may be named: each becomes a bus.
"""

import argparse
import json
import re
from pathlib import Path

from drivers.device.profile import Profile
from drivers.tools.lib.arguments import (
    BAD_EXIT,
    GOOD_EXIT,
    PORT_HELP,
    UseError,
    add_json,
    ask,
    complain,
    raw_profile,
    settings,
    show,
    show_json,
    table,
)
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.modbus_scan import Found, add_scan, scan_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXAMPLE = "coldloop modbus commission '/dev/ttyUSB0?baud=19200&parity=E' --units 1-40 -o unit.json"
_NAME = re.compile("^[a-z0-9][a-z0-9_-]{0,31}$")  # as in the agent's schema
_LEAVE_OUT = "-"
_MOST_DEVICES, _MOST_BUSES, _MOST_PUMPS = 16, 4, 2
_SETPOINTS = {  # key: (what is asked, proposal, lowest, highest), as in the agent's schema
    "setpoint_c": ("supply temperature to hold, °C", 32.0, 15, 45),
    "setpoint_kpa": ("differential pressure to hold, kPa", 80.0, 5, 400),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("ports", nargs="+", metavar="PORT", help=PORT_HELP)
    add_json(parser)
    add_scan(parser)
    parser.add_argument("-o", "--output", default="unit.json", metavar="FILE", help="(unit.json)")
    parser.add_argument("--force", action="store_true", help="overwrite the file")
    parser.add_argument("--yes", action="store_true", help="ask nothing, take what is proposed")
    parser.add_argument("--site", default="site1", type=_name, help="name of the site (site1)")
    parser.add_argument("--name", default="cdu1", type=_name, help="name of this unit (cdu1)")
    for key, (text, proposal, _, _) in _SETPOINTS.items():
        option = "--" + key.replace("_", "-")
        help_text = "%s (%g)" % (text, proposal)
        parser.add_argument(option, default=proposal, type=float, metavar="X", help=help_text)
    parser.add_argument("--receiver", metavar="ADDRESS", help="port of the BeiDou receiver")
    parser.add_argument("--broker", metavar="ADDRESS", help="MQTT broker, tcp:HOST:PORT")
    parser.add_argument("--state", metavar="ADDRESS", help="such as store:/run/coldloop")


def _name(text: str) -> str:
    if not _NAME.match(text):
        raise argparse.ArgumentTypeError("%r is not like cdu1 (a-z, 0-9, _ and -)" % text)
    return text


class Chosen:
    """A device that goes into the configuration."""

    def __init__(self, found: Found, bus: str, name: str, model: str) -> None:
        self.found = found
        self.bus = bus
        self.name = name
        self.model = model
        self.profile = Profile(raw_profile(model))

    def entry(self) -> "dict[str, Any]":
        """As in the configuration."""
        place = {"name": self.name, "bus": self.bus}
        return {**place, "unit": self.found.unit, "profile": self.model}

    def reads_pressure(self) -> bool:
        """Whether it is a sensor of the loop's differential pressure."""
        has = self.profile.has
        both = has("SupplyPressurekPa") and has("ReturnPressurekPa")
        return has("DeltaPressurekPa") or both


def run(arguments: argparse.Namespace) -> int:
    """Scan, ask, write; 1 when what was found does not make a unit."""
    output = Path(arguments.output)
    _check_use(arguments, output)
    buses: dict[str, str] = {}
    found: list[tuple[str, Found]] = []
    for number, text in enumerate(arguments.ports):
        bus = "bus" if len(arguments.ports) == 1 else "bus%d" % (number + 1)
        address = port_address(text)
        tried = scan_port(arguments, address, True)
        devices = [device for one in tried for device in one.found]
        buses[bus] = str(devices[0].address if devices else address)
        found += [(bus, device) for device in devices]
        if not devices:
            for one in tried:
                complain("commission", one.words())
    if not arguments.json:
        _show_found(found)
    chosen = _choose(found, arguments.yes)
    roles, missing = assign(chosen)
    if missing:
        return _lacking(missing, arguments.json)
    config = _configuration(arguments, buses, chosen, roles)
    _write(output, config)
    _report(arguments, config, chosen)
    return GOOD_EXIT


def _check_use(arguments: argparse.Namespace, output: Path) -> None:
    if len(arguments.ports) > _MOST_BUSES:
        raise UseError("%d ports; the agent takes %d buses" % (len(arguments.ports), _MOST_BUSES))
    for text in arguments.ports:
        port_address(text)
    for key in _SETPOINTS:
        _checked(key, getattr(arguments, key))
    if output.exists() and not arguments.force:
        raise UseError("%s: exists; add --force to overwrite it" % output)
    if not output.parent.is_dir():
        raise UseError("%s: no such folder: create it" % output.parent)


def _checked(key: str, given: "str | float") -> float:
    """A set-point within the agent's limits."""
    text, _, low, high = _SETPOINTS[key]
    try:
        value = float(given)
    except ValueError:
        raise UseError("%s: %r is not a number" % (text, given))
    if not low <= value <= high:
        raise UseError("%s: %g is not %g to %g" % (text, value, low, high))
    return value


def _show_found(found: "list[tuple[str, Found]]") -> None:
    rows: list[tuple[str, ...]] = [("bus", "unit", "settings", "model")]
    for bus, device in found:
        rows.append((bus, str(device.unit), settings(device.address), device.words()))
    for row in table(rows):
        show(row)


# What goes in.


def _choose(found: "list[tuple[str, Found]]", yes: bool) -> "list[Chosen]":
    """Ask for profile and name of each device, proposing what is known."""
    chosen: list[Chosen] = []
    for bus, device in found:
        question = "%s unit %d: profile (%s leaves it out)" % (bus, device.unit, _LEAVE_OUT)
        model = ask(question, device.model() or _LEAVE_OUT, yes)
        if model == _LEAVE_OUT:
            complain("commission", "%s unit %d is left out: no model" % (bus, device.unit))
            continue
        taken = [other.name for other in chosen]
        proposal = _proposal(Profile(raw_profile(model)), taken)
        name = ask("%s unit %d: name" % (bus, device.unit), proposal, yes)
        if not _NAME.match(name) or name in taken:
            raise UseError("name %r is taken, or not like pump1 (a-z, 0-9, _ and -)" % name)
        chosen.append(Chosen(device, bus, name, model))
    if len(chosen) > _MOST_DEVICES:
        raise UseError("%d devices; the agent takes %d" % (len(chosen), _MOST_DEVICES))
    return chosen


def _proposal(profile: Profile, taken: "list[str]") -> str:
    """A name by what the device is, with a number where there is another."""
    stem = "valve" if profile.valve else "pump" if profile.pump else profile.model.split("_")[-1]
    names = [stem] if stem != "pump" else []
    names += ["%s%d" % (stem, number) for number in range(1 if stem == "pump" else 2, 248)]
    return next(name for name in names if name not in taken)


def assign(chosen: "list[Chosen]") -> "tuple[dict[str, Any], list[str]]":
    """(who does what, what is missing)."""
    valves = [device.name for device in chosen if device.profile.valve]
    pumps = [device.name for device in chosen if device.profile.pump]
    warm = [device.name for device in chosen if device.profile.has("SupplyTemperatureCelsius")]
    pressed = [device.name for device in chosen if device.reads_pressure()]
    missing = []
    for names, what in (
        (valves, "a valve"),
        (pumps, "a pump's drive"),
        (warm, "a sensor of SupplyTemperatureCelsius"),
        (pressed, "a sensor of the loop's pressures"),
    ):
        if not names:
            missing.append(what)
    if missing:
        return {}, missing
    roles = {"valve": valves[0], "pumps": pumps[:_MOST_PUMPS], "supply": warm[0], "dp": pressed[0]}
    return roles, []


def _lacking(missing: "list[str]", as_json: bool) -> int:
    if as_json:
        show_json({"written": None, "missing": missing})
    text = "nothing written: the agent needs %s; name the other ports too, or widen --units"
    complain("commission", text % ", ".join(missing))
    return BAD_EXIT


def _configuration(
    arguments: argparse.Namespace,
    buses: "dict[str, str]",
    chosen: "list[Chosen]",
    roles: "dict[str, Any]",
) -> "dict[str, Any]":
    points = {}
    for key, (text, _, _, _) in _SETPOINTS.items():
        answer = ask(text, "%g" % getattr(arguments, key), arguments.yes)
        points[key] = _checked(key, answer)
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
        output.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UseError("%s: %s; name another file with -o" % (output, error.strerror))


def _report(
    arguments: argparse.Namespace, config: "dict[str, Any]", chosen: "list[Chosen]"
) -> None:
    unproven = [d.name for d in chosen if not d.found.proven(d.model)]
    if arguments.json:
        show_json({"written": arguments.output, "unproven": unproven, "config": config})
        return
    supply, pressure = config["control"]["supply"], config["control"]["dp"]
    show("%s: written, %d devices" % (arguments.output, len(chosen)))
    show("  supply %(setpoint_c)g °C: sensor %(sensor)s, valve %(valve)s" % supply)
    pumps = ", ".join(pressure["pumps"])
    show("  dp %(setpoint_kpa)g kPa: sensor %(sensor)s, pumps " % pressure + pumps)
    if unproven:
        show("  not proven by a probe, look at the nameplate: %s" % ", ".join(unproven))
    show("next: coldloop agent --config %s --check" % arguments.output)
