# SPDX-License-Identifier: Apache-2.0
"""What a process gives to its services: settings, snapshots, accounts, audit log, writes.

A service is a module `service` in a package of `deploy/northbound/`. It has
`async def serve(context)`, which runs until it is cancelled.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.audit import ServerAudit
from deploy.northbound.access.sessions import Sessions
from deploy.northbound.access.types import ADMINISTRATOR, OPERATOR
from deploy.northbound.access.writes import PERSONS, Writer, WriterProcess
from deploy.northbound.process.settings import SiteSettings
from deploy.northbound.record import SnapshotSource

_HEALTH_S = 120
"""Default of `remote.health_s`, s."""


@dataclass(frozen=True, slots=True)
class ServerContext:
    """The parts of a process. `accounts` and `sessions` exist only with `northbound.http`."""

    process: str
    settings: SiteSettings
    source: SnapshotSource
    audit: ServerAudit
    writer: Writer
    accounts: Accounts | None
    sessions: Sessions | None

    def section(self, name: str) -> dict[str, Any]:
        """Return a sub-section of `northbound`, such as `http`."""
        section: dict[str, Any] = self.settings.section[name]
        return section


def make_context(process: str, settings: SiteSettings) -> ServerContext:
    """Make the parts of a process. The state folder exists."""
    audit = ServerAudit(settings.state, process)
    source = SnapshotSource(settings.folder, software_version())
    unit = f"{settings.site}/{settings.unit}"
    accounts = None
    sessions = None
    if process == "web" and "http" in settings.section:
        accounts = Accounts(settings.state, audit)
        sessions = Sessions(accounts)
    right = right_of(accounts)
    identity = WriterProcess(settings.state, process, _health_s(settings.raw), right)
    writer = Writer(unit, settings.folder, settings.key_file(), source, audit, identity)
    return ServerContext(process, settings, source, audit, writer, accounts, sessions)


def right_of(accounts: Accounts | None) -> Callable[[str, str], str]:
    """Return the right of a user of a protocol to write now, "" for none; only persons lose it.

    Each change of the account gives another right, also one that is taken back, a new password, or
    a new account of the same name: its hash is another one.
    """

    def right(user: str, protocol: str) -> str:
        if accounts is None or protocol not in PERSONS:
            return "all"
        account = accounts.find(user)
        if account is None or not account.enabled or account.role not in (OPERATOR, ADMINISTRATOR):
            return ""
        return f"{account.changes} {account.hash}"

    return right


def _health_s(raw: dict[str, Any]) -> int:
    """Return the health window of a trial, s. The agent checks the file; here it can be wrong."""
    remote = raw.get("remote")
    found = remote.get("health_s") if isinstance(remote, dict) else None
    return found if type(found) is int else _HEALTH_S


def software_version() -> str:
    """Return name and version of the installed package, from the name of its metadata folder.

    importlib.metadata does the same with 2 MiB more memory.
    """
    for entry in sys.path:
        for folder in Path(entry or ".").glob("coldloop-*.dist-info"):
            return f"coldloop {folder.name.removeprefix('coldloop-').removesuffix('.dist-info')}"
    return "coldloop"
