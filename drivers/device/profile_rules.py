# SPDX-License-Identifier: Apache-2.0
"""The permitted keys of device profiles and their values, as one table.

Does not contain the rules between entries; see `drivers.device.profile_check`. `SHAPES` maps a kind
of entry to its keys, and a key to its shape. The first word of a shape names a function of `KINDS`.
This function takes the value and the shape, and returns the error or an empty text.
`docs/engineer/profiles.md` explains the keys. `drivers/profiles/profile.schema.json` holds the same
rules for editors.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Shape = tuple[Any, ...]

_RAW = (-0x8000000000000000, 0xFFFFFFFFFFFFFFFF)
_ADDRESS = ("address",)
_FUNCTION = ("int", 1, 4)
_TEXT = ("text",)
_FLAG = ("flag",)
_LIST = ("list",)
_OBJECT = ("object",)
_PAIR = ("ints", -1_000_000_000, 1_000_000_000, 2, 2)
_POLL = ("one", ("fast", "slow", "never"))

SHAPES: "dict[str, dict[str, Shape]]" = {
    "profile": {
        "model": _TEXT,
        "title": _TEXT,
        "source": _TEXT,
        "met_hardware": _FLAG,
        "notes": _TEXT,
        "conflicts": ("texts",),
        "notation": ("one", ("base0", "base1", "reference")),
        "defaults": _OBJECT,
        "scan": _OBJECT,
        "blocks": _LIST,
        "fixed_blocks": _LIST,
        "holes": _LIST,
        "max_block": ("int", 1, 125),
        "periods": _OBJECT,
        "write_with": ("one", (6, 16, 23)),
        "identity": _LIST,
        "watchdog": _OBJECT,
        "points": _LIST,
        "texts": _LIST,
        "bits": _LIST,
        "flags": _LIST,
        "pump": _OBJECT,
        "valve": _OBJECT,
        "fan": _OBJECT,
        "cdu": _OBJECT,
    },
    "block": {"function": _FUNCTION, "address": _ADDRESS, "count": ("int", 1, 65536)},
    "point": {
        "name": _TEXT,
        "address": _ADDRESS,
        "function": _FUNCTION,
        "type": _TEXT,
        "order": _TEXT,
        "registers": ("int", 1, 4),
        "weights": ("ints", 1, 1_000_000_000, 1, 8),
        "bcd": _FLAG,
        "field": ("ints", 0, 16, 2, 2),
        "scale": _PAIR,
        "offset": _PAIR,
        "fraction": ("int", 1, 31),
        "step": _PAIR,
        "exponent": _TEXT,
        "range": ("names", 2),
        "full": ("int", 1, 0xFFFF),
        "unit": _TEXT,
        "min": ("int",) + _RAW,
        "max": ("int",) + _RAW,
        "none": ("ints",) + _RAW + (1, 8),
        "poll": _POLL,
        "read": _FLAG,
        "write": _FLAG,
        "limits": ("ints",) + _RAW + (2, 2),
        "ramp": ("int", 1, 1_000_000_000),
        "needs": _LIST,
        "verify": _TEXT,
        "within": ("int", 0, 1_000_000_000),
        "alias": _TEXT,
        "note": _TEXT,
    },
    "text": {
        "name": _TEXT,
        "address": _ADDRESS,
        "function": _FUNCTION,
        "registers": ("int", 1, 125),
        "swapped": _FLAG,
        "poll": _POLL,
        "alias": _TEXT,
        "note": _TEXT,
    },
    "bit": {
        "name": _TEXT,
        "address": _ADDRESS,
        "function": _FUNCTION,
        "bit": ("int", 0, 15),
        "alarm": _FLAG,
        "invert": _FLAG,
        "poll": _POLL,
        "write": ("one", ("coil", "mask", "register")),
        "alias": _TEXT,
        "note": _TEXT,
    },
    "flag": {
        "name": _TEXT,
        "address": _ADDRESS,
        "function": ("int", 3, 4),
        "poll": _POLL,
        "bits": ("names", 16),
        "alarm": ("places",),
        "invert": ("places",),
        "write": ("one", ("mask", "register")),
        "note": _TEXT,
    },
    "probe": {
        "function": _FUNCTION,
        "address": _ADDRESS,
        "count": ("int", 1, 125),
        "words": ("ints", 0, 0xFFFF, 1, 125),
        "between": ("ints", 0, 0xFFFF, 2, 2),
        "text": _TEXT,
        "any": ("texts",),
        "object": ("int", 0, 255),
    },
    "watchdog": {
        "point": _TEXT,
        "value": ("int",) + _RAW,
        "period_ms": ("int", 100, 3_600_000),
    },
    "scan": {
        "function": _FUNCTION,
        "words": ("ints", 0, 0xFFFF, 1, 8),
        "bases": ("ints", 0, 65535, 1, 16),
        "model": ("int", 0, 0xFFFF),
        "usual": ("int", 0, 65535),
    },
    "periods": {"fast": ("int", 100, 3_600_000), "slow": ("int", 100, 3_600_000)},
    "pump": {
        "setpoint": _TEXT,
        "feedback": _TEXT,
        "run": _LIST,
        "stop": _LIST,
        "trip": _TEXT,
        "reset": _LIST,
        "apart": _FLAG,
    },
    "valve": {"setpoint": _TEXT, "feedback": _TEXT},
    "cdu": {"supply": _TEXT, "dp": _TEXT},
}
SHAPES["fan"] = SHAPES["pump"]
SHAPES["defaults"] = {
    key: SHAPES["point"][key]
    for key in ("function", "unit", "poll", "type", "scale", "step", "order", "none", "min", "max")
}

REQUIRED = {
    "profile": ("model", "title", "source", "met_hardware"),
    "block": ("address", "count"),
    "point": ("name", "address"),
    "text": ("name", "address", "registers"),
    "bit": ("name", "address"),
    "flag": ("name", "address", "bits"),
    "watchdog": ("point", "value", "period_ms"),
    "scan": ("words", "bases", "model", "usual"),
    "pump": ("setpoint",),
    "fan": ("setpoint",),
    "valve": ("setpoint",),
}


def _is_text(value: "Any", _: "Shape") -> str:
    return "" if type(value) is str and value else "is not a text"


def _is_flag(value: "Any", _: "Shape") -> str:
    return "" if type(value) is bool else "is not true or false"


def _is_list(value: "Any", _: "Shape") -> str:
    return "" if type(value) is list else "is not a list"


def _is_object(value: "Any", _: "Shape") -> str:
    return "" if type(value) is dict else "is not an object"


def _is_int(value: "Any", shape: "Shape") -> str:
    if type(value) is int and shape[1] <= value <= shape[2]:
        return ""
    return "%r is not %d to %d" % (value, shape[1], shape[2])


def _is_one_of(value: "Any", shape: "Shape") -> str:
    if type(value) in (str, int) and value in shape[1]:
        return ""
    return "%r is none of %s" % (value, ", ".join([str(item) for item in shape[1]]))


def _are_ints(value: "Any", shape: "Shape") -> str:
    _, low, high, min_count, max_count = shape
    if type(value) is not list or not min_count <= len(value) <= max_count:
        return "is not a list of %d to %d integers" % (min_count, max_count)
    for item in value:
        if type(item) is not int or not low <= item <= high:
            return "%r is not %d to %d" % (item, low, high)
    return ""


def _are_texts(value: "Any", _: "Shape") -> str:
    is_valid = type(value) is list and not [v for v in value if type(v) is not str or not v]
    return "" if is_valid else "is not a list of texts"


def _are_names(value: "Any", shape: "Shape") -> str:
    """Check a list of names or nulls; `shape` gives its maximum length."""
    is_valid = type(value) is list and 1 <= len(value) <= shape[1]
    if is_valid and not [v for v in value if v is not None and (type(v) is not str or not v)]:
        return ""
    return "is not a list of 1 to %d names or nulls" % shape[1]


def _are_bit_places(value: "Any", _: "Shape") -> str:
    """Check for true, false, or a list of bit numbers."""
    return "" if type(value) is bool else _are_ints(value, ("ints", 0, 15, 1, 16))


def _is_address(value: "Any", _: "Shape") -> str:
    is_valid = (type(value) is int and value >= 0) or (type(value) is str and value)
    return "" if is_valid else "%r is no address" % (value,)


KINDS = {
    "text": _is_text,
    "flag": _is_flag,
    "list": _is_list,
    "object": _is_object,
    "int": _is_int,
    "one": _is_one_of,
    "ints": _are_ints,
    "texts": _are_texts,
    "names": _are_names,
    "places": _are_bit_places,
    "address": _is_address,
}
