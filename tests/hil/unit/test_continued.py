# SPDX-License-Identifier: Apache-2.0
"""A commissioning that is continued has all arguments of its earlier calls."""

import json
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.record.record import read
from hil.tools.commission.findings import indistinct_gauges
from hil.tools.commission.inputs import given_arguments
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.steps import Commissioning
from tests.hil.unit.test_commission import cdu, command, site

__all__ = ["cdu", "site"]

_FIRST = (
    *("--setpoint-kpa", "55", "--setpoint-c", "35", "--site", "north", "--name", "cdue"),
    *("--operator", "Eve", "--serial", "SN-77", "--seconds", "40"),
)
_STEPS = ("ports", "scan", "describe", "values", "write_test", "propose", "check")


def first_call(cdu: str, site: Path, *options: str) -> list[str]:
    return [*command(cdu, site), *_FIRST, *options]


def again(site: Path, *options: str) -> list[str]:
    return ["commission", "--dir", str(site), "--yes", "--write-test", *options]


def unit(site: Path) -> tuple[Any, ...]:
    raw = json.loads((site / "unit.json").read_text())
    control = raw["control"]
    setpoints = control["supply"]["setpoint_c"], control["dp"]["setpoint_kpa"]
    return raw["site"], raw["unit"], *setpoints


WANTED = ("north", "cdue", 35.0, 55.0)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", _STEPS)
def test_a_call_that_was_interrupted_keeps_its_arguments(
    step: str, cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Commissioning, step, interrupt)
        with pytest.raises(SystemExit, match="130"):
            main(first_call(cdu, site, "--write-test"))
    assert "continues (give --write-test --yes again)" in capsys.readouterr().err
    assert main(again(site, "--to", "check")) == 0
    assert unit(site) == WANTED
    journal = json.loads((site / "commission.json").read_text())
    assert journal["arguments"]["serial"] == "SN-77"
    assert journal["arguments"]["operator"] == "Eve"
    assert len(journal["steps"]["values"]["result"]["gauges"]) == 6
    assert set(journal["arguments"]) <= {*given_arguments._STORED, given_arguments._COMPARED}
    assert journal["steps"]["values"]["result"]["earlier"] == []


def test_gauges_that_are_not_read_again_are_marginal(cdu: str, site: Path) -> None:
    """A repeated comparison has new values; a gauge is a reading, and not a setting."""

    def near() -> list[str]:
        journal = json.loads((site / "commission.json").read_text())
        return sorted(indistinct_gauges(journal["steps"]["values"]["result"]))

    assert main(first_call(cdu, site, "--to", "values")) == 0
    assert near() == []
    for _ in range(2):
        read_again = "cdu.SupplyTemperatureCelsius=36.2"
        words = again(site, "--from", "values", "--to", "values", "--gauge", read_again)
        assert main(words) == 0
        assert near() == [
            "cdu.DeltaPressurekPa",
            "cdu.PumpSpeedControlPercent",
            "cdu.ReturnTemperatureCelsius",
            "cdu.ValvePositionControlPercent",
        ]
    assert main(again(site, "--from", "values", "--to", "values")) == 0
    assert "cdu.SupplyTemperatureCelsius" in near()
    assert main(first_call(cdu, site, "--from", "values", "--to", "values")) == 0
    assert near() == []


def test_a_repeated_step_keeps_its_arguments(cdu: str, site: Path) -> None:
    assert main(first_call(cdu, site, "--write-test", "--to", "check")) == 0
    for step in ("write-test", "propose", "ports"):
        (site / "unit.json").unlink()
        assert main(again(site, "--from", step, "--to", "check")) == 0
        assert unit(site) == WANTED, step


def test_a_failed_step_keeps_its_arguments(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(first_call(cdu, site, "--write-test", "--to", "check")) == 0
    path = site / "commission.json"
    journal = json.loads(path.read_text())
    del journal["arguments"]  # of an earlier version: only the steps that are done have them
    journal["steps"]["write-test"]["result"][0]["state"] = "failed"
    path.write_text(json.dumps(journal))
    (site / "unit.json").unlink()
    assert main(again(site, "--to", "check")) == 0
    assert "step `write-test` has failed before" in capsys.readouterr().out
    assert unit(site) == WANTED


def test_the_record_has_the_labels_of_the_first_call(cdu: str, site: Path) -> None:
    assert main(first_call(cdu, site, "--to", "ports")) == 0
    assert main(again(site)) == 0
    record = json.dumps(read(site / "report" / "record.json"))
    assert "SN-77" in record
    assert "Eve" in record


def test_a_change_of_an_argument_is_named(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(first_call(cdu, site, "--to", "scan")) == 0
    words = ("--setpoint-kpa", "70", "--gauge", "SupplyTemperatureCelsius=36", "--site", "north")
    capsys.readouterr()
    assert main(again(site, *words, "--to", "check")) == 0
    text = capsys.readouterr().out
    assert "  setpoint_kpa: 70.0; an earlier call had 55.0" in text
    assert "  gauge: [" in text
    assert "site: " not in text
    assert unit(site) == ("north", "cdue", 35.0, 70.0)
    gauges = json.loads((site / "commission.json").read_text())["steps"]["values"]["result"]
    found = {gauge["point"]: gauge["gauge"] for gauge in gauges["gauges"]}
    assert found["cdu.SupplyTemperatureCelsius"] == 36.0  # the new one
    assert found["cdu.ReturnTemperatureCelsius"] == 41.8  # of the first call
    assert main(again(site, *words, "--to", "check")) == 0  # the same words are no change


def test_an_answer_is_kept_as_an_argument(
    cdu: str, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"differential pressure set-point, kPa": "55", "supply temperature set-point": "35"}

    def ask(_: Dialogue, question: str, proposal: str) -> str:
        return next((a for text, a in answers.items() if question.startswith(text)), proposal)

    words = [word for word in first_call(cdu, site, "--to", "check") if word != "--yes"]
    at = [i for i, word in enumerate(words) if word.startswith("--setpoint")]
    words = [w for i, w in enumerate(words) if i not in at and i - 1 not in at]
    with monkeypatch.context() as patch:
        patch.setattr(Dialogue, "ask", ask)
        patch.setattr(Dialogue, "confirm", lambda *_: False)
        assert main(words) == 0
    assert unit(site) == WANTED
    (site / "unit.json").unlink()
    words = ["commission", "--dir", str(site), "--yes", "--to", "check"]
    assert main([*words, "--from", "propose"]) == 0
    assert unit(site) == WANTED
    assert main([*words, "--setpoint-kpa", "55"]) == 0
