# SPDX-License-Identifier: Apache-2.0
"""The store endpoint: order, durability, power cut, full disk; and a power cut of a unit."""

import random

from hil.io.store_endpoint import DELAY_US, StoreEndpoint
from hil.kernel.dut import InProcessDut, StepResult
from hil.kernel.world import World
from hil.run.virtual import VirtualRun
from hil.scenario.loader import parse
from hil.shells.virtual import VirtualShell
from tests.hil.scenario.test_scenario import SHORT

PORT = 9


class ListeningDut:
    """A controller that only records its inputs."""

    def __init__(self) -> None:
        self.events: list[tuple[int, object]] = []

    def start(self, now: int) -> StepResult:
        return 1 << 62, [(PORT, "open", b"store:/x")]

    def receive(self, port: int, data: bytes, now: int) -> StepResult:
        self.events.append((now, data))
        return 1 << 62, []

    def event(self, port: int, kind: str, now: int) -> StepResult:
        self.events.append((now, kind))
        return 1 << 62, []

    def wake(self, now: int) -> StepResult:
        return 1 << 62, []

    def close(self) -> None:
        """Do nothing."""


def make_store(seed: int = 1) -> tuple[VirtualShell, StoreEndpoint, ListeningDut]:
    dut = ListeningDut()
    world = World(1, 0)
    shell = VirtualShell(world, dut)
    store = StoreEndpoint(shell, PORT, random.Random(seed))
    shell.endpoints[PORT] = store
    shell.start()
    shell.run(10_000)
    assert dut.events == [(1000, "opened")]
    dut.events.clear()
    return shell, store, dut


def test_requests_are_completed_in_order() -> None:
    shell, store, dut = make_store()
    store.request("append", b"log.1\0ab")
    store.request("append", b"log.1\0c\0d")
    store.write(b"b\0whole")
    store.request("get", b"log.1")
    store.request("get", b"none")
    store.request("list", b"")
    store.request("delete", b"log.1")
    store.request("list", b"")
    shell.run(1_000_000)
    replies = [event for _, event in dut.events]
    assert replies == [b"log.1\0abc\0d", b"none", b"\0b\0log.1", b"\0b", "drained"]
    assert dut.events[-1][0] == 10_000 + 8 * DELAY_US
    assert store.records == {"b": b"whole"}


def test_power_cut_truncates_one_append() -> None:
    contents = set()
    for seed in range(40):
        shell, store, dut = make_store(seed)
        store.request("append", b"a\0one")
        shell.run(10_000 + DELAY_US)
        store.request("append", b"a\0two")
        store.request("append", b"a\0three")
        store.cut_power()
        shell.run(1_000_000)
        assert [event for _, event in dut.events] == ["drained"]
        contents.add(store.records["a"])
    assert contents == {b"one", b"onet", b"onetw", b"onetwo"}


def test_power_cut_keeps_old_or_new_record() -> None:
    contents = set()
    for seed in range(20):
        _, store, _ = make_store(seed)
        store.records["a"] = b"old"
        store.write(b"a\0new")
        store.cut_power()
        contents.add(store.records["a"])
    assert contents == {b"old", b"new"}


def test_full_disk_fails_the_port_after_truncated_append() -> None:
    shell, store, dut = make_store()
    store.set_capacity(5)
    store.request("append", b"a\0abc")
    store.request("append", b"a\0def")
    store.request("append", b"a\0ghi")
    shell.run(1_000_000)
    assert [event for _, event in dut.events] == ["full", "failed"]
    assert (store.records, store.failures) == ({"a": b"abcde"}, 1)
    store.request("append", b"a\0x")
    assert store.records == {"a": b"abcde"}
    store.open(b"")
    shell.run(2_000_000)
    store.request("delete", b"a")
    shell.run(3_000_000)
    assert [event for _, event in dut.events] == ["full", "failed", "opened", "drained"]


def test_close_loses_nothing() -> None:
    _, store, _ = make_store()
    store.request("append", b"a\0abc")
    store.request("append", b"a\0def")
    store.close()
    assert store.records == {"a": b"abcdef"}


def test_unit_restarts_after_power_cut() -> None:
    text = SHORT.replace("= 3", "= 30") + '[[event]]\nat_s = 10.5\ndo = "power_cut"\nfor_s = 5\n'
    run = VirtualRun(parse(text, "x"), 1, InProcessDut)
    first = run.dut
    ticks = []
    run.run(lambda _: ticks.append(run.status and run.status["ticks"]["count"]))
    assert run.dut is not first
    assert ticks[11:15] == [None] * 4
    assert ticks[-1] is not None
    assert 120 < ticks[-1] < 150
