"""The bench's flash: order, durability, what a power cut leaves, a full disk; power of a unit."""

import random

from hil.io.store_endpoint import DELAY_US, StoreEnd
from hil.kernel.dut import InProcess, Turn
from hil.kernel.world import World
from hil.run.virtual import VirtualRun
from hil.scenario.model import parse
from hil.shells.virtual import VirtualShell
from tests.hil.scenario.test_scenario import SHORT

PORT = 9


class Toy:
    """A controller that only listens."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, object]] = []

    def start(self, now: int) -> Turn:
        return 1 << 62, [(PORT, "open", b"store:/x")]

    def receive(self, port: int, data: bytes, now: int) -> Turn:
        self.heard.append((now, data))
        return 1 << 62, []

    def event(self, port: int, kind: str, now: int) -> Turn:
        self.heard.append((now, kind))
        return 1 << 62, []

    def wake(self, now: int) -> Turn:
        return 1 << 62, []

    def close(self) -> None:
        """Nothing."""


def bench(seed: int = 1) -> tuple[VirtualShell, StoreEnd, Toy]:
    toy = Toy()
    world = World(1, 0)
    shell = VirtualShell(world, toy)
    store = StoreEnd(shell, PORT, random.Random(seed))
    shell.ends[PORT] = store
    shell.start()
    shell.run(10_000)
    assert toy.heard == [(1000, "opened")]
    toy.heard.clear()
    return shell, store, toy


def test_requests_are_done_in_order_and_answered() -> None:
    shell, store, toy = bench()
    store.ask("append", b"log.1\0ab")
    store.ask("append", b"log.1\0c\0d")
    store.write(b"b\0whole")
    store.ask("get", b"log.1")
    store.ask("get", b"none")
    store.ask("list", b"")
    store.ask("delete", b"log.1")
    store.ask("list", b"")
    shell.run(1_000_000)
    said = [what for _, what in toy.heard]
    assert said == [b"log.1\0abc\0d", b"none", b"\0b\0log.1", b"\0b", "drained"]
    assert toy.heard[-1][0] == 10_000 + 8 * DELAY_US
    assert store.records == {"b": b"whole"}


def test_cut_loses_what_was_not_durable_and_tears_one_append() -> None:
    seen = set()
    for seed in range(40):
        shell, store, toy = bench(seed)
        store.ask("append", b"a\0one")
        shell.run(10_000 + DELAY_US)
        store.ask("append", b"a\0two")
        store.ask("append", b"a\0three")
        store.cut()
        shell.run(1_000_000)
        assert [what for _, what in toy.heard] == ["drained"]
        seen.add(store.records["a"])
    assert seen == {b"one", b"onet", b"onetw", b"onetwo"}


def test_cut_replaces_a_record_whole_or_not_at_all() -> None:
    seen = set()
    for seed in range(20):
        _, store, _ = bench(seed)
        store.records["a"] = b"old"
        store.write(b"a\0new")
        store.cut()
        seen.add(store.records["a"])
    assert seen == {b"old", b"new"}


def test_full_disk_fails_the_port_after_a_torn_append() -> None:
    shell, store, toy = bench()
    store.capacity = 5
    store.ask("append", b"a\0abc")
    store.ask("append", b"a\0def")
    store.ask("append", b"a\0ghi")
    shell.run(1_000_000)
    assert [what for _, what in toy.heard] == ["full", "failed"]
    assert (store.records, store.failures) == ({"a": b"abcde"}, 1)
    store.ask("append", b"a\0x")
    assert store.records == {"a": b"abcde"}
    store.open(b"")
    shell.run(2_000_000)
    store.ask("delete", b"a")
    shell.run(3_000_000)
    assert [what for _, what in toy.heard] == ["full", "failed", "opened", "drained"]


def test_closing_loses_nothing() -> None:
    _, store, _ = bench()
    store.ask("append", b"a\0abc")
    store.ask("append", b"a\0def")
    store.close()
    assert store.records == {"a": b"abcdef"}


def test_a_unit_whose_power_was_cut_starts_anew() -> None:
    text = SHORT.replace("= 3", "= 30") + '[[event]]\nat_s = 10.5\ndo = "power_cut"\nfor_s = 5\n'
    run = VirtualRun(parse(text, "x"), 1, InProcess)
    first = run.dut
    ticks = []
    run.run(lambda _: ticks.append(run.status and run.status["ticks"]["count"]))
    assert run.dut is not first
    assert ticks[11:15] == [None] * 4
    assert ticks[-1] is not None
    assert 120 < ticks[-1] < 150
