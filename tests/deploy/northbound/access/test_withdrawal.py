# SPDX-License-Identifier: Apache-2.0
"""A change on trial ends with the right of its user, or when a user with the right ends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.types import (
    OTHER_TRIAL,
    FakeAudit,
    Refusal,
    SetPointChange,
    Submission,
    TrialChange,
)
from deploy.northbound.access.writes import Writer, WriterProcess
from deploy.northbound.process.context import right_of
from tests.deploy.northbound.access.test_writes import SiteBench
from tests.portable.agent.northbound.test_component import WRITES

CHANGE = SetPointChange("supply_setpoint", 31_500)
PASSWORD = "a long enough secret"


def _down_and_up(accounts: Accounts) -> None:
    """A change that is taken back between two looks of the server."""
    for role in ("ReadOnly", "Operator"):
        assert accounts.change("otto", role=role) is None


def _new_one(accounts: Accounts) -> None:
    """Another person gets the name."""
    assert accounts.remove("otto") is None
    assert accounts.add("otto", f"{PASSWORD} two", "Operator") is None


class _AccountBench(SiteBench):
    """A unit, and a process with real accounts; another process changes them."""

    def __init__(self, folder: Path) -> None:
        self.accounts = Accounts(folder, FakeAudit())
        for user in ("otto", "olga"):
            assert self.accounts.add(user, PASSWORD, "Operator") is None
        super().__init__(folder, WRITES)

    def new_writer(self, process: str = "web") -> Writer:
        writer = super().new_writer(process)
        accounts = self.accounts if process == "web" else None
        identity = WriterProcess(self.folder, process, 30, right_of(accounts))
        key, clock = self.folder / "site.key", lambda: self.now
        return Writer("s1/u1", self.folder, key, writer._source, self.audit, identity, clock)

    def roll_back(self, user: str, name: str = "", *, any_user: bool) -> Submission | Refusal:
        return self.writer.roll_back(user, "10.0.0.8", "panel", name, any_user=any_user)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[_AccountBench]:
    site = _AccountBench(tmp_path)
    yield site
    site.socket.close()


@pytest.mark.parametrize(
    ("change", "is_kept"),
    [
        (lambda accounts: accounts.remove("otto"), False),
        (lambda accounts: accounts.change("otto", enabled=False), False),
        (lambda accounts: accounts.change("otto", role="ReadOnly"), False),
        (lambda accounts: accounts.change("otto", role="Administrator"), False),
        (lambda accounts: accounts.change("otto", password=f"{PASSWORD} two"), False),
        (_down_and_up, False),
        (_new_one, False),
        (lambda accounts: accounts.change("otto", unlock=True), True),
        (lambda accounts: accounts.remove("olga"), True),
    ],
)
@pytest.mark.parametrize("after_s", [0, 4])
def test_a_change_ends_with_the_right_of_its_user(
    site: _AccountBench, change: Callable[[Accounts], object], is_kept: bool, after_s: int
) -> None:
    name = site.submit(CHANGE)
    site.run(after_s)
    change(Accounts(site.folder, FakeAudit()))  # by the command
    site.run(45)
    assert site.setpoint() == (31.5 if is_kept else 32)
    outcome = site.writer.result(name)
    assert outcome is not None
    assert outcome.state == ("confirmed" if is_kept else "rolled_back")
    results = [entry[-1] for entry in site.audit.entries if entry[0] == "otto"]
    assert any(text.startswith("withdrawn") for text in results) is not is_kept


def test_a_client_of_modbus_has_no_account(site: _AccountBench) -> None:
    site.writer.submit(CHANGE, "10.0.0.9", "10.0.0.9", "modbus")
    site.run(45)
    assert site.setpoint() == 31.5


def test_a_user_rolls_the_own_change_back(site: _AccountBench) -> None:
    name = site.submit(CHANGE)
    site.run(4)
    assert site.roll_back("otto", name, any_user=False) == Submission(name)
    assert re.fullmatch("sent [0-9]+", site.audit.entries[-1][-1])
    site.run(5)
    assert site.setpoint() == 32
    outcome = site.writer.result(name)
    assert outcome is not None
    assert outcome.state == "rolled_back"
    again = site.roll_back("otto", name, any_user=True)
    assert again == Refusal("no change is on trial")


def test_a_change_that_is_still_on_its_way_is_rolled_back(site: _AccountBench) -> None:
    name = site.submit(CHANGE)
    assert site.roll_back("otto", name, any_user=False) == Submission(name)
    *_, action, _, result = site.audit.entries[-1]
    assert (action, result) == ("rollback", "kept: it is sent when the change is on trial")
    site.run(45)
    assert site.setpoint() == 32


def test_only_an_administrator_ends_the_trial_of_another_user(site: _AccountBench) -> None:
    site.submit(CHANGE)
    site.run(4)
    refusal = site.roll_back("olga", any_user=False)
    assert isinstance(refusal, Refusal)
    assert "administrator" in refusal.reason
    site.run(2)
    assert site.setpoint() == 31.5
    assert isinstance(site.roll_back("adam", any_user=True), Submission)
    site.run(5)
    assert site.setpoint() == 32
    entries = [(entry[0], entry[3]) for entry in site.audit.entries]
    assert ("olga", "rollback") in entries
    assert ("adam", "rollback") in entries


def test_an_administrator_ends_the_trial_of_another_process(site: _AccountBench) -> None:
    other = site.new_writer("bacnet")
    found = other.submit(CHANGE, "10.0.0.7", "10.0.0.7", "bacnet")
    assert isinstance(found, Submission)
    site.run(4)
    name = site.roll_back("adam", any_user=True)
    assert isinstance(name, Submission)
    for _ in range(20):
        site.run(1)
        other.tick()
    assert site.setpoint() == 32
    outcome = site.writer.result(name.id)
    assert outcome is not None
    assert outcome.state == "confirmed"
    outcome = other.result(found.id)
    assert outcome is not None
    assert outcome.state == "rolled_back"


def test_without_a_trial_there_is_nothing_to_roll_back(site: _AccountBench) -> None:
    assert site.roll_back("adam", any_user=True) == Refusal("no change is on trial")


def test_only_the_trial_that_the_user_has_seen_is_rolled_back(site: _AccountBench) -> None:
    assert site.writer.change_on_trial() is None
    site.submit(CHANGE)
    site.run(4)
    shown = site.writer.change_on_trial()
    assert shown is not None
    assert shown == TrialChange(shown.counter, CHANGE, "redfish", "otto")
    arguments = ("adam", "10.0.0.8", "panel")
    other = site.writer.roll_back(*arguments, any_user=True, shown=shown.counter + 1)
    assert other == Refusal(OTHER_TRIAL)
    assert site.audit.entries[-1][-1] == f"refused: {OTHER_TRIAL}"
    site.run(4)
    assert site.setpoint() == 31.5
    assert site.writer.roll_back(*arguments, any_user=True, shown=shown.counter)
    site.run(5)
    assert site.setpoint() == 32
    assert site.writer.change_on_trial() is None


def test_the_trial_of_another_server_is_named(site: _AccountBench) -> None:
    web = site.writer
    site.writer = site.new_writer("bacnet")
    site.writer.submit(CHANGE, "10.0.0.9", "10.0.0.9", "bacnet")
    site.run(4)
    found = web.change_on_trial()
    assert found is not None
    assert (found.change, found.protocol, found.user) == (CHANGE, "bacnet", "10.0.0.9")
    late = site.new_writer("late").change_on_trial()
    assert late == TrialChange(found.counter, None, "bacnet"), "it has seen no record before"
