# SPDX-License-Identifier: Apache-2.0
"""Who sends a request: by the token of a session, by user and password (Basic), or no login.

Does not keep accounts; see `deploy.northbound.access`. A correct pair of user and password is kept
for 60 s as a keyed hash, because a check of the password needs 50 ms of CPU by design. A change of
an account empties this table, and a locked user or address does not use it. One thread checks
passwords, so a flood of logins stops no request.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from microdot import Request

from deploy.northbound.access.types import AccountProof, Refusal, Session
from deploy.northbound.http.limits import mark_known, run_in_thread

_CACHE_S = 60.0
_CACHE_SIZE = 16


class AccountView(Protocol):
    """An account without its password."""

    @property
    def user(self) -> str:
        """Name of the user."""
        ...

    @property
    def role(self) -> str:
        """Role, one of `ROLES`."""
        ...

    @property
    def enabled(self) -> bool:
        """Whether a login is permitted."""
        ...

    @property
    def locked(self) -> bool:
        """Whether failed logins lock the account now."""
        ...

    @property
    def must_change(self) -> bool:
        """Whether only a new password is permitted."""
        ...


class AccountStore(Protocol):
    """The accounts; `deploy.northbound.access.accounts` implements it."""

    def all(self) -> Sequence[AccountView]:
        """Return all accounts."""
        ...

    def add(
        self,
        user: str,
        password: str,
        role: str,
        enabled: bool = True,
        must_change: bool = False,
        by: AccountProof | None = None,
    ) -> Refusal | None:
        """Add an account. Slow by design."""
        ...

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
        """Change an account; its sessions end. Slow by design with a password."""
        ...

    def remove(self, user: str, by: AccountProof | None = None) -> Refusal | None:
        """Remove an account."""
        ...


class SessionStore(Protocol):
    """The open sessions; `deploy.northbound.access.sessions` implements it."""

    idle_s: int

    def check(self, user: str, password: str, address: str, protocol: str) -> Session | Refusal:
        """Check a password without a place among the sessions. Slow by design."""
        ...

    def may_reuse(self, user: str, address: str) -> bool:
        """Return whether a password that was checked before still counts."""
        ...

    def login(self, user: str, password: str, address: str, protocol: str) -> Session | Refusal:
        """Check a password and open a session. Slow by design."""
        ...

    def find(self, token: str) -> Session | None:
        """Return the session of a token and renew its idle time."""
        ...

    def all(self) -> Sequence[Session]:
        """Return all sessions."""
        ...

    def keep(self, session_id: str) -> bool:
        """Renew the idle time of a session; False: it has ended."""
        ...

    def close(self, session_id: str) -> bool:
        """End a session; False: there is none."""
        ...

    def set_idle(self, seconds: int) -> Refusal | None:
        """Set the idle time."""
        ...


class Authenticator:
    """Finds the session of a request."""

    def __init__(self, sessions: SessionStore, protocol: str) -> None:
        self._protocol = protocol
        self._sessions = sessions
        self._thread = ThreadPoolExecutor(1, "password")
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[float, Session]] = {}
        self._forgotten = 0

    def forget(self) -> None:
        """Empty the table of checked passwords."""
        self._forgotten += 1
        self._known.clear()

    async def identify(self, request: Request, address: str) -> Session | Refusal | None:
        """Return the session of a request. None: no login. Refusal: a login that is not valid."""
        found = await self._find(request, address)
        if isinstance(found, Session):
            mark_known(request)
        return found

    async def _find(self, request: Request, address: str) -> Session | Refusal | None:
        token = request.headers.get("x-auth-token", "")
        if token:
            return self._sessions.find(token) or Refusal("the session is not valid")
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        if kind.lower() != "basic":
            return Refusal("only Basic and X-Auth-Token are supported")
        try:
            text = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return Refusal("the header Authorization is not valid")
        user, colon, password = text.partition(":")
        if not colon:
            return Refusal("the header Authorization is not valid")
        return await self._check(request, user, password, address)

    async def login(
        self, request: Request, user: str, password: str, address: str
    ) -> Session | Refusal:
        """Open a session."""
        return await run_in_thread(
            request, self._thread, self._sessions.login, user, password, address, self._protocol
        )

    async def _check(
        self, request: Request, user: str, password: str, address: str
    ) -> Session | Refusal:
        text = f"{user}\0{password}\0{address}".encode()
        key = hmac.new(self._key, text, hashlib.sha256).digest()
        now = time.monotonic()
        may_reuse = self._sessions.may_reuse(user, address)
        known = self._known.get(key) if may_reuse else None
        if known is not None and now - known[0] < _CACHE_S:
            return known[1]
        forgotten = self._forgotten
        found = await run_in_thread(
            request, self._thread, self._sessions.check, user, password, address, self._protocol
        )
        if isinstance(found, Session) and forgotten == self._forgotten:
            if len(self._known) >= _CACHE_SIZE:
                del self._known[next(iter(self._known))]
            self._known[key] = (now, found)
        return found
