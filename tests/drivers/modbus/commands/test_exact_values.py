# SPDX-License-Identifier: Apache-2.0
"""Numbers of the diagnostic commands: no digit of a counter is lost on the way in or out."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
from typing import Any

import pytest

from drivers.commands import modbus
from drivers.device.profile import DeviceProfile
from drivers.errors import ProfileError
from drivers.tools.lib.arguments import UsageError, read_json
from drivers.tools.lib.parser import Parser
from drivers.tools.lib.values.point_value import is_write_only, nearest_count, parse_value, value_of
from drivers.tools.lib.values.register_values import format_value

WORD = {"name": "A", "address": 0, "type": "u16"}


def point_of(**fields: Any) -> Any:
    raw = {"model": "m", "title": "t", "source": "s", "met_hardware": False}
    return DeviceProfile({**raw, "points": [{**WORD, **fields}]}, include_unpolled=True).points[0]


@pytest.mark.parametrize(
    ("fields", "text", "count", "shown"),
    [
        ({"type": "i64"}, "9223372036854775807", (1 << 63) - 1, "9223372036854775807"),
        ({"type": "i64"}, "-9223372036854775808", -(1 << 63), "-9223372036854775808"),
        ({"type": "i64"}, "9007199254740993", (1 << 53) + 1, "9007199254740993"),
        ({"type": "u64"}, "18446744073709551615", (1 << 64) - 1, "18446744073709551615"),
        ({"type": "u64", "scale": [1, 1000]}, "18446744073709551.615", (1 << 64) - 1, None),
        ({"type": "u32"}, "12345678", 12345678, "12345678"),
        ({"type": "u32", "scale": [1, 10]}, "12345678.9", 123456789, "12345678.9"),
        (
            {"type": "u64", "scale": [1, 1000]},
            "123456789012.345",
            123456789012345,
            "123456789012.345",
        ),
        ({"type": "i16", "scale": [-1, 10]}, "-0.25", 3, "-0.3"),
        ({"scale": [1, 3]}, "0.5", 2, "0.6666667"),
        ({"scale": [1, 100]}, "40.005", 4001, "40.01"),
        ({}, "1e-400", 0, "0"),
    ],
)
def test_a_text_becomes_the_nearest_count(
    fields: dict[str, Any], text: str, count: int, shown: str | None
) -> None:
    limits = {"i64": [-(1 << 63), (1 << 63) - 1], "u64": [0, (1 << 64) - 1], "u32": [0, 0xFFFFFFFF]}
    kind = fields.get("type", "u16")
    wide = limits.get(kind, [-32768, 32767] if kind == "i16" else [0, 65535])
    point = point_of(write=True, limits=wide, **fields)
    assert nearest_count(point, parse_value(text, point)) == count
    assert shown is None or format_value(value_of(point, count)) == shown


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100000000", "A 100000000 is not 0 to 99999999"),
        ("-0.6", "A -0.6 is not 0 to 99999999"),
        ("nan", "A nan is not 0 to 99999999"),
        ("1e400", "A inf is not 0 to 99999999"),
        ("1e300", "A 1e+300 is not 0 to 99999999"),
        ("1/2", "value '1/2' of A is not a number"),
        ("0x10", "value '0x10' of A is not a number"),
    ],
)
def test_a_value_outside_is_named_with_its_digits(text: str, message: str) -> None:
    point = point_of(type="bcd", registers=2, write=True, limits=[0, 99999999])
    with pytest.raises(UsageError, match=re.escape(message) + "$"):
        parse_value(text, point)


def test_a_point_that_is_never_read_is_known() -> None:
    assert is_write_only(point_of(write=True, limits=[0, 1], read=False, verify="none"))
    assert not is_write_only(point_of(write=True, limits=[0, 1], verify="none"))
    assert not is_write_only(point_of(poll="never"))


@pytest.mark.parametrize("value", ["-1,-2", "-1", "-0x1", "-1.5,2", "-.5"])
def test_a_value_can_begin_with_a_minus(value: str) -> None:
    parser = Parser()
    parser.add_argument("value")
    parser.add_argument("--yes", action="store_true")
    assert parser.parse_args([value, "--yes"]) == argparse.Namespace(value=value, yes=True)


def test_a_key_written_twice_is_a_fault(tmp_path: Any) -> None:
    """JSON keeps the last one: the points of the first are lost without a word."""
    file = tmp_path / "twice.json"
    file.write_text('{"points": [], "points": []}', encoding="utf-8")
    with pytest.raises(ProfileError, match=r"twice\.json: the key points is written twice"):
        read_json(file, "twice.json")


def test_a_fault_names_the_file(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"model": "other", "title": "t", "source": "s", "points": []}))
    port = ("tcp:127.0.0.1:9", "1", "A")
    for words in (("read", *port), ("write", *port, "1"), ("poll", port[0], "--unit", "1")):
        with contextlib.suppress(SystemExit):
            assert modbus([*words, "--profile", str(file)]) == 2
        assert f"{file}: profile: " in capsys.readouterr().err


def test_error_of_a_number_names_no_internal_function(capsys: pytest.CaptureFixture[str]) -> None:
    def _read_count(text: str) -> int:
        return int(text)

    parser = Parser(prog="p")
    parser.add_argument("--limit", type=_read_count)
    with pytest.raises(SystemExit):
        parser.parse_args(["--limit", "x"])
    error = capsys.readouterr().err
    assert error == "p: argument --limit: 'x' is not a number; --help tells more\n"
