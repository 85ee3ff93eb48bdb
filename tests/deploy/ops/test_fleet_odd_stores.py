# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet` on a store with odd rows: late, from the future, without a time, damaged."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.commands import fleet
from deploy.relay.decode.row_format import Note, Rows
from deploy.relay.outputs.base import OutputContext
from deploy.relay.outputs.fleet_store import FleetStoreOutput

_HOUR_MS = 3_600_000
_ALL = (
    ["list"],
    ["show", "s1/u1"],
    ["alarms"],
    ["alarms", "--since", "2d"],
    ["late"],
    ["versions"],
    ["export"],
    ["export", "--json"],
)


class _OddStore:
    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.now_ms = time.time_ns() // 1_000_000
        context = OutputContext(self.path, "r", "", None, lambda: 0, lambda: self.now_ms, dict)  # type: ignore[arg-type]
        self.output = FleetStoreOutput(context)

    def add_rows(self, number: int, *ages_ms: int, unit: str = "s1/u1", run: int = 0) -> None:
        """Write a block; each value is its place. `run`: the times are uptimes."""
        values: list[tuple[int, list[float | None]]] = [
            (age if run else self.now_ms - age, [float(place)]) for place, age in enumerate(ages_ms)
        ]
        log = "010203"
        self.output.deliver(
            [Rows(unit, number, number, ("a",), values, log, run, is_dated=not run)]
        )

    def add_alarm(self, number: int, code: str, time_ms: int) -> None:
        content = {"alarm": "raised", "code": code, "text": "t"}
        self.output.deliver([Note("s1/u1", number, content, "010203", time_ms)])

    def execute(self, statement: str) -> None:
        db = sqlite3.connect(self.path)
        db.execute(statement)
        db.commit()
        db.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[_OddStore]:
    made = _OddStore(tmp_path / "store.fleet")
    yield made
    made.output.close()


def run(
    capsys: pytest.CaptureFixture[str], store: _OddStore, *arguments: str
) -> tuple[int, list[str], str]:
    code = fleet([*arguments, "--store", store.path])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err


def test_unit_from_the_future_is_late(store: _OddStore, capsys: pytest.CaptureFixture[str]) -> None:
    store.add_rows(7, 1000)
    store.execute(f"UPDATE unit SET newest_ms={store.now_ms + 30 * 24 * _HOUR_MS}")
    code, lines, _ = run(capsys, store, "late")
    assert (code, lines[1].split()[:2]) == (1, ["s1/u1", "-"])


def test_history_has_changes_without_a_time(
    store: _OddStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add_alarm(4, "supply_high", 0)
    store.add_alarm(8, "leak_critical:l1", store.now_ms)
    store.add_alarm(12, "leak_critical:l2", store.now_ms - 50 * _HOUR_MS)
    code, lines, _ = run(capsys, store, "alarms", "--since", "2d")
    assert code == 0
    assert [line.split()[3] for line in lines[1:]] == ["supply_high", "leak_critical:l1"]
    assert lines[1].split()[1] == "-"
    _, lines, _ = run(capsys, store, "alarms", "--since", "2d", "--priority", "1")
    assert [line.split()[3] for line in lines[1:]] == ["leak_critical:l1"]


def test_rows_of_blocks_that_overlap_are_in_order(
    store: _OddStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add_rows(7, 9000, 5000, 1000)
    store.add_rows(11, 7000, 3000)
    store.add_rows(15, 500)
    store.add_rows(7, 8000, unit="s1/u0")
    _, lines, _ = run(capsys, store, "export")
    assert [line.split(",")[0] for line in lines[1:]] == ["s1/u0"] + 6 * ["s1/u1"]
    assert [line[-3:] for line in lines[2:]] == ["0.0", "0.0", "1.0", "1.0", "2.0", "0.0"]
    times = [line.split(",")[1] for line in lines[2:]]
    assert times == sorted(times)


def test_uptimes_of_two_starts_are_apart(
    store: _OddStore, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add_rows(7, 1000, 9000, run=1)
    store.add_rows(11, 2000, 3000, run=2)
    _, lines, _ = run(capsys, store, "export", "--undated")
    assert [line.split(",")[1] for line in lines[1:]] == ["1000", "9000", "2000", "3000"]
    code, lines, error = run(capsys, store, "export", "--undated", "--since", "2h")
    assert (code, lines, error.count("\n")) == (2, [], 1)


def test_damaged_block_is_left_out(store: _OddStore, capsys: pytest.CaptureFixture[str]) -> None:
    for number in (7, 11, 15):
        store.add_rows(number, number)
    store.execute("UPDATE block SET data=x'001122' WHERE record=11")
    for form in ([], ["--json"]):
        code, lines, error = run(capsys, store, "export", *form)
        assert (code, len(lines), error.count("\n")) == (2, 2 if form else 3, 1)
        assert "block 11 of s1/u1" in error


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE note SET text='{'",
        "UPDATE unit SET newest_ms='abc', message_ms='x'",
        "UPDATE latest SET value='abc', t_ms='zz'",
        "UPDATE alarm SET t_ms='x', priority='y'",
        "UPDATE block SET data=NULL",
        "UPDATE block SET run='x', first_ms='y'",
    ],
)
def test_damaged_store_has_one_line(
    store: _OddStore, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    store.add_rows(7, 1000)
    store.add_rows(11, 2000)
    store.add_alarm(4, "leak_critical:l1", store.now_ms)
    store.execute(damage)
    for command in _ALL:
        _, _, error = run(capsys, store, *command)
        assert error.count("\n") <= 2, command
        assert "Traceback" not in error


@pytest.mark.parametrize("name", ["a?b#c%41.fleet", "ü ß.fleet"])
def test_path_with_signs_of_a_uri(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    store = _OddStore(tmp_path / name)
    store.add_rows(7, 1000)
    store.output.close()
    assert (tmp_path / name).exists()
    assert run(capsys, store, "list")[0] == 0
