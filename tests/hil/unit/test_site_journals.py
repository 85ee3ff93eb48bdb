# SPDX-License-Identifier: Apache-2.0
"""Each command returns the pending outputs of the other one before it takes a value as the old one.

The journals are as after SIGKILL. The CDU is a process.
"""

import copy
import json
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from drivers.errors import PortError
from hil.errors import BenchError
from hil.run.unit.unit_file import load_unit
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.endpoint_lock import PortLocks
from hil.tools.commission.outputs.journal import Journal, lock_folder
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.pending import (
    INTENDED,
    NOT_RETURNED,
    OldWords,
    OutputFile,
    PendingOutputs,
)
from hil.tools.commission.outputs.pending_index import read_notes, store_note
from hil.tools.commission.outputs.run_guard import returned_outputs
from hil.tools.commission.outputs.site_journals import journal_path, unit_devices
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
    pending.set_all(NOT_RETURNED)


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


def test_an_address_that_is_no_longer_in_the_configuration_is_left_alone(
    unit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another CDU can have it now; perhaps another program works with it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        pending = OutputFile(journal_path(unit))
        move(unit, pending, f"tcp:127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(BenchError, match="not back"), returned_outputs(load_unit(unit)):
            pytest.fail("it ran")
        with pytest.raises(BlockingIOError):
            server.accept()
    error = capsys.readouterr().err
    assert error.count(f"this address is no longer in {unit}") == 2
    assert f"write them yourself and delete {pending.path}" in error
    pending.forget_all()


@pytest.mark.parametrize("kind", ["run", "commissioning"])
def test_pending_outputs_of_another_folder_are_not_taken_as_those_of_before(
    cdu: str, unit: Path, site: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A copy of the configuration does not know the journal of the first folder."""
    copied = tmp_path / "copy"
    shutil.copytree(site, copied)
    journal = OutputFile(journal_path(unit)) if kind == "run" else Journal(site).pending
    move(unit, journal)
    with (
        pytest.raises(BenchError, match=r"an interrupted test of 20.* has moved PumpSpeed"),
        returned_outputs(load_unit(copied / "unit.json")),
    ):
        pytest.fail("it ran")
    with pytest.raises(SystemExit, match="2"):
        main(command(cdu, copied, "--from", "write-test", "--write-test"))
    assert str(journal.path) in capsys.readouterr().err
    (copied / "commission.json").unlink()  # its write test is to be repeated
    assert words(unit) == [617, 415]
    with returned_outputs(load_unit(unit)):
        assert words(unit) == _OLD
    with returned_outputs(load_unit(copied / "unit.json")):
        pass
    assert read_notes() == []


def test_a_lost_journal_of_another_device_stops_no_test(unit: Path, tmp_path: Path) -> None:
    removed = tmp_path / "removed" / "unit.json.outputs"
    store_note(removed, [_GOOD])
    with returned_outputs(load_unit(unit)):
        assert removed in [found.journal for found in read_notes()]
    store_note(removed, [])


_LOST = (
    r"has moved PumpSpeedControlPercent, register 4, old words \[600\].*no longer has them.*delete"
)


def tried(cdu: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the error of a commissioning that must not start."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(command(cdu, folder, "--from", "write-test", "--to", "check", "--write-test"))
    return capsys.readouterr().err


def test_a_folder_that_was_renamed_is_no_proof_that_outputs_are_back(
    cdu: str, unit: Path, site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(site, copied)
    move(unit, Journal(site).pending)
    site.rename(tmp_path / "renamed")
    for _ in range(2):  # a refusal does not remove the note
        assert re.search(_LOST, tried(cdu, copied, capsys))
    (copied / "commission.json").unlink()  # its write test is to be repeated
    with (
        pytest.raises(BenchError, match=_LOST),
        returned_outputs(load_unit(copied / "unit.json")),
    ):
        pytest.fail("it ran")
    assert words(copied / "unit.json") == [617, 415]
    (found,) = read_notes()
    again = command(cdu, tmp_path / "renamed", "--from", "check", "--to", "check")
    assert main(again) == 0
    assert words(copied / "unit.json") == _OLD
    found.file.unlink()
    with returned_outputs(load_unit(copied / "unit.json")):
        pass
    (tmp_path / "renamed").rename(site)


@pytest.mark.parametrize("kind", ["run", "commissioning"])
def test_a_folder_that_was_restored_is_no_proof_that_outputs_are_back(
    cdu: str, unit: Path, site: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(site, copied)
    move(unit, OutputFile(journal_path(unit)) if kind == "run" else Journal(site).pending)
    shutil.rmtree(site)
    shutil.copytree(copied, site)
    for _ in range(2):
        assert re.search(_LOST, tried(cdu, site, capsys))
    with pytest.raises(BenchError, match=_LOST), returned_outputs(load_unit(unit)):
        pytest.fail("it ran")
    assert words(unit) == [617, 415]
    for found in read_notes():
        found.file.unlink()


def change_unit(unit: Path, number: int) -> None:
    raw = json.loads(unit.read_text(encoding="utf-8"))
    raw["devices"][0]["unit"] = number
    unit.write_text(json.dumps(raw), encoding="utf-8")


@pytest.mark.parametrize("journal", ["run", "another run", "commissioning"])
def test_a_unit_address_that_is_no_longer_in_the_configuration_is_left_alone(
    unit: Path, site: Path, journal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Behind a gateway or on a line, the same port with another unit address is another CDU."""
    before = unit.read_text(encoding="utf-8")
    commissioning = Journal(site)
    pending = {
        "run": OutputFile(journal_path(unit)),
        "another run": OutputFile(journal_path(site / "another.json")),
        "commissioning": commissioning.pending,
    }[journal]
    move(unit, pending)
    change_unit(unit, 8)
    capsys.readouterr()
    with pytest.raises(BenchError), returned_outputs(load_unit(unit)):
        pytest.fail("it ran")
    unit.write_text(before, encoding="utf-8")
    assert words(unit) == [617, 415]
    error = capsys.readouterr().err
    assert error.count(f"this address is no longer in {unit}") == 2 * (journal == "run")
    pending.forget_all()


def test_a_commissioning_leaves_a_unit_address_of_no_configuration(
    cdu: str, unit: Path, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = OutputFile(journal_path(site / "another.json"))
    move(unit, pending)
    for entry in pending.entries:
        entry["device"]["unit"] = 8
    pending.store()
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(command(cdu, site, "--to", "values"))
    assert capsys.readouterr().err.count("this address is in no configuration of this folder") == 2
    assert words(unit) == [617, 415]
    pending.forget_all()


def test_an_unknown_profile_names_output_words_and_way_out(
    unit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = OutputFile(journal_path(unit))
    move(unit, pending)
    for entry in pending.entries:
        entry["device"]["profile"] = "renamed"
    pending.store()
    with pytest.raises(BenchError, match="not back"), returned_outputs(load_unit(unit)):
        pytest.fail("it ran")
    error = capsys.readouterr().err
    assert "PumpSpeedControlPercent, register 4: the old words [600] are not back" in error
    assert "the profile renamed is no longer beside" in error
    assert f"delete {pending.path}" in error
    pending.forget_all()


_GOOD: dict[str, Any] = {
    "device": {"name": "cdu", "port": "tcp:127.0.0.1:9", "unit": 7, "profile": "acme"},
    "old": {"point": "Pump", "function": 3, "address": 4, "words": [600], "ours": [[590, 620]]},
    "state": "written",
}
_WRONG: tuple[Any, ...] = (None, 7, "x", [], [7], {}, {"x": 1}, -1.5, True)


def damaged() -> Iterator[Any]:
    """Yield an entry with each value replaced by each wrong one that has another type."""
    yield from _WRONG
    for path in (["device"], ["old"], *(["device", k] for k in _GOOD["device"]),
                 *(["old", k] for k in _GOOD["old"])):  # fmt: skip
        for wrong in _WRONG:
            entry = copy.deepcopy(_GOOD)
            target: Any = entry
            for key in path[:-1]:
                target = target[key]
            if type(target[path[-1]]) is not type(wrong):
                target[path[-1]] = wrong
                yield entry


def fail_to_open(_: object) -> DeviceAccess:
    raise PortError("no route")


def test_each_damaged_entry_is_one_line_or_harmless(tmp_path: Path) -> None:
    path, journal = tmp_path / "unit.json.outputs", tmp_path / "commission.json"
    refused = 0
    for entry in damaged():
        path.write_text(json.dumps({"format": "coldloop-outputs-1", "outputs": [entry]}))
        content = {"format": "coldloop-commission-1", "steps": {}, "pending-write": [entry]}
        journal.write_text(json.dumps(content))
        for read in (OutputFile, lambda _: Journal(tmp_path).pending):
            try:
                pending = read(path)
            except BenchError as error:
                assert "not a journal of" in str(error)  # noqa: PT017
                refused += 1
                continue
            assert len(OutputGuard(pending, print, fail_to_open).restore_all()) < 2
    assert refused > 140


@pytest.mark.parametrize(
    "steps",
    ["[7]", '{"ports": 7}', '{"ports": {}}', '{"a": {"utc": "", "result": 1, "arguments": 5}}'],
)
def test_a_damaged_step_is_one_line(tmp_path: Path, steps: str) -> None:
    text = f'{{"format": "coldloop-commission-1", "steps": {steps}}}'
    (tmp_path / "commission.json").write_text(text)
    with pytest.raises(BenchError, match="not a journal"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp:127.0.0.1:18701", "tcp:0.0.0.0:18701"),
        ("tcp:127.0.0.1:18701", "tcp:localhost:18701"),
        ("tcp:127.0.0.1:18701", "tcp:[::1]:18701"),
        ("tcp:127.0.0.1:18701", "tcp:[::ffff:127.0.0.1]:18701"),
        ("tcp:10.0.0.7:502", "tcp:[::ffff:10.0.0.7]:502"),
    ],
)
def test_names_of_one_endpoint_have_one_lock(one: str, other: str) -> None:
    with PortLocks() as locks, PortLocks() as others:
        locks.lock(one)
        with pytest.raises(BenchError, match="works with this port"):
            others.lock(other)
        others.lock("tcp:127.0.0.1:18702")


def test_a_damaged_configuration_does_not_hide_moved_outputs(
    unit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = unit.read_bytes()
    pending = OutputFile(journal_path(unit))
    move(unit, pending)
    unit.write_text("{")
    capsys.readouterr()
    assert main(["hil", "run", "acceptance", "--unit", str(unit), "--real"]) == 2
    error = capsys.readouterr().err
    assert "not JSON" in error
    for text in ("PumpSpeedControlPercent, register 4, is perhaps not at its old words [600]",
                 "ValvePositionControlPercent, register 5", f"delete {pending.path}"):  # fmt: skip
        assert text in error
    unit.write_bytes(before)
    with returned_outputs(load_unit(unit)):
        assert words(unit) == _OLD
