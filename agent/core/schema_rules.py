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


def text(about: str, longest: int = 200, least: int = 1) -> "Rule":
    """Any text of `least` to `longest` characters."""
    return {"type": "string", "minLength": least, "maxLength": longest, "description": about}


def name(about: str) -> "Rule":
    """A name that can be a topic level and a file's name."""
    return {"type": "string", "pattern": NAME_PATTERN, "description": about}


def hexadecimal(about: str, least: int, longest: int) -> "Rule":
    """Bytes in hexadecimal, `least` to `longest` digits."""
    rule = text(about, longest, least)
    rule["pattern"] = HEX_PATTERN
    return rule


def number(about: str, low: float, high: float, default: "float | None" = None) -> "Rule":
    """A number from `low` to `high`."""
    rule: Rule = {"type": "number", "minimum": low, "maximum": high, "description": about}
    if default is not None:
        rule["default"] = default
    return rule


def whole(about: str, low: int, high: int, default: "int | None" = None) -> "Rule":
    """A whole number from `low` to `high`."""
    rule = number(about, low, high, default)
    rule["type"] = "integer"
    return rule


def one_of(about: str, words: "list[str]", default: "str | None" = None) -> "Rule":
    """One of some words."""
    rule: Rule = {"type": "string", "enum": words, "description": about}
    if default is not None:
        rule["default"] = default
    return rule


def many(about: str, items: "Rule", least: int, most: int) -> "Rule":
    """A list of `least` to `most`; one that may be empty is so by default."""
    rule: Rule = {"type": "array", "description": about, "minItems": least, "maxItems": most}
    rule["items"] = items
    if not least:
        rule["default"] = []
    return rule


def section(about: str, required: "list[str]", properties: "Rule") -> "Rule":
    """An object with these keys and no others."""
    return {
        "type": "object",
        "description": about,
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }
