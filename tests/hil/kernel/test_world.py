# SPDX-License-Identifier: Apache-2.0
"""The order of events, the order of the virtual shell's steps, and the digest."""

import contextlib
import random
import time

from hil.kernel.digest import Digest
from hil.kernel.dut import StepResult
from hil.kernel.world import World
from hil.shells.realtime import RealTimeShell
from hil.shells.virtual import VirtualShell

NEVER = 1 << 62


def run_all(world: World) -> list[tuple[int, object]]:
    """Run all events; return the calls with their times."""
    calls: list[tuple[int, object]] = []
    while world.heap:
        call, args = world.pop_event()
        call(calls, *args)
    return calls


def make_note(world: World, text: object) -> object:
    def call(seen: list[tuple[int, object]]) -> None:
        seen.append((world.now, text))

    return call


def test_events_are_ordered_by_time_rank_and_request() -> None:
    world = World(1, 0)
    for time_us, text, rank in (
        (20, "late", -1),
        (10, "port 4", 4),
        (10, "port 0", 0),
        (10, "world, first", -1),
        (10, "world, second", -1),
        (10, "port 0 again", 0),
    ):
        world.schedule(time_us, make_note(world, text), rank=rank)
    assert run_all(world) == [
        (10, "world, first"),
        (10, "world, second"),
        (10, "port 0"),
        (10, "port 0 again"),
        (10, "port 4"),
        (20, "late"),
    ]


def test_event_in_the_past_happens_now() -> None:
    world = World(1, 0)
    world.advance_to(50)
    world.schedule(10, make_note(world, "late"))
    assert run_all(world) == [(50, "late")]


def test_random_sources_depend_on_seed_and_purpose() -> None:
    once = World(7, 0)
    first = [once.random("plant").random() for _ in range(3)]
    again = World(7, 0)
    again.random("sky").random()
    assert [again.random("plant").random() for _ in range(3)] == first
    assert World(8, 0).random("plant").random() != first[0]
    assert once.random("plant").random() != once.random("sky").random()


def test_mono_is_the_inverse_of_drifting_utc() -> None:
    rng = random.Random(2)
    for drift in (0, 2_000, -2_000, 500_000, -500_000):
        world = World(1, 1_795_500_000_000_000, drift)
        assert world.utc(0) == 1_795_500_000_000_000
        assert world.utc(1_000_000_000) - world.utc(0) == 1_000_000_000 + drift
        for _ in range(50):
            utc = world.utc(rng.randrange(10**12))
            mono = world.mono(utc)
            assert world.utc(mono) >= utc > world.utc(mono - 1)


class ScriptedDut:
    """A controller that records its inputs and returns the `actions` of the test."""

    def __init__(self, deadline: int = NEVER) -> None:
        self.inputs: list[tuple[object, ...]] = []
        self.due = deadline
        self.actions: dict[tuple[object, ...], list[tuple[int, str, bytes]]] = {}

    def _record_step(self, *what: object) -> StepResult:
        self.inputs.append(what)
        return self.due, self.actions.pop(what, [])

    def start(self, now: int) -> StepResult:
        return self._record_step("start", now)

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        return self._record_step("receive", port, data, now)

    def event(self, port: int, kind: str, now: int) -> StepResult:
        return self._record_step("event", port, kind, now)

    def wake(self, now: int) -> StepResult:
        self.due = NEVER
        return self._record_step("wake", now)

    def close(self) -> None:
        """Do nothing."""


class RecordingEndpoint:
    """An endpoint that records its calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def open(self, address: bytes) -> None:
        self.calls.append(address)

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("close")


def test_equal_times_are_ordered_by_port_then_deadline() -> None:
    world, dut = World(1, 0), ScriptedDut(deadline=100)
    shell = VirtualShell(world, dut)
    shell.start()
    world.schedule(100, shell.deliver, 4, b"bus", rank=4)
    world.schedule(100, shell.deliver, 0, b"receiver", rank=0)
    world.schedule(101, shell.event, 0, "closed", rank=0)
    shell.run(101)
    assert dut.inputs == [
        ("start", 0),
        ("receive", 0, b"receiver", 100),
        ("receive", 4, b"bus", 100),
        ("wake", 100),
        ("event", 0, "closed", 101),
    ]
    assert world.now == 101


def test_run_stops_at_its_time_and_serves_past_deadline() -> None:
    world, dut = World(1, 0), ScriptedDut(deadline=-5)
    shell = VirtualShell(world, dut)
    world.schedule(11, shell.deliver, 0, b"later")
    shell.start()
    shell.run(10)
    assert dut.inputs == [("start", 0), ("wake", 0)]
    assert world.now == 10
    shell.run(11)
    assert dut.inputs[-1] == ("receive", 0, b"later", 11)


def test_controller_actions_are_executed_in_order() -> None:
    world, dut, endpoint = World(1, 0), ScriptedDut(), RecordingEndpoint()
    shell = VirtualShell(world, dut)
    shell.endpoints[3] = endpoint
    dut.actions["start", 0] = [(3, "open", b"/dev/x"), (3, "write", b"hello"), (3, "close", b"")]
    shell.start()
    assert endpoint.calls == [b"/dev/x", b"hello", "close"]


def test_digest_covers_time_port_operation_and_bytes() -> None:
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


def test_two_records_differ_from_one_longer_record() -> None:
    two, one = Digest(), Digest()
    two.add(0, 0, "receive", b"a")
    two.add(0, 0, "receive", b"b")
    one.add(0, 0, "receive", b"ab")
    assert two.text() != one.text()


def test_real_time_shell_executes_due_events() -> None:
    world = World(1, 0)
    with contextlib.closing(RealTimeShell(world)) as shell:
        calls: list[tuple[str, int]] = []
        world.schedule(30_000, lambda: calls.append(("second", world.now)))
        world.schedule(10_000, lambda: calls.append(("first", world.now)))
        shell.run(40_000)
        assert [text for text, _ in calls] == ["first", "second"]
        assert calls[0][1] >= 10_000
        assert calls[1][1] >= 30_000


def test_real_time_shell_executes_due_events_when_it_wakes_too_late() -> None:
    world = World(1, 0)
    with contextlib.closing(RealTimeShell(world)) as shell:
        calls: list[str] = []
        world.schedule(1_000, lambda: time.sleep(0.01))  # ends after `until`
        world.schedule(2_000, lambda: calls.append("before the end"))
        shell.start_us -= 5_000  # both are due, and the end is past
        shell.run(4_000)
        assert calls == ["before the end"]


def test_real_time_shell_stops_on_request() -> None:
    world = World(1, 0)
    shell = RealTimeShell(world)
    world.schedule(1_000, shell.stop)
    shell.run()  # does not return if `stop` has no effect
    assert shell.stopped
    shell.close()
    shell.stop()  # as a signal handler can, during `close`
