# SPDX-License-Identifier: Apache-2.0
"""Functions that make the rules of configuration schemas, as JSON Schema.

Used by `agent.config.schema` and the schemas of the components. Dropped with them after loading
(`agent.config.load.unload_checks`). Does not apply the rules; see `agent.config.validate`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Rule = dict[str, Any]

NAME_PATTERN = "^[a-z0-9][a-z0-9_-]{0,31}$"
"""Names of sites, units, buses and devices. They become MQTT topic levels and file names."""
HEX_PATTERN = "^([0-9a-f][0-9a-f])+$"


def text(description: str, max_length: int = 200, min_length: int = 1) -> "Rule":
    """Return the rule for a text of `min_length` to `max_length` characters."""
    return {
        "type": "string",
        "minLength": min_length,
        "maxLength": max_length,
        "description": description,
    }


def name(description: str) -> "Rule":
    """Return the rule for a name: 1 to 32 characters, valid as a topic level and a file name."""
    return {"type": "string", "pattern": NAME_PATTERN, "description": description}


def hexadecimal(description: str, min_length: int, max_length: int) -> "Rule":
    """Return the rule for bytes in hexadecimal, `min_length` to `max_length` digits."""
    rule = text(description, max_length, min_length)
    rule["pattern"] = HEX_PATTERN
    return rule


def number(description: str, low: float, high: float, default: "float | None" = None) -> "Rule":
    """Return the rule for a number from `low` to `high`."""
    rule: Rule = {"type": "number", "minimum": low, "maximum": high, "description": description}
    if default is not None:
        rule["default"] = default
    return rule


def integer(description: str, low: int, high: int, default: "int | None" = None) -> "Rule":
    """Return the rule for an integer from `low` to `high`."""
    rule = number(description, low, high, default)
    rule["type"] = "integer"
    return rule


def enum(description: str, values: "list[str]", default: "str | None" = None) -> "Rule":
    """Return the rule for a text that must be in `values`."""
    rule: Rule = {"type": "string", "enum": values, "description": description}
    if default is not None:
        rule["default"] = default
    return rule


def list_of(description: str, items: "Rule", min_items: int, max_items: int) -> "Rule":
    """Return the rule for a list; if `min_items` is 0, the default is an empty list."""
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
    """Return the rule for an object with these keys and no other keys."""
    return {
        "type": "object",
        "description": description,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }
