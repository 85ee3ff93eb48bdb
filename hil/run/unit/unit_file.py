# SPDX-License-Identifier: Apache-2.0
"""The configuration of a unit as the bench runs it: which parts run, which are left out.

Does not check the configuration: the agent does (`agent.commands.read_config`). The bench runs the
buses, the devices, the loops and the sections that need no other port. Sections for the broker,
the receiver, modems and stores need their own partners, which the suites of the bench test.

A result is that of the files from which it was taken. So it keeps their hashes (`basis_of`), and a
later step or command compares them (`find_differences`). A device is its port, its unit address
and the content of its profile; the name of a profile alone says nothing.
"""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.commands import profiles, read_config
from agent.config.tested_devices import device_hash, journal_folders, plain_numbers
from agent.config.text_file import read_file
from agent.core.errors import AgentError
from drivers.device.profile import DeviceProfile
from hil.errors import BenchError
from hil.io.strict_json import canonical_json, sha256

Basis = dict[str, dict[str, str]]
"""Hashes: `devices` by name, `sections` by name."""
_KEPT = ("version", "site", "unit", "buses", "bus_timeout_ms", "devices", "control", "limits")
_WITHOUT_PORTS = ("cooling", "safety")
_LOADS = "throttle"
STATE = "store:/virtual/state"


@dataclass
class UnitFile:
    """A checked configuration. `raw`: as the bench runs it; `left_out`: its other sections.

    `loads`: the section `throttle`, which the twins run and the real devices do not; {}: none.
    """

    path: Path
    whole: dict[str, Any]
    raw: dict[str, Any]
    left_out: list[str]
    raw_profiles: dict[str, dict[str, Any]]
    compiled: dict[str, DeviceProfile] = field(default_factory=dict)
    loads: dict[str, Any] = field(default_factory=dict)

    def journal_folders(self) -> list[Path]:
        """Return the folders with a journal of its commissioning."""
        return journal_folders(self.path, set(self.raw_profiles))

    def devices_with(self, role: str) -> list[str]:
        """Return the names of the devices whose profile has a role."""
        return [name for name, profile in self.compiled.items() if getattr(profile, role)]


def load_unit(path: Path) -> UnitFile:
    """Read and check a configuration. Raises BenchError; each line names the file."""
    try:
        config = read_config(str(path))
        whole = read_file(str(path))
    except AgentError as error:
        raise BenchError(str(error)) from None
    known = profiles(str(path))
    used = {device["profile"] for device in whole["devices"]}
    raw = {key: copy.deepcopy(whole[key]) for key in (*_KEPT, *_WITHOUT_PORTS) if key in whole}
    raw["state"] = STATE
    left_out = sorted(set(whole) - set(raw) - {"telemetry"})
    compiled = {device.name: device.profile for device in config.devices}
    loads = copy.deepcopy(whole.get(_LOADS, {}))
    return UnitFile(path, whole, raw, left_out, {n: known[n] for n in used}, compiled, loads)


def basis_of(unit: UnitFile) -> Basis:
    """Return the hashes of a configuration: of each device, and of each section of the file."""
    return {
        "devices": {
            device["name"]: device_hash(
                unit.whole["buses"][device["bus"]],
                device["unit"],
                unit.raw_profiles[device["profile"]],
            )
            for device in unit.whole["devices"]
        },
        "sections": {
            name: sha256(canonical_json(plain_numbers(section)))
            for name, section in unit.whole.items()
        },
    }


def find_differences(old: Basis, new: Basis) -> list[str]:
    """Return a text for each device and section that differs between two hashes of files."""
    titles = (("devices", "device"), ("sections", "section"))
    return [
        f"{title} {name}"
        for key, title in titles
        for name in sorted(old[key].keys() | new[key].keys())
        if old[key].get(name) != new[key].get(name)
    ]
