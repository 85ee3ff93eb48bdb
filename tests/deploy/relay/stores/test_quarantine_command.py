# SPDX-License-Identifier: Apache-2.0
"""`coldloop relay quarantine` whose output breaks: the state is stated, nothing lost or doubled."""

import os
import resource
import sqlite3
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from deploy.relay.commands import quarantine_command
from deploy.relay.decode.row_format import Item
from deploy.relay.outputs.base import Output
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.quarantine import QuarantineTable
from tests.deploy.relay.relay_rig import ALARM, PipelineRig, bulk, pack
from tests.support.repository import ROOT


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with three blocks in the quarantine that nothing releases."""
    path = tmp_path / "relay.db"
    rig = PipelineRig(path)
    rig.send(pack(bulk(1), bulk(2), bulk(3)))
    assert rig.reasons() == ["schema"] * 3
    rig.close()
    return path


def run(store: Path, action: str, output: int) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "coldloop.py"), "relay", "quarantine", action]
    return subprocess.run(
        [*words, "--store", str(store)],
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=False,
    )


def reasons(store: Path) -> list[str]:
    database = RelayDatabase(store, "a")
    try:
        return [held.reason for held in QuarantineTable(database).find()]
    finally:
        database.close()


def test_a_retry_to_a_full_output_says_what_the_relay_has(store: Path) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        found = run(store, "retry", full.fileno())
    assert found.returncode == 2
    assert found.stderr.splitlines() == [
        "coldloop relay quarantine: 3 of 3 given back",
        "coldloop relay: output: No space left on device",
    ]
    assert reasons(store) == ["budget"] * 3
    rig = PipelineRig(store)
    rig.send(pack(ALARM))
    rig.pipeline.preparer.release_due()
    rig.settle()
    assert sorted(rows.number for rows in rig.rows()) == [4 + 3, 8 + 3, 12 + 3]
    rig.close()


def test_a_retry_to_a_closed_pipe(store: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    found = run(store, "retry", write_end)
    os.close(write_end)
    assert found.returncode == 130
    assert found.stderr == "coldloop relay quarantine: 3 of 3 given back\n"


@pytest.mark.parametrize("action", ["list", "show", "export"])
def test_a_page_to_a_full_output_changes_nothing(store: Path, action: str) -> None:
    with open("/dev/full", "w", encoding="ascii") as full:
        found = run(store, action, full.fileno())
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert reasons(store) == ["schema"] * 3


@pytest.mark.parametrize(("action", "code"), [("list", 0), ("export", 0), ("retry", 2)])
def test_a_full_disk_hides_no_record(store: Path, action: str, code: int) -> None:
    """The relay runs; no file can grow."""
    relay = RelayDatabase(store, "a")
    words = [sys.executable, str(ROOT / "coldloop.py"), "relay", "quarantine", action]
    found = subprocess.run(
        [*words, "--store", str(store)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    relay.close()
    assert (found.returncode, found.stdout.count("s1/u1")) == (code, 0 if code else 3), found.stderr


class RefusingStore(Output):
    """Takes all items, or refuses each."""

    def __init__(self, refuses: bool) -> None:
        self._refuses = refuses
        self.numbers: list[int] = []

    def deliver(self, items: list[Item]) -> None:
        if self._refuses:
            raise RefusedError("no")
        self.numbers += [item.number for item in items]


def test_refused_records_outlast_their_output_and_go_to_another(tmp_path: Path) -> None:
    path = tmp_path / "relay.db"
    rig = PipelineRig(path, required={"influx"})
    rig.add_output("influx", RefusingStore(refuses=True))
    rig.send(pack(ALARM, bulk(1), bulk(2)))
    assert rig.reasons() == ["refused"] * 2
    rig.pipeline._tidy(force=True)
    rig.close()

    def retry(*words: str) -> RefusingStore:
        """Retry with the new output; return it."""
        assert quarantine_command.run(["retry", "--store", str(path), *words]) == 0
        rig = PipelineRig(path, required={"postgres"})
        rig.add_output("postgres", store := RefusingStore(refuses=False))
        for _ in range(3):
            rig.pipeline.preparer.release_due()
            rig.pipeline._has_new = True
            rig.settle()
        rig.pipeline._tidy(force=True)
        rig.close()
        return store

    assert retry().numbers == []
    assert reasons(path) == ["refused"] * 2, "not lost"
    assert quarantine_command.run(["retry", "--store", str(path), "--output", "x"]) == 2
    assert retry("--output", "postgres").numbers == [7, 11]
    assert reasons(path) == []


def test_a_retry_that_fails_half_way_says_how_far_it_came(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quarantine_command, "_LOT", 2)
    give_back = QuarantineTable.give_back

    def give_two(self: QuarantineTable, ids: list[int], output: str = "") -> None:
        if len(ids) < 2:
            raise sqlite3.OperationalError("disk I/O error")
        give_back(self, ids)

    monkeypatch.setattr(QuarantineTable, "give_back", give_two)
    assert quarantine_command.run(["retry", "--store", str(store)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "coldloop relay quarantine: 2 of 3 given back",
        "coldloop relay quarantine: disk I/O error",
    ]
    assert sorted(reasons(store)) == ["budget", "budget", "schema"]


@pytest.mark.parametrize(
    "words",
    [
        ["retry", "1", "--unit", "s9/other"],
        ["retry", "1", "--reason", "undated"],
        ["list", "--reason", "schem"],
    ],
)
def test_numbers_and_filters_that_do_not_agree(
    store: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert quarantine_command.run([*words, "--store", str(store)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)


def test_a_number_counts_once(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["retry", "2", "2", "--unit", "s1/u1", "--reason", "schema", "--store", str(store)]
    assert quarantine_command.run(words) == 0
    assert capsys.readouterr().out == "1 given back to the relay\n"


@pytest.mark.parametrize("action", ["list", "export", "retry"])
def test_a_large_quarantine_is_not_in_memory(
    store: Path, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be larger than the memory of the machine on which the relay runs."""
    database = RelayDatabase(store, "a")
    with database.transaction():
        for number in range(300):
            database.execute(
                "INSERT INTO quarantine (relay, unit, generation, number, count, kind, payload,"
                " output, reason, detail, key, at_ms) VALUES ('a', 's1/u1', x'', 7, 1, 2, ?, '',"
                " 'block', '', '', ?)",
                *(bytes(100_000), number),
            )
    database.close()
    written: list[int] = []
    monkeypatch.setattr("builtins.print", lambda text, **_: written.append(len(text)))
    tracemalloc.start()
    assert quarantine_command.run([action, "--store", str(store)]) == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(written) == {"list": 304, "export": 303, "retry": 1}[action]
    assert peak < 15_000_000
