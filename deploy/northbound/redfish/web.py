# SPDX-License-Identifier: Apache-2.0
"""Adds Redfish to the web server of the process.

Does not listen; see `deploy.northbound.http.service`.
"""

from collections import deque
from datetime import UTC, datetime

from deploy.northbound.http.discovery import POLL_S, DiscoveryResponder
from deploy.northbound.http.site import WebSite
from deploy.northbound.points.point_table import SEVERAL
from deploy.northbound.redfish.build import RedfishParts, build_service
from deploy.northbound.redfish.event_file import SAVE_S, EventFile
from deploy.northbound.redfish.event_log import EventLog
from deploy.northbound.redfish.event_push import EventPush
from deploy.northbound.redfish.resource import ROOT
from deploy.northbound.redfish.resources.manager import service_uuid

_SECTIONS = {"redundancy": "pair", "group": "group"}
"""Sections of the configuration that give the unit points of a pair or a group."""
_COMPARE_S, _ALARMS_S = 0.25, 0.1
"""Interval at which the snapshots are compared for events."""


def _discovery(site: WebSite) -> DiscoveryResponder | None:
    """Return the responder of SSDP, which the server polls; None: it is off."""
    http = site.context.section("http")
    if http["discovery"] == "off":
        return None

    def uuid() -> str:
        plate = site.context.source.read().identity
        return service_uuid(plate)

    responder = DiscoveryResponder(
        site.server.address,
        f"https://{{host}}:{site.server.port}{ROOT}/",
        uuid,
        http.get("networks") or (),
        site.context.settings.state,
    )
    site.server.every(POLL_S, responder.poll)
    return responder


def add_routes(site: WebSite) -> None:
    """Add the routes below /redfish."""
    context = site.context
    events = EventLog()
    file = EventFile(context.settings.state / "redfish-events.json", events)
    file.load()
    events.note_start(datetime.now(UTC))
    parts = RedfishParts(
        context.source,
        site.accounts,
        site.sessions,
        site.login,
        context.audit,
        context.writer,
        site.certificates,
        EventPush(context.section("http").get("event_networks") or ()),
        site.restart,
        site.server.port,
        discovery=_discovery(site),
        configured=[SEVERAL[g] for name, g in _SECTIONS.items() if name in context.settings.raw],
        state=context.settings.state,
    )
    service, _tree = build_service(parts, events)
    service.register(site.server.app, site.server.gate)
    changed: deque[str] = deque()  # also from the thread that checks passwords
    site.accounts.observe(changed.append)

    def end_streams() -> None:
        site.accounts.refresh()
        while changed:
            user = changed.popleft()
            account = site.accounts.find(user)
            service.end_streams(user, account.role if account and account.enabled else "")

    site.server.every(_COMPARE_S, end_streams)
    site.server.every(_ALARMS_S, lambda: events.update(context.source.read()))
    site.server.every(SAVE_S, file.save)
    if service.subscriptions is not None:
        site.server.every(SAVE_S, service.subscriptions.save)
