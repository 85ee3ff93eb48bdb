# SPDX-License-Identifier: Apache-2.0
"""Accounts, lock-out, sessions: what a login gives, and when it ends."""

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from deploy.errors import OpsError
from deploy.northbound.access import password as passwords
from deploy.northbound.access.accounts import FILE, FIRST_USER, INITIAL, Accounts
from deploy.northbound.access.lockout import NETWORK_FAILURES, Lockout
from deploy.northbound.access.networks import client_network
from deploy.northbound.access.sessions import MAX_OF_USER, MAX_SESSIONS, Sessions
from deploy.northbound.access.types import (
    ADMINISTRATOR,
    OPERATOR,
    READ_ONLY,
    FakeAudit,
    Refusal,
    Session,
)
from tests.deploy.northbound import REAL_COST

GOOD = "horse-battery-9"


class AccessBench:
    """Accounts and sessions with a clock of their own."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.audit = FakeAudit()
        self.accounts = Accounts(folder, self.audit, lambda: self.now)
        self.sessions = Sessions(self.accounts, lambda: self.now)

    def login(
        self, user: str, password: str = GOOD, address: str = "10.0.0.9"
    ) -> Session | Refusal:
        return self.sessions.login(user, password, address, "redfish")

    def session(self, user: str) -> Session:
        found = self.login(user)
        assert isinstance(found, Session), found
        return found


@pytest.fixture
def server(tmp_path: Path) -> AccessBench:
    server = AccessBench(tmp_path)
    for user, role in (("ada", ADMINISTRATOR), ("otto", OPERATOR), ("rita", READ_ONLY)):
        assert server.accounts.add(user, GOOD, role) is None
    return server


def test_the_first_account_can_only_change_its_password(tmp_path: Path) -> None:
    server = AccessBench(tmp_path)
    secret = (tmp_path / INITIAL).read_text().strip()
    for name in (INITIAL, FILE):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert secret not in (tmp_path / FILE).read_text()
    session = server.login(FIRST_USER, secret)
    assert isinstance(session, Session)
    assert session.must_change
    assert not session.may(READ_ONLY)
    assert server.accounts.change(FIRST_USER, password=secret) is not None  # the same again
    assert server.accounts.change(FIRST_USER, password=GOOD) is None
    assert not (tmp_path / INITIAL).exists()
    assert server.sessions.find(session.token) is None
    assert server.session(FIRST_USER).may(ADMINISTRATOR)
    assert AccessBench(tmp_path).login(FIRST_USER, secret) == Refusal("wrong user name or password")


def test_roles_include_the_lower_ones(server: AccessBench) -> None:
    rights = {
        user: [
            role for role in (READ_ONLY, OPERATOR, ADMINISTRATOR) if server.session(user).may(role)
        ]
        for user in ("ada", "otto", "rita")
    }
    assert rights == {
        "ada": [READ_ONLY, OPERATOR, ADMINISTRATOR],
        "otto": [READ_ONLY, OPERATOR],
        "rita": [READ_ONLY],
    }


def test_five_failures_lock_a_user_for_a_time(server: AccessBench) -> None:
    for _ in range(5):
        assert server.login("rita", "wrong-password") == Refusal("wrong user name or password")
    refusal = server.login("rita")
    assert isinstance(refusal, Refusal)
    assert 0 < refusal.retry_s <= 61
    assert [a.locked for a in server.accounts.all() if a.user == "rita"] == [True]
    assert isinstance(server.login("otto"), Session)
    server.now += 61
    assert isinstance(server.login("rita"), Session)
    results = [entry[5] for entry in server.audit.entries if entry[0] == "rita"]
    assert results[:5] == ["refused"] * 5
    assert results[5].startswith("locked")


def test_failures_at_one_address_keep_no_user_out_at_another(server: AccessBench) -> None:
    for _ in range(600):
        server.login("rita", "wrong-password", "10.0.0.66")
        server.now += 12
        assert isinstance(server.login("rita"), Session)


def test_a_user_is_locked_after_too_many_failures_at_all_addresses(server: AccessBench) -> None:
    assert isinstance(server.login("rita", address="10.0.0.5"), Session)
    for i in range(100):
        assert server.login("rita", "wrong-password", f"10.0.1.{i}") == Refusal(
            "wrong user name or password"
        )
    refusal = server.login("rita", address="10.0.0.6")
    assert isinstance(refusal, Refusal)
    assert refusal.retry_s > 0
    assert [a.locked for a in server.accounts.all() if a.user == "rita"] == [True]
    assert isinstance(server.login("rita", address="10.0.0.5"), Session), "its own address"
    assert isinstance(server.login("otto", address="10.0.0.6"), Session)
    server.accounts.change("rita", unlock=True)
    assert isinstance(server.login("rita", address="10.0.0.6"), Session)


def test_a_changed_account_has_no_known_address(server: AccessBench) -> None:
    assert isinstance(server.login("rita"), Session)
    server.accounts.change("rita", role=OPERATOR)
    for i in range(100):
        server.login("rita", "wrong-password", f"10.0.1.{i}")
    assert isinstance(server.login("rita"), Refusal)


def test_failures_that_are_old_do_not_count(server: AccessBench) -> None:
    for _ in range(20):
        server.login("rita", "wrong-password", "10.0.0.1")
        server.now += 20
    assert isinstance(server.login("rita"), Session)


def test_an_administrator_unlocks(server: AccessBench) -> None:
    for _ in range(5):
        server.login("rita", "wrong-password")
    server.accounts.change("rita", unlock=True)
    assert isinstance(server.login("rita"), Session)


def test_many_names_from_one_address_lock_the_address(server: AccessBench) -> None:
    for i in range(20):
        server.login(f"user{i}", "wrong-password", "10.0.0.66")
    locked = server.login("rita", GOOD, "10.0.0.66")
    assert isinstance(locked, Refusal)
    assert locked.retry_s > 0
    assert isinstance(server.login("rita", GOOD, "10.0.0.9"), Session)
    for i in range(5000):
        server.accounts.lockout.failed(f"u{i}", f"a{i}")
    assert len(server.accounts.lockout._failures) <= 256


def test_hostile_names_are_refused(server: AccessBench) -> None:
    for name in ("", "a" * 10_000, "ada\0", "ada\n", "\ud800", "\uff46ada", "../ada", "ADA"):
        assert isinstance(server.login(name), Refusal), name
        assert isinstance(server.accounts.add(name, GOOD, READ_ONLY), Refusal) or name == "ADA"
    for word in ("", "x" * 100_000, "\ud800", "\0"):
        assert isinstance(server.login("ada", word), Refusal)


def test_sessions_are_bounded(server: AccessBench) -> None:
    for user in ("ada", "otto"):
        for _ in range(MAX_OF_USER):
            server.now += 1
            last = server.session(user)
        first = next(found for found in server.sessions.all() if found.user == user)
        server.now += 1
        assert isinstance(server.login(user), Session), "the oldest own one gives way"
        assert first.id not in {found.id for found in server.sessions.all()}
        assert server.sessions.find(last.token) is not None
    assert len(server.sessions.all()) == MAX_SESSIONS
    assert isinstance(server.login("rita"), Refusal)
    assert isinstance(server.sessions.check("rita", GOOD, "a", "redfish"), Session)
    assert len(server.sessions.all()) == MAX_SESSIONS
    server.now += server.sessions.idle_s + 1
    assert server.sessions.all() == []


def test_a_higher_role_takes_the_place_of_the_oldest_lowest(server: AccessBench) -> None:
    server.accounts.add("ruth", GOOD, READ_ONLY)
    for user in ("rita", "ruth"):
        for _ in range(MAX_OF_USER):
            server.now += 1
            server.session(user)
    first = server.sessions.all()[0]
    assert isinstance(server.login("otto"), Session)
    assert first not in server.sessions.all()
    assert isinstance(server.login("ada"), Session)
    assert isinstance(server.login("ruth"), Refusal | Session)
    server.accounts.add("rosa", GOOD, READ_ONLY)
    assert isinstance(server.login("rosa"), Refusal)
    assert len(server.sessions.all()) == MAX_SESSIONS


def test_an_idle_session_ends_and_a_used_one_stays(server: AccessBench) -> None:
    used, idle = server.session("ada"), server.session("otto")
    for _ in range(3):
        server.now += server.sessions.idle_s - 1
        assert server.sessions.find(used.token) is not None
    assert server.sessions.find(idle.token) is None
    for _ in range(3):  # an open stream
        server.now += server.sessions.idle_s - 1
        assert server.sessions.keep(used.id)
    assert server.sessions.find(used.token) is not None
    assert not server.sessions.keep(idle.id)
    assert not server.sessions.keep("")
    assert server.sessions.find("") is None
    assert server.sessions.find("\ud800") is None
    assert all(not session.token for session in server.sessions.all())
    assert isinstance(server.sessions.set_idle(1), Refusal)
    assert server.sessions.set_idle(30) is None


def test_a_changed_account_ends_its_sessions(server: AccessBench) -> None:
    for change in ({"role": READ_ONLY}, {"enabled": False}, {"password": "other-password-1"}):
        server.accounts.change("otto", password=GOOD + "x", role=OPERATOR, enabled=True)
        server.accounts.change("otto", password=GOOD)
        session = server.session("otto")
        assert server.accounts.change("otto", **change) is None  # type: ignore[arg-type]
        assert server.sessions.find(session.token) is None
    session = server.session("rita")
    assert server.accounts.remove("rita") is None
    assert server.sessions.find(session.token) is None
    assert isinstance(server.login("rita"), Refusal)


def test_the_last_administrator_stays(server: AccessBench) -> None:
    server.accounts.remove(FIRST_USER)
    for refused in (
        server.accounts.remove("ada"),
        server.accounts.change("ada", role=OPERATOR),
        server.accounts.change("ada", enabled=False),
    ):
        assert refused == Refusal("the last enabled administrator stays")
    assert server.accounts.change("ada", name="eva") is None
    assert isinstance(server.login("eva"), Session)
    assert isinstance(server.accounts.change("eva", name="otto"), Refusal)


@pytest.mark.parametrize(
    "word",
    [
        *("short", "x" * 129, "aaaaaaaaaaaa", "my-ada-password", "tab\tinside-it"),
        *("1234567890", "9876543210", "8462913750", "abcdefghij", "Password123!", "Qwertyuiop1"),
    ],
)
def test_weak_passwords_are_refused(server: AccessBench, word: str) -> None:
    assert isinstance(server.accounts.change("ada", password=word), Refusal)


def test_a_short_user_name_may_be_in_a_password(server: AccessBench) -> None:
    assert server.accounts.add("a", GOOD, READ_ONLY) is None


def test_names_differ_by_more_than_capital_letters(server: AccessBench) -> None:
    assert isinstance(server.accounts.add("ADMIN", GOOD, READ_ONLY), Refusal)
    assert isinstance(server.accounts.change("otto", name="Rita"), Refusal)
    assert server.accounts.change("otto", name="Otto") is None


def test_another_process_unlocks_in_a_running_server(server: AccessBench, tmp_path: Path) -> None:
    for _ in range(5):
        server.login("rita", "wrong-password")
    assert isinstance(server.login("rita"), Refusal)
    session = server.session("otto")
    other = Accounts(tmp_path, FakeAudit())
    for user in ("rita", "otto"):
        assert other.change(user, unlock=True) is None
    assert isinstance(server.login("rita"), Session)
    assert server.sessions.find(session.token) is not None  # an unlock ends no session


def test_a_change_that_another_process_takes_back_ends_the_sessions(
    server: AccessBench, tmp_path: Path
) -> None:
    session, other = server.session("otto"), Accounts(tmp_path, FakeAudit())
    assert other.change("otto", role=READ_ONLY) is None
    assert server.sessions.find(session.token) is None
    assert other.change("otto", role=OPERATOR) is None
    assert server.sessions.find(session.token) is None
    session = server.session("otto")
    for role in (READ_ONLY, OPERATOR):
        assert other.change("otto", role=role) is None
    assert server.sessions.find(session.token) is None


def test_a_full_disk_changes_nothing(
    server: AccessBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    text, session = (tmp_path / FILE).read_text(), server.session("rita")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fail)
        for refusal in (
            server.accounts.add("eva", GOOD, READ_ONLY),
            server.accounts.change("rita", password="other-password-1"),
            server.accounts.remove("rita"),
        ):
            assert isinstance(refusal, Refusal)
            assert refusal.storage
            assert "No space left" in refusal.reason
        (tmp_path / "new").mkdir()
        with pytest.raises(OpsError, match="No space left"):
            Accounts(tmp_path / "new", FakeAudit())
    assert (tmp_path / FILE).read_text() == text
    assert sorted(path.name for path in tmp_path.rglob("*.new")) == []
    assert server.accounts.find("eva") is None
    assert server.sessions.find(session.token) is not None
    assert isinstance(server.login("rita"), Session)


def test_the_file_is_read_again(server: AccessBench, tmp_path: Path) -> None:
    session = server.session("rita")
    other = Accounts(tmp_path, FakeAudit())
    assert other.change("rita", role=OPERATOR) is None
    os.utime(tmp_path / FILE, ns=(time.time_ns(), time.time_ns() + 1))
    assert server.accounts.find("rita").role == OPERATOR  # type: ignore[union-attr]
    assert server.sessions.find(session.token) is None
    (tmp_path / FILE).write_text("[{")
    assert server.accounts.all() == []
    assert isinstance(server.login("ada"), Refusal)
    for text in ("3", "[3]", "{}", '[{"user": "ada"}]'):
        (tmp_path / FILE).write_text(text)
        assert server.accounts.all() == []


def test_an_unknown_user_takes_as_long_as_a_known_one(
    server: AccessBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    verify = passwords.verify
    monkeypatch.setattr(passwords, "verify", lambda p, h: checked.append(h) or verify(p, h))
    server.login("nobody-here", "wrong-password")
    server.login("rita", "wrong-password")
    assert len(checked) == 2


@pytest.mark.parametrize("addresses", [1, 20, 200])
def test_one_account_has_at_most_100_guesses_in_an_hour(addresses: int) -> None:
    now, guesses = 0.0, 0
    lockout = Lockout(lambda: now)
    lockout.succeeded("adam", "known")
    for _ in range(3600):
        now += 1.0
        for number in range(addresses):
            if not lockout.remaining_s("adam", str(number)):
                lockout.failed("adam", str(number))
                guesses += 1
    assert guesses <= 100
    assert lockout.remaining_s("adam", "known") == 0
    now += 3600
    assert lockout.remaining_s("adam", "1") == 0


@pytest.mark.parametrize(
    "addresses", [["10.0.0.66"], ["2001:db8:0:1::7"], [f"2001:db8:0:1::{n:x}" for n in range(300)]]
)
def test_one_client_keeps_no_user_out_elsewhere(addresses: list[str]) -> None:
    """Also no user that has not logged in yet; a host owns all addresses of its /64."""
    now, guesses = 0.0, 0
    lockout = Lockout(lambda: now)
    for second in range(7200):
        now += 1.0
        address = addresses[second % len(addresses)]
        if not lockout.remaining_s("adam", address):
            lockout.failed("adam", address)
            guesses += 1
        assert lockout.remaining_s("adam", "10.0.0.9") == 0
        assert lockout.remaining_s("adam", "2001:db8:0:2::7") == 0
    assert guesses <= 2 * NETWORK_FAILURES
    assert lockout.user_remaining_s("adam") > 0
    lockout.unlock("adam")
    assert lockout.user_remaining_s("adam") == 0
    assert lockout.remaining_s("adam", addresses[0]) == 0


def test_names_that_are_no_accounts_end_no_count_of_an_account() -> None:
    now, guesses = 0.0, 0
    lockout = Lockout(lambda: now)
    for number in range(36_000):
        now += 0.1
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        if number % 4:
            lockout.failed(f"name{number}", address, is_account=False)
        elif not lockout.remaining_s("adam", address):
            lockout.failed("adam", address)
            guesses += 1
    assert guesses == 100


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.6", "10.0.0.6"), ("::ffff:10.0.0.6", "10.0.0.6"), ("", ""), ("a:b", "a:b"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
    ],
)  # fmt: skip
def test_what_one_client_can_own(address: str, network: str) -> None:
    assert client_network(address) == network


def test_a_real_hash_needs_16_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_N", REAL_COST)
    text = passwords.make_hash(GOOD)
    assert text.startswith("scrypt$16384$8$1$")  # 128 * N * r bytes
    assert passwords.verify(GOOD, text)
    assert not passwords.verify(GOOD + "9", text)
