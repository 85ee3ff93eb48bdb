"""Register maps as a board needs them: without what only technicians and readers want.

Not a compiler: the result is a profile like any other and compiles to the same thing as the whole
one. The whole one is checked here by every rule. Of the largest map, 27 KB with 243 registers, 3 KB
are left, which a board reads in 7 ms rather than 200.
"""

import json
from pathlib import Path
from typing import Any

from deploy.errors import FirmwareError
from drivers.device import profile_entries as entries
from drivers.device.profile import NEVER
from drivers.device.profile_check import check_profile

_READER_KEYS = ("notes", "conflicts")
_LISTS = {
    "points": entries.POINT_DEFAULT_KEYS,
    "texts": entries.ENTRY_DEFAULT_KEYS,
    "bits": entries.ENTRY_DEFAULT_KEYS,
    "flags": entries.ENTRY_DEFAULT_KEYS,
}


def trim_profile(path: Path) -> bytes:
    """Leave out notes, and entries that are never polled and that nothing refers to.

    Raises FirmwareError for a profile that breaks a rule.
    """
    raw: dict[str, Any] = json.loads(path.read_bytes())
    errors = check_profile(raw, path.name)
    if errors:
        raise FirmwareError("\n".join(errors))
    referenced = entries.referenced_names(raw)
    profile = {key: value for key, value in raw.items() if key not in _READER_KEYS}
    for key, shared in _LISTS.items():
        if key in raw:
            profile[key] = [
                entry for entry in raw[key] if _is_needed(entry, raw, shared, referenced)
            ]
            if not profile[key]:
                del profile[key]
    names = {entry.get("name") for key in _LISTS for entry in profile.get(key, ())}
    for key in _LISTS:
        if key in profile:
            profile[key] = [_without_notes(entry, names) for entry in profile[key]]
    return json.dumps(profile, separators=(",", ":")).encode()


def _is_needed(
    entry: dict[str, Any], raw: dict[str, Any], shared: tuple[str, ...], referenced: set[str]
) -> bool:
    polled = entries.with_defaults(entry, raw, shared).get("poll") != NEVER
    bits = set(entry.get("bits", ()))  # of a register of flags
    return polled or not entry.get("read", True) or bool(({entry.get("name")} | bits) & referenced)


def _without_notes(entry: dict[str, Any], names: set[str | None]) -> dict[str, Any]:
    """A copy without its note, and without an alias of what was left out."""
    remaining = {key: value for key, value in entry.items() if key != "note"}
    if remaining.get("alias") not in names:
        remaining.pop("alias", None)
    return remaining
