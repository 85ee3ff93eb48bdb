# SPDX-License-Identifier: Apache-2.0
"""Accounts of persons and programs for all protocols with a login.

Does not keep sessions; see `deploy.northbound.access.sessions`. The file accounts.json in the state
folder has names, roles and hashes of passwords. It is read again when it changes, so the command
`coldloop northbound account` takes effect in a running server. Each change holds the lock between
processes: it reads the file, changes it, and replaces it as a whole. Hashes are made before.

At the first start there is one account, `admin`, with a random password in the file
`initial_password`. This password gives no other right than to set a new one; then the file is
deleted.
"""

import contextlib
import errno
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.northbound.access import password as passwords
from deploy.northbound.access.lockout import Lockout
from deploy.northbound.access.state_lock import state_lock
from deploy.northbound.access.types import (
    ADMINISTRATOR,
    ROLES,
    AccountProof,
    AuditSink,
    Refusal,
)
from deploy.ops.private_file import DAMAGED, replace_private

FILE, INITIAL, LOCK = "accounts.json", "initial_password", "accounts.lock"
FIRST_USER = "admin"
MAX_ACCOUNTS = 32
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,31}")
_UNKNOWN = passwords.make_hash(passwords.random_password())
"""Hash for an unknown user: its check takes as long as that of a known one."""
_WRONG = "wrong user name or password"
CHANGED_MEANWHILE = "the account has changed meanwhile"
_WAIT_S = 2.0
"""Longest wait for a change of another process, s; a change takes some milliseconds."""


class _StorageError(Exception):
    """The file of the accounts cannot be read or locked; the text is the reason."""


@dataclass(frozen=True, slots=True)
class UserAccount:
    """An account. `must_change`: only a new password is permitted. `locked`: by failed logins.

    `changes`, `unlocks`: numbers of changes and of unlocks. So another process also sees a change
    that was taken back, and an unlock.
    """

    user: str
    role: str
    hash: str
    enabled: bool = True
    must_change: bool = False
    locked: bool = False
    changes: int = 0
    unlocks: int = 0


class Accounts:
    """The accounts in `folder`. `clock`: monotonic seconds, for the lock-out."""

    def __init__(
        self, folder: Path, audit: AuditSink, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lockout = Lockout(clock)
        self._folder = folder
        self._audit = audit
        self._lock = threading.RLock()
        self._checking = threading.Lock()
        self._stamp: tuple[int, ...] | None = None
        self._accounts: dict[str, UserAccount] = {}
        self._observers: list[Callable[[str], None]] = [self.lockout.forget]
        if not (folder / FILE).exists():
            self._begin()
        self._read()

    def observe(self, observer: Callable[[str], None]) -> None:
        """Call `observer` with the name of each account whose rights change or that ends."""
        self._observers.append(observer)

    def _begin(self) -> None:
        """Make the first account, if no other process was first. Raises OpsError."""
        try:
            with self._changing():
                if not (self._folder / FILE).exists():
                    self._make_first()
        except _StorageError as error:
            raise OpsError(f"{self._folder / FILE}: {error}") from None

    def _make_first(self) -> None:
        secret = passwords.random_password()
        first = UserAccount(FIRST_USER, ADMINISTRATOR, passwords.make_hash(secret), True, True)
        try:
            replace_private(self._folder / INITIAL, f"{secret}\n", to_owner=True)
        except OSError as error:
            raise OpsError(f"{self._folder / INITIAL}: {error.strerror}") from None
        refusal = self._store({FIRST_USER: first})
        if refusal is not None:
            raise OpsError(refusal.reason)

    # Reading.

    def refresh(self) -> None:
        """Take over what another process has changed, and call the observers."""
        self._read()

    def all(self) -> list[UserAccount]:
        """Return all accounts, with `locked` as it is now."""
        self._read()
        return [self._shown(account) for account in self._accounts.values()]

    def find(self, user: str) -> UserAccount | None:
        """Return an account."""
        self._read()
        account = self._accounts.get(user)
        return None if account is None else self._shown(account)

    def _shown(self, account: UserAccount) -> UserAccount:
        return replace(account, locked=self.lockout.user_remaining_s(account.user) > 0)

    def check(self, user: str, password: str, address: str, protocol: str) -> UserAccount | Refusal:
        """Return the account of a correct password. Each result is in the audit log.

        A correct and a wrong name take the same time. While the user or the address is locked, no
        password is checked. One password is checked at a time, so parallel attempts count too.
        """
        with self._checking:
            return self._check(user, password, address, protocol)

    def _check(
        self, user: str, password: str, address: str, protocol: str
    ) -> UserAccount | Refusal:
        self._read()
        known = _NAME.fullmatch(user) is not None
        shown = user if known else "?"
        wait_s = self.lockout.remaining_s(shown, address)
        if wait_s:
            self._audit.record(shown, address, protocol, "login", "", f"locked for {wait_s} s")
            return Refusal("too many failed logins", wait_s)
        account = self._accounts.get(user)
        matches = passwords.verify(password, _UNKNOWN if account is None else account.hash)
        if account is None or not matches or not account.enabled:
            self.lockout.failed(shown, address, is_account=account is not None)
            self._audit.record(shown, address, protocol, "login", "", "refused")
            return Refusal(_WRONG)
        self.lockout.succeeded(user, address)
        self._audit.record_session(user, address, protocol, "login", "", "accepted")
        return account

    # Changes.

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Keep all other threads and processes from a change; the accounts are those of the file.

        Raises _StorageError: the lock or the file cannot be had.
        """
        with self._lock, contextlib.ExitStack() as stack:
            try:
                busy = "another process changes the accounts"
                stack.enter_context(state_lock(self._folder / LOCK, _WAIT_S, busy))
                self._read(for_change=True)
            except OSError as error:
                raise _StorageError(error.strerror) from None
            yield

    def _reason_against_proof(self, by: AccountProof | None) -> str:
        """Return why the proof of a login does not count any more. The lock is held."""
        if by is None:
            return ""
        account = self._accounts.get(by.user)
        counts = account is not None and account.enabled and account.changes == by.changes
        return "" if counts else CHANGED_MEANWHILE

    def add(
        self,
        user: str,
        password: str,
        role: str,
        enabled: bool = True,
        must_change: bool = False,
        by: AccountProof | None = None,
    ) -> Refusal | None:
        """Add an account. `by`: the login of the request; it must still count then."""
        reason = self._reason_against(user, role) or passwords.weakness(password, user)
        if reason:
            return Refusal(reason)
        new = UserAccount(user, role, passwords.make_hash(password), enabled, must_change)
        try:
            with self._changing():
                if reason := self._reason_against_proof(by):
                    return Refusal(reason)
                if self._is_taken(user):
                    return Refusal(f"{user} exists already")
                if len(self._accounts) >= MAX_ACCOUNTS:
                    return Refusal(f"at most {MAX_ACCOUNTS} accounts")
                return self._store({**self._accounts, user: new})
        except _StorageError as error:
            return _not_stored(str(error))

    def _is_taken(self, name: str, owner: str = "") -> bool:
        """Return whether another account has the name; capital letters make no difference."""
        return any(
            known.casefold() == name.casefold() for known in self._accounts if known != owner
        )

    @staticmethod
    def _reason_against(user: str, role: str) -> str:
        if _NAME.fullmatch(user) is None:
            return "a user name has 1 to 32 letters, digits, _ . and -, the first one is a letter"
        return "" if role in ROLES else f"a role is one of {', '.join(ROLES)}"

    def change(
        self,
        user: str,
        *,
        name: str | None = None,
        password: str | None = None,
        role: str | None = None,
        enabled: bool | None = None,
        unlock: bool = False,
        by: AccountProof | None = None,
    ) -> Refusal | None:
        """Change the given properties of an account, all or none.

        `by`: the login of the request. A hash takes long, so requests wait for each other: each
        one proves again, inside the lock, that its login still counts.
        A password is for the account of this moment: if another process removes or changes it
        before the new one is stored, nothing is stored.
        """
        self._read()
        seen = self._accounts.get(user)
        if seen is None:
            return Refusal(f"no account {user}")
        given = {"user": name, "role": role, "enabled": enabled}
        values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if password is not None:
            reason = self._reason_against_password(replace(seen, **values), password, user)
            if reason:
                return Refusal(reason)
            values |= {"hash": passwords.make_hash(password), "must_change": False}
        try:
            with self._changing():
                old = self._accounts.get(user)
                if old is None:
                    return Refusal(f"no account {user}")
                changed = password is not None and old.hash != seen.hash
                if changed or self._reason_against_proof(by):
                    return Refusal(CHANGED_MEANWHILE)
                found = self._change(old, values, unlock)
                if isinstance(found, Refusal):
                    return found
                if old.must_change and not found.must_change and user == FIRST_USER:
                    (self._folder / INITIAL).unlink(missing_ok=True)
        except _StorageError as error:
            return _not_stored(str(error))
        if _has_changed(old, found):
            self._report(user)
        return None

    def _reason_against_password(self, new: UserAccount, password: str, user: str) -> str:
        """Return why a password is not accepted. `new`: the account after the change. Slow."""
        reason = self._reason_against(new.user, new.role) or self._last_administrator(user, new)
        reason = reason or passwords.weakness(password, new.user)
        if not reason and passwords.verify(password, new.hash):
            return "the new password is the old one"
        return reason

    def _change(
        self, old: UserAccount, values: dict[str, Any], unlock: bool
    ) -> UserAccount | Refusal:
        """Store an account with new values; return it. The lock is held."""
        user, new = old.user, replace(old, **values)
        reason = self._reason_against(new.user, new.role) or self._last_administrator(user, new)
        if new.user != user and self._is_taken(new.user, user):
            reason = f"{new.user} exists already"
        if reason:
            return Refusal(reason)
        if new != old:
            new = replace(new, changes=old.changes + 1)
        new = replace(new, unlocks=old.unlocks + unlock)
        refusal = self._store(
            {
                (new.user if key == user else key): (new if key == user else other)
                for key, other in self._accounts.items()
            }
        )
        if refusal is None and unlock:
            self.lockout.unlock(user)
        return new if refusal is None else refusal

    def remove(self, user: str, by: AccountProof | None = None) -> Refusal | None:
        """Remove an account. `by`: the login of the request; it must still count then."""
        try:
            with self._changing():
                if reason := self._reason_against_proof(by):
                    return Refusal(reason)
                if user not in self._accounts:
                    return Refusal(f"no account {user}")
                reason = self._last_administrator(user, None)
                if reason:
                    return Refusal(reason)
                refusal = self._store({k: a for k, a in self._accounts.items() if k != user})
                if refusal is not None:
                    return refusal
        except _StorageError as error:
            return _not_stored(str(error))
        self._report(user)
        return None

    def _last_administrator(self, user: str, new: UserAccount | None) -> str:
        """Refuse a change that leaves no administrator."""
        others = [account for account in self._accounts.values() if account.user != user]
        left = others if new is None else [*others, new]
        if any(a.enabled and a.role == ADMINISTRATOR for a in left):
            return ""
        return "the last enabled administrator stays"

    def _report(self, user: str) -> None:
        for observer in self._observers:
            observer(user)

    # The file.

    def _read(self, for_change: bool = False) -> None:
        """Read the file if it has changed. An invalid file leaves no account.

        `for_change`: read it in each case. Raises OSError then: it is not readable or not valid,
        and a change would lose the accounts in it.
        """
        with self._lock:
            path, before = self._folder / FILE, self._accounts
            stamp: tuple[int, ...] | None = None  # an error: the next request tries again
            accounts: dict[str, UserAccount] = {}
            try:
                newest = _stamp_of(path)
                if newest == self._stamp and not for_change:
                    return
                text = path.read_text(encoding="utf-8")
                stamp = newest
                accounts = dict(_parse(json.loads(text)))
            except FileNotFoundError:
                pass
            except OSError:
                if for_change:
                    raise
            except DAMAGED:
                if for_change:
                    raise OSError(errno.EBADMSG, f"{FILE} is damaged") from None
            self._stamp, self._accounts = stamp, accounts
        for user, account in before.items():
            found = accounts.get(user)
            if _has_changed(account, found):
                self._report(user)
            if found is not None and found.unlocks != account.unlocks:
                self.lockout.unlock(user)

    def _store(self, accounts: dict[str, UserAccount]) -> Refusal | None:
        """Write accounts, then use them. If they cannot be written, nothing changes."""
        entries = [asdict(replace(account, locked=False)) for account in accounts.values()]
        try:
            text = json.dumps(entries, indent=1) + "\n"
            replace_private(self._folder / FILE, text, to_owner=True)
            self._stamp = _stamp_of(self._folder / FILE)
        except OSError as error:
            return _not_stored(error.strerror)
        self._accounts = accounts
        return None


def _not_stored(reason: str | None) -> Refusal:
    return Refusal(f"the accounts cannot be stored: {reason}", storage=True)


def _has_changed(old: UserAccount, new: UserAccount | None) -> bool:
    """Return whether an account has other rights; an unlock changes none."""
    return new is None or replace(new, unlocks=old.unlocks) != old


def _stamp_of(path: Path) -> tuple[int, ...]:
    info = path.stat()
    return info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_size


def _parse(entries: list[dict[str, object]]) -> Iterator[tuple[str, UserAccount]]:
    for entry in entries[:MAX_ACCOUNTS]:
        user, role, text = str(entry["user"]), str(entry["role"]), str(entry["hash"])
        if _NAME.fullmatch(user) and role in ROLES:
            flags = entry.get("enabled") is True, entry.get("must_change") is True
            counts = int(entry.get("changes") or 0), int(entry.get("unlocks") or 0)  # type: ignore[call-overload]
            yield user, UserAccount(user, role, text, *flags, False, *counts)
