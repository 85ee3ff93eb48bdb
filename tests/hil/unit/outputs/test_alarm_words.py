# SPDX-License-Identifier: Apache-2.0
"""A register that is named alarm or status is understood, or no output of its CDU is moved."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from drivers.device.device import ModbusDevice
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import TransactionResult
from hil.errors import BenchError
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.register_table import parse_table
from hil.tools.commission.output_tests import NOT_UNDERSTOOD, OutputTests, find_unseen_alarms
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.output_guard import AgentGuard, OutputGuard
from hil.tools.commission.outputs.run_guard import returned_outputs
from hil.tools.commission.outputs.site_journals import unit_devices
from hil.tools.commission.profile_draft import draft_profile
from hil.tools.commission.table_profile import make_profile
from hil.tools.commission.tuning.step_test import LoopLimits, StepTest
from protocols.modbus import pdu
from tests.hil.unit.foreign_cdu import SkippedTime
from tests.hil.unit.test_commission import TABLE, cdu, command, site
from tests.hil.unit.test_signal_at_every_step import RegisterClient

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
    assert text.count("refused cdu: alarm AlarmWordBit0 is on") == 2


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
    refusal = find_unseen_alarms([device], Dialogue(assume_yes=False, as_json=False))
    assert bool(refusal) != is_excluded
    assert len(asked) == 1
    assert "does the device itself show that no alarm is on?" in asked[0]


class SiteClient(RegisterClient):
    """Devices of one port. `unread`: (unit, address) that gives an exception.

    `trips_at`: with this pump speed the pump fault of unit 7 is on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words += [0] * 93
        self.alarms = {7: 0, 8: 0}
        self.unread: tuple[int, int] | None = None
        self.trips_at = 0xFFFF

    def request(self, unit: int, request: bytes) -> TransactionResult:
        address = request[1] << 8 | request[2]
        if (unit, address) == self.unread:
            return TransactionResult(0, unit, pdu.EXCEPTION, 4, (), 0)
        self.words[100] = self.alarms[unit]
        if self.words[4] >= self.trips_at and unit == 7:
            self.words[100] |= 2
        return super().request(unit, request)


_SITE_RAW = draft_profile(parse_table(TABLE.replace("\n7;", "\n100;"), "t"), "acme", "t")
_PANEL_RAW = draft_profile(parse_table("100;Alarm word;u16;;;R;bit 0=leak", "t"), "panel", "t")
_CDU = {"name": "cdu", "port": "tcp:127.0.0.1:9", "unit": 7, "profile": "acme"}
_PANEL = {"name": "panel", "port": "tcp:127.0.0.1:9", "unit": 8, "profile": "panel"}


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> SiteClient:
    found, module = SiteClient(), "hil.tools.commission.device_access"
    monkeypatch.setattr(f"{module}.BlockingModbusClient", lambda *_: found)
    monkeypatch.setattr(f"{module}.probe_device", lambda _, p: ModbusDevice("cdu", 7, p))
    monkeypatch.setattr("hil.tools.commission.outputs.output_watch.time.sleep", lambda _: None)
    return found


def open_unit(device: dict[str, Any], beside: DeviceAccess | None = None) -> DeviceAccess:
    raw = _SITE_RAW if device is _CDU else _PANEL_RAW
    access = DeviceAccess(device["port"], device["unit"], raw, beside=beside)
    access.device.unit = device["unit"]
    return access


def write_test_of(folder: Path, *devices: dict[str, Any]) -> list[tuple[str, str]]:
    """Return state and reason of the test of each output."""
    guard = OutputGuard(Journal(folder).pending, print, open_unit)
    arguments, dialogue = (
        argparse.Namespace(write_test=True),
        Dialogue(assume_yes=True, as_json=False),
    )
    tests = OutputTests(arguments, dialogue, open_unit, guard, lambda _: "", lambda *_: "")
    return [(result["state"], result["reason"]) for result in tests.run(list(devices))]


def test_outputs_of_a_site_without_alarms_are_tested(line: SiteClient, tmp_path: Path) -> None:
    assert write_test_of(tmp_path, _CDU, _PANEL) == [("done", ""), ("done", "")]
    assert line.words[4:6] == [600, 400]


@pytest.mark.parametrize("unread", [(7, 100), (8, 100)])
def test_no_output_moves_while_an_alarm_word_cannot_be_read(
    line: SiteClient, tmp_path: Path, unread: tuple[int, int]
) -> None:
    line.unread = unread
    results = write_test_of(tmp_path, _CDU, _PANEL)
    assert [state for state, _ in results] == ["refused", "refused"]
    assert all("the alarms cannot be read: registers 100 to 100" in text for _, text in results)
    assert line.writes == 0


@pytest.mark.parametrize("unit", [7, 8])
def test_no_output_moves_while_an_alarm_of_the_site_is_on(
    line: SiteClient, tmp_path: Path, unit: int
) -> None:
    line.alarms[unit] = 1
    results = write_test_of(tmp_path, _CDU, _PANEL)
    name = "cdu" if unit == 7 else "panel"
    assert results == [("refused", f"{name}: alarm Leak is on")] * 2
    assert line.writes == 0


def test_an_alarm_at_the_tested_value_fails_the_test(line: SiteClient, tmp_path: Path) -> None:
    line.trips_at = 610
    pump, valve = write_test_of(tmp_path, _CDU, _PANEL)
    assert pump == ("failed", "at the tested value: alarm PumpFault is on")
    assert valve == ("done", "")
    assert line.words[4:6] == [600, 400]


@pytest.mark.parametrize("unit", [7, 8])
def test_an_alarm_after_a_test_fails_it(line: SiteClient, tmp_path: Path, unit: int) -> None:
    """It comes after the way back: nothing else is moved."""
    real, seen = line.request, 0

    def request(number: int, content: bytes) -> TransactionResult:
        nonlocal seen
        seen += content[0] == pdu.WRITE_SINGLE
        line.alarms[unit] = int(seen == 2)  # until the next write, which must not come
        return real(number, content)

    line.request = request  # type: ignore[method-assign, assignment]
    pump, valve = write_test_of(tmp_path, _CDU, _PANEL)
    assert pump[0] == "failed"
    assert "after the test: " in pump[1]
    assert "alarm Leak is on" in pump[1]
    assert valve[0] == "refused"
    assert line.writes == 2


@pytest.mark.parametrize("alarm", ["on", "unread", "panel", "panel unread"])
def test_a_step_test_sees_all_alarms_of_the_site(
    line: SiteClient, alarm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm comes after the step: the output has its old words again."""
    module = "hil.tools.commission.tuning.step_test"
    clock = SkippedTime()
    monkeypatch.setattr(f"{module}.time", clock)
    unit = 8 if "panel" in alarm else 7
    real = line.request

    def request(number: int, content: bytes) -> TransactionResult:
        if line.writes:
            line.alarms[unit] = int("unread" not in alarm)
            line.unread = (unit, 100) if "unread" in alarm else None
        return real(number, content)

    line.request = request  # type: ignore[method-assign, assignment]
    moved = open_unit(_CDU)
    limits = LoopLimits(4.0, 1.5, 40.0, 10.0, 40.0, "kPa")
    point = "PumpSpeedControlPercent"
    points, beside = {"DeltaPressurekPa": 1.0}, [open_unit(_PANEL, moved)]
    result = StepTest(moved, point, moved, points, limits, 40.0, beside).run(lambda *_: None)
    assert result.state == ("refused" if "unread" in alarm else "failed")
    text = "the alarms cannot be read" if "unread" in alarm else "alarm Leak is on"
    assert text in result.reason
    assert (line.writes, line.words[4]) == (2, 600)
    assert (
        StepTest(moved, point, moved, points, limits, 40.0, beside).run(lambda *_: None).state
        == "refused"
    )
    assert line.writes == 2


def test_a_step_test_does_not_read_devices_without_alarms(line: SiteClient) -> None:
    moved, limits = open_unit(_CDU), LoopLimits(4.0, 1.5, 40.0, 10.0, 40.0, "kPa")
    plain = DeviceAccess("tcp:127.0.0.1:9", 8, draft("1;Return temperature;i16;0.1;°C;R;;;"))
    beside = [open_unit(_PANEL, moved), plain]
    point = "PumpSpeedControlPercent"
    test = StepTest(moved, point, moved, {"DeltaPressurekPa": 1.0}, limits, 40.0, beside)
    assert test._beside == beside[:1]


def test_a_value_of_an_earlier_poll_is_not_good(line: SiteClient) -> None:
    """Else a step test goes on without its sensor."""
    access = open_unit(_CDU)
    access.poll()
    before = access.good_values()
    request, tag = access.device.poll_requests()[0]
    names = {point.name for point in access.profile.points if access.is_block_of(point, tag)}
    assert names <= before.keys()
    line.unread = (7, request[1] << 8 | request[2])
    access.poll()
    assert access.errors
    assert access.good_values().keys() == before.keys() - names
    line.unread = None
    access.poll()
    assert access.good_values() == before


@pytest.mark.parametrize("cdu", [""], indirect=True)
@pytest.mark.parametrize("is_read", [True, False])
def test_the_agent_does_not_start_while_an_alarm_is_on(
    cdu: str, site: Path, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by `hil run --real` nor by the site acceptance of the commissioning."""
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    unit = load_unit(site / "unit.json")
    with returned_outputs(unit):
        pass
    problem = "alarm Leak is on" if is_read else "the alarms cannot be read: no reply"
    monkeypatch.setattr(DeviceAccess, "alarm_problem", lambda _: problem)
    text = f"^cdu: {problem}; the agent was not started$"
    with pytest.raises(BenchError, match=text), returned_outputs(unit):
        pytest.fail("started")
    pending = Journal(site).pending
    guard = AgentGuard(unit, unit_devices(unit), pending, lambda _: access_of(unit))
    with pytest.raises(BenchError, match=text):
        guard.keep_all()
    assert pending.entries == []


def access_of(unit: UnitFile) -> DeviceAccess:
    device = unit.raw["devices"][0]
    port = unit.raw["buses"][device["bus"]]
    return DeviceAccess(port, device["unit"], unit.raw_profiles[device["profile"]], 1000)
