# SPDX-License-Identifier: Apache-2.0
"""What the components of control and safety see of the agent: protocols for the type checker."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.control.arbiter import Arbiter
    from agent.control.pressure_loop import PressureLoop
    from agent.control.pump import PumpActuator
    from agent.control.supply_loop import SupplyLoop
    from agent.control.valve import ValveActuator
    from agent.core.context import Context, SensorView

    class ControlContext(Context, Protocol):
        """The agent with its loops, their parts and the arbiters."""

        @property
        def arbiters(self) -> "dict[str, Arbiter]":
            """The arbiter of each actuator; see `agent.core.actuator`."""
            ...

        @property
        def supply_sensor(self) -> "SensorView":
            """The supply temperature as read; see the service `supply_sensor`."""
            ...

        @property
        def dp_sensor(self) -> "SensorView":
            """The differential pressure."""
            ...

        @property
        def valve(self) -> "ValveActuator":
            """The facility water valve."""
            ...

        @property
        def pumps(self) -> "list[PumpActuator]":
            """The pumps, lead first."""
            ...

        @property
        def supply_loop(self) -> "SupplyLoop":
            """The supply temperature loop. Not there before `Component.start`."""
            ...

        @property
        def pressure_loop(self) -> "PressureLoop":
            """The differential pressure loop. Not there before `Component.start`."""
            ...
