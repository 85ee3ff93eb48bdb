# SPDX-License-Identifier: Apache-2.0
"""A device that answers everything is no known model, and no argument is without effect."""

from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from drivers.device.profile import DeviceProfile
from drivers.modbus.bus import TransactionResult
from drivers.tools.lib.arguments import raw_profile
from drivers.tools.lib.identify import PROBE, Model, ProbedUnit, compares_contents, identify
from drivers.tools.lib.profile_folders import package_models
from hil.errors import BenchError
from hil.tools.commission.command import make_parser
from hil.tools.commission.device_description import DeviceDescription
from hil.tools.commission.inputs.dialogue import Dialogue
from protocols.modbus import pdu
from tests.hil.unit.test_commission import TABLE, cdu, command, site

__all__ = ["cdu", "site"]  # fixtures


class AnswersAll:
    """A client of a device that has each register, with one word in all of them."""

    def __init__(self, word: int) -> None:
        self.word = word

    def request(self, unit: int, request: bytes) -> TransactionResult:
        if request[0] == pdu.DEVICE_ID:
            return TransactionResult(0, unit, pdu.EXCEPTION, 1, (), 0)
        count = request[3] << 8 | request[4]
        return TransactionResult(0, unit, pdu.GOOD, 0, (self.word,) * count, 0)


@pytest.mark.parametrize("word", [0, 1, 0xFFFF])
def test_a_device_that_answers_every_address_is_no_proven_model(word: int) -> None:
    models = [Model(raw_profile(name)) for name in package_models()]
    client: Any = AnswersAll(word)
    assert [m.model for m in identify(ProbedUnit(client, 7), models) if m.method == PROBE] == []


def test_a_probe_for_a_register_without_its_contents_proves_nothing() -> None:
    assert not compares_contents(DeviceProfile(raw_profile("orv3_rpu")))
    assert compares_contents(DeviceProfile(raw_profile("abb_acs580")))
    assert compares_contents(DeviceProfile(raw_profile("sunspec_203")))


def unit(number: int, *, proven: bool) -> dict[str, Any]:
    model = "abb_acs580" if proven else ""
    return {"port": "tcp:127.0.0.1:1", "unit": number, "model": model, "proven": proven}


def describe(tmp_path: Path, units: list[dict[str, Any]], *options: str) -> list[str]:
    """Return the profiles of the units."""
    table = tmp_path / "t.csv"
    table.write_text(TABLE, encoding="utf-8")
    words = [word.replace("TABLE", str(table)) for word in options]
    work = DeviceDescription(
        make_parser().parse_args(words), Dialogue(assume_yes=True, as_json=False), tmp_path / "p"
    )
    return [device["profile"] for device in work.describe(units)]


def test_a_table_describes_the_only_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--table", "TABLE", "--model", "mycdu")
    assert describe(tmp_path, [unit(7, proven=True)], *options) == ["mycdu"]
    assert "it is abb_acs580; --table describes it" in capsys.readouterr().out
    mixed = [unit(7, proven=True), unit(8, proven=False)]
    assert describe(tmp_path, mixed, *options) == ["abb_acs580", "mycdu"]
    two = [unit(7, proven=True), unit(8, proven=True)]
    assert describe(tmp_path, two, *options, "--profile", "8=table") == ["abb_acs580", "mycdu"]


def test_a_given_profile_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(question: str, proposal: str, _: bool) -> str:
        asked.append(question)
        return proposal

    monkeypatch.setattr("hil.tools.commission.inputs.dialogue.prompt", answer)
    units = [unit(7, proven=True), unit(8, proven=True)]
    assert describe(tmp_path, units, "--profile", "7=orv3_rpu") == ["orv3_rpu", "abb_acs580"]
    assert [question for question in asked if "unit 7: name of a profile" in question] == []
    assert len([question for question in asked if "unit 8: name of a profile" in question]) == 1


@pytest.mark.parametrize(
    ("numbers", "options", "problem"),
    [
        ((7, 8), ("--table", "TABLE"), "--table: no device uses it; name the unit with --profile"),
        ((7,), ("--model", "mycdu"), "--model: no device uses it"),
        ((7,), ("--table", "TABLE", "--profile", "7=abb_acs580"), "--table: no device uses it"),
    ],
)
def test_a_table_or_model_without_effect_is_an_error(
    tmp_path: Path, numbers: tuple[int, ...], options: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(BenchError, match=problem):
        describe(tmp_path, [unit(number, proven=True) for number in numbers], *options)


@pytest.mark.parametrize("gauge", ["DewPointCelsius=20", "nosuch.SupplyPressurekPa=32"])
def test_a_gauge_without_its_point_is_an_error(
    cdu: str, site: Path, gauge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command(cdu, site, "--gauge", gauge, "--to", "values"))
    point = gauge.partition("=")[0]
    assert f"--gauge: no device has {point}; correct its name" in capsys.readouterr().err
