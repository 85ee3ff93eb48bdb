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
is repeated once on a new one. A request that can change the device is not repeated: the device can
have taken it. A serial line that hangs up raises `PortError`, because it does not recover.
"""

from drivers.errors import AddressError, PortError
from drivers.modbus.transaction import PORT_CLOSED, TIMEOUT, TransactionResult
from drivers.ports.address import Address, modbus_framing, parse_address
from drivers.ports.base import make_error
from drivers.ports.bus_address import BUS_KINDS, make_bus
from drivers.ports.cpython.tls_role import describe_role
from drivers.tools.lib.arguments import Progress
from drivers.tools.lib.exchange.first_reply import FirstReplyCheck
from drivers.tools.lib.exchange.other_reads import MAX_COUNT, is_read_only
from drivers.tools.lib.exchange.wire_record import NO_MODBUS, WireRecord
from drivers.tools.lib.open_port import HUNG_UP, OpenPort, monotonic_us
from protocols.modbus import pdu
from protocols.modbus.pdu import EXCEPTION, GOOD
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from drivers.modbus.bus import Bus

_PORT = 0
_QUIET_US = 2 * SECOND
_RESYNC_US = 600 * MILLISECOND
_CLOSING_US = 20 * MILLISECOND
_MAX_REPLIES = 7
_MAX_DRAIN = 64
_ILLEGAL_FUNCTION = 1  # also the answer to a role without this right
_ACKNOWLEDGE = 5
_BROKEN = "stream broken"
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
        self.record = WireRecord(modbus_framing(address.kind))
        """The bytes of the last request."""
        self.has_earlier_attempt = False
        """Whether the device can have taken an attempt of the last request before its reply."""
        self._progress = Progress()
        self._quiet_since = monotonic_us()
        self.bus = self._make_bus()
        self._check = FirstReplyCheck(
            self._request,
            lambda: self.bus.client.counters.mismatches,
            lambda: monotonic_us() < self.bus.other_until,
            self.bus.serial,
        )

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

        The first reply of a unit is confirmed, because the device can still owe a reply to an
        earlier program or to another master: see `first_reply`.

        If another master asks for as many values, its reply looks like ours. Then a longer read
        follows as well: its reply has another length.

        Raises `PortError` if the port fails, `EncodeError` for an invalid unit.
        """
        return self._check.request(unit, request, retries)

    def request_once(self, unit: int, request: bytes) -> "TransactionResult":
        """Send one request, and never again: not after a reset, nor after exception 5 or 6.

        Its reply is not confirmed. Raises as `request`.
        """
        return self._request_once(unit, request, 0, True)

    def _request(self, unit: int, request: bytes, retries: int) -> "TransactionResult":
        """Send one request. A read that a reset has ended is repeated on a new connection."""
        is_repeated = not self.bus.serial and is_read_only(request)
        try:
            result = self._request_once(unit, request, retries)
            if result.status != PORT_CLOSED or not is_repeated:
                return result
        except PortError:
            if not is_repeated:
                raise
        return self._request_once(unit, request, retries)

    def _request_once(
        self, unit: int, request: bytes, retries: int, is_single: bool = False
    ) -> "TransactionResult":
        counters = self.bus.client.counters
        noise, foreign, echoes = (
            counters.discarded_bytes,
            counters.other_unit_frames,
            counters.echoes,
        )
        try:
            result = self._transact(unit, request, retries, is_single)
        except BaseException:  # also KeyboardInterrupt
            self._abandon()
            raise
        if result.status == TIMEOUT and self.bus.serial:
            result.reason = _evidence(
                counters.discarded_bytes - noise,
                counters.other_unit_frames - foreign,
                counters.echoes - echoes,
            )
        elif result.status == TIMEOUT:
            result.reason = self.record.stream_evidence()
        elif result.status == PORT_CLOSED and result.reason.startswith(_BROKEN):
            result.reason = "%s (%s)" % (NO_MODBUS, result.reason)
        elif result.status == PORT_CLOSED and not self.bus.serial:
            came = self.record.stream_evidence() or "no reply came"
            result.reason = "the connection ended (%s); %s" % (result.reason, came)
        elif self.address.kind == "tls" and result.code == _ILLEGAL_FUNCTION:
            result.reason = describe_role(self.address.options.get("cert", ""))
        return result

    def _abandon(self) -> None:
        """Make sure that no later request gets the reply to this one."""
        if self.bus.serial:
            self.bus.drop_input(monotonic_us())
        else:
            self._close()
            self.bus.event("closed", monotonic_us())

    def _transact(
        self, unit: int, request: bytes, retries: int, is_single: bool
    ) -> "TransactionResult":
        bus = self.bus
        self._tag += 1
        self.record.begin()
        self._follow_close()  # of the request before
        if not is_read_only(request) and not bus.serial:
            self._ensure_open().wait(monotonic_us() + _CLOSING_US)
        self._drain(self._ensure_open())
        self._ensure_open()
        # This program sleeps between requests: it cannot tell that a reply is premature.
        if self._reply_count >= _MAX_REPLIES:
            self._reply_count = 0
            bus.reset_timing()
        before = (bus.timeouts, bus.retries, bus.busy_replies)
        if not bus.submit(unit, request, self._tag, retries=retries):
            # The bus probes an offline unit rarely, but the operator needs a result now. Some
            # devices find the start of a frame again only after a pause (libmodbus: 0.5 s).
            self.pause()
            bus.reset_health()
            bus.submit(unit, request, self._tag, retries=0)
        result = None
        while result is None:
            results = [r for r in self._step(self._ensure_open()) if r.tag == self._tag]
            if results:
                result = results[0]
            elif is_single and bus.busy_replies > before[2]:
                result = self._take_busy(unit, request)
            else:
                self._show_progress(unit)
        self._progress.clear()
        self._note_attempts(unit, request, before)
        self._reply_count = self._reply_count + 1 if result.status in (GOOD, EXCEPTION) else 0
        return result

    def _note_attempts(self, unit: int, request: bytes, before: "tuple[int, int, int]") -> None:
        """Note what the attempts before the last one show, see `has_earlier_attempt`."""
        bus = self.bus
        if bus.timeouts > before[0]:
            self._check.timed_out()
        replies = self.record.replies(unit, request[0]) if bus.busy_replies > before[2] else []
        accepted = bytes((request[0] | 0x80, _ACKNOWLEDGE)) in replies
        self.has_earlier_attempt = bus.retries > before[1] or accepted

    def _take_busy(self, unit: int, request: bytes) -> "TransactionResult":
        """Return exception 5 or 6 as the result, before the bus sends the request again."""
        now = monotonic_us()
        self.bus.event("closed", now)  # this ends the request; the port itself stays open
        self.bus.take_results()
        self.bus.event("opened", now)
        codes = [reply[1] for reply in self.record.replies(unit, request[0]) if len(reply) == 2]
        code = codes[-1] if codes else 0
        return TransactionResult(self._tag, unit, EXCEPTION, code, (), now)

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
            self.record.received(data)
            self.bus.receive(data, monotonic_us())
            if self._follow_close():
                raise make_error(self.address, NO_MODBUS + ": is it another program's port?")

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
                self.record.sent(frame)
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
            self.record.received(data)
            bus.receive(data, monotonic_us())
        return bus.take_results()

    def _on_closed(self) -> None:
        if self.address.kind in ("serial", "ascii"):
            raise make_error(self.address, HUNG_UP)
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
    most = MAX_COUNT[function] // width * width
    found: list[int] = []
    while len(found) < count:
        size = min(count - len(found), most)
        result = client.request(unit, pdu.read(function, address + len(found), size))
        if result.status != GOOD:
            return found, result
        found.extend(result.values)
    return found, None
