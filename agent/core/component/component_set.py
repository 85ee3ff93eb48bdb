# SPDX-License-Identifier: Apache-2.0
"""All components of a unit, with their port numbers.

Loaded only on a unit that has components. Does not list the available components; see
`agent.core.component.registry`. The main ports of all components have the first numbers, in the
order of the registry. The further `ports` of the components follow.
"""

import sys

from agent.core.component.base import Component
from agent.core.module_unload import drop_modules
from agent.core.port_link import PortLink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import Config
    from agent.core.context import Context

_ONLY_FOR_START = ("agent.core.component.registry", "agent.power.build")
_IS_BOARD = sys.implementation.name == "micropython"


class ComponentSet:
    """The components of `config`. Their port numbers start at `first_port`.

    `links`: all their ports, in the order of the numbers. `services`: by name. Raises `AgentError`
    if the declarations of two components conflict. A board does not make this check, because the
    declarations depend only on the code and the tests check them.
    """

    def __init__(self, agent: "Context", config: "Config", first_port: int) -> None:
        self.links: list[PortLink] = []
        configured = []
        for section, settings, address in config.components:
            port = -1
            if address is not None:
                port = first_port + len(self.links)
                self.links.append(PortLink(port, section, str(address)))
            configured.append((section, settings, port))
        self.components = _build(agent, configured)
        if not _IS_BOARD:
            from agent.core.component.declarations import check_declarations  # noqa: PLC0415

            check_declarations(self.components)
        sections = [section for section, _, _ in configured]
        for section, name, address in config.component_ports:
            port = first_port + len(self.links)
            link = PortLink(port, section + "." + name, str(address), needs_handshake=True)
            self.components[sections.index(section)].add_link(link)
            self.links.append(link)
        self.services: dict[str, Any] = {}
        for component in self.components:
            for name in component.PROVIDES:
                self.services[name] = getattr(component, name)

    def overriding(self, method: str) -> "list[Component]":
        """Return the components that override `method`."""
        default = getattr(Component, method)
        return [
            component
            for component in self.components
            if getattr(type(component), method) is not default
        ]

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Forward bytes from a port to its component."""
        for component in self.components:
            if component.port == port:
                component.receive(data, now)
            for index, link in enumerate(component.links):
                if link.port == port:
                    component.link_receive(index, data, now)

    def event(self, port: int, kind: str, now: int) -> None:
        """Forward an event of a port to its component."""
        for component in self.components:
            if component.port == port:
                component.event(kind, now)
            for index, link in enumerate(component.links):
                if link.port == port:
                    component.link_event(index, kind, now)


def _build(
    agent: "Context", configured: "list[tuple[str, dict[str, Any], int]]"
) -> "list[Component]":
    """Build the components. MicroPython unloads the code that only the start needs."""
    from agent.core.component.registry import build  # noqa: PLC0415 - so that it can be unloaded

    components = build(agent, configured)
    drop_modules(_ONLY_FOR_START, collects=False)
    return components
