# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet` on a store that the relay has written."""

import argparse
import csv
import json
import sqlite3
import time
from pathlib import Path

import pytest

from deploy.commands import fleet
from deploy.ops.fleet import command_export
from deploy.ops.fleet.store_reader import FleetReader
from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.outputs.base import OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = str(tmp_path / "fleet.db")
    now_ms = time.time_ns() // 1_000_000
    output = FleetStoreOutput(
        OutputContext(path, "r", "", None, lambda: 0, lambda: now_ms, dict)  # type: ignore[arg-type]
    )
    for unit, age_s in (("s1/u1", 5), ("s1/u2", 7200), ("s2/u1", 5)):
        first = now_ms - age_s * 1000
        values: list[tuple[int, list[float | None]]] = [(first, [1.0, 2.0, 20.5])]
        output.deliver([Rows(unit, 7, 1, ("clock", "state", "supply"), values, "010203")])
    alarm = {"alarm": "raised", "code": "leak_critical:l1", "text": "wet"}
    output.deliver([Note("s1/u1", 4, alarm, "010203", now_ms)])
    output.on_unit_report("s1/u1", json.dumps({"version": 3, "hash": "ab" * 32}).encode())
    output.process()
    output.close()
    return path


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_list_and_show(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet(["list", "--store", store]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == [
        *("unit", "data", "age", "online", "clock", "state", "alarms", "priority", "version")
    ]
    assert len(text.splitlines()) == 4
    assert fleet(["list", "s1/*", "--store", store, "--json"]) == 0
    first, second = lines(capsys)
    assert (first["unit"], first["clock"], first["state"], first["alarms"], first["priority"]) == (
        *("s1/u1", "sync", "safe", 1, 1),
    )
    assert second["alarms"] == 0
    assert fleet(["show", "s1/u1", "--store", store]) == 0
    text = capsys.readouterr().out
    assert "leak_critical:l1" in text
    assert "20.5" in text
    assert fleet(["list", "x*", "--store", store]) == 1
    capsys.readouterr()
    for wrong in (["show", "s1/*", "--store", store], ["list", "--store", "/no/file"], ["nothing"]):
        assert fleet(wrong) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_alarms_late_versions(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet(["alarms", "--store", store, "--json"]) == 0
    assert [row["code"] for row in lines(capsys)] == ["leak_critical:l1"]
    assert fleet(["alarms", "s2/*", "--store", store]) == 1
    capsys.readouterr()
    assert fleet(["alarms", "--store", store]) == 0
    assert capsys.readouterr().out.split()[:4] == ["unit", "priority", "number", "time"]
    assert fleet(["alarms", "--since", "1h", "--store", store]) == 0
    assert "raised" in capsys.readouterr().out
    assert fleet(["late", "--store", store, "--json"]) == 1
    assert [row["unit"] for row in lines(capsys)] == ["s1/u2"]
    assert fleet(["late", "--after", "9000", "--store", store]) == 0
    capsys.readouterr()
    assert fleet(["versions", "--store", store, "--json"]) == 0
    assert [row["hash"] for row in lines(capsys)] == ["ab" * 6, "", ""]


def test_export(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fleet(["export", "s1/*", "--since", "1h", "--store", store]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "unit,time,signal,value"
    assert [row.split(",")[2:] for row in rows[1:]] == [
        ["clock", "1.0"],
        ["state", "2.0"],
        ["supply", "20.5"],
    ]
    assert fleet(["export", "--undated", "--store", store]) == 1
    assert fleet(["export", "--since", "yesterday", "--store", store]) == 2
    for argument in ("", " "):
        assert fleet(["export", "--since", argument, "--store", store]) == 2
    assert fleet(["export", "--since", "1h", "--until", "2h", "--store", store]) == 2
    capsys.readouterr()


def open_output(path: str, now_ms: int) -> FleetStoreOutput:
    return FleetStoreOutput(
        OutputContext(path, "r", "", None, lambda: 0, lambda: now_ms, dict)  # type: ignore[arg-type]
    )


def test_no_name_is_a_formula_in_a_spreadsheet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ('=HYPERLINK("http://x/","y")', "+1", "-1", "@SUM(A1)", "\t=1", "a=1")
    output = open_output(str(tmp_path / "f"), 1000)
    output.deliver([Rows("s1/u1", 7, 1, names, [(500, [1.0] * len(names))], "01")])
    output.close()
    assert fleet(["export", "--store", str(tmp_path / "f")]) == 0
    found = [row[2] for row in csv.reader(capsys.readouterr().out.splitlines())]
    assert found == ["signal", *("'" + name for name in names[:4]), "\\t=1", "a=1"]


def test_a_unit_has_its_own_units_of_measure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first unit with a name, perhaps a bad one, decides nothing for the others."""
    path, now_ms = str(tmp_path / "f"), 1_000_000

    def shown(unit: str) -> object:
        capsys.readouterr()
        assert fleet(["show", unit, "--json", "--store", path]) == 0
        (found,) = lines(capsys)
        return [value["unit"] for value in found["values"]]  # type: ignore[attr-defined]

    for number, unit, measure in (
        (1, "s1/bad", "K"),
        (1, "s1/u1", "Cel"),
        (2, "s1/bad", "Pa"),
        (2, "s1/u1", "K"),
        (3, "s1/u1", "Cel"),
    ):
        output = open_output(path, now_ms)
        rows = [(number * 1000, [20.5])]
        output.deliver([Rows(unit, number, 1, ("supply",), rows, "01", units=(measure,))])
        output.close()
        assert shown(unit) == [measure]
    assert (shown("s1/bad"), shown("s1/u1")) == (["Pa"], ["Cel"])
    db = sqlite3.connect(path)
    db.execute("DROP TABLE measure")  # a file of an earlier version
    db.close()
    assert shown("s1/u1") == ["K"]


def test_the_newest_changes_of_the_history(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    now_ms = time.time_ns() // 1_000_000
    output = open_output(store, now_ms)
    for number in range(5, 25):
        alarm = {"alarm": "raised", "code": f"leak_critical:l{number}", "text": "wet"}
        output.deliver([Note("s1/u2", number, alarm, "01", now_ms + number if number > 6 else 0)])
    output.close()
    capsys.readouterr()
    assert fleet(["alarms", "--since", "1h", "--limit", "3", "--json", "--store", store]) == 0
    assert [row["code"] for row in lines(capsys)] == [f"leak_critical:l{n}" for n in (22, 23, 24)]
    assert fleet(["alarms", "--since", "1h", "--json", "--store", store]) == 0
    codes = [row["code"] for row in lines(capsys)]
    assert codes == [f"leak_critical:l{n}" for n in (5, 6, 1, *range(7, 25))]
    assert fleet(["alarms", "--limit", "3", "--store", store]) == 2
    for wrong in ("0", "x"):
        with pytest.raises(SystemExit):
            fleet(["alarms", "--since", "1h", "--limit", wrong, "--store", store])


@pytest.mark.parametrize("undated", [False, True])
def test_an_export_that_waits_does_not_hold_up_the_relay(tmp_path: Path, undated: bool) -> None:
    """A transaction of a reader keeps the log of changes (WAL) growing."""
    path = str(tmp_path / "f")
    output = open_output(path, 10**12)
    for unit in ("s1/u1", "s1/u2"):
        for number in range(300):
            at = 1_700_000_000_000 + 7 * number
            rows = Rows(unit, number, 1, ("a",), [(at, [1.0])], "01", number % 3, not undated)
            output.deliver([rows])
    arguments = argparse.Namespace(pattern="*", undated=undated)
    with FleetReader(path) as reader:
        blocks = command_export._StoredBlocks(reader, arguments, 0, 1 << 62)
        found = list(blocks)
        assert len(found) == 600
        keys = [(block["unit"], block["run"] * undated, block["first_ms"]) for block in found]
        assert keys == sorted(keys)
        each = iter(blocks)
        next(each)
        writer = sqlite3.connect(path, timeout=0.1)
        writer.execute("INSERT INTO unit (unit) VALUES ('s2/u')")
        writer.commit()
        assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
        writer.close()
    output.close()
