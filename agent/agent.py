# SPDX-License-Identifier: Apache-2.0
"""Composition root: one agent as one object without input or output.

Does not open ports and does not read a clock; the runtime does (CPython, MicroPython or the bench).
It calls `receive` when bytes have arrived, `event` when a port was opened, has failed or was
closed, and `wake` when `deadline` has passed. After each call it executes the requests of `outbox`.
`now` is monotonic integer microseconds. The ports have the numbers of `agent.port_numbers`.

`__init__` builds all parts. A component can offer its own supply sensor and loops as services.
After `__init__` no attribute of the agent is assigned. Its parts hold all state that changes.
Each call of a piece is in a `try`: an exception of a piece goes to `guard`; see
`agent.core.fault.guard`.

A tick never waits. Its steps, in this order:

1. Schedule the next tick and slew the clock.
2. Evaluate the protection (`Component.protect`).
3. At the start of a cycle, poll the devices.
4. If all polls are answered or half the cycle is over, step the loops once
   (`agent.control.control_cycle`), then the supervisor.
5. Run the components. Then send the early polls that they requested, in the order of the devices.
6. Queue telemetry. Write the status once a second.
"""

from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.evidence import update_alarms
from agent.clock.utc_clock import UtcClock
from agent.control.control_cycle import ControlCycle
from agent.core.alarm_list import AlarmList
from agent.core.alarm_record import alarm_text
from agent.core.fault.guard import Guard
from agent.core.json_writer import JsonObject, write
from agent.core.module_unload import drop_modules
from agent.core.port_link import PORT, PortLink
from agent.core.tick_scheduler import TickScheduler
from agent.fieldbus.fieldbus import Fieldbus
from agent.port_numbers import BROKER, CONSOLE, FIRST_BUS, RECEIVER, STATE
from agent.safety.supervisor import Supervisor
from agent.telemetry import status
from agent.telemetry.rows import Telemetry
from drivers.gnss.fix_rules import RELEASE_UTC_US
from drivers.modbus.bus import Bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.actuator.arbiter import Arbiter
    from agent.core.actuator import SetpointRequest
    from agent.core.component.base import Actions, Component
    from agent.core.component.component_set import ComponentSet
    from agent.core.config_records import Config
    from agent.core.context import PortListener
    from agent.remote.storage.boot_state import BootState
    from agent.telemetry.uplink import Uplink
    from drivers.gnss.receiver import ReceiverDriver


class Agent:
    """The agent built from `config`. Call `start` first and only once.

    `boot`: the selected software and configuration, and the check of a changed configuration; None
    on a unit that takes no changes from operators. `arbiters`: by actuator; empty on a unit without
    components. `fallback_level`: see `agent.runtime.boot_loop`. `start_notes`: what the
    start-up of a board knows: cause of the reset, last crash. `supply_sensor` to `pumps`: the
    parts from which a component can build its own loop.
    """

    def __init__(
        self,
        config: "Config",
        boot: "BootState | None" = None,
        restarts: int = 0,
        fallback_level: int = 0,
        start_notes: "tuple[tuple[str, str], ...]" = (),
    ) -> None:
        self.config = config
        self.boot = boot
        self.start_notes = start_notes
        self.guard = Guard(self, restarts)
        self.alarms = AlarmList(self.guard)
        self.clock = UtcClock(
            config.drift_ppb,
            config.tempco_ppb_per_c,
            RELEASE_UTC_US,
            site_e7=config.position_e7,
            radius_m=config.position_radius_m,
            stated=StatedErrors(*config.clock_errors),
        )
        self.ticks = TickScheduler(config.tick_us, config.tick_offset_us, config.ticks_per_cycle)
        self.fieldbus = Fieldbus(config, FIRST_BUS, self.guard)
        self.telemetry = Telemetry(self.fieldbus, config.telemetry_queue_rows, self.guard)
        from agent.agent_ports import AgentPorts  # noqa: PLC0415 - so that it can be unloaded

        ports = AgentPorts(config, self.clock, self.telemetry, self._birth_message())
        self.receiver: ReceiverDriver | None = ports.receiver
        self.uplink: Uplink | None = ports.uplink
        self.links: list[PortLink] = ports.links
        self._min_component_port = ports.min_component_port
        self._bus_links = ports.bus_links
        self._status_link: PortLink | None = ports.status_link
        self._out: Actions = []
        self.port_listeners: list[PortListener] = []
        self._failed_checks: list[str] = []
        self._build_actuators(config)
        self.components: list[Component] = []
        self._component_set: ComponentSet | None = None
        # Only components that override the method: the agent calls these many times a second.
        self.with_deadline: list[Any] = []
        self.with_outbox: list[Any] = []
        self.with_protection: list[Component] = []
        self.not_started: list[Component] = []
        providers: list[Any] = []
        if config.components:
            providers = self._build_components(config)
        if self.uplink is not None:
            self.with_deadline.append(self.uplink)
            self.with_outbox.append(self.uplink)
        if fallback_level:
            from agent.safety.boot_loop_alarm import BootLoopAlarm  # noqa: PLC0415 - rarely needed

            providers.append(BootLoopAlarm())
        self._build_loops(config, providers)
        drop_modules(("agent.agent_ports", "agent.control.loop_parts"), collects=False)
        single_write = config.status_store is not None and config.status_store.kind == "store"
        self._status_writer = status.StatusWriter(self, single_write)

    def _build_actuators(self, config: "Config") -> None:
        self.arbiters: dict[str, Arbiter] = {}
        if config.components:
            from agent.control.actuator.arbiter import make_arbiters  # noqa: PLC0415 - nothing else can claim

            self.arbiters = make_arbiters()
        from agent.control.loop_parts import LoopParts  # noqa: PLC0415 - so that it can be unloaded

        parts = LoopParts(config, self.fieldbus)
        self.supply_sensor, self.dp_sensor = parts.supply_sensor, parts.dp_sensor
        self.return_sensor, self.pumps = parts.return_sensor, parts.pumps
        self.valve: Any = parts.valve

    def _build_components(self, config: "Config") -> "list[Component]":
        """Build the components. Return those that report active conditions to the supervisor."""
        from agent.core.component.component_set import ComponentSet  # noqa: PLC0415 - many units have none

        component_set = ComponentSet(self, config, self._min_component_port)
        self._component_set = component_set
        self.components = component_set.components
        self.links.extend(component_set.links)
        self.with_deadline.extend(component_set.overriding("deadline"))
        self.with_outbox.extend(component_set.overriding("outbox"))
        self.with_protection.extend(component_set.overriding("protect"))
        with_points = [component for component in self.components if component.POINTS]
        if with_points:
            self.telemetry.add_components(with_points)
            if self.uplink is not None and self.telemetry.has_queue():
                self.uplink.set_birth(self._birth_message())
        return component_set.overriding("active_conditions")

    def _build_loops(self, config: "Config", providers: "list[Component]") -> None:
        """Use the loops that a component offers, else the basic ones."""
        from agent.control.loop_parts import make_loops  # noqa: PLC0415 - so that it can be unloaded

        loops = make_loops(self)
        self.supply_loop: Any = loops[0]
        self.pressure_loop: Any = loops[1]
        self.supervisor = Supervisor(
            self.fieldbus, *loops, self.alarms, config.supply_max_c, providers, self.guard
        )
        self.cycle = ControlCycle(
            self.ticks,
            self.fieldbus,
            loops + (self.service("fan_group"),),
            self.arbiters,
            self.components,
            self.guard,
        )

    def _birth_message(self) -> bytes:
        return write(JsonObject([("online", True), ("points", self.telemetry.describe())])).encode()

    # The interface for components; see `agent.core.context`.

    def service(self, name: str) -> "Any":
        """Return the service `name` of a component; None if no component has it."""
        return None if self._component_set is None else self._component_set.services.get(name)

    def request_setpoint(self, request: "SetpointRequest") -> None:
        """Set another set-point in a loop, until the next request or configuration change."""
        from agent.config.config_copy import with_setpoint  # noqa: PLC0415 - few units have requests

        loop = self.supply_loop if request.key == "supply" else self.pressure_loop
        loop.set_tuning(with_setpoint(loop.config, request.value))

    def running_config(self) -> "Config":
        """Return the configuration with the active tuning: live changes and set-point requests."""
        from agent.config.config_copy import with_tuning  # noqa: PLC0415 - few units change live

        loops = self.supply_loop.config, self.pressure_loop.config
        return with_tuning(self.config, *loops, self.supervisor.supply_max_c)

    def apply_live_config(self, config: "Config") -> None:
        """Use the tuning of the loops and the supply limit of `config`, with bumpless transfer."""
        self.supply_loop.set_tuning(config.supply)
        self.pressure_loop.set_tuning(config.pressure)
        self.supervisor.set_supply_max(config.supply_max_c)

    def port_names(self) -> "list[str]":
        """Return the names of the ports of this agent; the index is the port number."""
        from agent.port_numbers import port_names  # noqa: PLC0415 - for faults and captures only

        return port_names(self.config)

    def add_port_listener(self, listener: "PortListener") -> None:
        """Call `listener` for all received bytes and all requests of the ports."""
        self.port_listeners.append(listener)

    def remove_port_listener(self, listener: "PortListener") -> None:
        """Stop the calls of `listener`."""
        self.port_listeners.remove(listener)

    def write_console(self, text: str) -> None:
        """Write a line to the console."""
        self._out.append((CONSOLE, "write", text.encode()))

    def restart(self, leaves_boot_loop: bool = False) -> None:
        """Request a restart of the agent from the runtime; see `agent.runtime.boot_loop`."""
        self._out.append((CONSOLE, "set", b"leave" if leaves_boot_loop else b"restart"))

    @property
    def watched_step(self) -> "int | None":
        """Time of the last complete cycle for a watchdog, µs: with `safety`, its protection ran."""
        return (self.service("protection") or self.cycle).last_step

    # The interface for the runtime.

    def start(self, now: int) -> None:
        """Request to open all ports and schedule the first tick."""
        for link in self.links:
            link.request_open()
        if self.uplink is not None:
            self.uplink.link.connect(now)
        for component in self.components:
            self.start_component(component, now)
        self.ticks.start(now)
        self.cycle.start(now)
        self._status_writer.start(now)

    def start_component(self, component: "Component", now: int) -> None:
        """Start a component."""
        try:
            component.start(now)
        except Exception as error:
            self.not_started.append(component)
            self.guard.handle(component, error, now)

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Handle bytes from `port`. `now` is the arrival time of the last byte."""
        for listener in self.port_listeners:
            try:
                listener.on_receive(port, data, now)
            except Exception as error:
                self.guard.handle(listener, error, now)
        try:
            if port >= self._min_component_port:
                if self._component_set is not None:
                    self._component_set.receive(port, data, now)
            elif port >= FIRST_BUS:
                bus = self.fieldbus.buses[port - FIRST_BUS]
                bus.receive(data, now)
                self._collect(bus, now)
            elif port == RECEIVER and self.receiver is not None:
                self.receiver.receive(data, now)
                for fix in self.receiver.take_fixes():
                    self.clock.add_fix(fix)
            elif port == BROKER and self.uplink is not None:
                self.uplink.receive(data, now)
        except Exception as error:
            self.guard.handle(port, error, now, data)

    def _collect(self, bus: Bus, now: int) -> None:
        self.fieldbus.dispatch_results(bus)
        link = self._bus_links[bus.port - FIRST_BUS]
        if link.is_open and not bus.open:
            # The stream is invalid or silent: the bus has requested to close the port.
            self._link_event(link, "closed", now)

    def event(self, port: int, kind: str, now: int) -> None:
        """Handle the event `opened`, `closed`, `failed`, `drained` or `pulse` of `port`."""
        try:
            if port == BROKER and self.uplink is not None:
                self.uplink.event(kind, now)
                return
            if kind == "pulse":
                self.clock.add_pulse(now)
                return
            for link in self.links:
                if link.port == port:
                    self._link_event(link, kind, now)
            if port >= self._min_component_port:
                if self._component_set is not None:
                    self._component_set.event(port, kind, now)
            elif port >= FIRST_BUS:
                bus = self.fieldbus.buses[port - FIRST_BUS]
                bus.event(kind, now)
                self.fieldbus.dispatch_results(bus)
                if kind == "opened":
                    self.fieldbus.poll_bus(bus)
        except Exception as error:
            self.guard.handle(port, error, now)

    def _link_event(self, link: PortLink, kind: str, now: int) -> None:
        link.event(kind, now)
        self._update_port_alarm(link, now)

    def _update_port_alarm(self, link: PortLink, now: int) -> None:
        self.alarms.update(PORT, link.name, not link.is_sound, now, alarm_text(PORT, link.name))

    def wake(self, now: int) -> None:
        """Do all work that is due at `now`."""
        if now >= self.ticks.due:
            self._tick(now)
        for bus in self.fieldbus.buses:
            if now >= bus.wake_at:
                try:
                    bus.wake(now)
                    if bus.results or not bus.open:
                        self._collect(bus, now)
                except Exception as error:
                    self.guard.handle(bus, error, now)
        for link in self.links:
            if now >= link.wake_at:
                self._wake_link(link, now)
        for piece in self.with_deadline:
            try:
                if now >= piece.deadline():
                    piece.wake(now)
            except Exception as error:
                self.guard.handle(piece, error, now)

    def _wake_link(self, link: PortLink, now: int) -> None:
        try:
            link.wake(now)
            if link.is_sound:  # the trial of a store has ended
                self._update_port_alarm(link, now)
        except Exception as error:
            link.close(now)
            self.guard.handle(link.port, error, now)

    def deadline(self) -> int:
        """Return the time of the next `wake`, monotonic microseconds."""
        ticks_due = due = self.ticks.due
        for bus in self.fieldbus.buses:
            if bus.wake_at < due:
                due = bus.wake_at
        for link in self.links:
            if link.wake_at < due:
                due = link.wake_at
        piece: Any = None
        try:
            for piece in self.with_deadline:
                at = piece.deadline()
                if at < due:
                    due = at
        except Exception as error:
            self.guard.handle(piece, error, ticks_due)
        containment = self.guard.containment
        if containment is not None:
            due = min(ticks_due, max(due, containment.hold_until))
        return due

    def outbox(self) -> "Actions":
        """Return the requests for the ports, in order: (port, operation, data)."""
        out = self._out[:]
        if out:
            self._out.clear()
        for link in self.links:
            if link.requests:
                out.extend(link.outbox())
        for bus in self.fieldbus.buses:
            if bus.requests:
                out.extend(bus.requests)
                bus.requests.clear()
        for piece in self.with_outbox:
            try:
                actions = piece.outbox()
                if actions:
                    out.extend(actions)
            except Exception as error:
                self.guard.handle(piece, error, self.ticks.due)
        for listener in self.port_listeners:
            try:
                listener.on_outbox(out)
            except Exception as error:
                self.guard.handle(listener, error, self.ticks.due)
        return out

    def _tick(self, now: int) -> None:
        self.ticks.run(now, self.clock.offset)
        self.clock.slew(self.ticks.period, now)
        for component in self.with_protection:
            try:
                component.protect(now)
            except Exception as error:
                self.guard.handle(component, error, now)
        if self.ticks.cycle_starts:
            self.fieldbus.begin_cycle(now, self.ticks.period * self.ticks.per_cycle)
            self.cycle.begin()
            if self._failed_checks != self.clock.failed_checks:
                update_alarms(self.alarms, self._failed_checks, self.clock.failed_checks, now)
        elif self.cycle.is_pending and self.cycle.step_when_ready(now):
            self.supervisor.step(now)
        if self.guard.containment is not None:
            self.guard.containment.tick(now)
        for component in self.components:
            try:
                component.tick(now)
            except Exception as error:
                self.guard.handle(component, error, now)
        if self.components:  # nothing else asks for an early poll
            self.fieldbus.send_early_polls(now)
        try:
            self._report(now)
        except Exception as error:  # often memory: a report is lost, not the tick
            self.guard.handle(self.telemetry, error, now)

    def _report(self, now: int) -> None:
        if self.alarms.unread:
            for _, change, code, text in self.alarms.changes():
                self.write_console("alarm %s %s: %s" % (change, code, text))
        if self.ticks.tick_number % self.config.ticks_per_row == 0:
            utc, clock_state = self.clock.utc(now), self.clock.state(now)
            unit_state, stale_us = self.supervisor.state, self.config.stale_us
            self.telemetry.add_row(now, utc, clock_state, unit_state, stale_us)
            if self.uplink is not None and self.uplink.connected:
                try:
                    self.uplink.flush()
                except Exception as error:
                    self.guard.handle(BROKER, error, now)
        if (
            self._status_link is not None
            and self._status_link.is_open
            and self._status_writer.is_due(now)
        ):
            for chunk in self._status_writer.tick(now):
                self._out.append((STATE, "write", chunk))
