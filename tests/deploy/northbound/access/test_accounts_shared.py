# SPDX-License-Identifier: Apache-2.0
"""Accounts that several processes change: no answered change is lost, a removal is final."""

import fcntl
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.northbound.access import accounts as module
from deploy.northbound.access import password as passwords
from deploy.northbound.access.accounts import FILE, INITIAL, LOCK, Accounts
from deploy.northbound.access.audit import ServerAudit, verify
from deploy.northbound.access.types import ADMINISTRATOR, OPERATOR, READ_ONLY, FakeAudit, Refusal
from deploy.ops.private_file import replace_private

GOOD = "horse-battery-9"
_FORK = multiprocessing.get_context("fork")
_PROCESSES, _ROUNDS, _ENTRIES = 6, 12, 40


@pytest.fixture
def store(tmp_path: Path) -> Accounts:
    store = Accounts(tmp_path, FakeAudit())
    assert store.add("ada", GOOD, ADMINISTRATOR) is None
    return store


def run_together(work: Any, folder: Path, count: int = _PROCESSES) -> list[Any]:
    """Run `work(folder, number)` in `count` processes that begin together; return the results."""
    begin, results = _FORK.Barrier(count), _FORK.Queue()

    def run(number: int) -> None:
        begin.wait(60)
        results.put((number, work(folder, number)))

    started = [_FORK.Process(target=run, args=(i,)) for i in range(count)]
    for process in started:
        process.start()
    found = dict(results.get(timeout=60) for _ in started)
    for process in started:
        process.join(60)
    return [found[number] for number in range(count)]


def add_and_remove(folder: Path, number: int) -> list[str]:
    """Add and remove accounts, four names each; return those that exist after the answers."""
    store, present = Accounts(folder, FakeAudit()), set()
    for i in range(_ROUNDS):
        name = f"p{number}x{i % 4}"
        if name in present:
            if store.remove(name) is None:
                present.discard(name)
        elif store.add(name, GOOD, READ_ONLY) is None:
            present.add(name)
    return sorted(present)


def test_no_answered_change_of_many_processes_is_lost(store: Accounts, tmp_path: Path) -> None:
    expected = {"admin", "ada"}.union(*run_together(add_and_remove, tmp_path))
    assert {account.user for account in store.all()} == expected
    assert {entry["user"] for entry in json.loads((tmp_path / FILE).read_text())} == expected


def change_or_remove(folder: Path, number: int) -> object:
    """Change the own password again and again, as a server; process 0 removes the account."""
    store = Accounts(folder, FakeAudit())
    if number == 0:
        return store.remove("rita")
    for i in range(_ROUNDS):
        store.change("rita", password=f"{GOOD}-{number}-{i}")
    return None


def test_a_removed_account_does_not_return(store: Accounts, tmp_path: Path) -> None:
    for _ in range(5):
        assert store.add("rita", GOOD, READ_ONLY) is None
        assert run_together(change_or_remove, tmp_path, 3)[0] is None
        assert store.find("rita") is None


@pytest.mark.parametrize("again", [False, True])
def test_a_removal_wins_over_a_password_on_its_way(
    store: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    assert store.add("rita", GOOD, READ_ONLY) is None
    other, make_hash = Accounts(tmp_path, FakeAudit()), passwords.make_hash

    def remove_meanwhile(password: str) -> str:
        monkeypatch.setattr(passwords, "make_hash", make_hash)
        assert other.remove("rita") is None
        if again:
            assert other.add("rita", GOOD, READ_ONLY) is None
        return make_hash(password)

    monkeypatch.setattr(passwords, "make_hash", remove_meanwhile)
    assert isinstance(store.change("rita", password="purple-kettle-4"), Refusal)
    found = store.check("rita", "purple-kettle-4", "10.0.0.9", "redfish")
    assert isinstance(found, Refusal)
    assert (store.find("rita") is not None) == again


def test_a_demotion_is_not_undone_by_a_password_on_its_way(
    store: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store.add("otto", GOOD, OPERATOR) is None
    other, make_hash = Accounts(tmp_path, FakeAudit()), passwords.make_hash

    def demote_meanwhile(password: str) -> str:
        assert other.change("otto", role=READ_ONLY) is None
        return make_hash(password)

    monkeypatch.setattr(passwords, "make_hash", demote_meanwhile)
    assert store.change("otto", password="purple-kettle-4") is None
    found = store.find("otto")
    assert found is not None
    assert found.role == READ_ONLY


def first_start(folder: Path, _: int) -> str:
    Accounts(folder, FakeAudit())
    return (folder / INITIAL).read_text()


def test_starts_together_have_one_first_password(tmp_path: Path) -> None:
    assert len(set(run_together(first_start, tmp_path))) == 1
    secret = (tmp_path / INITIAL).read_text().strip()
    found = Accounts(tmp_path, FakeAudit()).check("admin", secret, "10.0.0.9", "redfish")
    assert not isinstance(found, Refusal)


def test_a_process_that_keeps_the_lock_gives_a_refusal(
    store: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_S", 0.01)
    with (tmp_path / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for refusal in (
            store.add("rita", GOOD, READ_ONLY),
            store.change("ada", password="purple-kettle-4"),
            store.remove("ada"),
        ):
            assert refusal is not None
            assert refusal.storage
            assert "another process changes the accounts" in refusal.reason
    assert store.add("rita", GOOD, READ_ONLY) is None


def test_a_change_does_not_lose_a_file_that_cannot_be_read(
    store: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_files(*_: Any, **__: Any) -> str:
        raise OSError(24, "Too many open files")

    text = (tmp_path / FILE).read_text()
    with monkeypatch.context() as full:
        full.setattr(Path, "read_text", no_files)
        os.utime(tmp_path / FILE)
        assert store.all() == []
        refusal = store.add("rita", GOOD, READ_ONLY)
        assert refusal is not None
        assert refusal.storage
    assert (tmp_path / FILE).read_text() == text
    assert {account.user for account in store.all()} == {"admin", "ada"}
    (tmp_path / FILE).write_text(text[:-20])
    refusal = store.add("rita", GOOD, READ_ONLY)
    assert refusal is not None
    assert (tmp_path / FILE).read_text() == text[:-20]


def write_whole(folder: Path, number: int) -> int:
    """Replace one file many times; return the number of errors."""
    errors = 0
    for i in range(_ROUNDS):
        try:
            replace_private(folder / "state.json", json.dumps([f"{number} {i}"] * 500))
        except OSError:
            errors += 1
    return errors


def test_files_replaced_by_many_processes_are_whole(tmp_path: Path) -> None:
    assert run_together(write_whole, tmp_path) == [0] * _PROCESSES
    assert len(set(json.loads((tmp_path / "state.json").read_text()))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def append(folder: Path, number: int) -> None:
    log = ServerAudit(folder, "account")
    for i in range(_ENTRIES):
        log.record("root", f"10.0.{i}.1", "command", "add", f"p{number}x{i}", "done")
    log.flush()


def test_an_audit_log_of_many_processes_has_all_entries(tmp_path: Path) -> None:
    run_together(append, tmp_path)
    entries, faults = verify(tmp_path, "account")
    assert faults == []
    written = {str(entry["target"]) for entry in entries}
    assert written == {f"p{n}x{i}" for n in range(_PROCESSES) for i in range(_ENTRIES)}
