# SPDX-License-Identifier: Apache-2.0
"""The service `http` of the process `web`: the HTTPS server and its packages of routes.

Does not have routes. `_ROUTES` names modules with `add_routes(site)`; one is imported only if
`northbound.http.serves` names it. A module that is not installed is left out.
"""

import gc
import importlib
import importlib.util
import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

from microdot import Request

from agent.tools.web.page_rule import PageRefusal
from deploy.errors import OpsError
from deploy.northbound.access.types import AuditSink
from deploy.northbound.http.certificate import CertificateStore
from deploy.northbound.http.login import Authenticator
from deploy.northbound.http.server import HttpServer
from deploy.northbound.http.site import WebSite
from deploy.northbound.process.context import ServerContext
from deploy.northbound.process.listener import listen
from drivers.ports.cpython.certificate_files import POLL_S

_ROUTES = {
    "redfish": "deploy.northbound.redfish.web",
    "metrics": "deploy.northbound.metrics",
    "panel": "deploy.northbound.panel.web",
}
_RESTART_S = 1.0


class RestartRequestError(Exception):
    """A user asked for a restart of the process."""


async def serve(context: ServerContext) -> None:
    """Serve until the task is cancelled. Raises RestartRequestError: `Manager.Reset`."""
    site = make_site(context)
    for name in context.section("http").get("serves") or _ROUTES:
        if importlib.util.find_spec(_ROUTES[name]) is not None:
            importlib.import_module(_ROUTES[name]).add_routes(site)
    gc.collect()
    gc.freeze()  # what lives from the start to the end need not be searched again
    await site.server.run()
    raise RestartRequestError("restart of the northbound server")


def make_site(context: ServerContext) -> WebSite:
    """Listen, and return the server with its parts."""
    if context.accounts is None or context.sessions is None:
        raise OpsError("northbound.http: the process has no accounts")
    section = context.section("http")
    certificates = CertificateStore(
        context.settings.state / "https",
        _host_name(context),
        _own_addresses(section["address"]),
        _files(context),
    )
    listener = listen("http", section["address"], section["port"])
    networks = section.get("networks") or ()
    server = HttpServer(
        listener,
        certificates.context,
        networks=networks,
        collects=True,
        refused=make_refusal_record(context.audit),
    )
    server.every(POLL_S, certificates.refresh)
    login = Authenticator(context.sessions, "redfish")
    context.accounts.observe(lambda _user: login.forget())
    return WebSite(
        server,
        context,
        context.accounts,
        context.sessions,
        login,
        certificates,
        lambda: server.stop(_RESTART_S),
    )


def make_refusal_record(audit: AuditSink) -> Callable[[Request, PageRefusal], None]:
    """Return a function that records a request of a foreign page that would change something."""

    def record(request: Request, why: PageRefusal) -> None:
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            address = str(request.client_addr[0])
            result = f"refused: {why.text}"
            audit.record("", address, "http", request.method, request.path, result)

    return record


def _own_addresses(address: str) -> list[str]:
    """Return the addresses for the certificate: none if the server listens on all."""
    return [] if ipaddress.ip_address(address).is_unspecified else [address]


def _host_name(context: ServerContext) -> str:
    name = socket.gethostname()
    return name if name.isascii() and name else context.settings.unit


def _files(context: ServerContext) -> tuple[Path, Path] | None:
    """Return certificate and key of the configuration, relative to its file."""
    section, folder = context.section("http"), context.settings.path.parent
    if "certificate" not in section and "key" not in section:
        return None
    if "certificate" not in section or "key" not in section:
        raise OpsError("northbound.http: certificate and key belong together")
    return folder / section["certificate"], folder / section["key"]
