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
IMMEDIATE_US = 5000
COUNT_INDEX = {1: 2, 2: 2, 3: 2, 4: 2, 15: 6, 16: 6, 17: 2, 23: 2}
"""Function -> index of the byte count in its longest frame."""


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
        self.until_reply = b""  # from the first byte of the faulty chunk to the end of the reply
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
            if fault == self.fault and good in data:
                self.until_reply = data[: data.find(good) + len(good)]
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

    def delay_limit(self):
        """Return the longest permitted time from the last byte of the good reply to its use.

        Noise before the reply can look like the start of a longer frame of another unit, with our
        reply as its data. For example, b5 02 9a begins a frame of 159 bytes. That frame can begin
        at any byte, because the tail of an older one can be before it. The CRC of our reply
        does not exclude this frame. Only silence does: t3.5, and the 16 characters that a UART can
        hold back.
        """
        data = self.until_reply
        reply_size = 5 + 2 * COUNT
        if self.fault != "noise before":
            return IMMEDIATE_US
        for begin in range(len(data) - reply_size):
            index = begin + COUNT_INDEX.get(data[begin + 1], len(data))
            if index < len(data) and index + 3 + data[index] > len(data):
                return 35 * self.char // 10 + 16 * self.char
        return IMMEDIATE_US


def run_case(framing, fault, seed):
    case = FaultCase(framing, fault, seed).run()
    eq((framing, fault, seed, case.wrong_values), (framing, fault, seed, []))
    assert case.good_count >= 12, (framing, fault, seed, case.good_count)
    if fault in USED_IMMEDIATELY:
        assert case.delay_after_reply is not None
        assert case.delay_after_reply <= case.delay_limit(), (framing, fault, seed)
    return case


def test_serial_faults_give_no_wrong_value():
    for fault in fault_names("rtu"):
        for seed in range(12):
            run_case("rtu", fault, seed)


def test_stream_faults_give_no_wrong_value():
    for fault in fault_names("tcp"):
        for seed in range(12):
            run_case("tcp", fault, seed)


def test_noise_like_the_start_of_a_frame_waits_for_silence():
    """Noise b5 02 9a 5b can begin a frame around the reply; see `FaultCase.delay_limit`."""
    case = run_case("rtu", "noise before", 32)
    eq(case.until_reply[:4], b"\xb5\x02\x9a\x5b")
    assert IMMEDIATE_US < case.delay_after_reply <= case.delay_limit()


def test_fault_scripts_differ_from_good_reply():
    """The scripts differ from a good reply, and a careless client would accept a wrong value."""
    for framing in ("rtu", "tcp"):
        request = bytes((0, 1, 0, 0, 0, 6)) if framing == "tcp" else b""
        request += b"\x05\x03\x00\x10\x00\x14"
        for fault in fault_names(framing):
            server = FaultyServer(framing, 3)
            script = server.script(fault, request)
            assert (script == [(5000, server.good_reply(request))]) == (fault == "none"), fault
