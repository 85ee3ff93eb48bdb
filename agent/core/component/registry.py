# SPDX-License-Identifier: Apache-2.0
"""List of the optional components, one record each.

Does not contain the control loops, the clock or the supervisor; each agent has them. The agent
imports a component only if it is configured. The order of the records is a part of the behaviour:
it defines the port numbers, the order in the status and the order of `before_control`.
"""

from collections import namedtuple

from agent.core.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Component
    from agent.core.context import Context

STREAM_KINDS = ("tcp", "tls")
LINK_KINDS = {
    "ntp": ("ntp",),
    "receivers": ("serial", "uart", "tcp"),
    "redundancy": ("serial", "uart", "udp"),
    "group": ("udp",),
}
"""Kinds of address that the further `ports` of a section can have; others have `STREAM_KINDS`."""

ComponentSpec = namedtuple("ComponentSpec", ("section", "module", "cls", "port_kinds", "schema"))
"""A component. `section`: its section of the configuration. `module`, `cls`: its class.
`port_kinds`: kinds of address for its `port`; empty: no port. `schema`: the module with its schema.
"""

COMPONENTS: "tuple[ComponentSpec, ...]" = (
    ComponentSpec("log", "agent.log.component", "LogComponent", ("store",), "agent.log.schema"),
    ComponentSpec(
        "remote", "agent.remote.manager", "RemoteManager", ("store",), "agent.remote.schema"
    ),
    ComponentSpec(
        "cooling", "agent.control.component", "CoolingComponent", ("store",), "agent.control.schema"
    ),
    ComponentSpec(
        "timekeeping",
        "agent.clock.persistence",
        "TimePersistence",
        ("store",),
        "agent.clock.schema",
    ),
    ComponentSpec(
        "integrity", "agent.gnss.component", "IntegrityComponent", (), "agent.gnss.schema"
    ),
    ComponentSpec(
        "throttle", "agent.power.component", "PowerLimitComponent", ("store",), "agent.power.schema"
    ),
    ComponentSpec(
        "ledger", "agent.energy.component", "EnergyComponent", ("store",), "agent.energy.schema"
    ),
    ComponentSpec(
        "safety", "agent.safety.interlock", "Interlock", ("watchdog",), "agent.safety.schema"
    ),
    ComponentSpec(
        "receiver_setup",
        "agent.gnss.receiver_setup",
        "ReceiverSetup",
        (),
        "agent.gnss.schema_setup",
    ),
    ComponentSpec("pps", "agent.clock.pps", "PpsComponent", ("pps",), "agent.clock.schema"),
    ComponentSpec("chrony", "agent.clock.chrony", "RefClock", ("chrony",), "agent.clock.schema"),
    ComponentSpec(
        "modem",
        "agent.satcom.component",
        "SatcomComponent",
        ("serial", "uart", "tcp"),
        "agent.satcom.schema",
    ),
    ComponentSpec(
        "modem_store", "agent.satcom.persistence", "SatcomStore", ("store",), "agent.satcom.schema"
    ),
    ComponentSpec("retain", "agent.retain.component", "Retain", ("store",), "agent.retain.schema"),
    ComponentSpec(
        "ntp", "agent.clock.ntp.component", "NtpComponent", ("ntp",), "agent.clock.schema"
    ),
    ComponentSpec(
        "receivers", "agent.gnss.group.component", "ReceiverGroup", (), "agent.gnss.schema"
    ),
    ComponentSpec(
        "northbound",
        "agent.northbound.component",
        "NorthboundComponent",
        ("local",),
        "agent.northbound.schema",
    ),
    ComponentSpec(
        "redundancy",
        "agent.redundancy.component",
        "RedundancyComponent",
        ("store",),
        "agent.redundancy.schema",
    ),
    ComponentSpec(
        "group", "agent.control.group.component", "GroupComponent", (), "agent.control.group.schema"
    ),
)
"""All optional components, in the order of their ports."""


def sections(raw: "dict[str, Any]") -> "list[tuple[str, tuple[str, ...]]]":
    """Return the component sections in `raw`, each with the kinds of address for its port."""
    return [(spec.section, spec.port_kinds) for spec in COMPONENTS if spec.section in raw]


def schema_module(spec: ComponentSpec, name: str) -> "Any":
    """Import the module with the schema of a component. `name` is an attribute of it.

    Raises ConfigError if this machine has no code of the component: boards without sockets.
    """
    try:
        return __import__(spec.schema, None, None, (name,))
    except ImportError:
        raise ConfigError("%s: this machine has no code for it" % spec.section)


def build(agent: "Context", chosen: "list[tuple[str, dict[str, Any], int]]") -> "list[Component]":
    """Build the components of `chosen`: (section, settings, port number or -1)."""
    built: list[Component] = []
    for section, settings, port in chosen:
        for spec in COMPONENTS:
            if spec.section == section:
                try:
                    module = __import__(spec.module, None, None, (spec.cls,))
                except ImportError:
                    raise ConfigError("%s: this machine has no code for it" % section)
                built.append(getattr(module, spec.cls)(agent, settings, port))
    return built
