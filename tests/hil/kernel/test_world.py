"""The world's order of events, the virtual shell's order of turns, and the digest."""

import heapq
import random

from hil.kernel.digest import Digest
from hil.kernel.dut import Turn
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from hil.shells.virtual import VirtualShell

NEVER = 1 << 62


def drained(world: World) -> list[tuple[int, object]]:
    """Let everything happen at once; what was called, and when."""
    seen: list[tuple[int, object]] = []
    while world.heap:
        world.now, _, _, call, args = heapq.heappop(world.heap)
        call(seen, *args)
    return seen


def note(world: World, what: object) -> object:
    def call(seen: list[tuple[int, object]]) -> None:
        seen.append((world.now, what))

    return call


def test_events_come_by_time_then_rank_then_order_of_asking() -> None:
    world = World(1, 0)
    for when, what, rank in (
        (20, "late", -1),
        (10, "port 4", 4),
        (10, "port 0", 0),
        (10, "world, first", -1),
        (10, "world, second", -1),
        (10, "port 0 again", 0),
    ):
        world.at(when, note(world, what), rank=rank)
    assert drained(world) == [
        (10, "world, first"),
        (10, "world, second"),
        (10, "port 0"),
        (10, "port 0 again"),
        (10, "port 4"),
        (20, "late"),
    ]


def test_what_is_asked_for_in_the_past_happens_now() -> None:
    world = World(1, 0)
    world.now = 50
    world.at(10, note(world, "late"))
    assert drained(world) == [(50, "late")]


def test_chance_is_the_seed_s_and_one_purpose_does_not_disturb_another() -> None:
    once = World(7, 0)
    first = [once.random("plant").random() for _ in range(3)]
    again = World(7, 0)
    again.random("sky").random()
    assert [again.random("plant").random() for _ in range(3)] == first
    assert World(8, 0).random("plant").random() != first[0]
    assert once.random("plant").random() != once.random("sky").random()


def test_utc_drifts_and_mono_is_its_inverse() -> None:
    chance = random.Random(2)
    for drift in (0, 2_000, -2_000, 500_000, -500_000):
        world = World(1, 1_795_500_000_000_000, drift)
        assert world.utc(0) == 1_795_500_000_000_000
        assert world.utc(1_000_000_000) - world.utc(0) == 1_000_000_000 + drift
        for _ in range(50):
            utc = world.utc(chance.randrange(10**12))
            mono = world.mono(utc)
            assert world.utc(mono) >= utc > world.utc(mono - 1)


class Script:
    """A controller that notes its turns and asks for what the test has put into `then`."""

    def __init__(self, deadline: int = NEVER) -> None:
        self.turns: list[tuple[object, ...]] = []
        self.due = deadline
        self.then: dict[tuple[object, ...], list[tuple[int, str, bytes]]] = {}

    def _turned(self, *what: object) -> Turn:
        self.turns.append(what)
        return self.due, self.then.pop(what, [])

    def start(self, now: int) -> Turn:
        return self._turned("start", now)

    def receive(self, port: int, data: bytes, now: int) -> Turn:
        return self._turned("receive", port, data, now)

    def event(self, port: int, kind: str, now: int) -> Turn:
        return self._turned("event", port, kind, now)

    def wake(self, now: int) -> Turn:
        self.due = NEVER
        return self._turned("wake", now)

    def close(self) -> None:
        """Nothing to end."""


class Far:
    """A far end that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def open(self, address: bytes) -> None:
        self.asked.append(address)

    def write(self, data: bytes) -> None:
        self.asked.append(data)

    def close(self) -> None:
        self.asked.append("close")


def test_at_equal_times_ports_come_in_order_and_then_the_deadline() -> None:
    world, dut = World(1, 0), Script(deadline=100)
    shell = VirtualShell(world, dut)
    shell.start()
    world.at(100, shell.deliver, 4, b"bus", rank=4)
    world.at(100, shell.deliver, 0, b"receiver", rank=0)
    world.at(101, shell.event, 0, "closed", rank=0)
    shell.run(101)
    assert dut.turns == [
        ("start", 0),
        ("receive", 0, b"receiver", 100),
        ("receive", 4, b"bus", 100),
        ("wake", 100),
        ("event", 0, "closed", 101),
    ]
    assert world.now == 101


def test_run_stops_at_its_time_and_a_deadline_in_the_past_is_served_now() -> None:
    world, dut = World(1, 0), Script(deadline=-5)
    shell = VirtualShell(world, dut)
    world.at(11, shell.deliver, 0, b"later")
    shell.start()
    shell.run(10)
    assert dut.turns == [("start", 0), ("wake", 0)]
    assert world.now == 10
    shell.run(11)
    assert dut.turns[-1] == ("receive", 0, b"later", 11)


def test_what_the_controller_asks_is_done_at_once_and_in_order() -> None:
    world, dut, far = World(1, 0), Script(), Far()
    shell = VirtualShell(world, dut)
    shell.ends[3] = far
    dut.then["start", 0] = [(3, "open", b"/dev/x"), (3, "write", b"hello"), (3, "close", b"")]
    shell.start()
    assert far.asked == [b"/dev/x", b"hello", "close"]


def test_the_digest_covers_time_port_operation_and_bytes_both_ways() -> None:
    base: tuple[int, int, str, bytes] = (5, 1, "receive", b"ab")
    digests = set()
    for record in (
        base,
        (6, 1, "receive", b"ab"),
        (5, 2, "receive", b"ab"),
        (5, 1, "write", b"ab"),
        (5, 1, "receive", b"ac"),
        (5, 1, "receive", b"ab\0"),
    ):
        digest = Digest()
        digest.add(*record)
        digests.add(digest.text())
    assert len(digests) == 6
    same = Digest()
    same.add(*base)
    assert same.text() in digests
    assert same.text() != Digest().text()


def test_two_records_are_not_one_longer_record() -> None:
    two, one = Digest(), Digest()
    two.add(0, 0, "receive", b"a")
    two.add(0, 0, "receive", b"b")
    one.add(0, 0, "receive", b"ab")
    assert two.text() != one.text()


def test_the_real_time_shell_does_what_is_due_and_then_sleeps() -> None:
    world = World(1, 0)
    shell = RealTimeShell(world)
    seen: list[tuple[str, int]] = []
    world.at(30_000, lambda: seen.append(("second", world.now)))
    world.at(10_000, lambda: seen.append(("first", world.now)))
    shell.run(40_000)
    assert [what for what, _ in seen] == ["first", "second"]
    assert seen[0][1] >= 10_000
    assert seen[1][1] >= 30_000
    shell.close()


def test_the_real_time_shell_stops_when_told_even_after_its_end() -> None:
    world = World(1, 0)
    shell = RealTimeShell(world)
    world.at(1_000, shell.stop)
    shell.run()  # hangs for ever if `stop` does nothing
    assert shell.stopped
    shell.close()
    shell.stop()  # as a signal may, while the bench is put away
