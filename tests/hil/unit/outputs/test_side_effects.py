# SPDX-License-Identifier: Apache-2.0
"""A test of one output that moves another one: it is named, returned, and the command fails."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coldloop import main
from hil.errors import BenchError
from hil.tools.commission.device_access import DeviceAccess
from hil.tools.commission.outputs.journal import Journal
from hil.tools.commission.outputs.output_guard import OutputGuard
from hil.tools.commission.outputs.output_watch import OutputWatch, SideEffect
from hil.tools.commission.outputs.pending import Device, PendingOutputs
from hil.tools.commission.table_profile import make_profile
from protocols.modbus import pdu
from tests.hil.unit.test_commission import TABLE, cdu, command, site, words_of

__all__ = ["cdu", "site"]  # fixtures


def run(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, list[dict[str, Any]]]:
    """Run the write test; return its exit code and its results."""
    words = command(cdu, site, "--write-test", "--to", "write-test", "--json", *options)
    code = main(words)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return code, lines[-1]["result"]


@pytest.mark.parametrize("cdu", ["linked"], indirect=True)
def test_a_side_effect_is_named_and_returned(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, (pump, valve) = run(cdu, site, capsys)
    assert code == 1
    assert pump["state"] == "failed"
    text = "cdu.ValvePositionControlPercent has moved from [400] to [1000] during the test of"
    assert text in pump["reason"]
    assert "it has its old words again" in pump["reason"]
    assert (valve["state"], valve["before"]) == ("done", 40.0)
    assert words_of(cdu, capsys, 4, 2) == [600, 400]
    assert Journal(site).pending.entries == []


@pytest.mark.parametrize("cdu", ["late"], indirect=True)
def test_a_late_side_effect_is_found_at_the_end(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, results = run(cdu, site, capsys)
    assert code == 1
    assert "has moved from [400] to [1000]" in results[-1]["reason"]
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


@pytest.mark.parametrize("cdu", ["crossed"], indirect=True)
def test_outputs_that_move_each_other_end_the_test(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them stays away from its old words: it is named, and stays in the journal."""
    code, (pump, valve) = run(cdu, site, capsys)
    assert code == 1
    assert pump["state"] == "left"
    assert valve["state"] == "not tested"
    pending = Journal(site).pending.entries
    assert [entry["state"] for entry in pending] == ["written"]
    assert pending[0]["old"]["words"] in ([600], [400])


@pytest.mark.parametrize("cdu", ["linked lag"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_side_effect_of_an_interrupted_test(
    cdu: str, site: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """After Ctrl-C the valve is back. After SIGKILL the next call only names it."""
    words = command(cdu, site, "--write-test", "--to", "write-test")
    journal = site / "commission.json"
    code = "import sys, coldloop; sys.exit(coldloop.main(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", code, *words]) as program:
        while '"written"' not in (journal.read_text() if journal.exists() else ""):
            assert program.poll() is None
            time.sleep(0.01)
        ends = time.monotonic() + 20
        while words_of(cdu, capsys, 5, 1) != [1000]:
            assert time.monotonic() < ends
        program.send_signal(number)
        program.wait(30)
    if number == signal.SIGINT:
        assert words_of(cdu, capsys, 5, 1) == [400]
        assert Journal(site).pending.entries == []
        return
    assert {entry["state"] for entry in Journal(site).pending.entries} == {"written", "watched"}
    main(command(cdu, site, "--to", "values"))
    assert "register 5: it holds [1000], and had [400] before the test of another output" in (
        capsys.readouterr().out
    )
    assert Journal(site).pending.entries == []


@pytest.mark.parametrize("cdu", ["linked quick"], indirect=True)
def test_a_side_effect_of_a_step_test_fails_and_gives_no_gains(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(command(cdu, site, "--to", "twin-acceptance", "--mode", "auto"))
    capsys.readouterr()
    assert main(command(cdu, site, "--tune", "--to", "tune", "--json")) == 1
    results = json.loads(capsys.readouterr().out.splitlines()[-1])["result"]
    pump = next(result for result in results if result["loop"] == "dp")
    assert (pump["state"], pump["process"]) == ("failed", None)
    assert "cdu.ValvePositionControlPercent has moved from [400] to [1000]" in pump["reason"]
    assert "gains" not in pump
    assert words_of(cdu, capsys, 4, 2) == [600, 400]


@pytest.mark.parametrize("cdu", ["linked"], indirect=True)
def test_a_full_disk_does_not_end_the_way_back(cdu: str) -> None:
    """The journal cannot be written from the first comparison on; the valve returns."""
    is_full = False

    def store() -> None:
        if is_full:
            raise BenchError("commission.json: No space left on device")

    device = {"name": "cdu", "port": cdu, "unit": 7, "profile": "acme"}
    raw = make_profile(TABLE, "t", "acme", "o")

    def open_device(_: Device) -> DeviceAccess:
        return DeviceAccess(cdu, 7, raw)

    pending = PendingOutputs([], store)
    guard = OutputGuard(pending, print, open_device)
    watch = OutputWatch(guard, [device], open_device, print)
    with watch:
        watch.start()
        with open_device(device) as access:
            access.request(pdu.write_single(4, 620))
            access.request(pdu.write_single(4, 600))
        is_full = True
        with pytest.raises(BenchError, match="No space left"):
            watch.settle()
        with open_device(device) as access:
            assert access.read_words(3, 4, 2)[0] == [600, 400]
        is_full = False
    assert pending.entries == []


@pytest.mark.parametrize("cdu", ["shifted"], indirect=True)
def test_a_write_that_lands_in_another_register_is_named_until_it_is_back(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way back of the valve lands in the status word."""
    code, results = run(cdu, site, capsys)
    assert code == 1
    assert words_of(cdu, capsys, 5, 2)[1] == 400
    text = "register 6, has changed from [3] to [400], a word of this test: a write has landed"
    assert sum(text in result["reason"] for result in results) == 1
    assert {result["state"] for result in results} == {"left", "not tested"}
    states = {entry["old"]["address"]: entry["state"] for entry in Journal(site).pending.entries}
    assert states == {5: "written", 6: "beside"}
    words = command(cdu, site, "--write-test", "--to", "write-test")
    for _ in range(2):
        with pytest.raises(SystemExit, match="2"):
            main(words)
        error = capsys.readouterr().err
        assert "register 6: the old words [3] are not back after a test: it holds [400]" in error
        assert "this command does not write it" in error


def test_a_register_with_another_word_is_no_side_effect(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = OutputWatch.settle

    def change(watch: OutputWatch) -> list[SideEffect]:
        assert {old.address for _, old in watch._beside} == {6, 7}
        watch._beside = [(device, old._replace(words=[2])) for device, old in watch._beside]
        return settle(watch)

    monkeypatch.setattr(OutputWatch, "settle", change)
    assert run(cdu, site, capsys)[0] == 0


@pytest.mark.parametrize("cdu", ["shifted"], indirect=True)
def test_a_set_point_beside_an_output_is_compared_too(
    cdu: str, site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [line for line in TABLE.splitlines() if line[0] != "6"]
    row = "6;Room temperature limit;u16;0.1;°C;RW;"
    (site.parent / "table.csv").write_text("\n".join([*rows, row]), encoding="utf-8")
    table = (site.parent / "table.csv").read_text().replace(";bits", ";bits;role")
    (site.parent / "table.csv").write_text(table.replace(row, f"{row};monitor"), encoding="utf-8")
    results = run(cdu, site, capsys)[1]
    assert "register 6, has changed from [3] to [400]" in str(results)
