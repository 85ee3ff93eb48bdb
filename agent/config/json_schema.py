# SPDX-License-Identifier: Apache-2.0
"""The configuration's schema as standard JSON Schema (2020-12), for editors and other programs.

Does not validate; see `agent.config.validate`.

The standard document is made from `agent.config.schema`. The two private keywords (`values`,
`propertyPattern`) become `patternProperties`. Texts get the pattern that `agent.config.validate`
implements in code. `agent.config.compiler` makes the checks that no schema can express.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "coldloop agent configuration"
TEXT_PATTERN = "^[^\\u0000-\\u001f\\u007f]*$"
"""The rule of `validate` for every text: no control characters."""
_OWN_KEYWORDS = ("properties", "items", "values", "propertyPattern")


def to_json_schema(schema: "dict[str, Any]") -> "dict[str, Any]":
    """Return `schema` as a JSON Schema document."""
    document = {"$schema": DIALECT, "title": TITLE}
    document.update(_to_standard(schema))
    return document


def _to_standard(rule: "dict[str, Any]") -> "dict[str, Any]":
    """Convert a rule and its inner rules to standard keywords."""
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
