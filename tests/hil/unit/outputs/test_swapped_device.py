# SPDX-License-Identifier: Apache-2.0
"""A CDU that names itself by function 43 is the same one in each step, and in the record."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent.agent import Agent
from agent.commands import read_config
from coldloop import main
from drivers.modbus.bus import Bus, TransactionResult
from drivers.tools.lib.modbus_client import BlockingModbusClient
from hil.errors import BenchError
from hil.record.record import read
from hil.run.unit.real_unit import RealUnitRun
from hil.run.unit.traced_agent import IdentityWatch
from hil.run.unit.unit_file import load_unit
from hil.run.unit.unit_suite import build_suite
from hil.scenario.channels import Series
from hil.tools.commission import command as command_module
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.pending import OutputFile
from hil.tools.commission.outputs.run_guard import returned_outputs
from hil.tools.commission.outputs.site_journals import journal_path
from protocols.modbus import pdu
from tests.hil.unit.outputs.test_late_values import _TWINS
from tests.hil.unit.test_commission import cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures

_NAMES = ["ACME", "CDU500", "V1.0-SN0042"]
_OTHER = ["ACME", "CDU500", "V9.9-OTHER"]


class Named:
    """The reply of the CDU to function 43; `names` is what it is now. None: it does not reply."""

    def __init__(self) -> None:
        self.names: list[str] | None = list(_NAMES)

    def reply(self, unit: int) -> TransactionResult:
        if self.names is None:
            return TransactionResult(0, unit, "timeout", 0, (), 0)
        if not self.names:
            return TransactionResult(0, unit, pdu.EXCEPTION, 1, (), 0)
        objects = [(i, len(text), *text.encode()) for i, text in enumerate(self.names)]
        values = (1, 0, 0, len(objects), *(byte for entry in objects for byte in entry))
        return TransactionResult(0, unit, pdu.GOOD, 0, values, 0)


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Named:
    it, request = Named(), BlockingModbusClient.request

    def answer(client: BlockingModbusClient, unit: int, sent: bytes, **options: Any) -> Any:
        if sent[0] == pdu.DEVICE_ID:
            return it.reply(unit)
        return request(client, unit, sent, **options)

    monkeypatch.setattr(BlockingModbusClient, "request", answer)
    return it


def test_the_record_has_the_name_of_the_device(cdu: str, site: Path, named: Named) -> None:
    assert main(command(cdu, site, "--write-test")) == 0
    device = read(site / "report" / "record.json")["runs"][0]["provenance"]["devices"][0]
    assert device["identity"] == "names itself ACME CDU500 V1.0-SN0042"


@pytest.mark.parametrize("names", [_OTHER, []], ids=["another serial number", "no name"])
def test_another_device_at_the_address_ends_each_step(
    cdu: str,
    site: Path,
    named: Named,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command_module, "run_twins", lambda *_: _TWINS)
    words = command(cdu, site, "--write-test", "--tune")
    for step, last in (("describe", "values"), ("values", "write-test"), ("check", "tune")):
        named.names = list(_NAMES)
        assert main([*words, "--to", step]) == 0
        if step == "check":
            assert main([*words, "--to", "twin-acceptance"]) == 0
        named.names = names
        with pytest.raises(SystemExit, match="2"):
            main([*words, "--to", last])
        error = capsys.readouterr().err
        assert f"names itself {' '.join(names) or 'nothing'}; step `scan` has found ACME" in error
        assert words_of(cdu, capsys, 4, 2) == [600, 400]
    run = ["hil", "run", "acceptance", "--unit", str(site / "unit.json"), "--real"]
    assert main([*run, "--seconds", "30"]) == 2
    assert "it is another device, and needs `--from scan`" in capsys.readouterr().err


def test_a_device_that_does_not_reply_is_no_other_one(
    cdu: str, site: Path, named: Named, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--write-test")
    assert main([*words, "--to", "values"]) == 0
    named.names = None
    assert main([*words, "--to", "write-test", "--json"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    assert {write["state"] for write in result} == {"done"}


@pytest.mark.parametrize("names", [_OTHER, []], ids=["another serial number", "no name"])
@pytest.mark.parametrize("has_journal", [True, False])
def test_a_device_that_is_swapped_during_a_run_fails_it(
    cdu: str,
    site: Path,
    named: Named,
    names: list[str],
    has_journal: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The other device gets no words of the first one."""
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    if not has_journal:
        (site / "commission.json").unlink()
    with returned_outputs(load_unit(site / "unit.json")) as outputs:
        named.names = names
        assert main(["modbus", "write", cdu, "7", "4", "617", "--yes"]) == 0
    assert any(f"names itself {' '.join(names) or 'nothing'}" in p for p in outputs.problems)
    assert words_of(cdu, capsys, 4, 2) == [617, 400]
    named.names = list(_NAMES)
    pending = OutputFile(journal_path(site / "unit.json"))
    assert sorted(entry["old"]["words"] for entry in pending.entries) == [[400], [600]]
    pending.forget_all()


def test_the_same_device_passes_a_run(
    cdu: str, site: Path, named: Named, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    assert named.names
    with returned_outputs(load_unit(site / "unit.json")) as outputs:
        pass
    assert outputs.problems == []
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_the_agent_reads_the_names_again_in_a_run(
    cdu: str, site: Path, named: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its profile has probes of the names; an identity that differs is its alarm."""
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    unit = load_unit(site / "unit.json")
    with returned_outputs(unit) as outputs:
        watch = outputs.watch()
        probes = [{"object": i, "text": text} for i, text in enumerate(_NAMES)]
        assert watch.identities == {"cdu": probes}
        watch.check_names()
        named.names = list(_OTHER)
        with pytest.raises(BenchError, match=r"names itself ACME CDU500 V9\.9-OTHER"):
            watch.check_names()  # before the next scenario
        named.names = list(_NAMES)
    run = RealUnitRun(unit, build_suite(unit, True).scenarios[0], Series(()), None, watch)
    run.config = dict(unit.raw)
    run._write_files(tmp_path / "unit.json")
    config = read_config(str(tmp_path / "unit.json"))
    assert config.devices[0].profile.identity == probes
    agent = Agent(config)
    asked: list[str] = []

    def submit(_bus: Bus, _unit: int, request: bytes, *_details: object) -> bool:
        asked.append(request[:3].hex())
        return True

    monkeypatch.setattr(Bus, "submit", submit)
    watcher = IdentityWatch()
    watcher(agent)
    assert asked == ["2b0e04"] * 3
    watcher(agent)
    assert len(asked) == 3  # not before two seconds


def test_a_device_without_single_objects_has_no_probes(cdu: str, site: Path, named: Named) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    for names in ([], ["\u540d", "a\tb", ""], None):
        named.names = names
        with DeviceAccess(cdu, 7, load_unit(site / "unit.json").raw_profiles["acme_cdu"]) as access:
            assert access.name_probes() == []
