# SPDX-License-Identifier: Apache-2.0
"""The words in which the configuration's schemas are written: one rule each, as JSON Schema.

Shared by `agent.config.schema` and the schemas of the components; dropped with them after loading
(`agent.config.load.forget_checks`). Not here: what a rule means (`agent.config.validate`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Rule = dict[str, Any]

NAME_PATTERN = "^[a-z0-9][a-z0-9_-]{0,31}$"
"""Names of sites, units, buses and devices: they become MQTT topic levels and file names."""
HEX_PATTERN = "^([0-9a-f][0-9a-f])+$"


def text(description: str, max_length: int = 200, min_length: int = 1) -> "Rule":
    """Any text of `least` to `max_length` characters."""
    return {
        "type": "string",
        "minLength": min_length,
        "maxLength": max_length,
        "description": description,
    }


def name(description: str) -> "Rule":
    """A name that can be a topic level and a file's name."""
    return {"type": "string", "pattern": NAME_PATTERN, "description": description}


def hexadecimal(description: str, min_length: int, max_length: int) -> "Rule":
    """Bytes in hexadecimal, `least` to `max_length` digits."""
    rule = text(description, max_length, min_length)
    rule["pattern"] = HEX_PATTERN
    return rule


def number(description: str, low: float, high: float, default: "float | None" = None) -> "Rule":
    """A number from `low` to `high`."""
    rule: Rule = {"type": "number", "minimum": low, "maximum": high, "description": description}
    if default is not None:
        rule["default"] = default
    return rule


def integer(description: str, low: int, high: int, default: "int | None" = None) -> "Rule":
    """A whole number from `low` to `high`."""
    rule = number(description, low, high, default)
    rule["type"] = "integer"
    return rule


def enum(description: str, values: "list[str]", default: "str | None" = None) -> "Rule":
    """One of some words."""
    rule: Rule = {"type": "string", "enum": values, "description": description}
    if default is not None:
        rule["default"] = default
    return rule


def list_of(description: str, items: "Rule", min_items: int, max_items: int) -> "Rule":
    """A list of `least` to `max_items`; one that may be empty is so by default."""
    rule: Rule = {
        "type": "array",
        "description": description,
        "minItems": min_items,
        "maxItems": max_items,
    }
    rule["items"] = items
    if not min_items:
        rule["default"] = []
    return rule


def object_of(description: str, required: "list[str]", properties: "Rule") -> "Rule":
    """An object with these keys and no others."""
    return {
        "type": "object",
        "description": description,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }
