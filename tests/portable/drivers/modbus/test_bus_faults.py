"""The fault matrix in virtual time: whatever a slave does, no value is taken for another's."""

from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from protocols.time_units import NEVER
from tests.portable.drivers.modbus.faulty_server import (
    USED_AT_ONCE,
    Lcg,
    Slave,
    intact,
    names,
    registers,
)
from tests.portable.support.check import eq

CHAR = {"rtu": 573, "tcp": 0}  # 8E1 at 19200 baud
COUNT = 20


class Case:
    """One line, one fault, then good manners; the bus keeps asking."""

    def __init__(self, framing, fault, seed):
        self.framing = framing
        self.fault = fault
        self.slave = Slave(framing, seed)
        lcg = Lcg(seed + 1)
        self.char = CHAR[framing]
        self.bus = Bus(4, framing, 19200, 11, timeout_us=200_000)
        self.bus.event("opened", 0)
        self.unit = 1 + lcg.below(200)
        self.first = lcg.below(9000)
        self.coming = []
        self.order = 0
        self.wrong = []
        self.good = 0
        self.used_after = None
        self.faulty = lcg.below(2) * 9  # at once, or when the line is known
        self.now = 0

    def ask(self, number, retries=0):
        address = self.first + 20 * (number % 3)
        self.bus.submit(self.unit, pdu.read_holding(address, COUNT), (number, address), 0, retries)

    def run(self, requests=14):
        for number in range(requests):
            if not self.bus.open:
                self.coming = []
                self.bus.event("opened", self.now)
            self.ask(number)
            fault = self.fault if number == self.faulty else "none"
            self._until_decided(fault)
        return self

    def _until_decided(self, fault):
        bus = self.bus
        for _ in range(400):
            self.coming.sort()
            due = bus.deadline()
            if self.coming and self.coming[0][0] <= due:
                self.now, _, data, last = self.coming.pop(0)
                bus.receive(data, self.now)
                if last:
                    self.last = self.now
            elif due == NEVER:
                return
            else:
                self.now = max(self.now, due)
                bus.wake(self.now)
            for _, op, frame in bus.outbox():
                if op == "write":
                    self._hear(frame, fault)
            if self._judge(fault):
                return

    def _hear(self, frame, fault):
        assert self.framing == "tcp" or intact(frame)
        sent = self.now + len(frame) * self.char
        ends = sent
        good = self.slave.good(frame)
        for delay, data in self.slave.script(fault, frame):
            for at in range(0, len(data), 16):
                part = data[at : at + 16]
                ends = max(ends, sent + delay + at * self.char) + len(part) * self.char
                self.order += 1
                last = good in data[: at + 16] and good not in data[:at]
                self.coming.append((ends, self.order, part, last))

    def _judge(self, fault):
        decided = False
        for result in self.bus.results():
            number, address = result.tag
            decided = True
            if result.status == "ok":
                self.good += 1
                if result.values != registers(self.unit, address, COUNT):
                    self.wrong.append((number, result.values[:2]))
                if fault == self.fault:
                    self.used_after = self.now - getattr(self, "last", self.now)
        return decided


def check(framing, fault, seed):
    case = Case(framing, fault, seed).run()
    eq((framing, fault, seed, case.wrong), (framing, fault, seed, []))
    assert case.good >= 12, (framing, fault, seed, case.good)
    if fault in USED_AT_ONCE:
        assert case.used_after is not None
        assert case.used_after <= 5000, (framing, fault, seed)
    return case


def test_no_fault_on_a_serial_line_gives_a_wrong_value():
    for fault in names("rtu"):
        for seed in range(12):
            check("rtu", fault, seed)


def test_no_fault_on_a_stream_gives_a_wrong_value():
    for fault in names("tcp"):
        for seed in range(12):
            check("tcp", fault, seed)


def test_the_slave_is_really_rude():
    """The scripts differ from good manners, and a client without care would be fooled."""
    for framing in ("rtu", "tcp"):
        request = bytes((0, 1, 0, 0, 0, 6)) if framing == "tcp" else b""
        request += b"\x05\x03\x00\x10\x00\x14"
        for fault in names(framing):
            slave = Slave(framing, 3)
            script = slave.script(fault, request)
            assert (script == [(5000, slave.good(request))]) == (fault == "none"), fault
