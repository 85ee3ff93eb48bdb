# SPDX-License-Identifier: Apache-2.0
"""A blocking Modbus client on the bus of the agent, for one request at a time.

Not a second Modbus client: requests go through `drivers.modbus.bus.Bus` and `drivers.ports`, as in
the agent. Contains only the loop that waits. It blocks, so the agent cannot use it.

Before each request the client reads what has arrived meanwhile. Thus old bytes never count as the
reply. The bus and its guard against late replies stay the same for the whole command. A request
that takes longer than `_QUIET_US` shows its progress on a terminal.

An interrupted request (Ctrl-C, a signal, a failed port) is abandoned: its reply is never given to a
later request. A connection is closed, because its stream can be out of step. On a serial line the
bus ends the old request first, with its guard against late replies. The tag tells the results
apart.

The next request opens a connection again that the peer closed. Some devices close it after each
reply, a moment later. So a write first waits for that moment, and a read whose connection is reset
is repeated once on a new one. A write is not repeated: the device can have taken it. A serial line
that hangs up raises `PortError`, because it does not recover.
"""

from drivers.errors import AddressError, PortError
from drivers.modbus.transaction import AMBIGUOUS, PORT_CLOSED, TIMEOUT
from drivers.ports.address import Address, parse_address
from drivers.ports.base import make_error
from drivers.ports.bus_address import BUS_KINDS, make_bus
from drivers.ports.cpython.tls_role import describe_role
from drivers.tools.lib.arguments import Progress
from drivers.tools.lib.open_port import OpenPort, monotonic_us
from protocols.modbus import pdu
from protocols.modbus.expected_reply import OTHER_MASTER
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from drivers.modbus.bus import Bus, TransactionResult

_PORT = 0
_QUIET_US = 2 * SECOND
_RESYNC_US = 600 * MILLISECOND
_CLOSING_US = 20 * MILLISECOND
_MAX_REPLIES = 7
_MAX_DRAIN = 64
_ADDRESSES = 65536
_ILLEGAL_FUNCTION = 1  # also the answer to a role without this right
_BYTE = 8  # bits of one byte of a reply
_MAX_COUNT = {1: pdu.MAX_READ_BITS, 2: pdu.MAX_READ_BITS, 3: pdu.MAX_READ, 4: pdu.MAX_READ}
TIMEOUT_US = 300 * MILLISECOND


def port_address(text: str) -> Address:
    """Parse the address of a Modbus port; a bare path is a serial port.

    Raises `AddressError`, also for other kinds of ports.
    """
    address = parse_address("serial:" + text if text.startswith("/") else text)
    if address.kind not in BUS_KINDS or address.kind == "uart":
        kinds = (
            "serial:/dev/ttyUSB0?baud=19200&parity=E, tcp:HOST:502, "
            "rtu+tcp:HOST:PORT, rtu+udp:HOST:PORT, ascii:/dev/ttyUSB0, ascii+tcp:HOST:PORT "
            "or tls:HOST:802?ca=FILE"
        )
        raise AddressError("address %r: Modbus needs %s" % (text, kinds))
    return address


def _longer_reads(request: bytes) -> "list[bytes]":
    """Return the same read of one and of two more values; their replies differ in length.

    Less than two if the request is no read, or near the longest one or the last address.
    """
    function, count = request[0], request[3] << 8 | request[4] if len(request) == 5 else 0
    if not count or function not in _MAX_COUNT:
        return []
    address = request[1] << 8 | request[2]
    step = _BYTE if function in pdu.BIT_READS else 1
    limit = min(_MAX_COUNT[function], _ADDRESSES - address)
    counts = (count + step, count + 2 * step)
    return [pdu.read(function, address, size) for size in counts if size <= limit]


def _shorter_read(request: bytes) -> "bytes | None":
    """Return a read of one value, or None if the request is no longer read."""
    is_read = len(request) == 5 and request[0] in _MAX_COUNT
    count = request[3] << 8 | request[4] if is_read else 0
    if count <= (_BYTE if is_read and request[0] in pdu.BIT_READS else 1):
        return None
    return pdu.read(request[0], request[1] << 8 | request[2], 1)


def _evidence(noise: int, foreign: int, echoes: int) -> str:
    """Return what came instead of a reply, and its likely causes; empty if nothing came."""
    if noise:
        causes = "another baud rate or parity, noise, or a reply with a wrong length"
        return "%d bytes came that are no frame (%s)" % (noise, causes)
    if foreign:
        return "%d frames of other units came (another master is on the line)" % foreign
    if echoes:
        return "only the sent bytes came back (the line echoes, and no device replies)"
    return ""


def _cut(result: "TransactionResult", request: bytes) -> "TransactionResult":
    """Keep the values of `request` in the result of a longer read."""
    result.values = result.values[: request[3] << 8 | request[4]]
    return result


class BlockingModbusClient:
    """A Modbus line or connection, for a `with` block; `bus` holds the counters."""

    def __init__(self, address: Address, timeout_us: int = TIMEOUT_US) -> None:
        """Open the port. Raises `PortError`."""
        self.address = address
        self._timeout_us = timeout_us
        self._open_port: OpenPort | None = OpenPort(address)
        self._reply_count = 0
        self._tag = 0
        self._discarded_before = 0
        self._confirmed: set[int] = set()
        self._refuses_longer: set[int] = set()
        self._progress = Progress()
        self._quiet_since = monotonic_us()
        self.bus = self._make_bus()

    def _make_bus(self) -> "Bus":
        bus = make_bus(_PORT, self.address, self._timeout_us)
        bus.event("opened", monotonic_us())
        return bus

    @property
    def discarded_bytes(self) -> int:
        """Bytes that did not belong to a frame, since the last change of the line options."""
        return self._discarded_before + self.bus.discarded_bytes

    @property
    def echo_is_known(self) -> bool:
        """Whether a reply has shown that the line does not return the sent bytes, or that it does.

        Without this, the line itself can return the "reply" to a write.
        """
        return self.bus.client.echo_known

    def reset_health(self) -> None:
        """Forget the response times of the units, and which of them are offline."""
        self.bus.reset_health()

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

    def request(self, unit: int, request: bytes, retries: int = 1) -> "TransactionResult":
        """Send one request and return its result. The reason of a time-out names what came instead.

        The first good read of a unit on a serial line is confirmed, because the device can still
        owe a reply to an earlier program or to another master. A longer read follows, and its
        values are the result. If its reply is not the next one, the first read is repeated; now the
        guard against late replies knows.

        If another master asks for as many values, its reply looks like ours. Then a longer read
        follows as well: its reply has another length.

        Raises `PortError` if the port fails, `EncodeError` for an invalid unit.
        """
        result = self._request(unit, request, retries)
        if result.status == GOOD and unit not in self._confirmed and self.bus.serial:
            result = self._confirm(unit, request, retries, result)
        if result.status == AMBIGUOUS and result.reason == OTHER_MASTER:
            return self._read_longer(unit, request, retries) or result
        return result

    def _read_longer(self, unit: int, request: bytes, retries: int) -> "TransactionResult | None":
        """Read more values than another master does, twice: the first can have an older reply.

        None without two good replies.
        """
        found = None
        longer = [] if unit in self._refuses_longer else _longer_reads(request)
        for read in longer:
            found = self._request(unit, read, retries)
            if found.status == EXCEPTION:
                self._refuses_longer.add(unit)
            if found.status != GOOD:
                return None
        return _cut(found, request) if found is not None and len(longer) > 1 else None

    def _confirm(
        self, unit: int, request: bytes, retries: int, result: "TransactionResult"
    ) -> "TransactionResult":
        """Return the result of a request that was sent when no older reply was due."""
        longer = _longer_reads(request)
        other = longer[0] if longer else _shorter_read(request)
        if other is None:
            return result
        self._confirmed.add(unit)
        counters = self.bus.client.counters
        mismatches = counters.mismatches
        confirmation = self._request(unit, other, 0)
        has_other_master = monotonic_us() < self.bus.other_until
        if confirmation.status == EXCEPTION:
            self._refuses_longer.add(unit)
        if counters.mismatches == mismatches:
            if longer and confirmation.status == GOOD:
                return _cut(confirmation, request)
            if confirmation.status in (GOOD, EXCEPTION) and not has_other_master:
                return result
        found = None
        if has_other_master:
            found = self._read_longer(unit, request, retries)
        found = found or self._request(unit, request, retries)
        if found.status == EXCEPTION:  # a late one, to the longer read
            found = self._request(unit, request, retries)
        return found

    def _request(self, unit: int, request: bytes, retries: int) -> "TransactionResult":
        """Send one request. A read that a reset has ended is repeated on a new connection."""
        is_repeated = not self.bus.serial and request[0] not in pdu.WRITES
        try:
            result = self._request_once(unit, request, retries)
            if result.status != PORT_CLOSED or not is_repeated:
                return result
        except PortError:
            if not is_repeated:
                raise
        return self._request_once(unit, request, retries)

    def _request_once(self, unit: int, request: bytes, retries: int) -> "TransactionResult":
        counters = self.bus.client.counters
        noise, foreign, echoes = (
            counters.discarded_bytes,
            counters.other_unit_frames,
            counters.echoes,
        )
        try:
            result = self._transact(unit, request, retries)
            if result.status == TIMEOUT:
                result.reason = _evidence(
                    counters.discarded_bytes - noise,
                    counters.other_unit_frames - foreign,
                    counters.echoes - echoes,
                )
            elif self.address.kind == "tls" and result.code == _ILLEGAL_FUNCTION:
                result.reason = describe_role(self.address.options.get("cert", ""))
            return result
        except BaseException:  # also KeyboardInterrupt
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Make sure that no later request gets the reply to this one."""
        if self.bus.serial:
            self.bus.drop_input(monotonic_us())
        else:
            self._close()
            self.bus.event("closed", monotonic_us())

    def _transact(self, unit: int, request: bytes, retries: int) -> "TransactionResult":
        self._tag += 1
        self._follow_close()  # of the request before
        if request[0] in pdu.WRITES and not self.bus.serial:
            self._ensure_open().wait(monotonic_us() + _CLOSING_US)
        self._drain(self._ensure_open())
        self._ensure_open()
        # This program sleeps between requests: it cannot tell that a reply is premature.
        if self._reply_count >= _MAX_REPLIES:
            self._reply_count = 0
            self.bus.reset_timing()
        if not self.bus.submit(unit, request, self._tag, retries=retries):
            # The bus probes an offline unit rarely, but the operator needs a result now. Some
            # devices find the start of a frame again only after a pause (libmodbus: 0.5 s).
            self.pause()
            self.bus.reset_health()
            self.bus.submit(unit, request, self._tag, retries=0)
        while True:
            results = self._step(self._ensure_open())
            results = [result for result in results if result.tag == self._tag]
            if results:
                self._progress.clear()
                has_reply = results[0].status in (GOOD, EXCEPTION)
                self._reply_count = self._reply_count + 1 if has_reply else 0
                return results[0]
            self._show_progress(unit)

    def pause(self) -> None:
        """Send nothing for 0.6 s, so that all devices find the start of the next frame."""
        due = monotonic_us() + _RESYNC_US
        while monotonic_us() < due:
            self._ensure_open().wait(due)
            self._drain(self._ensure_open())

    def _drain(self, open_port: OpenPort) -> None:
        """Give the bus what has arrived since the last request."""
        for _ in range(_MAX_DRAIN):
            data = open_port.port.read()
            if data is None:
                self._on_closed()
            if not data:
                return
            self.bus.receive(data, monotonic_us())
            if self._follow_close():
                raise make_error(self.address, "sends no Modbus TCP: is it another program's port?")

    def _follow_close(self) -> bool:
        """Close the port if the bus has closed it, while no request waits; return whether."""
        is_closed = "close" in [op for _, op, _ in self.bus.outbox()]
        if is_closed:
            self._close()
        return is_closed

    def _show_progress(self, unit: int) -> None:
        elapsed_us = monotonic_us() - self._quiet_since
        if elapsed_us > _QUIET_US:
            bus = self.bus
            counts = (unit, bus.transactions, bus.timeouts, elapsed_us // SECOND)
            self._progress.update("unit %d: %d requests, %d without a reply, %d s" % counts)

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
        if results or self._open_port is not open_port:  # the bus closed it: no Modbus on the port
            return results
        open_port.wait(bus.deadline())
        data = open_port.port.read()
        if data is None:
            self._on_closed()
        elif data:
            bus.receive(data, monotonic_us())
        return bus.take_results()

    def _on_closed(self) -> None:
        if self.address.kind in ("serial", "ascii"):
            raise make_error(self.address, "hung up: unplugged, or the other end was closed")
        self.drop_port()

    def drop_port(self) -> None:
        """Close the port after a `PortError`; the next request opens it again."""
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


def read_values(
    client: BlockingModbusClient, unit: int, function: int, address: int, count: int, width: int = 1
) -> "tuple[list[int], TransactionResult | None]":
    """Read `count` registers or bits; return (values, failed result or None).

    Uses several requests if necessary. A value has `width` registers, which come from one request:
    else its parts could be from different moments. Raises `EncodeError` if the last address is
    above 65535.
    """
    most = _MAX_COUNT[function] // width * width
    found: list[int] = []
    while len(found) < count:
        size = min(count - len(found), most)
        result = client.request(unit, pdu.read(function, address + len(found), size))
        if result.status != GOOD:
            return found, result
        found.extend(result.values)
    return found, None
