# SPDX-License-Identifier: Apache-2.0
"""A Redfish service with fake accounts and a fake source, listening on a loopback port.

The server runs in a thread of its own, so that foreign clients in the test can use it.
"""

import asyncio
import secrets
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from deploy.northbound.access.accounts import UserAccount
from deploy.northbound.access.types import FakeAudit, FakeWriter, Refusal, Session
from deploy.northbound.fake_source import FakeSource
from deploy.northbound.http.certificate import CertificateStore
from deploy.northbound.http.discovery import DiscoveryResponder
from deploy.northbound.http.limits import HttpLimits
from deploy.northbound.http.login import Authenticator
from deploy.northbound.http.server import HttpServer
from deploy.northbound.http.service import make_refusal_record
from deploy.northbound.metrics import add_metrics
from deploy.northbound.process.listener import listen
from deploy.northbound.redfish.build import RedfishParts, build_service
from deploy.northbound.redfish.event_log import EventLog
from deploy.northbound.redfish.event_push import EventPush
from deploy.ops.private_file import write_private

PASSWORD = "Correct-Horse-7"
METRICS_TOKEN = "t" * 32
USERS = {"admin": "Administrator", "operator": "Operator", "reader": "ReadOnly"}
LIMITS = HttpLimits(
    address_rate=5000,
    address_burst=5000,
    total_rate=5000,
    total_burst=5000,
    work_ms=1e6,
    other_work_ms=1e6,
    known_work_ms=1e6,
)


_kept_pairs: dict[str, dict[str, bytes]] = {}


def make_certificates(folder: Path, name: str) -> CertificateStore:
    """Make the certificate of a server; a second one of a name is a copy, not a new process."""
    kept = _kept_pairs.get(name, {})
    for file, data in kept.items():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / file, data)
    store = CertificateStore(folder, name, ["127.0.0.1"])
    if not kept:
        _kept_pairs[name] = {
            file: (folder / file).read_bytes() for file in ("key.pem", "certificate.pem")
        }
    return store


class FakeAccounts:
    """Accounts and sessions in memory, passwords in clear text."""

    def __init__(self, must_change: str = "") -> None:
        self._accounts = {
            name: (UserAccount(name, role, "", must_change=name == must_change), PASSWORD)
            for name, role in USERS.items()
        }
        self._sessions: dict[str, Session] = {}

    def check(self, user: str, password: str, address: str) -> Session | Refusal:
        view, known = self._accounts.get(user, (None, ""))
        if view is None or not view.enabled or password != known:
            return Refusal("wrong user or password")
        return Session("", user, view.role, address, "", view.must_change)

    def login(self, user: str, password: str, address: str) -> Session | Refusal:
        found = self.check(user, password, address)
        if isinstance(found, Session):
            found = replace(found, id=secrets.token_hex(4), token=secrets.token_hex(16))
            self._sessions[found.token] = found
        return found

    def all(self) -> Sequence[UserAccount]:
        return [view for view, _password in self._accounts.values()]

    def add(
        self,
        user: str,
        password: str,
        role: str,
        enabled: bool = True,
        must_change: bool = False,
        by: object = None,
    ) -> Refusal | None:
        if user in self._accounts:
            return Refusal("the user exists")
        self._accounts[user] = (UserAccount(user, role, "", enabled, must_change), password)
        return None

    def change(self, user, *, name=None, password=None, role=None, enabled=None, unlock=False,
               by=None):  # fmt: skip
        view, old = self._accounts.pop(user)
        view = replace(
            view,
            user=name or view.user,
            role=role or view.role,
            enabled=view.enabled if enabled is None else enabled,
            must_change=view.must_change and password is None,
        )
        self._accounts[view.user] = (view, password or old)

    def remove(self, user: str, by: object = None) -> Refusal | None:
        del self._accounts[user]
        return None


class FakeSessions:
    """The sessions of `FakeAccounts`."""

    def __init__(self, accounts: FakeAccounts) -> None:
        self.idle_s = 600
        self._accounts = accounts

    def check(self, user: str, password: str, address: str, _protocol: str):
        return self._accounts.check(user, password, address)

    def login(self, user: str, password: str, address: str, _protocol: str):
        return self._accounts.login(user, password, address)

    def may_reuse(self, _user: str, _address: str) -> bool:
        return True

    def set_idle(self, seconds: int) -> None:
        self.idle_s = seconds

    def find(self, token: str) -> Session | None:
        return self._accounts._sessions.get(token)

    def keep(self, session_id: str) -> bool:
        return any(session.id == session_id for session in self.all())

    def all(self) -> Sequence[Session]:
        return list(self._accounts._sessions.values())

    def close(self, session_id: str) -> bool:
        before = len(self._accounts._sessions)
        kept = {t: s for t, s in self._accounts._sessions.items() if s.id != session_id}
        self._accounts._sessions = kept
        return len(kept) < before


class ServiceBench:
    """The service in a thread. `source`: set the snapshot; `writer`, `audit`: see what came."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: HttpLimits = LIMITS,
        networks: Sequence[str] = (),
        authorities: str = "",
        must_change: str = "",
        discovery: DiscoveryResponder | None = None,
        state: Path | None = None,
    ) -> None:
        self.folder = folder
        self.limits = limits
        self.source = FakeSource(1)
        self.writer = FakeWriter()
        self.audit = FakeAudit()
        self.events = EventLog()
        self.events.note_start(datetime.now(UTC))
        self.accounts = accounts = FakeAccounts(must_change)
        self.sessions = sessions = FakeSessions(accounts)
        self.certificates = make_certificates(folder / "https", "cdu.test")
        self.server = HttpServer(
            listen("http", "127.0.0.1", 0),
            self.certificates.context,
            limits,
            refused=make_refusal_record(self.audit),
        )
        self.restarts = 0
        login = Authenticator(sessions, "redfish")
        push = EventPush(networks, authorities, interval_s=0.05)
        parts = RedfishParts(
            self.source,
            accounts,
            sessions,
            login,
            self.audit,
            self.writer,
            self.certificates,
            push,
            self._restart,
            self.server.port,
            hold_s=0.0,
            discovery=discovery,
            state=state,
        )
        self.service, self.tree = build_service(parts, self.events)
        self.service.register(self.server.app, self.server.gate)
        add_metrics(self.server.app, self.source, METRICS_TOKEN)
        self.server.every(0.1, lambda: self.events.update(self.source.read()))
        if self.service.subscriptions is not None:
            self.server.every(0.1, self.service.subscriptions.save)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.server.stop)
        self._thread.join(10)

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._ready.set()
            await self.server.run()

        asyncio.run(main())

    def _restart(self) -> None:
        self.restarts += 1


def set_state(bench: ServiceBench, state: str) -> None:
    """Bring the unit into a state of `test_validators.STATES`."""
    source = bench.source
    source.step()
    points = source.snapshot.points
    full = {
        key: replace(p, raw=p.raw if p.raw is not None else 1, quality="good", age_ms=100)
        for key, p in points.items()
    }
    source.replace(points=full, unit_state="normal")
    if state == "sensors_lost":
        lost = {key: replace(p, raw=None, quality="bad", age_ms=None) for key, p in full.items()}
        source.replace(points=lost, unit_state="degraded")
    elif state in ("safe", "stopped"):
        source.replace(unit_state=state)
    elif state == "clock_unknown":
        alarms = tuple(
            replace(a, raised_utc=None, cleared_utc=None) for a in source.snapshot.alarms
        )
        source.replace(utc=None, utc_bound_us=None, alarms=alarms)
    elif state == "no_record":
        source.stop()
