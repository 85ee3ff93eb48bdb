"""The devices on the field buses: polled, written when wanted, judged by their answers.

Not a protocol and not a loop: `drivers.modbus.bus` carries the requests, `drivers.device.device`
knows what the registers mean, `agent.fieldbus.device_session` keeps one device's affairs, the loops
decide what to write. Here are all of them together: which bus is lost, which has more to do than
its wire can carry, and, before anything is sent, whether a cycle is long enough for what is to be
polled.
"""

from agent.fieldbus.device_session import OVERLOADED_AFTER, DeviceSession, make_layouts
from drivers.modbus.bus import Bus
from drivers.modbus.poll_plan import plan_time_us
from drivers.modbus.wire_time import WireTime
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import Config, DeviceConfig
    from drivers.ports.address import Address

_STREAM_ROUND_TRIP_US = 2 * MILLISECOND
_LATE_US = 500 * MILLISECOND


def wire_for(address: "Address") -> WireTime:
    """The wire behind a bus's address."""
    if address.kind == "tcp":
        return WireTime(turnaround_us=_STREAM_ROUND_TRIP_US, serial=False)
    return WireTime(address.baud, address.bits_per_char)


def cycle_load_us(address: "Address", devices: "list[DeviceConfig]", cycle_us: int) -> int:
    """What one cycle's polls of `devices` take on the wire of one bus, in microseconds.

    Slow points are spread over their own period.
    """
    wire = wire_for(address)
    has_actuators = True in [bool(d.profile.pump or d.profile.valve) for d in devices]
    total = 0
    for device in devices:
        fast, slow = device.layouts = make_layouts(device.profile, wire, has_actuators)
        total += plan_time_us(fast.blocks, wire)
        total += (
            plan_time_us(slow.blocks, wire) * cycle_us // max(cycle_us, device.profile.periods[1])
        )
    return total


def over_capacity(name: str, address: "Address", load_us: int, cycle_us: int) -> str:
    """What is wrong with a bus that takes longer for its polls than a cycle; empty if it fits."""
    if load_us <= cycle_us:
        return ""
    needed = (load_us + 99 * MILLISECOND) // (100 * MILLISECOND) * 100
    speed = "" if address.kind == "tcp" else " at %d baud" % address.baud
    return "buses.%s: polling takes %d ms of wire time%s, control.cycle_ms is %d; %s %d" % (
        name,
        (load_us + MILLISECOND - 1) // MILLISECOND,
        speed,
        cycle_us // MILLISECOND,
        "use a faster or a second bus, or at least",
        needed,
    )


class Fieldbus:
    """All buses and stations of the unit. `first_port` is the number of the first bus's port."""

    def __init__(self, config: "Config", first_port: int) -> None:
        self.buses: list[Bus] = []
        self.names: list[str] = []
        for i, (name, address) in enumerate(config.buses):
            framing = "tcp" if address.kind == "tcp" else "rtu"
            self.names.append(name)
            self.buses.append(
                Bus(
                    first_port + i,
                    framing,
                    baud=address.baud,
                    bits_per_char=address.bits_per_char,
                    timeout_us=config.bus_timeout_us,
                    stale_us=_LATE_US,
                )
            )
        self.sessions: list[DeviceSession] = []
        addresses = dict(config.buses)
        for number, device in enumerate(config.devices):
            bus = self.buses[self.names.index(device.bus)]
            same_bus = [d for d in config.devices if d.bus == device.bus]
            has_actuators = True in [bool(d.profile.pump or d.profile.valve) for d in same_bus]
            wire = wire_for(addresses[device.bus])
            self.sessions.append(DeviceSession(number, device, bus, wire, has_actuators))
        for bus in self.buses:
            blocks = sum([s.block_count for s in self.sessions if s.bus is bus])
            bus.queue_limit = max(bus.queue_limit, 2 * blocks)  # a refused block may become two
        self._overload_cycles = [0] * len(self.buses)

    def session(self, name: str) -> DeviceSession:
        """Find a station by its device's name."""
        return next(s for s in self.sessions if s.name == name)

    def begin_cycle(self, now: int, cycle_us: int) -> None:
        """Poll every device once; the next cycle is expected `cycle_us` later."""
        for i, bus in enumerate(self.buses):
            overloaded = False
            for session in self.sessions:
                if session.bus is bus and not session.polls_complete():
                    overloaded = True
            self._overload_cycles[i] = self._overload_cycles[i] + 1 if overloaded else 0
            bus.next_cycle_at = now + cycle_us
        for session in self.sessions:
            session.poll(now, cycle_us)

    def poll_bus(self, bus: Bus) -> None:
        """Poll the devices of a bus that is there again, before anything is decided for them."""
        for session in self.sessions:
            if session.bus is bus:
                session.poll_now()

    def polls_complete(self) -> bool:
        """Say whether every fast poll of this cycle has been answered or given up."""
        return all(session.polls_complete() for session in self.sessions)

    def dispatch_results(self, bus: Bus) -> None:
        """Hand the results of one bus to its stations."""
        for result in bus.take_results():
            self.sessions[result.tag[0]].handle_result(result)

    def lost_buses(self) -> "list[str]":
        """Name the buses on which no device answers."""
        lost = []
        for name, bus in zip(self.names, self.buses):
            device_lost = [s.lost for s in self.sessions if s.bus is bus]
            if device_lost and False not in device_lost:
                lost.append(name)
        return lost

    def overloaded_buses(self) -> "list[str]":
        """Name the buses that have not kept up with their polls for some cycles in a row."""
        return [
            name
            for name, count in zip(self.names, self._overload_cycles)
            if count >= OVERLOADED_AFTER
        ]

    def transactions(self) -> int:
        """Count the transactions of all buses."""
        return sum([bus.transactions for bus in self.buses])

    def errors(self) -> int:
        """Count the failed transactions of all buses."""
        return sum([bus.errors for bus in self.buses])
