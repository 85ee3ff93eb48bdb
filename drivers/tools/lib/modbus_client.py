"""A port with the agent's own bus on it, asked one question at a time: what the probes stand on.

Not a second Modbus: requests go through `drivers.modbus.bus.Bus` and the ports of `drivers.ports`,
just as in the agent; here is only the loop that waits. It blocks, which no part of the agent may.

A connection that the other end closed is opened again by the next question. A serial line that
hangs up raises `PortError`: it will not come back by itself.
"""

from drivers.errors import AddressError
from drivers.modbus.bus import Bus, TransactionResult
from drivers.ports.address import Address, parse_address
from drivers.ports.base import make_error
from drivers.tools.lib.open_port import OpenPort, monotonic_us
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


_PORT_KINDS = ("serial", "tcp")
_PORT = 0
_TAG = 0
_LATE_US = 500 * MILLISECOND
_RESTART_PAUSE_US = 20 * MILLISECOND
_MAX_REPLIES = 7
TIMEOUT_US = 300 * MILLISECOND


def port_address(text: str) -> Address:
    """Read the address of a Modbus port; a bare path means a serial port.

    Raises `AddressError`, also for a kind of port that cannot carry Modbus here.
    """
    address = parse_address("serial:" + text if text.startswith("/") else text)
    if address.kind not in _PORT_KINDS:
        kinds = "serial:/dev/ttyUSB0?baud=19200&parity=E or tcp:HOST:502"
        raise AddressError("address %r: Modbus needs %s" % (text, kinds))
    return address


class BlockingModbusClient:
    """A Modbus line or connection. Use it in a `with` block; `bus` holds the counters."""

    def __init__(self, address: Address, timeout_us: int = TIMEOUT_US) -> None:
        """Open the port. Raises `PortError`."""
        self.address = address
        self._timeout_us = timeout_us
        self._open_port: OpenPort | None = OpenPort(address)
        self._reply_count = 0
        self._discarded_before = 0
        self.bus = self._make_bus()

    def _make_bus(self) -> Bus:
        address = self.address
        bus = Bus(
            _PORT,
            "rtu" if address.kind == "serial" else "tcp",
            baud=address.baud,
            bits_per_char=address.bits_per_char,
            timeout_us=self._timeout_us,
        )
        bus.event("opened", monotonic_us())
        return bus

    @property
    def discarded_bytes(self) -> int:
        """Bytes that were no frame, since the line's settings were changed."""
        return self._discarded_before + self.bus.discarded_bytes

    def reset_bus(self) -> None:
        """Forget what is known of the units' silence and response times."""
        self._discarded_before += self.bus.discarded_bytes
        self._reply_count = 0
        self.bus = self._make_bus()

    def set_options(self, options: str) -> None:
        """Change the line's options (`baud=9600&parity=E`); the counters begin anew."""
        self._ensure_open().port.set_options(options)
        self.address = self.address.with_options(options)
        self.bus = self._make_bus()
        self._discarded_before = 0

    def _ensure_open(self) -> OpenPort:
        """The open port; a connection that was closed is opened again."""
        if self._open_port is None:
            self._open_port = OpenPort(self.address)
            self.bus.event("opened", monotonic_us())
        return self._open_port

    def request(self, unit: int, pdu: bytes, retries: int = 1) -> TransactionResult:
        """Send one request and wait for what becomes of it.

        Raises `PortError` when the port fails, `EncodeError` for a unit that cannot be.
        """
        self._ensure_open()
        if self._reply_count >= _MAX_REPLIES:
            self._restart_bus(_RESTART_PAUSE_US)
        if not self.bus.submit(unit, pdu, _TAG, retries=retries):
            self._restart_bus(_LATE_US)
            self.bus.submit(unit, pdu, _TAG, retries=retries)
        while True:
            results = self._step(self._ensure_open())
            if results:
                has_reply = results[0].status in (GOOD, EXCEPTION)
                self._reply_count = self._reply_count + 1 if has_reply else 0
                return results[0]

    def _restart_bus(self, pause_us: int) -> None:
        """Begin with a new bus after a pause, in which what is still under way may come.

        The old one asks a silent unit rarely, but a person asks now. And once it has learnt how
        fast the units are, it refuses replies that come earlier; a program that is put to sleep
        between its questions cannot take the times that this needs.
        """
        due = monotonic_us() + pause_us
        while monotonic_us() < due and self._open_port is not None:
            self._open_port.wait(due)
            if self._open_port.port.read() is None:
                self._on_closed()
        self.reset_bus()
        self._ensure_open()

    def _step(self, open_port: OpenPort) -> "list[TransactionResult]":
        """One turn: let time pass, send, wait, take bytes; returns what was decided."""
        bus = self.bus
        now = monotonic_us()
        if bus.deadline() <= now:
            bus.wake(now)
        for _, op, frame in bus.outbox():
            if op == "write":
                open_port.write(frame)
            elif op == "close":
                self._close()
        results = bus.take_results()
        if results:
            return results
        open_port.wait(bus.deadline())
        data = open_port.port.read()
        if data is None:
            self._on_closed()
        elif data:
            bus.receive(data, monotonic_us())
        return bus.take_results()

    def _on_closed(self) -> None:
        if self.address.kind == "serial":
            raise make_error(self.address, "hung up: unplugged, or the other end was closed")
        self._close()
        self.bus.event("closed", monotonic_us())

    def _close(self) -> None:
        if self._open_port is not None:
            self._open_port.port.close()
            self._open_port = None

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
