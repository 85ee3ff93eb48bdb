# SPDX-License-Identifier: Apache-2.0
"""Documents of the bench: they name all words, dialects, suites and commands."""

import pytest

from hil.campaign.hazard.invariants import NAMES
from hil.commands import HIL, hil
from hil.devices.gnss.dialects import DIALECTS
from hil.fault.gnss import RECEIVER_EVENTS
from hil.scenario.suite import suite_names
from hil.tools.listing import write_table
from tests.support.repository import ROOT

TEXT = (ROOT / "docs" / "technician" / "bench.md").read_text(encoding="utf-8")
RECEIVERS = (ROOT / "docs" / "engineer" / "emulated_receivers.md").read_text(encoding="utf-8")
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


def test_every_fault_word_of_a_receiver_is_documented() -> None:
    for name, fault_type in RECEIVER_EVENTS.items():
        low, high = fault_type.limits or (0, 0)
        limits = f"{low:g} to {high:g}" if fault_type.limits else "-"
        ends = "yes" if fault_type.undo else "no"
        assert f"| `{name}` | {fault_type.description} | {limits} | {ends} |" in RECEIVERS, name


def test_every_dialect_is_documented() -> None:
    for name in DIALECTS:
        assert f"| `{name}` |" in RECEIVERS, name


def test_the_table_of_invariants_is_that_of_the_hazard_analysis() -> None:
    page = (ROOT / "docs/technician/bench.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0] for line in page.splitlines() if line.startswith("| I")]
    assert rows == [f"| {name}" for name in NAMES]
