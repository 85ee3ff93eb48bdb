"""The whole controller as one object without input or output.

Theory of operation. A shell (on CPython, on MicroPython, or the bench) calls `receive` when bytes
have arrived, `event` when a port opened, failed or closed, and `wake` when `deadline` has passed;
after every call it carries out what `outbox` holds. `now` is monotonic integer microseconds;
nothing here reads a clock. Ports are small integers, fixed by `port_names`:

    0 receiver   1 broker   2 state (a store)   3 console (lines for the log)   4… buses, then the
    ports of optional parts (see `agent.core.registry`)

A tick does, in this order: schedule the next tick; slew the clock; when a cycle begins, poll the
devices; when the polls are answered (or half the cycle is over), step both loops once on the new
readings and ask the actuators; weigh what is wrong; queue telemetry; once a second write the
status (some of it, where that goes by a line). A tick never waits for anything.
"""

from agent.clock.evidence import alarm_for
from agent.clock.utc_clock import UtcClock
from agent.control.pressure_loop import PressureLoop
from agent.control.pump import PumpActuator
from agent.control.supply_loop import SupplyLoop
from agent.control.valve import ValveActuator
from agent.core.alarm_list import AlarmList
from agent.core.component import Component
from agent.core.json_writer import JsonObject, write
from agent.core.port_link import PortLink
from agent.core.registry import build
from agent.core.tick_scheduler import TickScheduler
from agent.fieldbus.fieldbus import Fieldbus
from agent.fieldbus.sensor import PointSensor, pressure_sensor
from agent.safety.supervisor import Supervisor
from agent.telemetry import status
from agent.telemetry.rows import Telemetry
from agent.telemetry.uplink import Uplink
from drivers.gnss.receiver import ReceiverDriver
from drivers.modbus.bus import Bus
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.config_records import Config
    from agent.remote.storage.boot_state import BootState
    from drivers.ports.address import Address

    Actions = list[tuple[int, str, bytes]]

RECEIVER, BROKER, STATE, CONSOLE, FIRST_BUS = 0, 1, 2, 3, 4
_FIRST_READING_TIME = 3 * SECOND
"""How long after a start the devices may take to be read before the loops ask for safe outputs: a
restart must not move what runs well."""


def port_names(config: "Config") -> "list[str]":
    """Name the ports by their numbers."""
    buses = [name for name, _ in config.buses]
    components = [section for section, _, address in config.components if address is not None]
    component_ports = [section + "." + name for section, name, _ in config.component_ports]
    return ["receiver", "broker", "state", "console"] + buses + components + component_ports


class Agent:
    """The controller built from `config`; call `start` once, then turn the crank.

    `boot` tells a unit that takes changes from operators what was started, and how a changed
    configuration is checked.
    """

    def __init__(self, config: "Config", boot: "BootState | None" = None) -> None:
        self.config = config
        self.boot = boot
        self.alarms = AlarmList()
        self.clock = UtcClock(
            config.drift_ppb,
            config.tempco_ppb,
            site_e7=config.position_e7,
            radius_m=config.radius_m,
        )
        self.ticks = TickScheduler(config.tick_us, config.slot_us, config.ticks_per_cycle)
        self.fieldbus = Fieldbus(config, FIRST_BUS)
        self._build_control(config)
        self.telemetry = Telemetry(self.fieldbus, config.telemetry_queue)
        self._build_ports(config)
        self._out: Actions = []
        self._stepped = True
        self.last_step: int | None = None
        self._started = 0
        self._chunks: status.StatusChunks | None = None
        self._failed_checks: list[str] = []
        self.components = build(self, self._number_ports(config))
        # these two are asked many times a second: only of those that have an answer of their own
        self._with_deadline = [
            p for p in self.components if type(p).deadline is not Component.deadline
        ]
        self._with_outbox = [p for p in self.components if type(p).outbox is not Component.outbox]
        self._add_component_links(config)
        single_write = config.state is not None and config.state.kind == "store"
        self._status_writer = status.StatusWriter(self, single_write)

    def _build_control(self, config: "Config") -> None:
        session = self.fieldbus.session
        supply, pressure, stale = config.supply, config.pressure, config.stale_us
        sensor = PointSensor(session(supply.sensor), "SupplyTemperatureCelsius", stale)
        self.supply = SupplyLoop(supply, sensor, ValveActuator(session(supply.actuators[0])))
        dp = pressure_sensor(session(pressure.sensor), stale)
        pumps = [PumpActuator(session(name)) for name in pressure.actuators]
        self.pressure = PressureLoop(pressure, dp, pumps)
        has_return = session(supply.sensor).profile.has_point("ReturnTemperatureCelsius")
        self.return_sensor = (
            PointSensor(session(supply.sensor), "ReturnTemperatureCelsius", stale)
            if has_return
            else None
        )
        self.supervisor = Supervisor(config, self.fieldbus, self.supply, self.pressure, self.alarms)

    def _build_ports(self, config: "Config") -> None:
        self.receiver: ReceiverDriver | None = None
        self.satellites_used: int | None = None
        self.uplink: Uplink | None = None
        self._links: list[PortLink] = []
        if config.receiver is not None:
            address = config.receiver
            self.receiver = ReceiverDriver(
                RECEIVER, address.baud, address.bits_per_char, config.receiver_latency_us
            )
            self._links.append(PortLink(RECEIVER, "receiver", str(address)))
        self._first_component = FIRST_BUS + len(config.buses)
        self._bus_links = [
            PortLink(FIRST_BUS + i, name, str(address))
            for i, (name, address) in enumerate(config.buses)
        ]
        self._links.extend(self._bus_links)
        if config.broker is not None:
            link = self._broker_link(config.broker)
            self.uplink = Uplink(config, link, self.telemetry, self._birth_message())
        if config.state is not None:
            self._state_link: PortLink | None = PortLink(STATE, "state", str(config.state))
        else:
            self._state_link = None
        if self._state_link is not None:
            self._links.append(self._state_link)

    def _broker_link(self, address: "Address") -> PortLink:
        if address.kind != "tls":
            return PortLink(BROKER, "broker", str(address), needs_handshake=True)
        from agent.telemetry.tls_link import TlsLink  # noqa: PLC0415 - only a unit with TLS has it

        return TlsLink(BROKER, "broker", str(address), self.clock)

    def _number_ports(self, config: "Config") -> "list[tuple[str, dict[str, Any], int]]":
        """Number the ports of the optional parts, after the buses."""
        chosen = []
        port = FIRST_BUS + len(config.buses)
        self._component_links: list[PortLink] = []
        for section, settings, address in config.components:
            if address is None:
                chosen.append((section, settings, -1))
                continue
            self._component_links.append(PortLink(port, section, str(address)))
            chosen.append((section, settings, port))
            port += 1
        self._links.extend(self._component_links)
        return chosen

    def _add_component_links(self, config: "Config") -> None:
        """Number the further ports of the parts, after all others; take up the parts' points."""
        port = self._first_component + len(self._component_links)
        sections = [section for section, _, _ in config.components]
        for section, name, address in config.component_ports:
            link = PortLink(port, section + "." + name, str(address), needs_handshake=True)
            self.components[sections.index(section)].links.append(link)
            self._links.append(link)
            port += 1
        self.telemetry.components = [
            component for component in self.components if component.points()
        ]
        if self.telemetry.components and self.uplink is not None:
            self.uplink.set_birth(self._birth_message())

    def _birth_message(self) -> bytes:
        return write(JsonObject([("online", True), ("points", self.telemetry.describe())])).encode()

    def start(self, now: int) -> None:
        """Begin: ask for every port, make the first tick due."""
        for link in self._links:
            link.start()
        if self.uplink is not None:
            self.uplink.link.start()
        for component in self.components:
            component.start(now)
        self.ticks.start(now)
        self._started = now
        self._status_writer.start(now)

    def port_names(self) -> "list[str]":
        """Name the ports of this agent by their numbers."""
        return port_names(self.config)

    def apply_live_config(self, config: "Config") -> None:
        """Take over what the loops and limits can take over while they run, without a bump."""
        self.config = config
        self.supply.set_tuning(config.supply)
        self.pressure.set_tuning(config.pressure)
        self.supervisor.config = config

    def restart(self) -> None:
        """Ask the shell to start the agent anew."""
        self._out.append((CONSOLE, "set", b"restart"))

    def receive(self, port: int, data: bytes, now: int) -> None:
        """Take bytes from `port`; `now` is when the last of them arrived."""
        if port >= self._first_component:
            for component in self.components:
                if component.port == port:
                    component.receive(data, now)
                for i, link in enumerate(component.links):
                    if link.port == port:
                        component.link_receive(i, data, now)
        elif port >= FIRST_BUS:
            bus = self.fieldbus.buses[port - FIRST_BUS]
            bus.receive(data, now)
            self._collect(bus, now)
        elif port == RECEIVER and self.receiver is not None:
            self.receiver.receive(data, now)
            for fix in self.receiver.take_fixes():
                self.satellites_used = fix.used
                self.clock.add_fix(fix)
        elif port == BROKER and self.uplink is not None:
            self.uplink.receive(data, now)

    def _collect(self, bus: Bus, now: int) -> None:
        self.fieldbus.dispatch_results(bus)
        link = self._bus_links[bus.port - FIRST_BUS]
        if link.up and not bus.open:
            # A stream out of step or silent: the bus has asked for the port to be closed.
            self._link_event(link, "closed", now)

    def event(self, port: int, kind: str, now: int) -> None:
        """Take `opened`, `closed`, `failed`, `drained` or `pulse` from `port`."""
        if port == BROKER and self.uplink is not None:
            self.uplink.event(kind, now)
            return
        if kind == "pulse":
            self.clock.add_pulse(now)
            return
        for link in self._links:
            if link.port == port:
                self._link_event(link, kind, now)
        if port >= self._first_component:
            for component in self.components:
                if component.port == port:
                    component.event(kind, now)
                for i, link in enumerate(component.links):
                    if link.port == port:
                        component.link_event(i, kind, now)
        elif port >= FIRST_BUS:
            bus = self.fieldbus.buses[port - FIRST_BUS]
            bus.event(kind, now)
            self.fieldbus.dispatch_results(bus)
            if kind == "opened":
                self.fieldbus.poll_bus(bus)

    def _link_event(self, link: PortLink, kind: str, now: int) -> None:
        link.event(kind, now)
        self.alarms.update("port:" + link.name, not link.up, "cannot use port " + link.name, now)

    def wake(self, now: int) -> None:
        """Take the passing of a deadline."""
        if now >= self.ticks.due:
            self._tick(now)
        for bus in self.fieldbus.buses:
            if now >= bus.deadline():
                bus.wake(now)
                self._collect(bus, now)
        for link in self._links:
            if now >= link.due:
                link.wake(now)
        for component in self._with_deadline:
            if now >= component.deadline():
                component.wake(now)
        if self.uplink is not None and now >= self.uplink.deadline():
            self.uplink.wake(now)

    def deadline(self) -> int:
        """Give the time at which `wake` wants to be called next."""
        due = self.ticks.due
        for bus in self.fieldbus.buses:
            due = min(due, bus.deadline())
        for link in self._links:
            if link.due < due:
                due = link.due
        for component in self._with_deadline:
            due = min(due, component.deadline())
        return due if self.uplink is None else min(due, self.uplink.deadline())

    def outbox(self) -> "Actions":
        """Hand over what the ports are asked to do, in order: (port, operation, data)."""
        out, self._out = self._out, []
        for link in self._links:
            if link.requests:
                out.extend(link.outbox())
        for bus in self.fieldbus.buses:
            out.extend(bus.outbox())
        for component in self._with_outbox:
            out.extend(component.outbox())
        if self.uplink is not None:
            out.extend(self.uplink.outbox())
        return out

    def intercept(
        self, receive: "Callable[[int, bytes, int], None]", outbox: "Callable[[], Actions]"
    ) -> None:
        """Replace `receive` and `outbox` until `stop_intercept`, for a capture."""
        self.receive = receive  # type: ignore[method-assign,assignment]
        self.outbox = outbox  # type: ignore[method-assign]

    def stop_intercept(self) -> None:
        """End `intercept`."""
        del self.receive
        del self.outbox

    def _tick(self, now: int) -> None:
        self.ticks.run(now, self.clock.offset)
        self.clock.slew(self.ticks.period, now)
        if self.ticks.cycle_starts:
            self.fieldbus.begin_cycle(now, self.ticks.period * self.ticks.per_cycle)
            self._stepped = False
            if self._failed_checks != self.clock.failed_checks:
                self._update_time_alarms(now)
        elif not self._stepped:
            self._step_when_ready(now)
        for component in self.components:
            component.tick(now)
        self._report(now)

    def _update_time_alarms(self, now: int) -> None:
        """Raise an alarm for each check that refused a fix, until the clock is trusted again."""
        before, self._failed_checks = self._failed_checks, list(self.clock.failed_checks)
        for check in before + self._failed_checks:
            code, text = alarm_for(check)
            self.alarms.update(code, check in self._failed_checks, text, now)

    def _step_when_ready(self, now: int) -> None:
        half = self.ticks.in_cycle >= self.ticks.per_cycle // 2
        if not half and not self.fieldbus.polls_complete():
            return
        self._stepped = True
        if now - self._started < _FIRST_READING_TIME and not self._has_readings(now):
            return
        cycle_us = self.ticks.period * self.ticks.per_cycle
        elapsed = cycle_us if self.last_step is None else min(now - self.last_step, 3 * cycle_us)
        self.last_step = now
        dt = elapsed / 1_000_000
        for component in self.components:
            component.before_control(now, dt)
        self.supply.step(now, dt)
        self.pressure.step(now, dt)
        self.supervisor.step(now)

    def _has_readings(self, now: int) -> bool:
        supply, pressure = self.supply.sensor.value(now), self.pressure.sensor.value(now)
        return supply is not None and pressure is not None

    def _report(self, now: int) -> None:
        for _, change, code, text in self.alarms.changes():
            line = "alarm %s %s: %s" % (change, code, text)
            self._out.append((CONSOLE, "write", line.encode()))
        if self.ticks.number % self.config.ticks_per_row == 0:
            self.telemetry.add_row(
                now,
                self.clock.utc(now),
                self.clock.state(now),
                self.supervisor.state,
                self.config.stale_us,
            )
            if self.uplink is not None and self.uplink.connected:
                self.uplink.flush()
        if self._state_link is not None and self._state_link.up:
            chunk = self._status_writer.tick(now)
            if chunk:
                self._out.append((STATE, "write", chunk))
