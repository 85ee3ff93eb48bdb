# SPDX-License-Identifier: Apache-2.0
"""The fault matrix in virtual time: no fault of a server gives a value of another request."""

from drivers.modbus.bus import Bus
from protocols.modbus import pdu
from protocols.time_units import NEVER
from tests.portable.drivers.modbus.faulty_server import (
    USED_IMMEDIATELY,
    FaultLcg,
    FaultyServer,
    fault_names,
    is_intact,
    registers,
)
from tests.portable.support.check import eq

CHAR = {"rtu": 573, "tcp": 0}  # 8E1 at 19200 baud
COUNT = 20


class FaultCase:
    """One line with one fault, then without faults; the bus continues to poll."""

    def __init__(self, framing, fault, seed):
        self.framing = framing
        self.fault = fault
        self.server = FaultyServer(framing, seed)
        lcg = FaultLcg(seed + 1)
        self.char = CHAR[framing]
        self.bus = Bus(4, framing, 19200, 11, timeout_us=200_000)
        self.bus.event("opened", 0)
        self.unit = 1 + lcg.below(200)
        self.first = lcg.below(9000)
        self.pending_data = []
        self.order = 0
        self.wrong_values = []
        self.good_count = 0
        self.delay_after_reply = None
        self.faulty_number = lcg.below(2) * 9  # immediately, or with valid line timing
        self.now = 0

    def submit(self, number, retries=0):
        address = self.first + 20 * (number % 3)
        self.bus.submit(self.unit, pdu.read_holding(address, COUNT), (number, address), 0, retries)

    def run(self, requests=14):
        for number in range(requests):
            if not self.bus.open:
                self.pending_data = []
                self.bus.event("opened", self.now)
            self.submit(number)
            fault = self.fault if number == self.faulty_number else "none"
            self._run_until_result(fault)
        return self

    def _run_until_result(self, fault):
        bus = self.bus
        for _ in range(400):
            self.pending_data.sort()
            due = bus.deadline()
            if self.pending_data and self.pending_data[0][0] <= due:
                self.now, _, data, last = self.pending_data.pop(0)
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
                    self._answer_request(frame, fault)
            if self._collect_results(fault):
                return

    def _answer_request(self, frame, fault):
        assert self.framing == "tcp" or is_intact(frame)
        sent = self.now + len(frame) * self.char
        ends = sent
        good = self.server.good_reply(frame)
        for delay, data in self.server.script(fault, frame):
            for at in range(0, len(data), 16):
                part = data[at : at + 16]
                ends = max(ends, sent + delay + at * self.char) + len(part) * self.char
                self.order += 1
                last = good in data[: at + 16] and good not in data[:at]
                self.pending_data.append((ends, self.order, part, last))

    def _collect_results(self, fault):
        decided = False
        for result in self.bus.take_results():
            number, address = result.tag
            decided = True
            if result.status == "ok":
                self.good_count += 1
                if result.values != registers(self.unit, address, COUNT):
                    self.wrong_values.append((number, result.values[:2]))
                if fault == self.fault:
                    self.delay_after_reply = self.now - getattr(self, "last", self.now)
        return decided


def run_case(framing, fault, seed):
    case = FaultCase(framing, fault, seed).run()
    eq((framing, fault, seed, case.wrong_values), (framing, fault, seed, []))
    assert case.good_count >= 12, (framing, fault, seed, case.good_count)
    if fault in USED_IMMEDIATELY:
        assert case.delay_after_reply is not None
        assert case.delay_after_reply <= 5000, (framing, fault, seed)
    return case


def test_serial_faults_give_no_wrong_value():
    for fault in fault_names("rtu"):
        for seed in range(12):
            run_case("rtu", fault, seed)


def test_stream_faults_give_no_wrong_value():
    for fault in fault_names("tcp"):
        for seed in range(12):
            run_case("tcp", fault, seed)


def test_fault_scripts_differ_from_good_reply():
    """The scripts differ from a good reply, and a careless client would accept a wrong value."""
    for framing in ("rtu", "tcp"):
        request = bytes((0, 1, 0, 0, 0, 6)) if framing == "tcp" else b""
        request += b"\x05\x03\x00\x10\x00\x14"
        for fault in fault_names(framing):
            server = FaultyServer(framing, 3)
            script = server.script(fault, request)
            assert (script == [(5000, server.good_reply(request))]) == (fault == "none"), fault
