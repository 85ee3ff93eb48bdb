# SPDX-License-Identifier: Apache-2.0
"""Validator for the subset of JSON Schema that `agent.config.schema` uses; runs on both
interpreters.

Does not support all of JSON Schema. It supports type, enum, minimum, maximum, pattern, lengths,
required, properties, additionalProperties and items. Two private keywords describe objects with
free keys (`values`, `propertyPattern`); `agent.config.json_schema` converts them. The validator
fills in defaults and collects all errors. It visits the keys of an object in sorted order, because
a dict of MicroPython has no order.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Errors = list[str]

_MAX_ERRORS = 20
_INTEGER_LIMIT = 1 << 31
_SECRETS = ("password", "secret", "token", "pin")
_HIDDEN = "the hidden value"
HEX_PATTERN = "^([0-9a-f][0-9a-f])+$"
"""The pattern of keys in hexadecimal. Every other pattern is that of a name."""
_HEX_DIGITS = "0123456789abcdef"
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_-"

_TYPES: "dict[str, tuple[str, tuple[type, ...]]]" = {
    "object": ("an object", (dict,)),
    "array": ("a list", (list,)),
    "string": ("a text", (str,)),
    "integer": ("a whole number", (int,)),
    "number": ("a number", (int, float)),
}
"""The name of each type in messages, and its classes. `True` is not a number, so isinstance is not
used."""


def validate(value: "Any", schema: "dict[str, Any]", path: str, errors: "Errors") -> "Any":
    """Check `value` against `schema`. Return it with its defaults.

    Each error is appended to `errors` as one line: path, value, allowed values.
    """
    if len(errors) >= _MAX_ERRORS:
        return value
    type_name, classes = _TYPES[schema["type"]]
    if schema["type"] == "integer":
        value = _to_integer(value)
    if type(value) not in classes:
        shown = _HIDDEN if _is_secret(path) else _show(value)
        errors.append("%s: %s is not %s" % (path or "the configuration", shown, type_name))
        return value
    if "enum" in schema and value not in schema["enum"]:
        allowed = ", ".join([_show(v) for v in schema["enum"]])
        errors.append("%s: %s is not one of %s" % (path, _show(value), allowed))
        return value
    return _CHECKS[schema["type"]](value, schema, path, errors)


def _to_integer(value: "Any") -> "Any":
    """Convert 100.0 to 100: JSON Schema counts it as an integer."""
    in_range = type(value) is float and -_INTEGER_LIMIT < value < _INTEGER_LIMIT
    return int(value) if in_range and value == int(value) else value


def _check_number(value: "Any", schema: "dict[str, Any]", path: str, errors: "Errors") -> "Any":
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and not low <= value <= high:
        errors.append("%s: %s is outside %s to %s" % (path, _show(value), low, high))
    return value


def _check_text(value: str, schema: "dict[str, Any]", path: str, errors: "Errors") -> str:
    max_length = schema.get("maxLength", 64)
    if not _printable(value):
        shown = _HIDDEN if _is_secret(path) else _show(value)
        errors.append("%s: %s holds a control character or half a character" % (path, shown))
    elif not schema.get("minLength", 0) <= len(value) <= max_length:
        errors.append("%s: a text of 1 to %d characters is needed" % (path, max_length))
    elif schema.get("pattern") == HEX_PATTERN:
        if len(value) % 2 or [c for c in value if c not in _HEX_DIGITS]:
            errors.append("%s: pairs of hexadecimal digits, 0-9 and a-f, are needed" % path)
    elif "pattern" in schema and not is_valid_name(value):
        errors.append(
            "%s: %s is no name: 1 to 32 of a-z, 0-9, _ and -, not starting with _ or -"
            % (path, _show(value))
        )
    return value


def is_valid_name(text: str) -> bool:
    """Return whether `text` matches `NAME_PATTERN` of `agent.core.schema.rules`.

    Does not use a regular expression: those of MicroPython have no {n}, and `$` of Python matches
    before a final line end.
    """
    return 1 <= len(text) <= 32 and text[0] not in "_-" and all(c in _NAME_CHARS for c in text)


def _printable(text: str) -> bool:
    """Return whether each character can stand in a message, a topic and a log line."""
    return not [c for c in text if c < " " or c == "\x7f" or 0xD800 <= ord(c) <= 0xDFFF]


def _check_list(
    value: "list[Any]", schema: "dict[str, Any]", path: str, errors: "Errors"
) -> "list[Any]":
    low, high = schema["minItems"], schema["maxItems"]
    if not low <= len(value) <= high:
        errors.append("%s: %d entries; %d to %d are allowed" % (path, len(value), low, high))
        return value
    return [
        validate(item, schema["items"], "%s[%d]" % (path, i), errors)
        for i, item in enumerate(value)
    ]


def _check_object(
    value: "dict[str, Any]", schema: "dict[str, Any]", path: str, errors: "Errors"
) -> "dict[str, Any]":
    if "values" in schema:
        return _check_free_object(value, schema, path, errors)
    properties = schema["properties"]
    prefix = path + "." if path else ""
    result = {}
    for key in sorted(value):
        if key in properties:
            result[key] = validate(value[key], properties[key], prefix + key, errors)
        else:
            shown = key if is_valid_name(key) else _show(key)
            errors.append(
                "%s%s: unknown key%s" % (prefix, shown, _suggestion(key, sorted(properties)))
            )
    for key in schema["required"]:
        if key not in value:
            errors.append("%s%s: missing (%s)" % (prefix, key, properties[key]["description"]))
    for key in sorted(properties):
        if key not in value and "default" in properties[key]:
            result[key] = properties[key]["default"]
    return result


def _check_free_object(
    value: "dict[str, Any]", schema: "dict[str, Any]", path: str, errors: "Errors"
) -> "dict[str, Any]":
    low, high = schema["minProperties"], schema["maxProperties"]
    if not low <= len(value) <= high:
        errors.append("%s: %d entries; %d to %d are allowed" % (path, len(value), low, high))
    for key in sorted(value):
        if not is_valid_name(key):
            errors.append("%s: %s is no name: 1 to 32 of a-z, 0-9, _ and -" % (path, _show(key)))
            continue
        validate(value[key], schema["values"], path + "." + key, errors)
    return value


_CHECKS: "dict[str, Callable[..., Any]]" = {
    "object": _check_object,
    "array": _check_list,
    "string": _check_text,
    "integer": _check_number,
    "number": _check_number,
}


def _is_secret(path: str) -> bool:
    """Return whether the value at `path` is secret. Errors do not show secrets."""
    return path.rsplit(".", 1)[-1] in _SECRETS


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _suggestion(key: str, known: "list[str]") -> str:
    """Return a hint with the most similar known key, if one differs in at most two letters."""
    best, best_distance = "", 3
    for candidate in known:
        distance = _distance(key[:40], candidate)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return " (did you mean %s?)" % best if best else ""


def _distance(a: str, b: str) -> int:
    """Return the Levenshtein edit distance of two short words."""
    row = list(range(len(b) + 1))
    for i, ca in enumerate(a):
        previous, row[0] = row[0], i + 1
        for j, cb in enumerate(b):
            cost = min(row[j] + 1, row[j + 1] + 1, previous + (ca != cb))
            previous, row[j + 1] = row[j + 1], cost
    return row[-1]
