# SPDX-License-Identifier: Apache-2.0
"""Measuring module on the image: replaces the runtime, steps the agent with a capture.

Not a benchmark: `benchmarks.firmware.image` builds it into the image, starts it and reads its
output. The inputs lie in slot b: a count, then time in microseconds, port, kind, length and data of
each. The microsecond counter of the board measures each step; with `-icount` it counts
instructions. If `collect_every` is set, the module collects garbage after so many steps and
measures the heap.
"""

import gc
import json
import struct
import time
from array import array

import board  # type: ignore[import-not-found]

from agent.config.load import load, unload_checks
from agent.config.profile_files import ProfileFiles
from protocols.modbus.pdu import WRITES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

RESTARTED = 4
INPUTS = 0x300000
HEAD = ">QBBH"
HEAD_SIZE = 12
BIN_US, BINS = 250, 1024
THRESHOLD = 32768
PERIOD_US = 100_000
FIRST_BUS = 4


def _read_profile(name: str) -> "dict[str, Any]":
    with open("/rom/drivers/profiles/" + name + ".json") as file:
        result: dict[str, Any] = json.load(file)
        return result


class DurationHistogram:
    """Histogram of durations, and the longest duration."""

    def __init__(self) -> None:
        self.bins = array("H", bytes(2 * BINS))
        self.longest = self.count = 0

    def add(self, us: int) -> None:
        """Add a duration, us."""
        self.bins[min(us // BIN_US, BINS - 1)] += 1
        self.count += 1
        self.longest = max(self.longest, us)

    def percentile(self, thousandths: int) -> int:
        """Return the duration below which so many thousandths lie, us."""
        remaining = self.count * thousandths // 1000
        for at in range(BINS):
            remaining -= self.bins[at]
            if remaining < 0:
                return (at + 1) * BIN_US
        return self.longest


class AgentTimer:
    """Steps an agent and measures the durations and the first write."""

    def __init__(self, agent: "Any", collect_every: int) -> None:
        self.agent = agent
        self.collect_every = collect_every
        self.turns, self.cycles = DurationHistogram(), DurationHistogram()
        self.busy = self.period = self.count = 0
        self.live: list[int] = []
        self.peak = 0
        self.first_write = -1
        self.writes: list[tuple[int, int, str]] = []

    def step(self, now: int, kind: int, port: int, data: bytes) -> None:
        """Run one step and measure it."""
        agent = self.agent
        started_at = time.ticks_us()  # type: ignore[attr-defined]
        if kind == 0:
            agent.start(now)
        elif kind == 1:
            agent.receive(port, data, now)
        elif kind == 2:
            agent.event(port, data.decode(), now)
        else:
            agent.wake(now)
        actions = agent.outbox()
        duration = time.ticks_diff(time.ticks_us(), started_at)  # type: ignore[attr-defined]
        self.turns.add(duration)
        if now // PERIOD_US != self.period:
            self.cycles.add(self.busy)
            self.busy, self.period = 0, now // PERIOD_US
        self.busy += duration
        if self.first_write < 0:
            for target, op, content in actions:
                if (
                    op == "write"
                    and target >= FIRST_BUS
                    and len(content) > 6
                    and content[1] in WRITES
                ):
                    self.first_write = now
        self.count += 1
        if self.collect_every and self.count % self.collect_every == 0:
            self.measure_heap(now)

    def measure_heap(self, now: int) -> None:
        """Collect garbage and measure the heap."""
        gc.collect()
        stored = gc.mem_alloc()  # type: ignore[attr-defined]
        self.peak = max(self.peak, stored)
        if now // 10_000_000 >= len(self.live):
            self.live.append(stored)


def main(path: str, flash: "Any") -> int:
    """Start as the runtime does, replay the inputs, print one line of JSON."""
    entered = time.ticks_us()  # type: ignore[attr-defined]
    gc.threshold(max(THRESHOLD, gc.mem_free() // 2))  # type: ignore[attr-defined]
    with open(path) as file:
        raw = json.load(file)
    watch = raw.pop("bench_watch")
    config = load(raw["config"], ProfileFiles(raw["names"], _read_profile, True))
    del raw
    unload_checks()
    gc.collect()
    from agent.agent import Agent  # noqa: PLC0415 - as the shell does

    agent = Agent(config)
    del config
    gc.collect()
    gc.threshold(max(THRESHOLD, gc.mem_free() // 4))  # type: ignore[attr-defined]
    ready = time.ticks_us()  # type: ignore[attr-defined]
    at_start = gc.mem_alloc()  # type: ignore[attr-defined]
    started_at = time.ticks_us()  # type: ignore[attr-defined]
    gc.collect()
    collect_us = time.ticks_diff(time.ticks_us(), started_at)  # type: ignore[attr-defined]
    bench = AgentTimer(agent, watch)
    gc.collect()
    bench_bytes = gc.mem_alloc() - at_start  # type: ignore[attr-defined]
    play(bench, flash.feed)
    if watch:
        bench.measure_heap(10_000_000 * len(bench.live))
    result = {
        "entered_us": entered,
        "ready_us": ready,
        "at_start": at_start,
        "collect_us": collect_us,
        "turns": bench.turns.count,
        "turn_p99_us": bench.turns.percentile(990),
        "turn_max_us": bench.turns.longest,
        "cycles": bench.cycles.count,
        "cycle_p99_us": bench.cycles.percentile(990),
        "cycle_max_us": bench.cycles.longest,
        "first_write_us": bench.first_write,
        "peak": bench.peak - bench_bytes,
        "live": bench.live,
        "heap": gc.mem_alloc() + gc.mem_free(),  # type: ignore[attr-defined]
    }
    print("BENCH " + json.dumps(result))
    return 0


def play(bench: AgentTimer, feed: "Callable[[], None]") -> None:
    """Step the agent with the inputs, and with its own deadlines between them; `feed` services the
    watchdog, which the supervisor has armed.
    """
    address, agent = INPUTS + 4, bench.agent
    count = struct.unpack(">I", board.image(INPUTS, 4))[0]
    for number in range(count):
        feed()
        now, port, kind, length = struct.unpack(HEAD, board.image(address, HEAD_SIZE))
        address += HEAD_SIZE
        while number and agent.deadline() < now:
            bench.step(agent.deadline(), 3, 0, b"")
        bench.step(now, kind, port, bytes(board.image(address, length)))
        address += length
