# SPDX-License-Identifier: Apache-2.0
"""A board's UART as a port: its data and their arrival time."""

from drivers.ports.address import parse_address
from drivers.ports.micropython import uart as micropython_uart
from protocols.time_units import SECOND
from tests.portable.support.check import eq


class MachineUart:
    """MicroPython's UART, with the additional `arrived` of the project's board firmware."""

    def __init__(self):
        self.waiting = b""
        self.came = None
        self.options = {}
        self.written = b""

    def write(self, data):
        self.written += data
        return len(data)

    def init(self, **options):
        self.options = options

    def any(self):
        return len(self.waiting)

    def read(self, size):
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        return data

    def arrived(self):
        return self.came


class Time:
    """MicroPython's time; the counter wraps at 2^30."""

    ROUND = 1 << 30

    def __init__(self):
        self.now = 0

    def ticks_us(self):
        return self.now % self.ROUND

    def ticks_diff(self, one, other):
        half = self.ROUND // 2
        return (one - other + half) % self.ROUND - half


def with_fake_time(test):
    real, micropython_uart.time = micropython_uart.time, Time()
    try:
        test(micropython_uart.time)
    finally:
        micropython_uart.time = real


def test_age_is_of_last_byte():
    def test(time):
        uart = MachineUart()
        port = micropython_uart.UartPort(parse_address("uart:1?baud=1000000"), uart)  # 10 us a byte
        eq(uart.options["baudrate"], 1_000_000)
        eq((port.read(), port.age_us), (b"", 0))
        uart.waiting, uart.came, time.now = b"12345678901", 5000, 25_100
        eq((port.read(), port.age_us), (b"12345678901", 20_000))
        uart.waiting, uart.came = b"12345678901", 25_050  # faster than the line: an emulator
        eq((port.read(), port.age_us), (b"12345678901", 0))
        uart.waiting, uart.came = b"1", None
        eq((port.read(), port.age_us), (b"1", 0))

    with_fake_time(test)


def test_tick_counter_wraps():
    def test(time):
        uart = MachineUart()
        port = micropython_uart.UartPort(parse_address("uart:1?baud=1000000"), uart)
        uart.waiting, uart.came, time.now = b"1", Time.ROUND - 1000, Time.ROUND + 500
        port.read()
        eq(port.age_us, 1500)

    with_fake_time(test)


def test_uart_without_arrival_time():
    def test(time):
        uart = MachineUart()
        del MachineUart.arrived
        port = micropython_uart.UartPort(parse_address("uart:1?baud=1000000"), uart)
        uart.waiting, time.now = b"12", 3 * SECOND
        eq((port.read(), port.age_us), (b"12", 0))

    arrived = MachineUart.arrived
    try:
        with_fake_time(test)
    finally:
        MachineUart.arrived = arrived


def test_write_never_exceeds_what_the_line_has_sent():
    def test(time):
        for wrap in (0, Time.ROUND - 5000):
            uart, time.now = MachineUart(), wrap
            port = micropython_uart.UartPort(parse_address("uart:1?baud=1000000"), uart)
            capacity, data, sent = micropython_uart.UNKNOWN_CAPACITY, bytes(range(200)), 0
            start = time.now
            while sent < len(data):
                taken = port.write(data[sent:])
                sent += taken
                line_has_sent = (time.now - start) // 10  # 10 us a byte
                assert sent - line_has_sent <= capacity, (sent, line_has_sent)
                time.now += 7
            eq(uart.written, data)
            assert time.now - start < 10 * (len(data) + 2), time.now - start

    with_fake_time(test)


def test_accepted_bytes_are_sent_after_their_time_on_the_line():
    def test(time):
        port = micropython_uart.UartPort(parse_address("uart:1?baud=1000000"), MachineUart())
        eq((port.is_sent(), port.write(b"12345678")), (True, 8))
        time.now += 79
        eq(port.is_sent(), False)
        time.now += 1
        eq(port.is_sent(), True)

    with_fake_time(test)


def test_write_after_a_long_rest():
    def test(time):
        uart = MachineUart()
        port = micropython_uart.UartPort(parse_address("uart:1?baud=1000000"), uart)
        for rest in (0, Time.ROUND // 2 + 5, Time.ROUND - 3, Time.ROUND + 7):
            time.now += rest
            eq(port.write(b"12345678"), 8)
            time.now += 80

    with_fake_time(test)
