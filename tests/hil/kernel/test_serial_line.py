"""Serial lines: what a byte costs, how bytes are chunked, in what order they come."""

import heapq

from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World

NEVER = 1 << 62
CHAR = 100  # microseconds a character


class Echo:
    """A device that answers what it gets after `delay`, and says `greeting` at `due`."""

    def __init__(self, delay: int = 0, due: int = NEVER) -> None:
        self.delay = delay
        self.due = due
        self.heard: list[tuple[int, bytes]] = []
        self.answers: list[bytes] | None = None
        self.greetings: list[tuple[int, bytes]] = [(0, b"greeting")]

    def receive(self, data: bytes, now: int) -> list[tuple[int, bytes]]:
        self.heard.append((now, data))
        return [(self.delay, a) for a in ([data] if self.answers is None else self.answers)]

    def wake(self, now: int) -> list[tuple[int, bytes]]:
        self.due = NEVER
        return self.greetings

    def deadline(self) -> int:
        return self.due


class Wire:
    """A line in a world of its own; `got` is what came out at the agent's end."""

    def __init__(self, device: Echo, chunk: int = 512) -> None:
        self.world = World(1, 0)
        self.got: list[tuple[int, bytes]] = []
        self.ranks: set[int] = set()
        self.line = SerialLine(
            self.world, device, CHAR, lambda d: self.got.append((self.world.now, d)), 4, chunk
        )

    def run(self) -> None:
        while self.world.heap:
            self.world.now, rank, _, call, args = heapq.heappop(self.world.heap)
            if call not in (self.line._arrive, self.line._wake):
                self.ranks.add(rank)
            call(*args)


def test_bytes_take_their_time_both_ways() -> None:
    device = Echo(delay=5_000)
    wire = Wire(device)
    wire.line.write(b"12345678")
    wire.run()
    assert device.heard == [(800, b"12345678")]
    assert wire.got == [(800 + 5_000 + 800, b"12345678")]
    assert wire.ranks == {4}


def test_a_busy_line_makes_later_bytes_wait() -> None:
    device = Echo()
    device.answers = []
    wire = Wire(device)
    wire.line.write(b"a" * 10)
    wire.line.write(b"b" * 5)
    wire.run()
    assert device.heard == [(1_000, b"a" * 10), (1_500, b"b" * 5)]
    wire.world.now = 10_000
    wire.line.write(b"c")
    wire.run()
    assert device.heard[-1] == (10_100, b"c")


def test_a_long_answer_comes_in_chunks_each_when_its_last_byte_has_arrived() -> None:
    device = Echo()
    device.answers = [bytes(range(10))]
    wire = Wire(device, chunk=4)
    wire.line.write(b"?")
    wire.run()
    assert wire.got == [
        (100 + 400, bytes(range(4))),
        (100 + 800, bytes(range(4, 8))),
        (100 + 1000, bytes(range(8, 10))),
    ]


def test_answers_keep_their_order_when_the_first_is_slow() -> None:
    device = Echo(due=1_000)
    device.greetings = [(4_000, b"first"), (0, b"second")]
    wire = Wire(device)
    wire.run()
    first = 1_000 + 4_000 + len(b"first") * CHAR
    assert wire.got == [(first, b"first"), (first + len(b"second") * CHAR, b"second")]


def test_the_device_is_woken_at_its_deadline_and_once() -> None:
    device = Echo(due=3_000)
    wire = Wire(device)
    wire.run()
    assert wire.got == [(3_000 + 8 * CHAR, b"greeting")]


def test_a_deadline_that_moves_forward_replaces_the_later_one() -> None:
    device = Echo(due=9_000)
    wire = Wire(device)
    device.answers = []
    device.due = 2_000
    wire.line.write(b"x")  # the deadline is asked for again when bytes have arrived
    wire.run()
    assert wire.got == [(2_000 + 8 * CHAR, b"greeting")]
