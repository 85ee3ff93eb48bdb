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
SHARED = ("function", "unit", "poll", "type", "scale", "step", "order", "none", "min", "max")
SHARED_BY_ALL = ("function", "poll")


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
    place = address if notation == "base0" else address - 1
    return (function or HOLDING, place) if 0 <= place <= 65535 else None


def defaults_of(raw: "Raw") -> "Raw":
    """The keys that entries need not repeat."""
    given = raw.get("defaults")
    return given if type(given) is dict else {}


def filled(entry: "Raw", raw: "Raw", keys: "tuple[str, ...]") -> "Raw":
    """A copy of `entry` with the profile's defaults for `keys` and its address on the wire.

    An `address` that cannot be translated is left out. A default order holds for points of its size
    only, a default step for those that need one, so that integers may stand among floats.
    """
    defaults = defaults_of(raw)
    own = dict(entry)
    for key in keys:
        if key in defaults and key not in own:
            own[key] = defaults[key]
    if "order" in own and "order" not in entry and _size(own) != len(own["order"]):
        del own["order"]
    if "step" in own and "step" not in entry and not _needs_step(own):
        del own["step"]
    given = own.get("function")
    place = wire_address(own.pop("address", None), raw.get("notation", NOTATIONS[0]), given)
    if place is not None:
        own["function"], own["address"] = place
    return own


def _needs_step(own: "Raw") -> bool:
    return own.get("type") in FLOATS or "exponent" in own or "range" in own


def _size(entry: "Raw") -> int:
    """Bytes of a type such as f32, or 0."""
    kind = entry.get("type", "")
    return int(kind[1:]) // 8 if type(kind) is str and kind[1:].isdigit() else 0


def points(raw: "Raw") -> "Iterator[Raw]":
    """Every point, filled."""
    for entry in raw.get("points", []):
        yield filled(entry, raw, SHARED)


def texts(raw: "Raw") -> "Iterator[Raw]":
    """Every text, filled."""
    for entry in raw.get("texts", []):
        yield filled(entry, raw, SHARED_BY_ALL)


def bits(raw: "Raw") -> "Iterator[Raw]":
    """Every bit, filled; the registers of flags bit by bit."""
    for entry in raw.get("bits", []):
        yield filled(entry, raw, SHARED_BY_ALL)
    for group in raw.get("flags", []):
        for bit in flag_bits(group):
            yield filled(bit, raw, SHARED_BY_ALL)


def flag_bits(group: "Raw") -> "list[Raw]":
    """The bits of one register of flags, as entries of their own; places without name are free."""
    found = []
    for place, name in enumerate(group["bits"]):
        if name is None:
            continue
        bit: Raw = {"name": name, "bit": place}
        for key in ("address", "function", "poll", "write"):
            if key in group:
                bit[key] = group[key]
        for key in ("alarm", "invert"):
            chosen = group.get(key, False)
            bit[key] = place in chosen if type(chosen) is list else chosen
        found.append(bit)
    return found


def registers(own: "Raw") -> int:
    """How many registers (bits, for functions 1 and 2) an entry takes."""
    kind = own.get("type", "")
    if kind == "split":
        return len(own["weights"])
    if kind in TYPES and TYPES[kind][0]:
        return TYPES[kind][0]
    return int(own.get("registers", 1))


def extent(own: "Raw") -> "tuple[int, int]":
    """Lowest and highest raw value of a point: what fits its type, its digits or its field."""
    kind = own["type"]
    _, low, high = TYPES[kind]
    if "field" in own:
        return 0, (1 << own["field"][1]) - 1
    if kind == "bcd":
        return 0, 10 ** (4 * own["registers"]) - 1
    return low, high


def touch(one: "Span", other: "Span") -> bool:
    """Whether two spans (function, address, count) have a register in common."""
    apart = one[1] >= other[1] + other[2] or one[1] + one[2] <= other[1]
    return one[0] == other[0] and not apart


def within(span: "Span", block: "Span") -> bool:
    """Whether a span lies wholly in a block."""
    inside = block[1] <= span[1] and span[1] + span[2] <= block[1] + block[2]
    return span[0] == block[0] and inside
