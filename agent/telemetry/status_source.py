# SPDX-License-Identifier: Apache-2.0
"""The agent as the status reads it: a protocol for the type checker."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from agent.clock.clock_context import ClockContext
    from agent.core.component.base import Component
    from agent.core.context import SensorView
    from agent.core.fault.guard import Guard
    from agent.fieldbus.fieldbus import Fieldbus
    from agent.telemetry.rows import Telemetry
    from agent.telemetry.uplink import Uplink

    class StatusSource(ClockContext, Protocol):
        """The agent; see `agent.agent`."""

        @property
        def guard(self) -> "Guard":
            """The guard with the counts of contained faults."""
            ...

        @property
        def fieldbus(self) -> "Fieldbus":
            """The devices and buses."""
            ...

        @property
        def telemetry(self) -> "Telemetry":
            """The rows in memory."""
            ...

        @property
        def uplink(self) -> "Uplink | None":
            """The MQTT connection."""
            ...

        @property
        def components(self) -> "Sequence[Component]":
            """All components."""
            ...

        @property
        def return_sensor(self) -> "SensorView | None":
            """The return temperature, None if the device does not read it."""
            ...
