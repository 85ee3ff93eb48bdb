# SPDX-License-Identifier: Apache-2.0
"""Serial lines: transmission time, chunks and order of bytes."""

import heapq

from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

NEVER = 1 << 62
CHAR = 100  # µs for each character


class EchoDevice:
    """A device that answers after `delay` and sends `greetings` at `due`."""

    def __init__(self, delay: int = 0, due: int = NEVER) -> None:
        self.delay = delay
        self.due = due
        self.requests: list[tuple[int, bytes]] = []
        self.answers: list[bytes] | None = None
        self.greetings: list[tuple[int, bytes]] = [(0, b"greeting")]

    def receive(self, data: bytes, now: int) -> list[tuple[int, bytes]]:
        self.requests.append((now, data))
        return [(self.delay, a) for a in ([data] if self.answers is None else self.answers)]

    def wake(self, now: int) -> list[tuple[int, bytes]]:
        self.due = NEVER
        return self.greetings

    def deadline(self) -> int:
        return self.due


class LineRig:
    """A line with its own world; `received` is the output at the agent's end."""

    def __init__(self, device: EchoDevice, chunk: int = 512) -> None:
        self.world = World(1, 0)
        self.received: list[tuple[int, bytes]] = []
        self.ranks: set[int] = set()
        self.line = SerialLine(
            self.world, device, CHAR, lambda d: self.received.append((self.world.now, d)), 4, chunk
        )

    def run(self) -> None:
        while self.world.heap:
            self.world.now, rank, _, call, args = heapq.heappop(self.world.heap)
            if call not in (self.line._arrive, self.line._wake):
                self.ranks.add(rank)
            call(*args)


def test_bytes_take_wire_time_both_ways() -> None:
    device = EchoDevice(delay=5_000)
    rig = LineRig(device)
    rig.line.write(b"12345678")
    rig.run()
    assert device.requests == [(800, b"12345678")]
    assert rig.received == [(800 + 5_000 + 800, b"12345678")]
    assert rig.ranks == {4}


def test_busy_line_delays_later_bytes() -> None:
    device = EchoDevice()
    device.answers = []
    rig = LineRig(device)
    rig.line.write(b"a" * 10)
    rig.line.write(b"b" * 5)
    rig.run()
    assert device.requests == [(1_000, b"a" * 10), (1_500, b"b" * 5)]
    rig.world.advance_to(10_000)
    rig.line.write(b"c")
    rig.run()
    assert device.requests[-1] == (10_100, b"c")


def test_long_reply_arrives_in_timed_chunks() -> None:
    device = EchoDevice()
    device.answers = [bytes(range(10))]
    rig = LineRig(device, chunk=4)
    rig.line.write(b"?")
    rig.run()
    assert rig.received == [
        (100 + 400, bytes(range(4))),
        (100 + 800, bytes(range(4, 8))),
        (100 + 1000, bytes(range(8, 10))),
    ]


def test_replies_keep_order_after_slow_reply() -> None:
    device = EchoDevice(due=1_000)
    device.greetings = [(4_000, b"first"), (0, b"second")]
    rig = LineRig(device)
    rig.run()
    first = 1_000 + 4_000 + len(b"first") * CHAR
    assert rig.received == [(first, b"first"), (first + len(b"second") * CHAR, b"second")]


def test_device_wakes_once_at_its_deadline() -> None:
    device = EchoDevice(due=3_000)
    rig = LineRig(device)
    rig.run()
    assert rig.received == [(3_000 + 8 * CHAR, b"greeting")]


def test_earlier_deadline_replaces_later_one() -> None:
    device = EchoDevice(due=9_000)
    rig = LineRig(device)
    device.answers = []
    device.due = 2_000
    rig.line.write(b"x")  # the line asks for the deadline again when bytes have arrived
    rig.run()
    assert rig.received == [(2_000 + 8 * CHAR, b"greeting")]
