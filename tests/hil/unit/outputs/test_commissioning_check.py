# SPDX-License-Identifier: Apache-2.0
"""No configuration controls a device whose commissioning has failed, by whatever command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.config.tested_devices import COMPLETE
from coldloop import main
from hil.record.bench_key import BenchKey
from hil.tools.commission import command as command_module
from hil.tools.commission.outputs.journal import Journal
from tests.hil.unit.outputs.test_failed_values import _SHIFTED
from tests.hil.unit.outputs.test_late_values import _TWINS
from tests.hil.unit.test_commission import cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures


def control_of(site: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((site / "unit.json").read_text())["control"]
    return found


def run_real(site: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Return the error of the acceptance on the devices, which must not start."""
    capsys.readouterr()
    run = ["hil", "run", "acceptance", "--unit", str(site / "unit.json"), "--real"]
    assert main([*run, "--seconds", "30", *options]) == 2
    return capsys.readouterr().err


def test_failed_values_give_a_configuration_that_controls_nothing(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Register 5 is the valve, and is called the pump."""
    (site.parent / "table.csv").write_text(_SHIFTED, encoding="utf-8")
    before = words_of(cdu, capsys, 4, 3)
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 1
    assert "the configuration controls nothing: cdu" in capsys.readouterr().out
    assert all(set(loop) == {"sensor"} for loop in control_of(site).values())
    assert "cdu: the commissioning beside this configuration has failed" in run_real(site, capsys)
    assert words_of(cdu, capsys, 4, 3) == before


@pytest.mark.parametrize("cdu", ["deaf"], indirect=True)
def test_a_failed_write_test_gives_a_configuration_that_controls_nothing(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "propose")) == 1
    assert all(set(loop) == {"sensor"} for loop in control_of(site).values())
    error = run_real(site, capsys)
    assert "write test of cdu.ValvePositionControlPercent: failed" in error
    assert "the agent was not started" in error


def test_a_configuration_from_before_the_failure_is_not_run(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    journal = Journal(site)
    writes = journal.get("write-test")
    writes[0]["state"], writes[0]["reason"] = "failed", "moved again"
    journal.put("write-test", writes)
    assert "pumps" in control_of(site)["dp"]
    assert "failed moved again" in run_real(site, capsys)
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_an_output_with_its_tested_value_is_not_taken_for_the_old_one(
    cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command_module, "run_twins", lambda *_: _TWINS)
    words = command(cdu, site, "--write-test")
    assert main([*words, "--to", "check"]) == 0
    assert main(["modbus", "write", cdu, "7", "4", "620", "--yes"]) == 0
    error = run_real(site, capsys)
    assert "cdu.PumpSpeedControlPercent holds its tested value [620] again" in error
    assert "--from tune` writes [600] back" in error
    assert words_of(cdu, capsys, 4, 2) == [620, 400]
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--from", "tune"])
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")


def exchange_outputs(raw: dict[str, Any]) -> None:
    """Give the pump the register of the valve, as after a wrong correction of the table."""
    for point in raw["points"]:
        if point["address"] in (4, 5):
            point["address"] = 9 - point["address"]


def test_a_profile_that_was_edited_after_its_test_is_not_run(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    edit(site / "profiles" / "acme_cdu.json", exchange_outputs)
    error = run_real(site, capsys)
    assert "port, unit address or profile of cdu is not that of step `values`" in error
    assert "the agent was not started" in error
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


@pytest.mark.parametrize("unit", [7, 8], ids=["another name", "another unit address"])
def test_a_device_that_was_not_tested_is_not_run(
    cdu: str, site: Path, unit: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    text = (site / "unit.json").read_text(encoding="utf-8")
    text = text.replace('"cdu"', '"cdu9"') if unit == 7 else text.replace('"unit": 7', '"unit": 8')
    (site / "unit.json").write_text(text, encoding="utf-8")
    assert "is not that of step `values`" in run_real(site, capsys)


@pytest.mark.parametrize("is_tested", [False, True], ids=["without a test", "edited result"])
def test_an_output_without_a_sealed_test_is_not_run(
    cdu: str, site: Path, is_tested: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--to", "check")) == 0
    if is_tested:

        def claim(raw: dict[str, Any]) -> None:
            for write in raw["steps"]["write-test"]["result"]:
                write["state"] = "done"

        edit(site / "commission.json", claim)
    error = run_real(site, capsys)
    expected = (
        "result of step `write-test` was not written by this bench"
        if is_tested
        else ("cdu.PumpSpeedControlPercent, cdu.ValvePositionControlPercent was not tested")
    )
    assert expected in error or "ValvePositionControlPercent, cdu.Pump" in error
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


def test_the_key_of_the_bench_of_the_commissioning_counts(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = site.parent / "key"
    BenchKey(key)
    options = ("--key", str(key))
    assert main([*command(cdu, site, "--write-test", "--to", "check"), *options]) == 0
    assert main(["modbus", "write", cdu, "7", "4", "620", "--yes"]) == 0
    assert "was not written by this bench" in run_real(site, capsys)
    assert "holds its tested value [620] again" in run_real(site, capsys, *options)


def test_a_journal_that_is_not_complete_is_a_refusal(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was begun again, or a step was removed from it: the earlier unit.json is still there."""
    words = command(cdu, site, "--write-test")
    assert main([*words, "--to", "check"]) == 0
    journal = site / "commission.json"
    whole = journal.read_text()
    for step in COMPLETE:
        journal.write_text(whole)
        edit(journal, lambda raw, step=step: raw["steps"].pop(step))  # type: ignore[misc]
        assert f"is not complete: step `{step}` is not done" in run_real(site, capsys)
    journal.write_text(whole)
    assert main([*words, "--from", "ports", "--to", "scan"]) == 0
    edit(site / "profiles" / "acme_cdu.json", exchange_outputs)
    error = run_real(site, capsys)
    assert "is not complete: step `describe` is not done; the agent was not started" in error
    assert f"--dir {site} --write-test --from describe` continues it" in error
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
    assert main(["agent", "--config", str(site / "unit.json"), "--check"]) == 0
    assert "not compared: " in capsys.readouterr().out


def test_a_step_after_a_gap_is_repeated(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command(cdu, site, "--write-test", "--to", "check")
    assert main(words) == 0
    edit(site / "commission.json", lambda raw: raw["steps"].pop("values"))
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "step `values` is missing in the journal: it is repeated, and those after it" in out
    assert Journal(site).steps() == list(COMPLETE)


def links_to(site: Path, folder: Path) -> None:
    folder.mkdir()
    for name in ("unit.json", "profiles"):
        (folder / name).symlink_to(site / name)


def link_of_the_folder(site: Path, folder: Path) -> None:
    folder.symlink_to(site)


def copy_beside_linked_profiles(site: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(site / "unit.json", folder)
    (folder / "profiles").symlink_to(site / "profiles")


def copy_beside_a_linked_profile(site: Path, folder: Path) -> None:
    (folder / "profiles").mkdir(parents=True)
    shutil.copy(site / "unit.json", folder)
    for path in (site / "profiles").iterdir():
        (folder / "profiles" / path.name).symlink_to(path)


_FORMS = (
    *(links_to, link_of_the_folder),
    *(copy_beside_linked_profiles, copy_beside_a_linked_profile),
)


def test_links_are_followed_and_the_agent_compares_too(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(cdu, site, "--write-test", "--to", "check")) == 0
    forms = (
        links_to,
        link_of_the_folder,
        copy_beside_linked_profiles,
        copy_beside_a_linked_profile,
    )
    folders = [site]
    for form in forms:
        folders.append(site.parent / form.__name__)
        form(site, folders[-1])
    profile = site / "profiles" / "acme_cdu.json"
    tested = profile.read_text()
    for folder in folders:
        unit = str(folder / "unit.json")
        assert main(["agent", "--config", unit, "--check"]) == 0
        edit(profile, exchange_outputs)
        assert "is not that of step `values`" in run_real(folder, capsys)
        for options in (["--check"], []):
            assert main(["agent", "--config", unit, *options]) == 2
            error = capsys.readouterr().err
            assert "port, unit address or profile of cdu is not as tested" in error
            assert "--from values` tests it" in error
        if folder == site:
            main(["doctor", "--config", unit, "--no-broker"])
            assert "bad      commissioning" in capsys.readouterr().out
        profile.write_text(tested)
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
