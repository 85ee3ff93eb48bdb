# SPDX-License-Identifier: Apache-2.0
"""Fleet store, `coldloop fleet` and the quarantine with bad texts, numbers and files."""

import json
import sqlite3
from pathlib import Path

import pytest

from deploy.commands import fleet
from deploy.errors import DeployError
from deploy.relay import command
from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.outputs.base import OutputContext, OutputError
from deploy.relay.outputs.fleet_store import FleetStoreOutput
from deploy.relay.records.database import RelayDatabase
from tests.deploy.relay.relay_rig import PipelineRig

BAD = "s1/bad"
GOOD = [f"s1/u{i}" for i in range(10)]
STATE = b'{"online":true,"version":"1.0"}'
SURROGATE = b'{"online":true,"version":"\\ud800","hash":"\\ud800","phase":"\\ud800"}'
ESCAPES = "\x1b[2J\x07\n\x9b"
HUGE = "9" * 23
COMMANDS = (
    ("list",),
    ("show", BAD),
    ("versions",),
    ("alarms",),
    ("alarms", "--since", "1970-01-01"),
    ("late", "--after", "-999999999999999"),
    ("export",),
)


def open_output(path: Path) -> FleetStoreOutput:
    return FleetStoreOutput(
        OutputContext(str(path), "r", "", None, lambda: 0, lambda: 0, dict)  # type: ignore[arg-type]
    )


def stored(path: Path, column: str) -> dict[str, object]:
    db = sqlite3.connect(path)
    try:
        return dict(db.execute(f"SELECT unit, {column} FROM unit").fetchall())
    finally:
        db.close()


def is_plain(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


# --- One bad unit in the fleet store -------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [SURROGATE, b'{"version":"\xff"}', b'{"version":%s}' % (b"9" * 5000), b"[" * 100_000],
)
def test_a_bad_state_affects_no_other_unit(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "fleet.db"
    output = open_output(path)
    for unit in [BAD, *GOOD]:
        output.on_unit_state(unit, payload if unit == BAD else STATE)
        output.on_unit_report(unit, payload if unit == BAD else STATE)
    output.process()
    found = stored(path, "version")
    assert [found[unit] for unit in GOOD] == ["1.0"] * 10
    assert all(stored(path, "report")[unit] for unit in GOOD)
    other = sqlite3.connect(path, timeout=0)
    other.execute("BEGIN IMMEDIATE")  # no transaction is left open
    other.close()
    output.close()


def test_a_unit_that_sqlite_refuses_is_dropped_alone(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    output = open_output(path)
    for unit in ["s1/\ud800", *GOOD]:
        output.on_unit_state(unit, STATE)
    output.process()
    assert sorted(stored(path, "online")) == GOOD
    output.close()


@pytest.mark.parametrize(
    ("error", "expected"), [(sqlite3.DatabaseError, OutputError), (KeyError, KeyError)]
)
def test_a_failed_write_keeps_all_states(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    expected: type[Exception],
) -> None:
    path = tmp_path / "fleet.db"
    output = open_output(path)

    def fail(unit: str, payload: bytes) -> None:
        raise error("x")

    output.on_unit_state(GOOD[0], STATE)
    output.on_unit_report(GOOD[1], STATE)
    with monkeypatch.context() as patch:
        patch.setattr(output, "_write_report", fail)
        with pytest.raises(expected):
            output.process()
    assert stored(path, "online") == {}
    output.process()
    assert sorted(stored(path, "online")) == GOOD[:2]
    output.close()


def test_an_alarm_with_a_surrogate_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    output = open_output(path)
    content = {"alarm": "raised", "code": "a\ud800", "text": "\ud800"}
    output.deliver([Note(BAD, 4, content, "01", 1000)])
    output.close()
    db = sqlite3.connect(path)
    assert db.execute("SELECT code, text FROM alarm").fetchall() == [("a\\ud800", "\\ud800")]
    db.close()


# --- Texts of units on the terminal ---------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = tmp_path / "relay.db.fleet"
    output = open_output(path)
    text = json.dumps({"version": ESCAPES, "hash": ESCAPES, "phase": "\ud800", "update": ESCAPES})
    output.on_unit_state(BAD, text.encode())
    output.on_unit_report(BAD, text.encode())
    values: list[tuple[int, list[float | None]]] = [(1000, [1.0]), (10**17, [1.0])]
    output.deliver([Rows(BAD, 7, 1, (ESCAPES,), values, "01", units=(ESCAPES,))])
    alarm = {"alarm": "raised", "code": ESCAPES, "text": ESCAPES + "\ud800"}
    output.deliver([Note(BAD, number, alarm, "01", 10**number) for number in (4, 17)])
    output.process()
    output.close()
    return str(path)


@pytest.mark.parametrize("words", COMMANDS)
def test_no_command_sends_an_escape(
    store: str, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert fleet([*words, "--store", store]) in (0, 1)
    text = capsys.readouterr().out
    assert is_plain(text)
    assert BAD in text


def test_escapes_are_shown(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["list"], ["versions"], ["show", BAD], ["alarms"], ["export"]):
        fleet([*words, "--store", store])
        assert "\\x1b[2J\\x07" in capsys.readouterr().out


@pytest.mark.parametrize("report", ["[1]", "no", "[" * 100_000, '{"hash":"\\ud800"}', ""])
def test_versions_with_a_stored_bad_report(
    store: str, capsys: pytest.CaptureFixture[str], report: str
) -> None:
    db = sqlite3.connect(store)
    db.execute("UPDATE unit SET report=?", (report,))
    db.commit()
    db.close()
    assert fleet(["versions", "--store", store]) == 0
    text = capsys.readouterr().out
    assert is_plain(text)
    assert "1 with configuration" in text
    text.encode()


# --- Wrong arguments ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["alarms", "--priority", HUGE],
        ["alarms", "--since", HUGE + "d"],
        ["export", "--since", "9" * 5000 + "d"],
        ["list", "\udcff"],
    ],
)
def test_fleet_arguments_out_of_range(
    store: str, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert fleet([*words, "--store", store]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("action", ["show", "retry", "export", "list"])
@pytest.mark.parametrize("number", [HUGE, str(1 << 63), str((1 << 63) - 1), "0"])
def test_quarantine_numbers_out_of_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], action: str, number: str
) -> None:
    path = tmp_path / "relay.db"
    RelayDatabase(path, "r").close()
    assert command.run(["quarantine", action, number, "--store", str(path)]) == 2
    assert capsys.readouterr().err.endswith(f"{number}: not in the quarantine\n")
    assert command.run(["quarantine", action, "--unit", "\udcff", "--store", str(path)]) == 2


def test_the_quarantine_sends_no_escape(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path)
    rig.send(b"nonsense")
    rig.database.execute("UPDATE quarantine SET detail=?", ESCAPES)
    assert command.run(["quarantine", "list", "--store", str(path)]) == 0
    text = capsys.readouterr().out
    assert is_plain(text)
    assert "\\x1b[2J\\x07" in text
    rig.close()


# --- The wrong file -------------------------------------------------------------------------------


def test_the_quarantine_refuses_another_file(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    RelayDatabase(tmp_path / "relay.db", "r").close()
    (tmp_path / "text").write_text("no database " * 100)
    (tmp_path / "empty").touch()
    for name in ("relay.db.fleet", "text", "empty"):
        before = (tmp_path / name).read_bytes()
        assert command.run(["quarantine", "list", "--store", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert name in error
        assert ("try" in error) == (name == "relay.db.fleet")
        assert (tmp_path / name).read_bytes() == before


def test_fleet_names_the_right_file(
    tmp_path: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    RelayDatabase(tmp_path / "relay.db", "r").close()
    assert fleet(["list", "--store", str(tmp_path / "relay.db")]) == 2
    assert capsys.readouterr().err.endswith(f"not a fleet store; try {store}\n")


def test_neither_store_is_made_in_the_other(tmp_path: Path, store: str) -> None:
    path = tmp_path / "relay.db"
    RelayDatabase(path, "r").close()
    with pytest.raises(DeployError, match="not a fleet store"):
        open_output(path)
    with pytest.raises(sqlite3.DatabaseError, match="not the store of a relay"):
        RelayDatabase(store, "r")
    RelayDatabase(path, "r").close()
    open_output(Path(store)).close()
