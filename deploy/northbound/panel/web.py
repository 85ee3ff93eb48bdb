# SPDX-License-Identifier: Apache-2.0
"""Adds the panel to the web server of `coldloop northbound`.

Does not have routes of its own; see `deploy.northbound.panel.routes`. Without `northbound.writes`
the panel only shows values. A person uses the accounts of all other protocols.
"""

import asyncio
from typing import Any, Protocol

from microdot import Microdot

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.sessions import Sessions
from deploy.northbound.access.types import Refusal, Session
from deploy.northbound.panel.feeder import feed_trends
from deploy.northbound.panel.routes import PROTOCOL, PanelRoutes
from deploy.northbound.panel.services import PanelServices
from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.supervisor import keep_running


class StreamGate(Protocol):
    """Counts the streams of the server."""

    def open_stream(self, request: Any, group: str) -> bool:
        """Return whether the answer to `request` may be a stream of this group."""
        ...


class AppServer(Protocol):
    """The HTTP server as the panel uses it."""

    @property
    def app(self) -> Microdot:
        """The app for the routes."""
        ...

    @property
    def gate(self) -> StreamGate:
        """The gate of the connections."""
        ...


class PanelSite(Protocol):
    """What the web server gives to each package of routes."""

    @property
    def server(self) -> AppServer:
        """The HTTP server."""
        ...

    @property
    def context(self) -> ServerContext:
        """The parts of the process."""
        ...

    @property
    def accounts(self) -> Accounts:
        """The accounts."""
        ...

    @property
    def sessions(self) -> Sessions:
        """The sessions."""
        ...


class PanelLogins:
    """Accounts and sessions as `deploy.northbound.panel.services.Logins`."""

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    def login(self, user: str, password: str, address: str) -> Session | Refusal:
        """Open a session."""
        return self._sessions.login(user, password, address, PROTOCOL)

    def find_session(self, token: str) -> Session | None:
        """Return the session of a token and renew it."""
        return self._sessions.find(token)

    def logout(self, session: Session) -> None:
        """End a session."""
        self._sessions.close(session.id)

    def change_password(self, session: Session, password: str) -> Session | Refusal:
        """Set the password. The sessions of the user end, so a new one is opened."""
        refusal = self._accounts.change(session.user, password=password, by=session.proof)
        return refusal or self.login(session.user, password, session.address)


_tasks: set[asyncio.Task[None]] = set()


def add_routes(site: PanelSite) -> None:
    """Add the panel to the server, and feed its trends. The event loop runs."""
    context = site.context
    services = PanelServices(
        context.source,
        context.audit,
        PanelLogins(site.accounts, site.sessions),
        None if context.writer.why_off() else context.writer,
        open_stream=lambda request: site.server.gate.open_stream(request, PROTOCOL),
        config=context.settings.raw,
    )
    PanelRoutes(services).register(site.server.app)
    work = keep_running("trends of the panel", lambda: feed_trends(services))
    task = asyncio.get_running_loop().create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
