# SPDX-License-Identifier: Apache-2.0
"""Sessions of logged-in users, in memory: a restart of the server ends all of them.

Does not check passwords; see `deploy.northbound.access.accounts`. At most `MAX_SESSIONS` exist. A
session ends after `idle_s` without a request, and when the account changes or ends. Only hashes of
the tokens are kept. A login can run in another thread; so loops use a copy of the table.

If all places are taken, a login takes the place of a session with a lower role: of the lowest role
the one that was not used for longest. So readers never keep an administrator out. A user who has
all of his places takes the one of his own oldest session: so pages that crashed keep no user out.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from deploy.northbound.access.accounts import Accounts, UserAccount
from deploy.northbound.access.types import ROLES, Refusal, Session

TOO_MANY = "too many sessions"
MAX_SESSIONS = 16
MAX_OF_USER = 8
IDLE_RANGE_S = (30, 86_400)


class Sessions:
    """The sessions. `clock`: monotonic seconds. `idle_s`: longest time between two requests."""

    def __init__(self, accounts: Accounts, clock: Callable[[], float] = time.monotonic) -> None:
        self.idle_s = 600
        self._accounts = accounts
        self._clock = clock
        self._sessions: dict[str, tuple[Session, float]] = {}
        self._next_id = 1
        self._opening = threading.Lock()
        accounts.observe(self.close_of)

    def login(self, user: str, password: str, address: str, protocol: str) -> Session | Refusal:
        """Open a session for a correct password."""
        account = self._accounts.check(user, password, address, protocol)
        if isinstance(account, Refusal):
            return account
        with self._opening:
            return self._open(account, address)

    def _open(self, account: UserAccount, address: str) -> Session | Refusal:
        self._end_oldest_of(account.user)
        if not self._make_place(account.role):
            return Refusal(TOO_MANY, self.idle_s)
        token = secrets.token_hex(32)
        session = _session(str(self._next_id), account, address)
        self._next_id += 1
        self._sessions[_key(token)] = (session, self._clock())
        return replace(session, token=token)

    def _end_oldest_of(self, user: str) -> None:
        """End the oldest session of a user who has all of the places of one user."""
        self._expire()
        own = [entry for entry in list(self._sessions.items()) if entry[1][0].user == user]
        if len(own) >= MAX_OF_USER:
            self._sessions.pop(min(own, key=lambda entry: entry[1][1])[0], None)

    def _make_place(self, role: str) -> bool:
        """Return whether there is a place; if not, end a session with a lower role first."""
        if len(self._sessions) < MAX_SESSIONS:
            return True
        rank = ROLES.index
        key, (session, _) = min(
            list(self._sessions.items()), key=lambda entry: (rank(entry[1][0].role), entry[1][1])
        )
        if rank(session.role) >= rank(role):
            return False
        self._sessions.pop(key, None)
        return True

    def check(self, user: str, password: str, address: str, protocol: str) -> Session | Refusal:
        """Check a password for one request, as HTTP Basic does. No session is kept."""
        account = self._accounts.check(user, password, address, protocol)
        return account if isinstance(account, Refusal) else _session("", account, address)

    def may_reuse(self, user: str, address: str) -> bool:
        """Return whether a password that was checked before still counts: nothing is locked.

        Changes of accounts by another process are taken over first, and the observers are called.
        """
        self._accounts.refresh()
        return self._accounts.lockout.remaining_s(user, address) == 0

    def find(self, token: str) -> Session | None:
        """Return the session of a token and renew it. Its role is that of the account now."""
        self._accounts.refresh()  # ends the sessions of accounts that have changed
        self._expire()
        found = self._sessions.get(_key(token))
        if found is None:
            return None
        session = found[0]
        account = self._accounts.find(session.user)
        if account is None or not account.enabled:
            return None
        session = replace(session, role=account.role, must_change=account.must_change)
        if _key(token) in self._sessions:
            self._sessions[_key(token)] = (session, self._clock())
        return session

    def all(self) -> list[Session]:
        """Return all sessions, without their tokens."""
        self._expire()
        return [session for session, _ in list(self._sessions.values())]

    def keep(self, session_id: str) -> bool:
        """Renew the idle time of a session: it has an open stream. False: it has ended."""
        self._accounts.refresh()
        self._expire()
        for key, (session, _) in list(self._sessions.items()):
            if session.id == session_id:
                self._sessions[key] = (session, self._clock())
                return True
        return False

    def close(self, session_id: str) -> bool:
        """End a session; return whether it existed."""
        return self._drop(lambda session: session.id == session_id)

    def close_of(self, user: str) -> None:
        """End all sessions of a user."""
        self._drop(lambda session: session.user == user)

    def _drop(self, matches: Callable[[Session], bool]) -> bool:
        keys = [key for key, (session, _) in list(self._sessions.items()) if matches(session)]
        for key in keys:
            self._sessions.pop(key, None)
        return bool(keys)

    def set_idle(self, seconds: int) -> Refusal | None:
        """Set `idle_s`."""
        low, high = IDLE_RANGE_S
        if not low <= seconds <= high:
            return Refusal(f"{low} to {high} s")
        self.idle_s = seconds
        return None

    def _expire(self) -> None:
        now = self._clock()
        old = [key for key, (_, used) in list(self._sessions.items()) if now - used > self.idle_s]
        for key in old:
            self._sessions.pop(key, None)


def _session(session_id: str, account: UserAccount, address: str) -> Session:
    return Session(
        session_id, account.user, account.role, address, "", account.must_change, account.changes
    )


def _key(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
