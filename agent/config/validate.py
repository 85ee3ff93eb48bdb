"""A validator for the part of JSON Schema that `agent.config.schema` uses, on both interpreters.

Not a general one: it knows type, enum, minimum, maximum, pattern, lengths, required, properties,
additionalProperties and items, and two words of our own for objects with free keys (`values`,
`propertyPattern`), which the published schema spells as patternProperties. It fills in defaults and
collects every error instead of stopping at the first. Objects are walked in sorted order, since
MicroPython's dicts have none.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Errors = list[str]

_MAX_ERRORS = 20
_INTEGER_LIMIT = 1 << 31
_SECRETS = ("password", "secret", "token", "pin")
_HIDDEN = "what stands there"
HEX_PATTERN = "^([0-9a-f][0-9a-f])+$"
"""The pattern of keys, as the schemas write it; every other pattern is a name's."""
_HEX_DIGITS = "0123456789abcdef"
_NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_-"

_TYPES: "dict[str, tuple[str, tuple[type, ...]]]" = {
    "object": ("an object", (dict,)),
    "array": ("a list", (list,)),
    "string": ("a text", (str,)),
    "integer": ("a whole number", (int,)),
    "number": ("a number", (int, float)),
}
"""What a type is called, and the classes it may have (`True` is no number, so no isinstance)."""


def validate(value: "Any", schema: "dict[str, Any]", path: str, errors: "Errors") -> "Any":
    """Check `value` against `schema`; return it with defaults filled in.

    Each thing wrong is added to `errors` as one line: path, value, what is allowed.
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
    """Make 100.0 what it is to JSON Schema: a whole number."""
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
    """Say whether `text` fits `schema.NAME_PATTERN`.

    No regular expression: MicroPython's know no {n}, and Python's $ lets a line end pass.
    """
    return 1 <= len(text) <= 32 and text[0] not in "_-" and all(c in _NAME_CHARS for c in text)


def _printable(text: str) -> bool:
    """Say whether every character can stand in a message, a topic and a line of a log."""
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
    """Say whether what stands at `path` is shown to nobody, not even in an error."""
    return path.rsplit(".", 1)[-1] in _SECRETS


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _suggestion(key: str, known: "list[str]") -> str:
    """Name the known word that is nearest to `key`, when one is near enough to be meant."""
    best, best_distance = "", 3
    for candidate in known:
        distance = _distance(key[:40], candidate)
        if distance < best_distance:
            best, best_distance = candidate, distance
    return " (did you mean %s?)" % best if best else ""


def _distance(a: str, b: str) -> int:
    """Levenshtein's edit distance between two short words."""
    row = list(range(len(b) + 1))
    for i, ca in enumerate(a):
        previous, row[0] = row[0], i + 1
        for j, cb in enumerate(b):
            cost = min(row[j] + 1, row[j + 1] + 1, previous + (ca != cb))
            previous, row[j + 1] = row[j + 1], cost
    return row[-1]
