"""The configuration's schema in the words of JSON Schema (2020-12), for editors and other programs.

Not the validator, and not another schema: `agent.config.schema` is turned into what anybody's
validator reads. Its two words of our own (`values`, `propertyPattern`) become `patternProperties`
without others; texts get the pattern that `agent.config.validate` has in code. What no schema can
say (names that must exist, ports named twice, periods that must divide) is left to
`agent.core.config_records`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "coldloop agent configuration"
TEXT_PATTERN = "^[^\\u0000-\\u001f\\u007f]*$"
"""What `validate` asks of every text: no control characters."""
_OWN_KEYWORDS = ("properties", "items", "values", "propertyPattern")


def to_json_schema(schema: "dict[str, Any]") -> "dict[str, Any]":
    """Give `schema` as a JSON Schema document."""
    document = {"$schema": DIALECT, "title": TITLE}
    document.update(_to_standard(schema))
    return document


def _to_standard(rule: "dict[str, Any]") -> "dict[str, Any]":
    """Spell one rule, and the ones inside it, in standard words."""
    result = {}
    for keyword in rule:
        if keyword not in _OWN_KEYWORDS:
            result[keyword] = rule[keyword]
    if rule["type"] == "string" and "pattern" not in rule:
        result["pattern"] = TEXT_PATTERN
    if "items" in rule:
        result["items"] = _to_standard(rule["items"])
    if "values" in rule:
        result["patternProperties"] = {rule["propertyPattern"]: _to_standard(rule["values"])}
        result["additionalProperties"] = False
    if "properties" in rule:
        result["properties"] = {}
        for name in rule["properties"]:
            result["properties"][name] = _to_standard(rule["properties"][name])
    return result
