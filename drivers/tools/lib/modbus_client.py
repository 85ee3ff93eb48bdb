# SPDX-License-Identifier: Apache-2.0
"""A blocking Modbus client on the bus of the agent, for one request at a time.

Not a second Modbus client: requests go through `drivers.modbus.bus.Bus` and `drivers.ports`, as in
the agent. Contains only the loop that waits. It blocks, so the agent cannot use it.

The next request opens a connection again that the peer closed. A serial line that hangs up raises
`PortError`, because it does not recover.
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
    """Parse the address of a Modbus port; a bare path is a serial port.

    Raises `AddressError`, also for other kinds of ports.
    """
    address = parse_address("serial:" + text if text.startswith("/") else text)
    if address.kind not in _PORT_KINDS:
        kinds = "serial:/dev/ttyUSB0?baud=19200&parity=E or tcp:HOST:502"
        raise AddressError("address %r: Modbus needs %s" % (text, kinds))
    return address


class BlockingModbusClient:
    """A Modbus line or connection, for a `with` block; `bus` holds the counters."""

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
        """Bytes that did not belong to a frame, since the last change of the line options."""
        return self._discarded_before + self.bus.discarded_bytes

    def reset_bus(self) -> None:
        """Use a new bus, without the health and response times of the units."""
        self._discarded_before += self.bus.discarded_bytes
        self._reply_count = 0
        self.bus = self._make_bus()

    def set_options(self, options: str) -> None:
        """Change the line options (`baud=9600&parity=E`) and reset the counters."""
        self._ensure_open().port.set_options(options)
        self.address = self.address.with_options(options)
        self.bus = self._make_bus()
        self._discarded_before = 0

    def _ensure_open(self) -> OpenPort:
        """Return the open port; open a closed connection again."""
        if self._open_port is None:
            self._open_port = OpenPort(self.address)
            self.bus.event("opened", monotonic_us())
        return self._open_port

    def request(self, unit: int, pdu: bytes, retries: int = 1) -> TransactionResult:
        """Send one request and return its result.

        Raises `PortError` if the port fails, `EncodeError` for an invalid unit.
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
        """Use a new bus after a pause in which late replies can arrive.

        The old bus probes an offline unit rarely, but the operator needs a result now. After
        several replies a bus discards premature ones. This program can sleep between requests, so
        it does not measure times exactly enough for that.
        """
        due = monotonic_us() + pause_us
        while monotonic_us() < due and self._open_port is not None:
            self._open_port.wait(due)
            if self._open_port.port.read() is None:
                self._on_closed()
        self.reset_bus()
        self._ensure_open()

    def _step(self, open_port: OpenPort) -> "list[TransactionResult]":
        """Run the bus once: send, wait, receive. Return the new results."""
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
