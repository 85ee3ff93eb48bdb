# SPDX-License-Identifier: Apache-2.0
"""What the panel needs from the other packages of `deploy.northbound`, as one record.

Does not build them; `coldloop northbound` does. Tests give fakes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from deploy.northbound.access.types import AuditSink, Refusal, Session, WriteAccess
from deploy.northbound.panel.trends import TrendStore
from deploy.northbound.snapshot import SnapshotReader


class Logins(Protocol):
    """Accounts and sessions of all protocols."""

    def login(self, user: str, password: str, address: str) -> Session | Refusal:
        """Open a session. The time does not depend on whether the user exists."""
        ...

    def find_session(self, token: str) -> Session | None:
        """Return the session of a token and count it as used; None: unknown or ended."""
        ...

    def logout(self, session: Session) -> None:
        """End a session."""
        ...

    def change_password(self, session: Session, password: str) -> Session | Refusal:
        """Set the password of the session's user; return the session that continues."""
        ...


@dataclass(slots=True)
class PanelServices:
    """Parts of the process that the panel uses.

    `logins` or `writer` None: the panel shows values and has no sign-in. `open_stream`: whether an
    answer may be a stream of events; the HTTP server counts them.
    """

    source: SnapshotReader
    audit: AuditSink
    logins: Logins | None = None
    writer: WriteAccess | None = None
    trends: TrendStore = field(default_factory=TrendStore)
    open_stream: Callable[[Any], bool] = lambda _request: True
    config: Mapping[str, Any] = field(default_factory=dict)
