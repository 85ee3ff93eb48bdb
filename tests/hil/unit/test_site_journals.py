# SPDX-License-Identifier: Apache-2.0
"""Each command returns the pending outputs of the other one before it takes a value as the old one.

The journals are as after SIGKILL. The CDU is a process.
"""

import json
from pathlib import Path

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.run.unit.unit_file import load_unit
from hil.tools.commission.outputs.endpoint_lock import PortLocks
from hil.tools.commission.outputs.journal import Journal, lock_folder
from hil.tools.commission.outputs.pending import (
    INTENDED,
    WRITTEN,
    OldWords,
    OutputFile,
    PendingOutputs,
)
from hil.tools.commission.outputs.run_guard import returned_outputs, unit_devices
from hil.tools.commission.outputs.site_journals import journal_path
from tests.hil.unit.test_commission import cdu, command, site
from tests.hil.unit.test_returned_outputs import _OLD, unit, words, write

__all__ = ["cdu", "site", "unit"]  # fixtures


def move(unit: Path, pending: PendingOutputs, port: str = "") -> None:
    """Move both outputs, as an agent that was killed has left them."""
    device = unit_devices(load_unit(unit))[0]
    device["port"] = port or device["port"]
    for point, address, word in (
        ("PumpSpeedControlPercent", 4, 617),
        ("ValvePositionControlPercent", 5, 415),
    ):
        old = OldWords(point, 3, address, [_OLD[address - 4]], [[390, 650]])
        pending.set_state(device, INTENDED, old)
        write(unit, address, word)
    pending.set_all(WRITTEN)


@pytest.mark.parametrize("name", ["unit.json", "another.json"])
def test_a_commissioning_returns_those_of_a_run(
    cdu: str, unit: Path, site: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = OutputFile(journal_path(site / name))
    move(unit, pending)
    capsys.readouterr()
    again = command(cdu, site, "--from", "write-test", "--to", "write-test", "--write-test")
    assert main([*again, "--json"]) == 0
    results = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    writes = next(r["result"] for r in results if r["step"] == "write-test")
    assert [write["before"] for write in writes] == [60.0, 40.0]
    assert words(unit) == _OLD
    assert not pending.path.exists()


@pytest.mark.parametrize("by_name", [False, True], ids=["same address", "name of the address"])
def test_a_run_returns_those_of_a_commissioning(
    unit: Path, site: Path, by_name: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    port = unit_devices(load_unit(unit))[0]["port"]
    move(unit, Journal(site).pending, port.replace("127.0.0.1", "localhost") if by_name else "")
    capsys.readouterr()
    with returned_outputs(load_unit(unit)):
        assert words(unit) == _OLD
        kept = [entry["old"]["words"] for entry in OutputFile(journal_path(unit)).entries]
        assert sorted(kept) == [[400], [600]]
    assert capsys.readouterr().err.count("are back after a test") == 4
    assert Journal(site).pending.entries == []
    assert Journal(site).get("check") is not None


def test_a_run_leaves_those_of_another_device(unit: Path, site: Path) -> None:
    journal = Journal(site)
    move(unit, journal.pending, "tcp:127.0.0.1:9")
    with returned_outputs(load_unit(unit)):
        assert len(Journal(site).pending.entries) == 2
    journal.pending.forget_all()


def test_a_commissioning_does_not_take_those_of_a_run_in_operation(
    cdu: str, unit: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = OutputFile(journal_path(unit))
    move(unit, pending)
    with PortLocks() as locks:
        locks.lock(cdu)
        with pytest.raises(SystemExit, match="2"):
            main(command(cdu, site, "--from", "write-test"))
    assert "another `coldloop commission` or `coldloop hil run --unit` works" in (
        capsys.readouterr().err
    )
    assert words(unit) == [617, 415]
    pending.forget_all()


def test_a_run_does_not_change_the_journal_of_a_commissioning_in_operation(
    unit: Path, site: Path
) -> None:
    move(unit, Journal(site).pending)
    with (
        lock_folder(site),
        pytest.raises(BenchError, match="works with this folder"),
        returned_outputs(load_unit(unit)),
    ):
        pytest.fail("it ran")
    assert words(unit) == [617, 415]
