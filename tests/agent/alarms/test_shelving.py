# SPDX-License-Identifier: Apache-2.0
"""Shelved alarms: limits, expiry, a damaged file; `coldloop alarms shelve`."""

import json
from pathlib import Path

import pytest

from agent.alarms.shelving import FILE, Shelving
from agent.commands import alarms
from agent.core.errors import AgentError

HOUR = 3600.0
UNIT = "s1/u1"


def test_an_alarm_returns_by_itself(tmp_path: Path) -> None:
    shelving = Shelving(tmp_path / FILE)
    shelving.add(UNIT, "fan_trip:f1", 8, "on order", 1000)
    assert Shelving(tmp_path / FILE).codes(UNIT, 1000 + 8 * HOUR - 1) == {"fan_trip:f1"}
    assert shelving.codes(UNIT, 1000 + 8 * HOUR) == set()
    assert shelving.codes("s1/u2", 1001) == set()
    assert shelving.codes(UNIT, 999) == set(), "the clock stepped back"


@pytest.mark.parametrize(
    ("code", "hours", "reason", "text"),
    [
        ("leak_critical:l1", 1, "x", "priority 1 and is never shelved"),
        ("fan_trip:f1", 8.1, "x", "at most 8"),
        ("fan_trip:f1", 0, "x", "above 0"),
        ("fan_trip:f1", 1, " ", "needs a reason"),
        ("fan_tripp", 1, "x", "no alarm fan_tripp"),
        ("206", 1, "x", "no alarm 206"),
    ],
)
def test_what_is_refused(code: str, hours: float, reason: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=text):
        Shelving(tmp_path / FILE).add(UNIT, code, hours, reason, 0)
    assert not (tmp_path / FILE).exists()


def test_an_edited_file_cannot_exceed_the_limits(tmp_path: Path) -> None:
    entry = {"from_s": 0, "until_s": 1e12, "reason": "x"}
    content = {UNIT: {"leak_critical:l1": entry, "fan_trip:f1": entry}}
    (tmp_path / FILE).write_text(json.dumps(content))
    shelving = Shelving(tmp_path / FILE)
    assert shelving.codes(UNIT, 1) == {"fan_trip:f1"}
    assert shelving.codes(UNIT, 8 * HOUR) == set()


@pytest.mark.parametrize("text", ["", "[]", '{"s1/u1": 3}', '{"s1/u1": {"fan_trip": {}}}'])
def test_a_damaged_file_has_no_effect(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    assert Shelving(tmp_path / FILE).codes(UNIT, 1) == set()


def test_the_command_adds_lists_and_removes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--file", str(tmp_path / FILE)]
    one = ["shelve", "fan_trip:f1", "--unit", UNIT, *place]
    assert alarms([*one, "--hours", "2", "--reason", "on order"]) == 0
    assert alarms(["shelve", *place]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("s1/u1 fan_trip:f1: shelved until 20")
    assert out[1].endswith("on order")
    assert alarms([*one, "--remove"]) == 0
    assert alarms([*one, "--remove"]) == 1
    assert alarms(["shelve", "fan_trip:f1", *place, "--reason", "x"]) == 2
    assert "--unit: missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("fan_trip", "fan_trip: which one? fan_trip:DEVICE"),
        ("fan_trip:", "fan_trip: which one? fan_trip:DEVICE"),
        ("level_low:rpu", "level_low:rpu: no such alarm, but level_low"),
    ],
)
def test_a_code_that_names_no_alarm_of_the_unit_is_refused(
    code: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing would be shelved, and the confirmation would be false."""
    place = ["--unit", UNIT, "--file", str(tmp_path / FILE)]
    assert alarms(["shelve", code, *place, "--reason", "on order"]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / FILE).exists()
