# SPDX-License-Identifier: Apache-2.0
"""Interface of the agent for its components: protocols for the type checker.

Has no code at run time; `agent.agent.Agent` is the context of its components. A `…View` protocol
lists the members of a class in a higher package that lower packages use. If the components of a
package need more members, the package extends `Context` in a module of its own
(`agent.clock.clock_context`, `agent.control.control_context`).
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Protocol

    from agent.core.actuator import Decision, SetpointRequest
    from agent.core.alarm_list import AlarmList
    from agent.core.config_records import Config, LoopConfig
    from agent.core.json_writer import JsonObject
    from agent.core.port_link import PortLink
    from agent.core.tick_scheduler import TickScheduler
    from drivers.device.device import ModbusDevice
    from drivers.device.profile import DeviceProfile
    from drivers.gnss.receiver import ReceiverDriver

    class ClockView(Protocol):
        """UTC and its state. Times are microseconds."""

        def utc(self, now: int) -> "int | None":
            """Return UTC since 1970 in µs at the monotonic time `now`; None while it is unknown."""
            ...

        def state(self, now: int) -> str:
            """Return the state: free, sync, holdover or untrusted."""
            ...

    class SessionView(Protocol):
        """One device on a bus; see `agent.fieldbus.device_session`."""

        name: str
        profile: "DeviceProfile"
        device: "ModbusDevice"

        @property
        def lost(self) -> bool:
            """Whether the device did not reply for some cycles."""
            ...

        @property
        def write_unverified(self) -> bool:
            """Whether the polls do not show the requested outputs."""
            ...

        @property
        def answered_at(self) -> int:
            """Monotonic time of its last good reply, µs."""
            ...

        @property
        def transactions(self) -> int:
            """Number of completed requests."""
            ...

        def polls_complete(self) -> bool:
            """Return True if no fast poll is outstanding."""
            ...

        def poll_early(self) -> None:
            """Poll the device at the end of this tick."""
            ...

        def ramp_limited(self, i: int, value: float) -> "tuple[float, int]":
            """Limit a value of point `i` by its ramp. Return the limited value and its register
            count.
            """
            ...

        def request_outputs(self, outputs: "list[tuple[int, int]]", stop: bool = False) -> None:
            """Request these register counts for the points."""
            ...

        def withhold_outputs(self) -> None:
            """Write nothing until the next request."""
            ...

    class FieldbusView(Protocol):
        """The devices on all buses; see `agent.fieldbus.fieldbus`."""

        @property
        def sessions(self) -> "Sequence[SessionView]":
            """All devices in the order of the configuration."""
            ...

        def session(self, name: str) -> "SessionView":
            """Return the session of the device `name`."""
            ...

        def claim_outputs(self, name: str) -> "SessionView":
            """Return the device `name` for one more actuator, with outputs of its own."""
            ...

    class SensorView(Protocol):
        """A reading with a quality; see `agent.fieldbus.sensor`."""

        def quality(self, now: int) -> str:
            """Return the quality: good, bad, stale or none."""
            ...

        def value(self, now: int) -> "float | None":
            """Return the value; None if its quality is not good."""
            ...

        def age(self, now: int) -> "int | None":
            """Return the microseconds since the last reading; None before the first."""
            ...

    class ValveView(Protocol):
        """A valve; see `agent.control.actuator.valve`."""

        command_pct: "float | None"
        is_limited: bool
        is_reversed: bool

        def position(self) -> "float | None":
            """Return the position that the valve reports, percent."""
            ...

    class PumpView(Protocol):
        """A pump; see `agent.control.actuator.pump`."""

        command_pct: "float | None"

        def speed(self) -> "float | None":
            """Return the speed that the drive reports, percent."""
            ...

    class ArbiterView(Protocol):
        """The arbiter of an actuator; see `agent.control.actuator.arbiter`."""

        decision: "Decision | None"

        def status(self, actuator: str) -> "JsonObject":
            """Return who holds the actuator and why."""
            ...

    class SupplyLoopView(Protocol):
        """The supply temperature loop. `config` has the active tuning."""

        config: "LoopConfig"
        setpoint: float

        @property
        def sensor(self) -> "SensorView":
            """The sensor of the supply temperature."""
            ...

        @property
        def valve(self) -> "ValveView":
            """The facility water valve."""
            ...

    class PressureLoopView(Protocol):
        """The differential pressure loop. `config` has the active tuning."""

        config: "LoopConfig"
        setpoint: float

        @property
        def sensor(self) -> "SensorView":
            """The sensor of the differential pressure."""
            ...

        @property
        def pumps(self) -> "Sequence[PumpView]":
            """All pumps."""
            ...

    class LoadLimitsView(Protocol):
        """Service `load_limits`: orders to the loads; see `agent.power.limit.load_limits`."""

        def limit_all(self, reason: str) -> None:
            """Limit all loads to their least power."""
            ...

        def shed_all(self, reason: str) -> None:
            """Switch all loads off."""
            ...

        def cap(self, permille: int, reason: str) -> None:
            """Limit the loads to a part of their rated power."""
            ...

        def report_shut_branch(
            self, may_be_shut: bool, is_shut: bool, is_flow_little: bool = False
        ) -> None:
            """Record whether a branch may be shut, whether it is certain, and whether the meter
            shows little flow.
            """
            ...

        def report_flow_seen(self, is_flow_seen: bool) -> None:
            """Record whether flow and pressure are both read, and as usual."""
            ...

        @property
        def is_flow_needed(self) -> bool:
            """Whether a load behind a shut branch needs all flow and the coldest supply."""
            ...

        @property
        def load_w(self) -> int:
            """The power of all loads, W: measured, or at most this."""
            ...

        @property
        def devices_warm(self) -> "bool | None":
            """Whether all device temperatures are too high for their power; None: none is known."""
            ...

        @property
        def devices_cool(self) -> bool:
            """Whether all device temperatures show that their load needs no limit."""
            ...

        @property
        def is_cold_needed(self) -> bool:
            """Whether a load draws more power than the protection permits."""
            ...

        def proven_off(self) -> bool:
            """Return whether all loads have drawn less than 5 % of their rating since the order."""
            ...

    class SupervisorView(Protocol):
        """The unit state; see `agent.safety.supervisor`."""

        state: str

    class TelemetryView(Protocol):
        """The telemetry rows in memory; see `agent.telemetry.rows`."""

        components: "list[Any]"

        def component_values(self, now: int) -> "list[int | None]":
            """Return the values of the points of all components."""
            ...

        def stop_queue(self) -> None:
            """Stop the queue of rows, because a log stores them."""
            ...

    class UplinkView(Protocol):
        """The MQTT connection; see `agent.telemetry.uplink`."""

        link: "PortLink"
        connected: bool

        def listen(self, topic: str, listener: "Callable[[bytes, int], None]") -> None:
            """Call `listener(payload, now)` for messages on `topic` of this unit."""
            ...

        def publish_latest(self, topic: str, payload: bytes, retain: bool = False) -> None:
            """Publish on `topic` of this unit."""
            ...

        def is_pending(self, topic: str) -> bool:
            """Return True while a message on `topic` is not yet sent."""
            ...

        def set_birth(self, birth: bytes) -> None:
            """Set the birth message; used from the next connection on."""
            ...

        def event(self, kind: str, now: int) -> None:
            """Handle an event of the port."""
            ...

        def send_from_log(self, sender: "Any", on_link: "Callable[[bool, int], None]") -> None:
            """Send the records of `sender` instead of the rows in memory."""
            ...

    class PortListener(Protocol):
        """Receives all traffic of the ports; see `agent.remote.capture`."""

        def on_receive(self, port: int, data: bytes, now: int) -> None:
            """Handle bytes that a port received; called before the agent handles them."""
            ...

        def on_outbox(self, actions: "list[tuple[int, str, bytes]]") -> None:
            """Handle the requests for the ports."""
            ...

    class Context(Protocol):
        """The agent as its components see it. Its members are fixed after construction."""

        @property
        def config(self) -> "Config":
            """The configuration as loaded."""
            ...

        @property
        def start_notes(self) -> "tuple[tuple[str, str], ...]":
            """What the start-up of a board knows about this start, as names and texts."""
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
            """The telemetry rows in memory."""
            ...

        @property
        def uplink(self) -> "UplinkView | None":
            """The MQTT connection."""
            ...

        @property
        def arbiters(self) -> "Mapping[str, ArbiterView]":
            """The arbiter of each actuator; empty on a unit without components."""
            ...

        @property
        def supply_loop(self) -> "SupplyLoopView":
            """The supply temperature loop. Not available before `Component.start`."""
            ...

        @property
        def pressure_loop(self) -> "PressureLoopView":
            """The differential pressure loop. Not available before `Component.start`."""
            ...

        @property
        def supervisor(self) -> "SupervisorView":
            """The unit state. Not available before `Component.start`."""
            ...

        def service(self, name: str) -> "Any":
            """Return the service `name` of another component; None if no component has it.

            Call this only from `Component.start` on.
            """
            ...

        def request_setpoint(self, request: "SetpointRequest") -> None:
            """Set another set-point in a loop, until the next request or configuration change."""
            ...

        def restart(self, leaves_boot_loop: bool = False) -> None:
            """Request a restart of the agent from the runtime."""
            ...
