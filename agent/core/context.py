# SPDX-License-Identifier: Apache-2.0
"""What a component can see of the agent: protocols for the type checker.

Has no code at run time; `agent.agent.Agent` is the context of its components. A `…View` protocol
names the part of a class of a higher room that lower rooms use. A room whose components need more
extends `Context` in a module of its own (`agent.clock.clock_context`,
`agent.control.control_context`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from agent.core.actuator import SetpointRequest
    from agent.core.alarm_list import AlarmList
    from agent.core.config_records import Config, LoopConfig
    from agent.core.port_link import PortLink
    from agent.core.tick_scheduler import TickScheduler
    from drivers.device.device import ModbusDevice
    from drivers.device.profile import DeviceProfile
    from drivers.gnss.receiver import ReceiverDriver

    class ClockView(Protocol):
        """UTC and its state. Times are microseconds."""

        def utc(self, now: int) -> "int | None":
            """Give UTC since 1970, None while it is not known."""
            ...

        def state(self, now: int) -> str:
            """Name the state: free, sync, holdover or untrusted."""
            ...

    class SessionView(Protocol):
        """One device on a bus; see `agent.fieldbus.device_session`."""

        name: str
        profile: "DeviceProfile"
        device: "ModbusDevice"
        lost: bool

        def polls_complete(self) -> bool:
            """Say whether no fast poll is outstanding."""
            ...

        def poll_now(self) -> None:
            """Poll the device now."""
            ...

        def ramp_limited(self, i: int, value: float) -> "tuple[float, int]":
            """Limit a value of point `i` by its ramp; give it and its count."""
            ...

        def request_outputs(self, outputs: "list[tuple[int, int]]", stop: bool = False) -> None:
            """Have the points hold these counts."""
            ...

    class FieldbusView(Protocol):
        """The devices on all buses; see `agent.fieldbus.fieldbus`."""

        @property
        def sessions(self) -> "Sequence[SessionView]":
            """All devices in the order of the configuration."""
            ...

        def session(self, name: str) -> "SessionView":
            """Find a device by its name."""
            ...

    class SensorView(Protocol):
        """A reading with a quality; see `agent.fieldbus.sensor`."""

        def quality(self, now: int) -> str:
            """Say good, bad, stale or none."""
            ...

        def value(self, now: int) -> "float | None":
            """Give the value, None when it is not good."""
            ...

    class ValveView(Protocol):
        """A valve; see `agent.control.valve`."""

        command_pct: "float | None"

        def position(self) -> "float | None":
            """Give the opening that the valve reports, percent."""
            ...

    class PumpView(Protocol):
        """A pump; see `agent.control.pump`."""

        command_pct: "float | None"

        def speed(self) -> "float | None":
            """Give the speed that the drive reports, percent."""
            ...

    class SupplyLoopView(Protocol):
        """The supply temperature loop; `config` is the tuning in force."""

        config: "LoopConfig"
        setpoint: float

        @property
        def sensor(self) -> "SensorView":
            """The supply temperature."""
            ...

        @property
        def valve(self) -> "ValveView":
            """The facility water valve."""
            ...

    class PressureLoopView(Protocol):
        """The differential pressure loop; `config` is the tuning in force."""

        config: "LoopConfig"
        setpoint: float

        @property
        def sensor(self) -> "SensorView":
            """The differential pressure."""
            ...

        @property
        def pumps(self) -> "Sequence[PumpView]":
            """All pumps."""
            ...

    class SupervisorView(Protocol):
        """The unit state; see `agent.safety.supervisor`."""

        state: str

    class TelemetryView(Protocol):
        """The rows in memory; see `agent.telemetry.rows`."""

        def stop_queue(self) -> None:
            """Queue no rows: a log takes them."""
            ...

    class UplinkView(Protocol):
        """The MQTT connection; see `agent.telemetry.uplink`."""

        link: "PortLink"
        connected: bool

        def listen(self, topic: str, listener: "Callable[[bytes, int], None]") -> None:
            """Have `listener(payload, now)` called for messages on `topic` of this unit."""
            ...

        def publish_latest(self, topic: str, payload: bytes, retain: bool = False) -> None:
            """Publish on `topic` of this unit."""
            ...

        def is_pending(self, topic: str) -> bool:
            """Tell whether a message on `topic` still waits."""
            ...

        def set_birth(self, birth: bytes) -> None:
            """Publish another birth message from the next connection on."""
            ...

        def event(self, kind: str, now: int) -> None:
            """Take an event of the port."""
            ...

        def send_from_log(self, sender: "Any", on_link: "Callable[[bool, int], None]") -> None:
            """Send the records of `sender` in place of the rows in memory."""
            ...

    class PortListener(Protocol):
        """Gets all that passes the ports; see `agent.remote.capture`."""

        def on_receive(self, port: int, data: bytes, now: int) -> None:
            """Take bytes that a port received, before the agent takes them."""
            ...

        def on_outbox(self, actions: "list[tuple[int, str, bytes]]") -> None:
            """Take what the ports are asked to do."""
            ...

    class Context(Protocol):
        """The agent as its components see it. All of it is fixed once the agent is built."""

        @property
        def config(self) -> "Config":
            """The configuration as loaded."""
            ...

        @property
        def alarms(self) -> "AlarmList":
            """The active alarms."""
            ...

        @property
        def ticks(self) -> "TickScheduler":
            """The tick schedule."""
            ...

        @property
        def clock(self) -> "ClockView":
            """The UTC clock."""
            ...

        @property
        def fieldbus(self) -> "FieldbusView":
            """The devices."""
            ...

        @property
        def receiver(self) -> "ReceiverDriver | None":
            """The GNSS receiver."""
            ...

        @property
        def telemetry(self) -> "TelemetryView":
            """The rows in memory."""
            ...

        @property
        def uplink(self) -> "UplinkView | None":
            """The MQTT connection."""
            ...

        @property
        def supply_loop(self) -> "SupplyLoopView":
            """The supply temperature loop. Not there before `Component.start`."""
            ...

        @property
        def pressure_loop(self) -> "PressureLoopView":
            """The differential pressure loop. Not there before `Component.start`."""
            ...

        @property
        def supervisor(self) -> "SupervisorView":
            """The unit state. Not there before `Component.start`."""
            ...

        def service(self, name: str) -> "Any":
            """Give the service `name` of another component, None if no component has it.

            To be called from `Component.start` on.
            """
            ...

        def request_setpoint(self, request: "SetpointRequest") -> None:
            """Let a loop hold another set-point until the next request or change of it."""
            ...

        def restart(self) -> None:
            """Ask the runtime to start the agent again."""
            ...
