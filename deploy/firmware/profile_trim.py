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
from drivers.device.profile import NEVER, referred
from drivers.device.profile_check import check

_FOR_READERS = ("notes", "conflicts")
_LISTS = {
    "points": entries.SHARED,
    "texts": entries.SHARED_BY_ALL,
    "bits": entries.SHARED_BY_ALL,
    "flags": entries.SHARED_BY_ALL,
}


def trimmed(path: Path) -> bytes:
    """Leave out notes, and entries that are never polled and that nothing refers to.

    Raises FirmwareError for a profile that breaks a rule.
    """
    raw: dict[str, Any] = json.loads(path.read_bytes())
    faults = check(raw, path.name)
    if faults:
        raise FirmwareError("\n".join(faults))
    wanted = referred(raw)
    kept = {key: value for key, value in raw.items() if key not in _FOR_READERS}
    for key, shared in _LISTS.items():
        if key in raw:
            kept[key] = [entry for entry in raw[key] if _needed(entry, raw, shared, wanted)]
            if not kept[key]:
                del kept[key]
    names = {entry.get("name") for key in _LISTS for entry in kept.get(key, ())}
    for key in _LISTS:
        if key in kept:
            kept[key] = [_without_notes(entry, names) for entry in kept[key]]
    return json.dumps(kept, separators=(",", ":")).encode()


def _needed(
    entry: dict[str, Any], raw: dict[str, Any], shared: tuple[str, ...], wanted: set[str]
) -> bool:
    polled = entries.filled(entry, raw, shared).get("poll") != NEVER
    bits = set(entry.get("bits", ()))  # of a register of flags
    return polled or not entry.get("read", True) or bool(({entry.get("name")} | bits) & wanted)


def _without_notes(entry: dict[str, Any], names: set[str | None]) -> dict[str, Any]:
    """A copy without its note, and without an alias of what was left out."""
    kept = {key: value for key, value in entry.items() if key != "note"}
    if kept.get("alias") not in names:
        kept.pop("alias", None)
    return kept
