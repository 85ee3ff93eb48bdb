# SPDX-License-Identifier: Apache-2.0
"""Builds the Redfish service from the sources of the process: one tree with all resources.

Does not listen; see `deploy.northbound.http.server`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy.northbound.access.types import AuditSink, WriteAccess
from deploy.northbound.http.certificate import CertificateStore
from deploy.northbound.http.discovery import DiscoveryResponder
from deploy.northbound.http.login import AccountStore, Authenticator, SessionStore
from deploy.northbound.redfish.event_log import EventLog
from deploy.northbound.redfish.event_push import EventPush
from deploy.northbound.redfish.registry import add_registries
from deploy.northbound.redfish.resource import ResourceTree
from deploy.northbound.redfish.resources.accounts import AccountResources
from deploy.northbound.redfish.resources.certificates import CertificateResources
from deploy.northbound.redfish.resources.chassis import ChassisResources
from deploy.northbound.redfish.resources.events import EventResources
from deploy.northbound.redfish.resources.logs import LogResources
from deploy.northbound.redfish.resources.manager import ManagerResources
from deploy.northbound.redfish.resources.subscription_file import SubscriptionFile
from deploy.northbound.redfish.resources.tasks import TaskList
from deploy.northbound.redfish.resources.thermal import ThermalResources
from deploy.northbound.redfish.sensors import SensorModel
from deploy.northbound.redfish.service import RedfishService
from deploy.northbound.snapshot import SnapshotReader


@dataclass(frozen=True, slots=True)
class RedfishParts:
    """What the service needs. `restart`: ends the process soon; `port`: of HTTPS.

    `discovery`: the responder of SSDP; None: off. `configured`: points of the unit by its
    configuration. `state`: folder of the subscriptions; None: they end with the process.
    """

    source: SnapshotReader
    accounts: AccountStore
    sessions: SessionStore
    login: Authenticator
    audit: AuditSink
    writer: WriteAccess
    certificates: CertificateStore
    push: EventPush
    restart: Callable[[], None]
    port: int
    hold_s: float = 0.05
    discovery: DiscoveryResponder | None = None
    configured: Iterable[str] = ()
    state: Path | None = None


def build_service(parts: RedfishParts, events: EventLog) -> tuple[RedfishService, ResourceTree]:
    """Return the service and its tree."""
    tree = ResourceTree()
    sensors = SensorModel(parts.source, parts.hold_s, parts.configured)
    tasks = TaskList(tree, sensors, parts.writer)
    ThermalResources(tree, sensors)
    ChassisResources(tree, sensors, tasks)
    ManagerResources(tree, sensors, parts.restart, parts.port, parts.discovery)
    LogResources(tree, sensors, events)
    event_resources = EventResources(tree, sensors, events, parts.push, parts.sessions.keep)
    AccountResources(tree, parts.accounts, parts.sessions, parts.login.forget)
    CertificateResources(tree, sensors, parts.certificates)
    add_registries(tree)
    subscriptions = _restore(parts, event_resources)
    return RedfishService(
        tree, parts.login, parts.audit, event_resources, tasks, subscriptions
    ), tree


def _restore(parts: RedfishParts, events: EventResources) -> SubscriptionFile | None:
    """Return the file of the subscriptions; those in it are restored."""
    if parts.state is None:
        return None

    def role_of(user: str) -> str:
        return next((a.role for a in parts.accounts.all() if a.user == user and a.enabled), "")

    found = SubscriptionFile(parts.state / "redfish-subscriptions.json", events, role_of)
    found.load()
    return found
