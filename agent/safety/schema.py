# SPDX-License-Identifier: Apache-2.0
"""Section `safety` of the configuration: interlock inputs, limits and the watchdog.

A part of `agent.config.schema`, loaded only while a configuration is compiled. `check` covers rules
that a schema cannot express: the devices and bits exist, and normal operation causes no trip.
"""

from agent.core.schema.rules import enum, list_of, name, number, object_of, text
from protocols.rounding import number_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from drivers.device.profile import DeviceProfile

KINDS = ["emergency_stop", "leak_critical", "leak_warning", "contact"]
REACTIONS = ["stop", "shut_valve", "cool", "report"]
_LEAST_ABOVE_K = 3
"""The trip ends 2 K below its limit, and a load step moves the supply by less than 1 K."""


_INPUT = object_of(
    "one input: a bit of a device",
    ["name", "device", "bit", "kind"],
    {
        "name": name("name of the input"),
        "device": name("device that measures it"),
        "bit": text("name of the bit in the profile of the device; 1 is the alarm", 64),
        "kind": enum("kind of the input", KINDS),
        "reaction": enum(
            "trip action; the default of emergency_stop and leak_critical is stop, of the others "
            "report",
            REACTIONS,
        ),
        "delay_s": number("time for which the input must be on without a pause, s", 0, 600, 0),
        "when_lost": enum(
            "action if the device does not answer: report, or as if the input is on",
            ["report", "act"],
            "report",
        ),
    },
)

SAFETY = object_of(
    "interlocks: inputs, limits and the watchdog",
    [],
    {
        "port": text(
            "watchdog, serviced in each complete cycle: watchdog:/dev/watchdog, watchdog:systemd, "
            "on a board watchdog:board"
        ),
        "inputs": list_of("leak detectors, emergency stops, auxiliary contacts", _INPUT, 0, 32),
        "flow_lpm": number(
            "design flow of the coolant at the rated power of all loads, L/min; 0: no cap of the "
            "loads by the flow",
            0,
            100_000,
            0,
        ),
        "mains": object_of(
            "meter of the mains: below 65 % of nominal_v the loads are limited immediately",
            ["device", "point"],
            {
                "device": name("device that measures it"),
                "point": text("its point, V", 64),
                "nominal_v": number("nominal voltage at this point, V", 24, 100_000, 230),
            },
        ),
        "overheat_c": number(
            "supply temperature of the over-temperature trip, °C: valve open, pumps at full speed",
            30,
            90,
            55,
        ),
        "overheat_s": number("time above overheat_c before the trip, s", 0, 600, 10),
        "dry_run_kpa": number("dP below which turning pumps run dry, kPa", 0, 100, 3),
        "dry_run_s": number(
            "time of low dP before the trip, s; 0: no dry-run protection", 0, 600, 15
        ),
    },
)


def check(raw: "dict[str, Any]", profiles: "dict[str, DeviceProfile]", errors: "list[str]") -> None:
    """Check that the devices and bits of the inputs exist, and that the set-point is below the trip
    of the supply temperature; append each error to `errors`.
    """
    setpoint_c, overheat_c = raw["control"]["supply"].get("setpoint_c"), raw["safety"]["overheat_c"]
    if setpoint_c is not None and overheat_c < setpoint_c + _LEAST_ABOVE_K:
        errors.append(
            "safety.overheat_c: %s is less than %d K above control.supply.setpoint_c (%s)"
            % (number_text(overheat_c), _LEAST_ABOVE_K, number_text(setpoint_c))
        )
    mains = raw["safety"].get("mains")
    if mains is not None:
        profile = profiles.get(mains["device"])
        if profile is None:
            errors.append("safety.mains.device: no device is named %s" % mains["device"])
        elif not profile.has_point(mains["point"]):
            errors.append(
                "safety.mains.point: %s has no point %s" % (profile.model, mains["point"])
            )
    names: list[str] = []
    for i, entry in enumerate(raw["safety"]["inputs"]):
        path = "safety.inputs[%d]" % i
        if entry["name"] in names:
            errors.append("%s.name: %s is named twice" % (path, entry["name"]))
        names.append(entry["name"])
        profile = profiles.get(entry["device"])
        if profile is None:
            errors.append("%s.device: no device is named %s" % (path, entry["device"]))
        elif entry["bit"] not in [bit.name for bit in profile.bits]:
            errors.append("%s.bit: profile %s has no bit %s" % (path, profile.model, entry["bit"]))
