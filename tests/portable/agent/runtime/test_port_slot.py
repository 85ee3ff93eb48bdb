# SPDX-License-Identifier: Apache-2.0
"""Log lines of ports, and the monotonic time from ticks that wrap."""

from agent.runtime.monotonic import MonotonicCounter
from agent.runtime.port_slot import BURST, REFILL, REPEAT, PortLog
from tests.portable.support.check import eq


def test_port_log_repeats_rarely():
    lines = []
    log = PortLog(3, lines.append)
    for second in range(1000):
        log.report("failed: no such port", second * 1_000_000)
    eq(lines[0], "port 3: failed: no such port")
    eq(lines[1], "port 3: failed: no such port (600 times more)")
    eq(len(lines), 2)
    eq(REPEAT, 600_000_000)


def test_port_log_is_rate_limited():
    lines = []
    log = PortLog(0, lines.append)
    for count in range(1000):
        log.report("opened %d" % count, 5)
    eq(len(lines), BURST)
    log.report("closed", 5 + REFILL)
    eq(lines[-1], "port 0: closed (%d lines left out)" % (1000 - BURST))


def test_ticks_unwrap():
    """A counter of 8 bits; ticks_us has 30."""
    counter = [250]
    clock = MonotonicCounter(lambda: counter[0], lambda a, b: ((a - b + 128) & 255) - 128)
    total = clock.now()
    eq(total, 250)
    for step in (3, 10, 100, 100, 127, 0, 50):
        counter[0] = (counter[0] + step) & 255
        total += step
        eq(clock.now(), total)


def test_ticks_never_go_back():
    counter = [100]
    clock = MonotonicCounter(lambda: counter[0], lambda a, b: a - b)
    counter[0] = 90
    eq(clock.now(), 100)
    counter[0] = 101
    eq(clock.now(), 101)
