# SPDX-License-Identifier: Apache-2.0
"""UART of PIO state machines: ring, buffer and poll, with fake hardware."""

import sys

from drivers.ports.micropython import pio_uart
from tests.portable.support.check import eq, raises

ENDLESS = 0xFFFFFFFF
DATA = {"state_machine": 4, "tx": 8, "rx": 9, "tx_buffer": 16, "rx_buffer": 8}


class FakeDma:
    """A channel; `transfer` is what `config` got."""

    def __init__(self):
        self.count = 0
        self.transfer = {}
        self.is_busy = False
        self.is_closed = False

    def pack_ctrl(self, **fields):
        return fields

    def config(self, **transfer):
        self.transfer = transfer
        self.count = transfer["count"]
        self.is_busy = True

    def active(self, value=None):
        if value == 0:
            self.is_busy = False
        return self.is_busy

    def close(self):
        self.is_closed = True


class FakeRp2:
    """The module `rp2`, and a state machine of it."""

    def __init__(self):
        self.channels = []
        self.machines = []
        self.loaded = []

    def DMA(self):  # noqa: N802 - the name of MicroPython
        self.channels.append(FakeDma())
        return self.channels[-1]

    def StateMachine(self, number, program, **options):  # noqa: N802 - the name of MicroPython
        self.machines.append((number, program, options))
        if not [1 for known in self.loaded if known is program]:
            self.loaded.append(program)
        if sum([len(loaded[0]) for loaded in self.loaded]) > 32:
            raise OSError(12)  # the instruction memory of the PIO is full
        return self

    def active(self, _value):
        pass


class FakePin:
    """A pin."""

    IN, PULL_UP = 0, 1

    def __init__(self, number, *mode):
        self.number = number
        self.mode = mode


class Line:
    """A PioUart and the chip below it."""

    def __init__(self):
        class Uctypes:
            addressof = staticmethod(lambda _buffer: 3)

        sys.modules["uctypes"] = Uctypes
        self.rp2 = FakeRp2()
        self.uart = pio_uart.PioUart(DATA, self.rp2, FakePin)
        self.uart.init(baudrate=115200, parity=None, stop=1)
        self.sender, self.receiver = self.rp2.channels
        self.total = 0

    def arrive(self, data):
        ring = self.receiver.transfer["write"]
        for value in data:
            ring[self.total % 8] = value
            self.total += 1
            self.receiver.count -= 1


def test_frames_that_the_programs_do_not_have_are_refused():
    line = Line()
    for options in ({"parity": 0}, {"parity": 1}, {"stop": 2}):
        raises(ValueError, lambda options=options: line.uart.init(baudrate=9600, **options))


def test_state_machines():
    machines = Line().rp2.machines
    eq([(number, options["freq"]) for number, _, options in machines], [(4, 921600), (5, 921600)])
    eq([len(program[0]) for _, program, _ in machines], [4, 8])
    eq(machines[1][2]["in_base"].mode, (0, 1))


def test_a_line_opens_any_number_of_times():
    line = Line()
    for _ in range(5):
        line.uart.deinit()
        line.uart = pio_uart.PioUart(DATA, line.rp2, FakePin)
        line.uart.init(baudrate=115200)
    eq(len(line.rp2.loaded), 2)


def test_bytes_of_the_ring_in_order():
    line, got = Line(), b""
    for at in range(0, 60, 3):
        line.arrive(bytes((at, at + 1, at + 2)))
        eq(line.uart.any(), 3)
        got += line.uart.read(2) + line.uart.read(9)
    eq(got, bytes(range(60)))
    eq((line.uart.read(4), line.uart.any()), (None, 0))
    line.arrive(b"12345678")
    eq(line.uart.read(100), b"12345678")


def test_an_overflow_is_counted_and_its_bytes_are_dropped():
    line = Line()
    line.arrive(b"123456789")
    eq((line.uart.any(), line.uart.overruns, line.uart.read(9)), (0, 1, None))
    line.arrive(b"ab")
    eq(line.uart.read(9), b"ab")


def test_the_endless_transfer_begins_again_while_the_line_is_idle():
    line = Line()
    line.total = ENDLESS - 100
    line.receiver.count = 100
    line.uart._taken = line.total - 1
    eq((line.uart.any(), line.receiver.count), (1, 100))
    line.uart.read(1)
    line.uart.any()
    eq(line.receiver.count, ENDLESS)
    line.total = 0
    line.arrive(b"ok")
    eq(line.uart.read(9), b"ok")


def test_a_write_never_waits():
    line = Line()
    eq(line.uart.write(b"x" * 20), 16)
    eq((bytes(line.sender.transfer["read"]), line.sender.count), (b"x" * 16, 16))
    eq(line.uart.write(b"y"), 0)
    eq(line.uart.ioctl(3, 5), 0)
    line.sender.is_busy = False
    eq(line.uart.ioctl(3, 5), 4)
    line.arrive(b"z")
    eq((line.uart.ioctl(3, 5), line.uart.ioctl(3, 1), line.uart.ioctl(4, 0)), (5, 1, 0))
    eq(line.uart.write(b"y"), 1)
    line.uart.deinit()
    eq([channel.is_closed for channel in line.rp2.channels], [True, True])
