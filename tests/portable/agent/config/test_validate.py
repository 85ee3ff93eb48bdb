# SPDX-License-Identifier: Apache-2.0
"""The validator reports each invalid value with path, value and allowed values, all together."""

from agent.config.validate import HEX_PATTERN, is_valid_name, validate
from tests.portable.support.check import eq

INNER = {"type": "number", "minimum": 1, "maximum": 9, "default": 4, "description": "a number"}
RULE = {
    "type": "object",
    "required": ["n"],
    "properties": {
        "n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how many"},
        "x": INNER,
        "text": {"type": "string", "minLength": 1, "maxLength": 5, "description": "a text"},
        "name": {"type": "string", "pattern": "name", "description": "a name"},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": INNER},
        "free": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 2,
            "propertyPattern": "name",
            "values": INNER,
        },
        "one": {"type": "integer", "enum": [1], "description": "the version"},
    },
}
NAN = float("nan")


def errors_of(raw):
    errors = []
    validate(raw, RULE, "", errors)
    return errors


def test_valid_value_gets_its_defaults():
    raw = {"n": 9, "text": "abcde", "name": "a-1_b", "list": [1, 9.0], "free": {"a": 1}, "one": 1}
    errors = []
    complete = validate(raw, RULE, "", errors)
    eq(errors, [])
    eq(complete["x"], 4)
    eq(sorted(complete), sorted(list(raw) + ["x"]))
    assert "x" not in raw


def test_each_error_names_path_value_and_allowed_values():
    cases = (
        ({"n": "1"}, "n: '1' is not a whole number"),
        ({"n": True}, "n: True is not a whole number"),
        ({"n": 1.5}, "n: 1.5 is not a whole number"),
        ({"n": NAN}, "n: nan is not a whole number"),
        ({"n": None}, "n: None is not a whole number"),
        ({"n": 0}, "n: 0 is outside 1 to 9"),
        ({"n": 10}, "n: 10 is outside 1 to 9"),
        ({"x": False}, "x: False is not a number"),
        ({"x": NAN}, "x: nan is outside 1 to 9"),
        ({"x": float("inf")}, "x: inf is outside 1 to 9"),
        ({"x": 9.5}, "x: 9.5 is outside 1 to 9"),
        ({"text": ""}, "text: a text of 1 to 5 characters is needed"),
        ({"text": "abcdef"}, "text: a text of 1 to 5 characters is needed"),
        ({"text": 5}, "text: 5 is not a text"),
        ({"text": "a\nb"}, "text: 'a\\nb' holds a control character or half a character"),
        ({"list": []}, "list: 0 entries; 1 to 2 are allowed"),
        ({"list": [1, 2, 3]}, "list: 3 entries; 1 to 2 are allowed"),
        ({"list": [1, 99]}, "list[1]: 99 is outside 1 to 9"),
        ({"list": {}}, "list: {} is not a list"),
        ({"free": {}}, "free: 0 entries; 1 to 2 are allowed"),
        ({"free": {"a": 0}}, "free.a: 0 is outside 1 to 9"),
        ({"free": {"A": 1}}, "free: 'A' is no name: 1 to 32 of a-z, 0-9, _ and -"),
        ({"one": 2}, "one: 2 is not one of 1"),
        ({"nn": 1}, "nn: unknown key (did you mean n?)"),
        ({"lists": [1]}, "lists: unknown key (did you mean list?)"),
        ({"colour": 1}, "colour: unknown key"),
        ({"a\nb": 1}, "'a\\nb': unknown key"),
    )
    for change, text in cases:
        raw = {"n": 1}
        raw.update(change)
        eq(errors_of(raw)[:1], [text])
    eq(errors_of({}), ["n: missing (how many)"])
    eq(errors_of([]), ["the configuration: [] is not an object"])


def test_errors_are_in_key_order_and_bounded():
    raw = {"x": 99, "text": 5, "name": "-", "list": [0, 0], "extra": 1}
    paths = [line.split(":")[0] for line in errors_of(raw)]
    eq(paths, ["extra", "list[0]", "list[1]", "name", "text", "x", "n"])
    many = {"type": "array", "minItems": 0, "maxItems": 1000, "items": INNER}
    errors = []
    validate([0] * 1000, many, "", errors)
    assert len(errors) <= 20
    assert max([len(line) for line in errors_of({"n": "x" * 5000})]) < 100


def test_key_is_hexadecimal_and_not_shown():
    rule = {"type": "string", "minLength": 4, "maxLength": 64, "pattern": HEX_PATTERN}
    for good in ("c0de", "0" * 64):
        errors = []
        eq((validate(good, rule, "ack_key", errors), errors), (good, []))
    for bad in ("c0dee", "C0DE", "c0dg", "c0 d"):
        errors = []
        validate(bad, rule, "ack_key", errors)
        eq(errors, ["ack_key: pairs of hexadecimal digits, 0-9 and a-f, are needed"])


def test_names_are_the_same_on_both_interpreters():
    for good in ("a", "0", "a" * 32, "a-b_c9"):
        assert is_valid_name(good), good
    for bad in ("", "a" * 33, "-a", "_a", "A", "a b", "a\n", "\u00e4", "a.b", "a/b"):
        assert not is_valid_name(bad), bad


def test_integer_with_decimal_point_is_accepted():
    errors = []
    complete = validate({"n": 3.0}, RULE, "", errors)
    eq((errors, complete["n"], type(complete["n"]) is int), ([], 3, True))
