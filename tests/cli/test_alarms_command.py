# SPDX-License-Identifier: Apache-2.0
"""`coldloop alarms list` and `coldloop alarms show`."""

import json

import pytest

from agent.commands import alarms
from agent.tools.alarm_list import all_records


def test_list_has_each_raised_alarm_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert alarms(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(all_records())
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers == sorted(set(numbers))
    assert "101  P1  emergency_stop:INPUT " in lines[0]


def test_list_of_one_priority_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert alarms(["list", "--json", "--priority", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {entry["priority"] for entry in found} == {1}
    leak = next(entry for entry in found if entry["code"] == "leak_critical")
    assert leak["latching"] is True
    assert leak["source"] == "input"
    assert leak["state"] == "stopped"


@pytest.mark.parametrize("word", ["device_lost", "device_lost:valve", "302"])
def test_show_takes_a_code_a_source_or_a_number(
    word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert alarms(["show", word]) == 0
    out = capsys.readouterr().out
    assert out.startswith("302 device_lost")
    assert (":valve" in out) == (":" in word)
    assert "what to do      Examine its power" in out


def test_show_of_an_unknown_code_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert alarms(["show", "device_los:valve"]) == 2
    assert "no alarm device_los (did you mean device_lost?)" in capsys.readouterr().err
