"""The devices on the field buses: polled once a cycle, written when wanted, judged by answers.

Not a protocol and not a loop: `drivers.bus` carries the requests, `drivers.device` knows what the
registers mean, the loops decide what to write. Here stands which request goes out when, and what is
known of a device's health.

A poll that has not been answered is not asked again, and of a device's writes one at most is on its
way (what is wanted by then goes out after it), so that a slow bus never grows a queue and never
carries out old wishes. A write stays wanted until a poll shows it in the device: what is not seen
within `_AGAIN_AFTER` rounds of polls is written again, and a device that has shown nothing of what
it was told for `_STUBBORN_AFTER` rounds is stubborn, whether the wish has changed meanwhile or not.
A device that answers nothing for `_LOST_AFTER` cycles is lost; a bus whose devices are all lost is
lost.
"""

from drivers.bus import Bus
from drivers.device import Device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.config import Config, DeviceConfig

    Pairs = list[tuple[int, int]]

_LOST_AFTER = 3
_AGAIN_AFTER = 2
_STUBBORN_AFTER = 10


class Station:
    """One device with its bus, its outstanding polls, its wanted outputs and its health."""

    def __init__(self, number: int, config: "DeviceConfig", bus: Bus) -> None:
        self.name = config.name
        self.profile = config.profile
        self.device = Device(config.name, config.unit, config.profile)
        self.bus = bus
        self.unit = config.unit
        self.lost = True
        self.stubborn = False
        self.silent_cycles = 0
        self.answered_at = 0
        self._number = number
        self._polls = self.device.polls()
        self._waiting = [False] * len(self._polls)
        self._answered = False
        self._wanted: Pairs = []
        self._writing = False
        self._overtaken = False
        self._unseen = 0
        self._since_write = 0

    def poll(self) -> None:
        """Begin a cycle: judge the last one, then ask."""
        self._judge()
        self.ask()

    def ask(self) -> None:
        """Ask for every block that is not asked for still."""
        for i, (pdu, tag) in enumerate(self._polls):
            if not self._waiting[i]:
                self._waiting[i] = self.bus.submit(self.unit, pdu, (self._number, i, tag))

    def _judge(self) -> None:
        if not self._answered:
            self.silent_cycles += 1
            if self.silent_cycles >= _LOST_AFTER:
                self.lost = True
        self._answered = False

    def want(self, pairs: "Pairs") -> None:
        """Ask for points (index, raw value) to be written and seen written.

        Raises `EncodeError` when a value is outside the limits of the point's profile.
        """
        if pairs != self._wanted:
            self._wanted = pairs
            self._write()

    def _write(self) -> None:
        pdu = self.device.write(self._wanted)
        self._since_write = 0
        if self._writing:
            self._overtaken = True
            return
        self._writing = self.bus.submit(self.unit, pdu, (self._number, -1, -1), urgent=True)

    def _written(self) -> None:
        """The write on its way has come to an end, one way or the other."""
        self._writing = False
        if self._overtaken:
            self._overtaken = False
            self._write()

    def _check_written(self) -> None:
        """After a full round of polls: is what was wanted there?"""
        if not self._wanted:
            return
        if self.device.readback(self._wanted):
            self._unseen = self._since_write = 0
            self.stubborn = False
            return
        self._unseen += 1
        self._since_write += 1
        self.stubborn = self._unseen >= _STUBBORN_AFTER
        if self._since_write >= _AGAIN_AFTER:
            self._write()

    def settled(self) -> bool:
        """Say whether no poll of this device is outstanding."""
        return True not in self._waiting

    def result(self, block: int, tag: int, ok: bool, values: "tuple[int, ...]", now: int) -> None:
        """Take the bus's answer to a poll (`block` >= 0) or to a write (-1)."""
        if ok:
            self._answered = True
            if self.lost:
                # What was wanted of a lost device may not be what is wanted now that it is heard.
                self._since_write = -1
            self.lost = False
            self.silent_cycles = 0
            self.answered_at = now
        if block < 0:
            self._written()
            return
        self._waiting[block] = False
        if ok:
            self.device.accept(tag, values, now)
            if block == len(self._polls) - 1:
                self._check_written()
        else:
            self.device.failed(tag, now)


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
                )
            )
        self.stations: list[Station] = []
        for number, device in enumerate(config.devices):
            bus = self.buses[self.names.index(device.bus)]
            self.stations.append(Station(number, device, bus))

    def station(self, name: str) -> Station:
        """Find a station by its device's name."""
        return next(s for s in self.stations if s.name == name)

    def begin_cycle(self) -> None:
        """Poll every device once."""
        for station in self.stations:
            station.poll()

    def opened(self, bus: Bus) -> None:
        """Poll the devices of a bus that is there again, before anything is decided for them."""
        for station in self.stations:
            if station.bus is bus:
                station.ask()

    def settled(self) -> bool:
        """Say whether every poll of this cycle has been answered or given up."""
        return all(station.settled() for station in self.stations)

    def collect(self, bus: Bus) -> None:
        """Hand the results of one bus to its stations."""
        for result in bus.results():
            number, block, tag = result.tag
            ok = result.status == "ok"
            self.stations[number].result(block, tag, ok, result.values, result.at)

    def lost_buses(self) -> "list[str]":
        """Name the buses on which no device answers."""
        lost = []
        for name, bus in zip(self.names, self.buses):
            on_it = [s.lost for s in self.stations if s.bus is bus]
            if on_it and False not in on_it:
                lost.append(name)
        return lost

    def transactions(self) -> int:
        """Count the transactions of all buses."""
        return sum([bus.transactions for bus in self.buses])

    def errors(self) -> int:
        """Count the failed transactions of all buses."""
        return sum([bus.errors for bus in self.buses])
