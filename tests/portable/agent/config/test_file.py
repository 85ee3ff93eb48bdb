# SPDX-License-Identifier: Apache-2.0
"""A file that is not JSON is rejected with one line that names it."""

from agent.config import file
from agent.core.errors import ConfigError
from tests.portable.support.check import eq, raises


def test_json_is_read():
    eq(file.parse('{"a": [1, 2.5, "x", null, true]}', "f")["a"], [1, 2.5, "x", None, True])


def test_invalid_json_is_one_line_with_the_file_name():
    # The parser of MicroPython accepts more, for example a missing comma.
    for text in ("", "{", "[", "{'a': 1}", '{"a": tru}', '{"a', "{} x"):
        error = str(raises(ConfigError, file.parse, text, "unit.json"))
        assert error.startswith("unit.json:"), error
        assert "not JSON" in error, error
        eq(error.count("\n"), 0)


def test_truncated_text_is_rejected():
    text = '{"a": "}\\"}", "b": [1, {"c": 20}]}'
    eq(file.parse(text, "f")["a"], '}"}')
    for end in range(len(text)):
        error = str(raises(ConfigError, file.parse, text[:end], "f"))
        assert "not JSON" in error, error


def test_too_deep_nesting_is_refused():
    text = "[" * 20000
    error = str(raises(ConfigError, file.parse, text, "unit.json"))
    assert error.startswith("unit.json: not"), error
