# SPDX-License-Identifier: Apache-2.0
"""Interface of the agent for components of control and safety: protocols for the type checker.

Has no code at run time; see `agent.core.context`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from agent.control.actuator.arbiter import Arbiter
    from agent.control.actuator.pump import PumpActuator
    from agent.control.actuator.valve import ValveActuator
    from agent.control.loop.pressure_loop import PressureLoop
    from agent.control.loop.supply_loop import SupplyLoop
    from agent.core.context import Context, SensorView

    class ControlContext(Context, Protocol):
        """The agent with its loops, their parts and the arbiters."""

        @property
        def arbiters(self) -> "dict[str, Arbiter]":
            """The arbiter of each actuator; see `agent.core.actuator`."""
            ...

        @property
        def supply_sensor(self) -> "SensorView":
            """The supply temperature without validation; see also the service `supply_sensor`."""
            ...

        @property
        def return_sensor(self) -> "SensorView | None":
            """The return temperature; None if the unit does not measure it."""
            ...

        @property
        def dp_sensor(self) -> "SensorView":
            """The sensor of the differential pressure."""
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
            """The supply temperature loop. Not available before `Component.start`."""
            ...

        @property
        def pressure_loop(self) -> "PressureLoop":
            """The differential pressure loop. Not available before `Component.start`."""
            ...
