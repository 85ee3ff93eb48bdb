# SPDX-License-Identifier: Apache-2.0
"""Compares the devices of a configuration with those that its commissioning has tested.

Does not check the configuration (`agent.config.load`) and not the seals of the results
(`hil.tools.commission.outputs.commissioning_check`). `coldloop commission` keeps a journal in the
folder of the configuration, with a hash of each device: its port, its unit address, the content of
its profile. A profile that was edited since can name another register an output. So the agent
does not start with a device that differs. A folder without a journal is not compared.

Links count as what they lead to: the folder of the configuration, of the file itself, and of the
profiles.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError
from drivers.errors import AddressError
from drivers.tools.lib.modbus_client import port_address
from drivers.tools.lib.profile_folders import profile_files

JOURNAL = "commission.json"
"""File of the results of a commissioning, in the folder of its configuration."""
COMPLETE = ("ports", "scan", "describe", "values", "write-test", "propose", "check")
"""The steps that make a configuration, in their order."""
_OUTPUTS = ("valve", "cdu")


class UntestedError(ConfigError):
    """A device of the configuration is not the one that was tested."""


def missing_step(found: list[str]) -> str:
    """Return the first step that is not done, in the order of `COMPLETE`; "" if all are."""
    return next((step for i, step in enumerate(COMPLETE) if found[i : i + 1] != [step]), "")


def device_hash(port: str, unit: int, profile: Any) -> str:
    """Return the hash of a device: its port, its unit address, the content of its profile."""
    facts = {"port": str(port_address(port)), "unit": unit, "profile": plain_numbers(profile)}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def plain_numbers(value: Any) -> Any:
    """Return a value with one form of each number: 32.0 is 32."""
    if isinstance(value, dict):
        return {key: plain_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [plain_numbers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def journal_folders(path: Path, names: set[str]) -> list[Path]:
    """Return the folders with a journal for a configuration with the profiles `names`."""
    used = [file for name, file in profile_files(path).items() if name in names]
    profiles = [Path(str(file)) for file in used]
    files = [path.absolute(), path.resolve()]
    folders = [file.parent for file in files]
    folders += [form.parent.parent for file in profiles for form in (file, file.resolve())]
    found: dict[Path, Path] = {}
    for folder in folders:
        if (folder / JOURNAL).exists():
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def check_tested(path: str, raw: Any, profiles: dict[str, Any]) -> str:
    """Compare a configuration with its journals; return a note if one of them is not complete.

    Raises UntestedError for a device that differs, or that is controlled and was not tested. A
    configuration without the form of one is not compared.
    """
    try:
        present = {
            device["name"]: device_hash(
                raw["buses"][device["bus"]], device["unit"], profiles[device["profile"]]
            )
            for device in raw["devices"]
        }
        controlled = _controlled(raw)
        used = {device["profile"] for device in raw["devices"]}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, AddressError):
        return ""
    notes = []
    for folder in journal_folders(Path(path), used):
        problem, note = _compare(folder / JOURNAL, present, controlled)
        if problem:
            raise UntestedError(
                f"{path}: {problem}; `coldloop commission --dir {folder} --from values` tests it, "
                "and `--from propose` writes the tested configuration again"
            )
        notes.append(note)
    return next(filter(None, notes), "")


def _compare(journal: Path, present: dict[str, str], controlled: set[str]) -> tuple[str, str]:
    """Return the problem, and a note."""
    not_compared = f"not compared: {journal} has no complete commissioning of these devices"
    try:
        steps = json.loads(journal.read_text(encoding="utf-8"))["steps"]
        tested = [step["basis"]["devices"] for step in steps.values() if step.get("basis")]
        is_whole = not missing_step(list(steps))
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return "", not_compared
    for kept in tested:
        names = [name for name in present if name in kept or name in controlled]
        changed = sorted(name for name in names if kept.get(name) != present[name])
        if changed:
            devices = ", ".join(changed)
            return f"port, unit address or profile of {devices} is not as tested ({journal})", ""
    return "", "" if is_whole or not controlled else not_compared


def _controlled(raw: dict[str, Any]) -> set[str]:
    """Return the names of the devices whose outputs the agent moves."""
    found: set[str] = set()
    for loop in raw["control"].values():
        found.update(loop[key] for key in _OUTPUTS if key in loop)
        found.update(loop.get("pumps", []))
    found.update(raw.get("cooling", {}).get("fans", {}).get("drives", []))
    return found
