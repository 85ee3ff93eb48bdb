# SPDX-License-Identifier: Apache-2.0
"""What the web server gives to the packages that add routes to it.

Does not know these packages. Each has `add_routes(site)`; see `deploy.northbound.http.service`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from deploy.northbound.access.accounts import Accounts
from deploy.northbound.access.sessions import Sessions
from deploy.northbound.http.certificate import CertificateStore
from deploy.northbound.http.login import Authenticator
from deploy.northbound.http.server import HttpServer
from deploy.northbound.process.context import ServerContext


@dataclass(frozen=True, slots=True)
class WebSite:
    """The web server of a process. `restart`: ends the process soon; systemd starts it again."""

    server: HttpServer
    context: ServerContext
    accounts: Accounts
    sessions: Sessions
    login: Authenticator
    certificates: CertificateStore
    restart: Callable[[], None]
