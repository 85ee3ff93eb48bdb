# SPDX-License-Identifier: Apache-2.0
"""A paced line with correct Modbus servers in virtual time, to measure how a bus uses the wire.

Not a test and not the line of the bench: a small model for both interpreters. Bytes take the time
of the baud rate in both directions. A server answers `turnaround_us` after the last byte.
"""

from drivers.modbus.bus import Bus
from drivers.modbus.transaction import STOP
from protocols.modbus import pdu
from protocols.modbus.crc import with_crc
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.modbus.transaction import TransactionResult

    Tag = tuple[int, int]

COUNT = 20
"""Registers of a poll."""


class ModbusServerModel:
    """A unit whose register n holds n; it accepts any write."""

    def __init__(self, unit: int, turnaround_us: int = 5_000) -> None:
        self.unit = unit
        self.turnaround_us = turnaround_us
        self.is_offline = False
        self.unreadable: list[int] = []
        self.request_count = 0

    def answer(self, frame: bytes) -> bytes:
        """Return the reply to a valid request."""
        self.request_count += 1
        head = frame[:2]
        address = frame[2] << 8 | frame[3]
        if frame[1] > 4:
            return with_crc(frame[:6])
        count = frame[4] << 8 | frame[5]
        for hole in self.unreadable:
            if address <= hole < address + count:
                return with_crc(bytes((frame[0], frame[1] | 0x80, 2)))
        registers = [bytes((n >> 8 & 255, n & 255)) for n in range(address, address + count)]
        return with_crc(head + bytes((2 * count,)) + b"".join(registers))


class SerialLineModel:
    """`bus` and `servers` on one line. If `first_bytes` is a list, it gets (time, unit, function)
    of each request.
    """

    def __init__(
        self, bus: "Bus", servers: "list[ModbusServerModel]", baud: int, bits: int = 11
    ) -> None:
        self.bus = bus
        self.servers = {server.unit: server for server in servers}
        self.now = 0
        self.chunk = 16
        self.first_bytes: list[tuple[int, int, int]] | None = None
        self._char = bits * 1_000_000 / baud
        self._in_flight: list[tuple[int, bytes]] = []
        bus.event("opened", 0)

    def run(self, until: int, collect: "Callable[[list[TransactionResult], int], None]") -> None:
        """Run until `until`; `collect` gets the results of the bus and can submit more requests."""
        bus = self.bus
        while True:
            due = bus.deadline()
            at = self._in_flight[0][0] if self._in_flight else NEVER
            if min(due, at) > until:
                self.now = until
                return
            if at <= due:
                self.now, data = self._in_flight.pop(0)
                bus.receive(data, self.now)
            else:
                self.now = max(self.now, due)
                bus.wake(self.now)
            self._transfer()
            collect(bus.take_results(), self.now)
            self._transfer()

    def _transfer(self) -> None:
        for _, op, frame in self.bus.outbox():
            if op != "write":
                continue
            if self.first_bytes is not None:
                self.first_bytes.append((self.now, frame[0], frame[1]))
            server = self.servers.get(frame[0])
            if server is None or server.is_offline:
                continue
            reply = server.answer(frame)
            begin = self.now + int(len(frame) * self._char + 0.999) + server.turnaround_us
            for at in range(0, len(reply), self.chunk):
                part = reply[at : at + self.chunk]
                end = begin + int((at + len(part)) * self._char + 0.999)
                self._in_flight.append((end, part))


def measure_full_load(baud: int, units: "list[int]", seconds: int) -> int:
    """Poll every unit again after each reply; return the transactions in the time."""
    bus = Bus(4, "rtu", baud, 11)
    line = SerialLineModel(bus, [ModbusServerModel(unit) for unit in units], baud)
    completed = [0]

    def resubmit(results: "list[TransactionResult]", now: int) -> None:
        for result in results:
            assert result.status == "ok", result.status
            assert result.values == tuple(range(result.tag, result.tag + COUNT))
            completed[0] += 1
            bus.submit(result.unit, pdu.read_holding(result.tag, COUNT), result.tag)

    for unit in units:
        for block in range(2 if len(units) == 1 else 1):
            bus.submit(unit, pdu.read_holding(100 * block, COUNT), 100 * block)
    line.run(seconds * SECOND, resubmit)
    return completed[0]


class PolledUnits:
    """Ten units that are polled once per second for two blocks; some of them are offline."""

    def __init__(self, offline: int) -> None:
        self.bus = Bus(4, "rtu", 19200, 11, timeout_us=200_000)
        self.servers = [ModbusServerModel(unit) for unit in range(1, 11)]
        for server in self.servers[:offline]:
            server.is_offline = True
        self.line = SerialLineModel(self.bus, self.servers, 19200)
        self.pending: set[Tag] = set()
        self.last_reply_at: dict[Tag, int] = {}
        self.longest_gap_us: dict[int, int] = {}
        self.now = 0

    def collect(self, results: "list[TransactionResult]", now: int) -> None:
        """Handle results of the bus."""
        for result in results:
            self.pending.discard(result.tag)
            if result.status == "ok":
                unit = result.unit
                last = self.last_reply_at.get(result.tag, now)
                self.longest_gap_us[unit] = max(self.longest_gap_us.get(unit, 0), now - last)
                self.last_reply_at[result.tag] = now

    def cycle(self) -> None:
        """Poll what is not pending, and run for a second."""
        self.bus.expect_cycle(self.now + SECOND)
        for server in self.servers:
            for block in (0, 1):
                tag = (server.unit, block)
                request = pdu.read_holding(50 * block, 20)
                if tag not in self.pending and self.bus.submit(server.unit, request, tag):
                    self.pending.add(tag)
        self.now += SECOND
        self.line.run(self.now, self.collect)


def measure_stop_delay(baud: int, count: int, offline: bool, when: int) -> int:
    """Return the time from the decision to the first byte of a stop, under full load of reads of
    `count`.
    """
    bus = Bus(4, "rtu", baud, 11, timeout_us=200_000)
    servers = [ModbusServerModel(unit) for unit in (1, 2, 3)]
    line = SerialLineModel(bus, servers, baud)

    def resubmit(results: "list[TransactionResult]", now: int) -> None:
        for result in results:
            if result.tag != "stop":
                bus.submit(result.unit, pdu.read_holding(0, count), result.tag)

    for server in servers:
        for tag in range(4):
            bus.submit(server.unit, pdu.read_holding(0, count), tag)
    line.run(3 * SECOND, resubmit)
    servers[0].is_offline = offline
    line.run(3 * SECOND + when, resubmit)
    decided_at = line.now
    line.first_bytes = []
    bus.submit(2, pdu.write_single(0, 0), "stop", STOP)
    line.run(decided_at + SECOND, resubmit)
    return min([at for at, _, function in line.first_bytes if function == 6]) - decided_at
