# SPDX-License-Identifier: Apache-2.0
"""Entries of a profile: as written -> as on the wire, with defaults and translated addresses.

Does not check (see `drivers.device.profile_check`) and does not compile (see `profile`). Translates
one dictionary at a time, so a long profile needs no second copy of itself.

Notations of addresses: "base0" is the address on the wire; "base1" counts from 1, as many manuals
do; "reference" is the old notation with table and number in one. It has 5 or 6 digits and counts
from 1: 0xxxx for coils, 1xxxx for discrete inputs, 3xxxx for input registers, 4xxxx for holding
registers. References with leading zeros are texts ("000017"). A `function` in the entry has
priority over the digit of the table, because some makers write 4xxxx for all tables.
"""

from collections import namedtuple

from drivers.device.number_format import FLOATS
from drivers.device.number_types import TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Raw = dict[str, Any]

WireAddress = namedtuple("WireAddress", ("function", "address"))
"""The function code that reads an entry, and its address on the wire."""

NOTATIONS = ("base0", "base1", "reference")
HOLDING = 3
_TABLES = {"0": 1, "1": 2, "3": 4, "4": 3}
POINT_DEFAULT_KEYS = (
    "function",
    "unit",
    "poll",
    "type",
    "scale",
    "step",
    "order",
    "none",
    "min",
    "max",
)
ENTRY_DEFAULT_KEYS = ("function", "poll")
ROLES = ("pump", "valve", "fan", "cdu")
"""The roles in which the agent writes to a device. A device can have several."""
_ROLE_NAMES = ("setpoint", "feedback", "trip", "supply", "dp")


def wire_address(address: "Any", notation: str, function: "int | None") -> "WireAddress | None":
    """Return the wire address of an address as written, or None if it is invalid.

    `function` is the function code of the entry. If it is None, the reference gives the code; in
    other notations it is 3.
    """
    if notation == "reference":
        digits = address if type(address) is str else str(address)
        if type(address) is int and 0 < address < 10000:
            digits = "00000"[len(digits) :] + digits
        if len(digits) not in (5, 6) or not _is_digits(digits) or digits[0] not in _TABLES:
            return None
        function = function or _TABLES[digits[0]]
        address = int(digits[1:])
    if type(address) is not int:
        return None
    wire = address if notation == "base0" else address - 1
    return WireAddress(function or HOLDING, wire) if 0 <= wire <= 65535 else None


def defaults_of(raw: "Raw") -> "Raw":
    """Return the keys that entries do not repeat."""
    defaults = raw.get("defaults")
    return defaults if type(defaults) is dict else {}


def with_defaults(entry: "Raw", raw: "Raw", keys: "tuple[str, ...]") -> "Raw":
    """Return a copy of `entry` with the defaults for `keys` and the address on the wire.

    The copy has no `address` if the address is invalid. A default order applies only to points of
    its size, and a default step only to points that need one. Thus a profile can mix integers and
    floats.
    """
    defaults = defaults_of(raw)
    fields = dict(entry)
    for key in keys:
        if key in defaults and key not in fields:
            fields[key] = defaults[key]
    if "order" in fields and "order" not in entry and _type_bytes(fields) != len(fields["order"]):
        del fields["order"]
    if "step" in fields and "step" not in entry and not _needs_step(fields):
        del fields["step"]
    own_function = fields.get("function")
    wire = wire_address(
        fields.pop("address", None), raw.get("notation", NOTATIONS[0]), own_function
    )
    if wire is not None:
        fields["function"], fields["address"] = wire.function, wire.address
    return fields


def _needs_step(fields: "Raw") -> bool:
    return fields.get("type") in FLOATS or "exponent" in fields or "range" in fields


def _is_digits(text: str) -> bool:
    """Return whether a text has only ASCII digits; CPython's `isdigit` accepts others too."""
    return text != "" and not text.strip("0123456789")


def _type_bytes(entry: "Raw") -> int:
    """Return the bytes of a type such as f32, or 0."""
    kind = entry.get("type", "")
    return int(kind[1:]) // 8 if type(kind) is str and _is_digits(kind[1:]) else 0


def iter_points(raw: "Raw") -> "Iterator[Raw]":
    """Yield every point with its defaults."""
    for entry in raw.get("points", []):
        yield with_defaults(entry, raw, POINT_DEFAULT_KEYS)


def iter_texts(raw: "Raw") -> "Iterator[Raw]":
    """Yield every text with its defaults."""
    for entry in raw.get("texts", []):
        yield with_defaults(entry, raw, ENTRY_DEFAULT_KEYS)


def iter_bits(raw: "Raw") -> "Iterator[Raw]":
    """Yield every bit with its defaults, also each bit of the registers of flags."""
    for entry in raw.get("bits", []):
        yield with_defaults(entry, raw, ENTRY_DEFAULT_KEYS)
    for group in raw.get("flags", []):
        for bit in flag_bits(group):
            yield with_defaults(bit, raw, ENTRY_DEFAULT_KEYS)


def flag_bits(group: "Raw") -> "list[Raw]":
    """Return the named bits of one register of flags as separate entries."""
    found = []
    for index, name in enumerate(group["bits"]):
        if name is None:
            continue
        bit: Raw = {"name": name, "bit": index}
        for key in ("address", "function", "poll", "write"):
            if key in group:
                bit[key] = group[key]
        for key in ("alarm", "invert"):
            setting = group.get(key, False)
            bit[key] = index in setting if type(setting) is list else setting
        found.append(bit)
    return found


def register_count(fields: "Raw") -> int:
    """Return the number of registers (bits, for functions 1 and 2) of an entry."""
    kind = fields.get("type", "")
    if kind == "split":
        return len(fields["weights"])
    if kind in TYPES and TYPES[kind].registers:
        return int(TYPES[kind].registers)
    return int(fields.get("registers", 1))


def raw_range(fields: "Raw") -> "tuple[int, int]":
    """Return the lowest and highest raw value that the type, digits or field of a point permit."""
    kind = fields["type"]
    if "field" in fields:
        return 0, (1 << fields["field"][1]) - 1
    if kind == "bcd":
        return 0, 10 ** (4 * fields["registers"]) - 1
    return TYPES[kind].low, TYPES[kind].high


def referenced_names(raw: "Raw") -> "set[str]":
    """Return the names that other entries need, also of entries that are never polled."""
    names: set[str] = set()
    for fields in raw.get("points", []):
        if fields.get("poll") == "never":
            continue
        for key in ("exponent", "verify"):
            names.add(fields.get(key, ""))
        names.update([name for name in fields.get("range", ()) if name])
        names.update([pair[0] for pair in fields.get("needs", ())])
    for role in [raw.get(key, {}) for key in ROLES]:
        names.update([role[key] for key in _ROLE_NAMES if key in role])
        for key in ("run", "stop", "reset"):
            names.update([pair[0] for pair in role.get(key, ())])
    if "watchdog" in raw:
        names.add(raw["watchdog"]["point"])
    return names
