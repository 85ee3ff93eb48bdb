# SPDX-License-Identifier: Apache-2.0
"""All field buses and their devices: polls in each cycle, results, lost and overloaded buses.

Does not carry requests (see `drivers.modbus.bus`) and does not choose the values to write. The
state of one device is in `agent.fieldbus.device_session`. The check that a cycle is long enough for
the polls is in `agent.fieldbus.capacity`.
"""

from agent.core.module_unload import drop_modules
from agent.fieldbus.device_session import OVERLOADED_AFTER, DeviceSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.config_records import Config, DeviceConfig
    from agent.core.context import SessionView
    from drivers.modbus.bus import Bus
    from drivers.modbus.plan.poll_plan import PollPlan


def _poll_plans(config: "Config", device: "DeviceConfig") -> "tuple[PollPlan, PollPlan]":
    """Return the poll plans of a device: those of the capacity check, or new ones."""
    plans = device.poll_plans
    device.poll_plans = None  # a plan changes with its device, so no other session shares it
    if plans is None:
        from agent.fieldbus.capacity import bus_plans  # noqa: PLC0415 - only for loading

        plans = bus_plans(config, device)
    return plans


class Fieldbus:
    """All buses and device sessions of the unit; `first_port` is the port of the first bus."""

    def __init__(self, config: "Config", first_port: int, guard: "Any" = None) -> None:
        from drivers.ports.bus_address import make_bus  # noqa: PLC0415 - so that it can be unloaded

        self._guard = guard
        self.buses: list[Bus] = []
        self.names: list[str] = []
        for i, (name, address) in enumerate(config.buses):
            self.names.append(name)
            self.buses.append(make_bus(first_port + i, address, config.bus_timeout_us))
        drop_modules(("drivers.ports.bus_address",), collects=False)
        self.sessions: list[DeviceSession] = []
        for number, device in enumerate(config.devices):
            bus = self.buses[self.names.index(device.bus)]
            self.sessions.append(DeviceSession(number, device, bus, _poll_plans(config, device)))
        for bus in self.buses:
            blocks = sum([session.block_count for session in self.sessions if session.bus is bus])
            bus.raise_queue_limit(2 * blocks)  # a rejected block can become two
        self._overload_cycles = [0] * len(self.buses)

    def session(self, name: str) -> DeviceSession:
        """Return the session of the device `name`."""
        return next(session for session in self.sessions if session.name == name)

    def claim_outputs(self, name: str) -> "SessionView":
        """Return the device `name` for one more actuator; see `DeviceSession.claim_outputs`."""
        return self.session(name).claim_outputs()

    def begin_cycle(self, now: int, cycle_us: int) -> None:
        """Poll every device once; the next cycle begins `cycle_us` later."""
        for i, bus in enumerate(self.buses):
            overloaded = False
            for session in self.sessions:
                if session.bus is bus and not session.polls_complete():
                    overloaded = True
            self._overload_cycles[i] = self._overload_cycles[i] + 1 if overloaded else 0
            bus.expect_cycle(now + cycle_us)
        for session in self.sessions:
            try:
                session.poll(now, cycle_us)
            except Exception as error:
                self._guard.handle(session, error, now)

    def poll_bus(self, bus: "Bus") -> None:
        """Poll the devices of a bus that opened, before the loops decide."""
        for session in self.sessions:
            if session.bus is bus:
                session.poll_now()

    def send_early_polls(self, now: int) -> None:
        """Send the early polls of this tick, in the order of the devices. So the order in which
        the components asked for them changes nothing on the bus.
        """
        for session in self.sessions:
            if session.wants_poll or session.contest_due(now):
                try:
                    session.send_early_poll()
                except Exception as error:
                    self._guard.handle(session, error, now)

    def polls_complete(self) -> bool:
        """Return whether no fast poll of this cycle is pending."""
        return all(session.polls_complete() for session in self.sessions)

    def dispatch_results(self, bus: "Bus") -> None:
        """Pass the results of one bus to the device sessions."""
        for result in bus.take_results():
            session = self.sessions[result.tag.session]
            try:
                session.handle_result(result)
            except Exception as error:
                session.reset()
                self._guard.handle(session, error, result.done_at)

    def lost_buses(self) -> "list[str]":
        """Return the names of the buses on which no device replies."""
        lost = []
        for name, bus in zip(self.names, self.buses):
            device_lost = [session.lost for session in self.sessions if session.bus is bus]
            if device_lost and False not in device_lost:
                lost.append(name)
        return lost

    def overloaded_buses(self) -> "list[str]":
        """Return the names of the buses whose polls were incomplete for some cycles in a row."""
        return [
            name
            for name, count in zip(self.names, self._overload_cycles)
            if count >= OVERLOADED_AFTER
        ]

    def transactions(self) -> int:
        """Return the number of transactions of all buses."""
        return sum([bus.transactions for bus in self.buses])

    def errors(self) -> int:
        """Return the number of failed transactions of all buses."""
        return sum([bus.errors for bus in self.buses])
