"""The devices on the field buses: polled, written when wanted, judged by their answers.

Not a protocol and not a loop: `drivers.modbus.bus` carries the requests, `drivers.device.device` knows what the
registers mean, `agent.fieldbus.device_session` keeps one device's affairs, the loops decide what to write. Here are
all of them together: which bus is lost, which has more to do than its wire can carry, and, before
anything is sent, whether a cycle is long enough for what is to be polled.
"""

from agent.fieldbus.device_session import OVERLOADED_AFTER, Station, layouts
from drivers.modbus.bus import Bus
from drivers.modbus.poll_plan import cost_us
from drivers.modbus.wire_time import Wire
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.config_records import Config, DeviceConfig
    from drivers.ports.address import Address

_STREAM_ROUND_TRIP_US = 2 * MILLISECOND
_LATE_US = 500 * MILLISECOND


def wire_of(address: "Address") -> Wire:
    """The wire behind a bus's address."""
    if address.kind == "tcp":
        return Wire(turnaround_us=_STREAM_ROUND_TRIP_US, serial=False)
    return Wire(address.baud, address.bits_per_char)


def round_us(address: "Address", devices: "list[DeviceConfig]", cycle_us: int) -> int:
    """What one cycle's polls of `devices` take on the wire of one bus, in microseconds.

    Slow points are spread over their own period.
    """
    wire = wire_of(address)
    stops = True in [bool(d.profile.pump or d.profile.valve) for d in devices]
    total = 0
    for device in devices:
        fast, slow = device.layouts = layouts(device.profile, wire, stops)
        total += cost_us(fast.blocks, wire)
        total += cost_us(slow.blocks, wire) * cycle_us // max(cycle_us, device.profile.periods[1])
    return total


def too_much(name: str, address: "Address", round_time: int, cycle_us: int) -> str:
    """What is wrong with a bus that takes longer for its polls than a cycle; empty if it fits."""
    if round_time <= cycle_us:
        return ""
    needed = (round_time + 99 * MILLISECOND) // (100 * MILLISECOND) * 100
    speed = "" if address.kind == "tcp" else " at %d baud" % address.baud
    return "buses.%s: polling takes %d ms of wire time%s, control.cycle_ms is %d; %s %d" % (
        name,
        (round_time + MILLISECOND - 1) // MILLISECOND,
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
                    late_us=_LATE_US,
                )
            )
        self.stations: list[Station] = []
        addresses = dict(config.buses)
        for number, device in enumerate(config.devices):
            bus = self.buses[self.names.index(device.bus)]
            with_it = [d for d in config.devices if d.bus == device.bus]
            stops = True in [bool(d.profile.pump or d.profile.valve) for d in with_it]
            wire = wire_of(addresses[device.bus])
            self.stations.append(Station(number, device, bus, wire, stops))
        for bus in self.buses:
            blocks = sum([s.blocks for s in self.stations if s.bus is bus])
            bus.limit = max(bus.limit, 2 * blocks)  # a refused block may become two
        self._overrun = [0] * len(self.buses)

    def station(self, name: str) -> Station:
        """Find a station by its device's name."""
        return next(s for s in self.stations if s.name == name)

    def begin_cycle(self, now: int, cycle_us: int) -> None:
        """Poll every device once; the next cycle is expected `cycle_us` later."""
        for i, bus in enumerate(self.buses):
            late = False
            for station in self.stations:
                if station.bus is bus and not station.settled():
                    late = True
            self._overrun[i] = self._overrun[i] + 1 if late else 0
            bus.idle_until = now + cycle_us
        for station in self.stations:
            station.poll(now, cycle_us)

    def opened(self, bus: Bus) -> None:
        """Poll the devices of a bus that is there again, before anything is decided for them."""
        for station in self.stations:
            if station.bus is bus:
                station.ask()

    def settled(self) -> bool:
        """Say whether every fast poll of this cycle has been answered or given up."""
        return all(station.settled() for station in self.stations)

    def collect(self, bus: Bus) -> None:
        """Hand the results of one bus to its stations."""
        for result in bus.results():
            self.stations[result.tag[0]].result(result)

    def lost_buses(self) -> "list[str]":
        """Name the buses on which no device answers."""
        lost = []
        for name, bus in zip(self.names, self.buses):
            on_it = [s.lost for s in self.stations if s.bus is bus]
            if on_it and False not in on_it:
                lost.append(name)
        return lost

    def overloaded_buses(self) -> "list[str]":
        """Name the buses that have not kept up with their polls for some cycles in a row."""
        return [name for name, count in zip(self.names, self._overrun) if count >= OVERLOADED_AFTER]

    def transactions(self) -> int:
        """Count the transactions of all buses."""
        return sum([bus.transactions for bus in self.buses])

    def errors(self) -> int:
        """Count the failed transactions of all buses."""
        return sum([bus.errors for bus in self.buses])
