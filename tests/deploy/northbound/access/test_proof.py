# SPDX-License-Identifier: Apache-2.0
"""A request proves inside the lock that its login still counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.northbound.access import accounts as module
from deploy.northbound.access.accounts import CHANGED_MEANWHILE, FIRST_USER, INITIAL, Accounts
from deploy.northbound.access.sessions import Sessions
from deploy.northbound.access.state_lock import state_lock
from deploy.northbound.access.types import ADMINISTRATOR, FakeAudit, Refusal, Session

GOOD = "correct horse battery"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path, FakeAudit())


def _login(accounts: Accounts, user: str, password: str) -> Session:
    found = Sessions(accounts).check(user, password, "10.0.0.9", "redfish")
    assert isinstance(found, Session), found
    return found


def test_of_many_first_passwords_one_is_set(accounts: Accounts, tmp_path: Path) -> None:
    """All requests have proved the initial password before the first one is done."""
    secret = (tmp_path / INITIAL).read_text().strip()
    proofs = [_login(accounts, FIRST_USER, secret).proof for _ in range(6)]
    answers: list[Refusal | None] = [None] * 6

    def change(number: int) -> None:
        password = f"{GOOD} {number}"
        answers[number] = accounts.change(FIRST_USER, password=password, by=proofs[number])

    threads = [threading.Thread(target=change, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers.count(None) == 1
    assert answers.count(Refusal(CHANGED_MEANWHILE)) == 5
    winner = answers.index(None)
    assert not _login(accounts, FIRST_USER, f"{GOOD} {winner}").must_change


@pytest.mark.parametrize(
    "end",
    [
        lambda accounts: accounts.remove("adam"),
        lambda accounts: accounts.change("adam", enabled=False),
        lambda accounts: accounts.change("adam", role="Operator"),
        lambda accounts: accounts.change("adam", password="another good one"),
    ],
)
@pytest.mark.parametrize(
    "request_of",
    [
        lambda accounts, by: accounts.add("mallory", GOOD + " 7", ADMINISTRATOR, by=by),
        lambda accounts, by: accounts.change("otto", role=ADMINISTRATOR, by=by),
        lambda accounts, by: accounts.change("otto", password=GOOD + " 9", by=by),
        lambda accounts, by: accounts.remove("otto", by=by),
    ],
)
def test_a_login_that_ends_before_the_change_counts_no_more(
    accounts: Accounts,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[Accounts], object],
    request_of: Callable[[Accounts, object], Refusal | None],
) -> None:
    for user, role in (("ada", ADMINISTRATOR), ("adam", ADMINISTRATOR), ("otto", "Operator")):
        assert accounts.add(user, GOOD, role) is None
    proof = _login(accounts, "adam", GOOD).proof
    lock, is_first = state_lock, [True]

    def lock_later(*arguments: object) -> object:
        if is_first.pop() if is_first else False:
            end(accounts)  # while this request waits for the lock
        return lock(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "state_lock", lock_later)
    before = accounts.find("otto")
    assert request_of(accounts, proof) == Refusal(CHANGED_MEANWHILE)
    assert accounts.find("otto") == before
    assert accounts.find("mallory") is None
