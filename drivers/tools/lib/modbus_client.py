"""A port with the agent's own bus on it, asked one question at a time: what the probes stand on.

Not a second Modbus: requests go through `drivers.modbus.bus.Bus` and the ports of `drivers.ports`, just as
in the agent; here is only the loop that waits. It blocks, which no part of the agent may.

A connection that the other end closed is opened again by the next question. A serial line that
hangs up raises `PortError`: it will not come back by itself.
"""

from drivers.errors import AddressError
from drivers.modbus.bus import Bus, Result
from drivers.ports.address import Address, parse
from drivers.ports.base import failure
from drivers.tools.lib.open_port import Opened, clock
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


_KINDS = ("serial", "tcp")
_PORT = 0
_TAG = 0
_LATE_US = 500 * MILLISECOND
_QUIET_US = 20 * MILLISECOND
_ANSWERS = 7
TIMEOUT_US = 300 * MILLISECOND


def port_address(text: str) -> Address:
    """Read the address of a Modbus port; a bare path means a serial port.

    Raises `AddressError`, also for a kind of port that cannot carry Modbus here.
    """
    address = parse("serial:" + text if text.startswith("/") else text)
    if address.kind not in _KINDS:
        kinds = "serial:/dev/ttyUSB0?baud=19200&parity=E or tcp:HOST:502"
        raise AddressError("address %r: Modbus needs %s" % (text, kinds))
    return address


class Line:
    """A Modbus line or connection. Use it in a `with` block; `bus` holds the counters."""

    def __init__(self, address: Address, timeout_us: int = TIMEOUT_US) -> None:
        """Open the port. Raises `PortError`."""
        self.address = address
        self._timeout = timeout_us
        self._opened: Opened | None = Opened(address)
        self._answers = 0
        self._dropped = 0
        self.bus = self._make_bus()

    def _make_bus(self) -> Bus:
        address = self.address
        bus = Bus(
            _PORT,
            "rtu" if address.kind == "serial" else "tcp",
            baud=address.baud,
            bits_per_char=address.bits_per_char,
            timeout_us=self._timeout,
        )
        bus.event("opened", clock())
        return bus

    @property
    def dropped_bytes(self) -> int:
        """Bytes that were no frame, since the line's settings were changed."""
        return self._dropped + self.bus.dropped_bytes

    def fresh(self) -> None:
        """Forget what is known of the units' silence and response times."""
        self._dropped += self.bus.dropped_bytes
        self._answers = 0
        self.bus = self._make_bus()

    def set(self, options: str) -> None:
        """Change the line's options (`baud=9600&parity=E`); the counters begin anew."""
        self._port().port.set(options)
        self.address = self.address.changed(options)
        self.bus = self._make_bus()
        self._dropped = 0

    def _port(self) -> Opened:
        """The open port; a connection that was closed is opened again."""
        if self._opened is None:
            self._opened = Opened(self.address)
            self.bus.event("opened", clock())
        return self._opened

    def ask(self, unit: int, pdu: bytes, retries: int = 1) -> Result:
        """Send one request and wait for what becomes of it.

        Raises `PortError` when the port fails, `EncodeError` for a unit that cannot be.
        """
        self._port()
        if self._answers >= _ANSWERS:
            self._renew(_QUIET_US)
        if not self.bus.submit(unit, pdu, _TAG, retries=retries):
            self._renew(_LATE_US)
            self.bus.submit(unit, pdu, _TAG, retries=retries)
        while True:
            results = self._turn(self._port())
            if results:
                good = results[0].status in (GOOD, EXCEPTION)
                self._answers = self._answers + 1 if good else 0
                return results[0]

    def _renew(self, quiet_us: int) -> None:
        """Begin with a new bus after a pause, in which what is still under way may come.

        The old one asks a silent unit rarely, but a person asks now. And once it has learnt how
        fast the units are, it refuses replies that come earlier; a program that is put to sleep
        between its questions cannot take the times that this needs.
        """
        due = clock() + quiet_us
        while clock() < due and self._opened is not None:
            self._opened.wait(due)
            if self._opened.port.read() is None:
                self._hung_up()
        self.fresh()
        self._port()

    def _turn(self, opened: Opened) -> "list[Result]":
        """One turn: let time pass, send, wait, take bytes; returns what was decided."""
        bus = self.bus
        now = clock()
        if bus.deadline() <= now:
            bus.wake(now)
        for _, op, frame in bus.outbox():
            if op == "write":
                opened.write(frame)
            elif op == "close":
                self._close()
        results = bus.results()
        if results:
            return results
        opened.wait(bus.deadline())
        data = opened.port.read()
        if data is None:
            self._hung_up()
        elif data:
            bus.receive(data, clock())
        return bus.results()

    def _hung_up(self) -> None:
        if self.address.kind == "serial":
            raise failure(self.address, "hung up: unplugged, or the other end was closed")
        self._close()
        self.bus.event("closed", clock())

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.port.close()
            self._opened = None

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
