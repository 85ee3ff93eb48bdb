# SPDX-License-Identifier: Apache-2.0
"""Documents of the bench: they name all words, suites and commands."""

import pytest

from hil.commands import HIL, hil
from hil.scenario.suite import suite_names
from hil.tools.listing import write_table
from tests.support.repository import ROOT

TEXT = (ROOT / "docs" / "technician" / "bench.md").read_text(encoding="utf-8")
WORDS = (ROOT / "docs" / "reference" / "scenario_words.md").read_text(encoding="utf-8")


def test_fault_table_matches_the_code() -> None:
    """`make reference` writes the table."""
    assert write_table() in WORDS


def test_command_prints_the_fault_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert hil(["list", "--faults", "--table"]) == 0
    assert capsys.readouterr().out == write_table() + "\n"
    assert hil(["list", "--table"]) == 2
    assert "needs --faults" in capsys.readouterr().err


def test_suites_and_commands_are_documented() -> None:
    for name in suite_names():
        assert f"`{name}`" in TEXT, name
    for name in HIL:
        if name not in ("year", "hall"):  # separate pages
            assert f"coldloop hil {name}" in TEXT, name


def test_picture_is_small() -> None:
    assert (ROOT / "docs" / "images" / "page.png").stat().st_size <= 200_000
