"""A profile's entries as written -> as on the wire: defaults filled in, addresses translated.

Not a check (that is `drivers.device.profile_check`) and not the compiled profile: dictionaries in,
dictionaries out, one at a time, so that a long profile costs no second copy of itself.

Notations of addresses: "base0" is what goes on the wire; "base1" counts from 1, as many manuals do;
"reference" is the old way of writing table and number in one: 0xxxx coils, 1xxxx discrete inputs,
3xxxx input registers, 4xxxx holding registers, each with 5 or 6 digits, counted from 1. References
with zeros in front are written as texts ("000017"). An entry's own `function` outranks the table's
digit: some makers write 4xxxx for everything.
"""

from drivers.device.number_format import FLOATS, TYPES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Raw = dict[str, Any]
    Span = tuple[int, int, int]

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


def wire_address(address: "Any", notation: str, function: "int | None") -> "tuple[int, int] | None":
    """(function, address on the wire) of an address as written, or None if it is none.

    `function` is the entry's own, None if it has none: then the reference says, else 3.
    """
    if notation == "reference":
        digits = address if type(address) is str else str(address)
        if type(address) is int and 0 < address < 10000:
            digits = "00000"[len(digits) :] + digits
        if len(digits) not in (5, 6) or not digits.isdigit() or digits[0] not in _TABLES:
            return None
        function = function or _TABLES[digits[0]]
        address = int(digits[1:])
    if type(address) is not int:
        return None
    wire = address if notation == "base0" else address - 1
    return (function or HOLDING, wire) if 0 <= wire <= 65535 else None


def defaults_of(raw: "Raw") -> "Raw":
    """The keys that entries need not repeat."""
    defaults = raw.get("defaults")
    return defaults if type(defaults) is dict else {}


def with_defaults(entry: "Raw", raw: "Raw", keys: "tuple[str, ...]") -> "Raw":
    """A copy of `entry` with the profile's defaults for `keys` and its address on the wire.

    An `address` that cannot be translated is left out. A default order holds for points of its size
    only, a default step for those that need one, so that integers may stand among floats.
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
        fields["function"], fields["address"] = wire
    return fields


def _needs_step(fields: "Raw") -> bool:
    return fields.get("type") in FLOATS or "exponent" in fields or "range" in fields


def _type_bytes(entry: "Raw") -> int:
    """Bytes of a type such as f32, or 0."""
    kind = entry.get("type", "")
    return int(kind[1:]) // 8 if type(kind) is str and kind[1:].isdigit() else 0


def iter_points(raw: "Raw") -> "Iterator[Raw]":
    """Every point, filled."""
    for entry in raw.get("points", []):
        yield with_defaults(entry, raw, POINT_DEFAULT_KEYS)


def iter_texts(raw: "Raw") -> "Iterator[Raw]":
    """Every text, filled."""
    for entry in raw.get("texts", []):
        yield with_defaults(entry, raw, ENTRY_DEFAULT_KEYS)


def iter_bits(raw: "Raw") -> "Iterator[Raw]":
    """Every bit, filled; the registers of flags bit by bit."""
    for entry in raw.get("bits", []):
        yield with_defaults(entry, raw, ENTRY_DEFAULT_KEYS)
    for group in raw.get("flags", []):
        for bit in flag_bits(group):
            yield with_defaults(bit, raw, ENTRY_DEFAULT_KEYS)


def flag_bits(group: "Raw") -> "list[Raw]":
    """The bits of one register of flags, as entries of their own; places without name are free."""
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
    """How many registers (bits, for functions 1 and 2) an entry takes."""
    kind = fields.get("type", "")
    if kind == "split":
        return len(fields["weights"])
    if kind in TYPES and TYPES[kind][0]:
        return TYPES[kind][0]
    return int(fields.get("registers", 1))


def raw_range(fields: "Raw") -> "tuple[int, int]":
    """Lowest and highest raw value of a point: what fits its type, its digits or its field."""
    kind = fields["type"]
    _, low, high = TYPES[kind]
    if "field" in fields:
        return 0, (1 << fields["field"][1]) - 1
    if kind == "bcd":
        return 0, 10 ** (4 * fields["registers"]) - 1
    return low, high


def overlaps(first: "Span", second: "Span") -> bool:
    """Whether two spans (function, address, count) have a register in common."""
    is_disjoint = first[1] >= second[1] + second[2] or first[1] + first[2] <= second[1]
    return first[0] == second[0] and not is_disjoint


def is_within(span: "Span", block: "Span") -> bool:
    """Whether a span lies wholly in a block."""
    is_inside = block[1] <= span[1] and span[1] + span[2] <= block[1] + block[2]
    return span[0] == block[0] and is_inside
