# SPDX-License-Identifier: Apache-2.0
"""A register that is named alarm or status is understood, or no output of its CDU is moved."""

import json
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.output_tests import NOT_UNDERSTOOD, find_unseen_alarms
from hil.tools.commission.table_profile import make_profile
from tests.hil.unit.test_commission import TABLE, cdu, command, site

__all__ = ["cdu", "site"]  # fixtures

_HEAD = "address;name;type;scale;unit;access;bits;order;role\n"
_ROW = "0;Supply temperature;i16;0.1;°C;R;;;\n"


def draft(row: str) -> dict[str, Any]:
    return make_profile(_HEAD + _ROW + row, "t", "acme", "o")


def alarms(raw: dict[str, Any], words: list[int]) -> list[str]:
    """Return the alarms of a device whose registers from 7 on hold the words."""
    device = ModbusDevice("cdu", 7, DeviceProfile(raw))
    for _, tag in device.poll_requests():
        block = device.blocks[tag]
        held = (*[0] * 7, *words, *[0] * 20)
        device.store_block(tag, held[block.address : block.address + block.count], 1)
    return list(device.active_alarm_bits())


@pytest.mark.parametrize("unit", ["", "-", "none", "None", "N/A", "--", "—", "1"])
@pytest.mark.parametrize(
    "name", ["Alarm word", "Active alarms", "alarm_word", "AlarmWord", "Fault code", "Leak status"]
)
def test_each_spelling_of_no_unit_is_an_alarm_word(name: str, unit: str) -> None:
    assert len(alarms(draft(f"7;{name};u16;1;{unit};R;;;"), [3])) == 2


@pytest.mark.parametrize(
    ("order", "words"),
    [("", [2, 1]), ("ABCD", [2, 1]), ("CDAB", [1, 2]), ("BADC", [512, 256]), ("DCBA", [256, 512])],
)
@pytest.mark.parametrize("kind", ["u32", "dint"])
def test_an_alarm_word_of_two_registers_has_all_its_bits(
    kind: str, order: str, words: list[int]
) -> None:
    raw = draft(f"7;Alarm word;{kind};1;;R;0=leak / 17=pump fault / 31=door;{order};")
    assert sorted(alarms(raw, words)) == ["Leak", "PumpFault"]
    raw = draft(f"7;Alarm word;{kind};1;-;R;;{order};")
    assert sorted(alarms(raw, words)) == ["AlarmWordBit0", "AlarmWordBit17"]


def with_rows(site: Path, status: str, alarm: str) -> None:
    rows = [line for line in TABLE.splitlines() if line[0] not in "67"]
    (site.parent / "table.csv").write_text("\n".join([*rows, status, alarm]), encoding="utf-8")


@pytest.mark.parametrize("cdu", ["alarm"], indirect=True)
def test_a_write_test_sees_an_alarm_word_with_a_dash_as_its_unit(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_rows(site, "6;Status;u16;1;-;R;bit 0=running", "7;Alarm word;u16;1;-;R;")
    assert main(command(cdu, site, "--write-test", "--to", "write-test")) == 1
    text = capsys.readouterr().out
    assert "table.csv:9: 'Alarm word' has no names of bits: each bit that is on is an" in text
    assert text.count("refused alarm AlarmWordBit0 is on") == 2


@pytest.mark.parametrize(
    ("status", "alarm"),
    [
        ("6;Status;u16;1;-;R;", "7;Alarm word;u16;1;;R;0=leak"),
        ("6;Level;u16;1;;R;", "7;Alarm word;f32;1;;R;"),
    ],
    ids=["status without bits", "alarm word as a float"],
)
def test_a_word_that_is_not_understood_keeps_the_outputs_still(
    cdu: str, site: Path, status: str, alarm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_rows(site, status, alarm)
    assert main(command(cdu, site, "--write-test", "--to", "write-test", "--json")) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [write["state"] for write in lines[-1]["result"]] == ["refused", "refused"]
    assert "can show an alarm, and has no names of bits" in str(lines)
    is_read = "f32" not in alarm  # the device has no register 8: its values have failed
    assert ("can show an alarm" in lines[-1]["result"][0]["reason"]) == is_read


def test_the_role_monitor_says_that_a_word_shows_no_alarm(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_rows(site, "6;Status;u16;1;-;R;", "7;Alarm word;u16;1;-;R;")
    path = site.parent / "table.csv"
    text = path.read_text(encoding="utf-8").replace(";bits", ";bits;role")
    path.write_text(text.replace("6;Status;u16;1;-;R;", "6;Status;u16;1;-;R;;monitor"))
    assert main(command(cdu, site, "--write-test", "--to", "write-test")) == 0
    with_rows(site, "6;Level;u16;1;;R;", "8;Height;u16;1;;R;")
    main(command(cdu, site.with_name("other"), "--to", "describe"))
    assert "no row is an alarm word: a test cannot see an alarm" in capsys.readouterr().out


@pytest.mark.parametrize("is_excluded", [True, False])
def test_the_technician_is_asked(is_excluded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def confirm(_: Dialogue, question: str) -> bool:
        asked.append(question)
        return is_excluded

    monkeypatch.setattr(Dialogue, "confirm", confirm)
    device = {"name": "cdu", NOT_UNDERSTOOD: ["'Status' can show an alarm"]}
    refusal = find_unseen_alarms(device, Dialogue(assume_yes=False, as_json=False))
    assert bool(refusal) != is_excluded
    assert len(asked) == 1
    assert "does the device itself show that no alarm is on?" in asked[0]
