"""What the checks of a configuration hand to `agent.core.config_records.Config`.

A protocol for the type checker; the class is in `agent.config.compiler`, which a board drops.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from drivers.ports.address import Address

    class ParsedNames(Protocol):
        """What was looked up by name or parsed. `devices`: records `DeviceConfig`."""

        receiver: "Address | None"
        broker: "Address | None"
        state: "Address | None"
        buses: "list[tuple[str, Address]]"
        devices: "list[Any]"
        components: "list[tuple[str, dict[str, Any], Address | None]]"
        component_ports: "list[tuple[str, str, Address]]"
