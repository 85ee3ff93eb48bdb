"""The n-th failure, for n in 1 to N: a store's request, a reply on the bus, a packet to the broker.

Not chance: where `hil.campaign.draw` draws faults, a sweep lets exactly one thing fail in each run, at
each place in turn, as SQLite's tests do with allocations and writes. Base is one scenario with all
that writes; it is run once undisturbed to learn N. After the failure all must be as before.

    store    odd n: the power is cut right after the n-th request was made, and comes back 3 s
             later; even n: the port fails there, as a medium does that is pulled
    bus      odd n: the n-th reply does not come; even n: a bit of it is flipped
    broker   the connection breaks with the n-th packet to the broker, which does not arrive
"""

import time
from collections.abc import Callable

from agent.agent import BROKER
from hil.bench.testbed_settings import Setting
from hil.campaign.words import LIVENESS, SAFETY
from hil.devices.base import Replies
from hil.errors import BenchError
from hil.io.endpoints import TcpEnd
from hil.io.store_endpoint import StoreEnd
from hil.kernel.world import World
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Event, Expectation, Scenario
from hil.scenario.toml_writer import text_of, written

SECONDS = 150
_SECOND = 1_000_000
_OFF_US = 3 * _SECOND
_LAST_US = 95 * _SECOND
_SETTLED_S = 130
_PUSHED_C = 33.0


class Counter:
    """Counts what passes in the first 95 s, and calls `strike` at number `nth` (0: never)."""

    def __init__(self, world: World, nth: int, strike: Callable[[], None]) -> None:
        self.count = 0
        self._world = world
        self._nth = nth
        self._strike = strike

    def passes(self) -> bool:
        """Count one; False at the one that is to fail."""
        if self._world.now >= _LAST_US:
            return True
        self.count += 1
        if self.count == self._nth:
            self._strike()
            return False
        return True


def base() -> Scenario:
    """The scenario of every run: a load step, a pushed set-point, and a log, a ledger, a clock."""
    return Scenario(
        "sweep",
        "one thing fails once, and all is well again",
        SECONDS,
        Setting(it_kw=60.0, meters=2, parts="ledger, log, remote, timekeeping"),
        (
            Event(10.0, "it_load", 80.0),
            Event(20.0, "push_setpoint", _PUSHED_C),
            Event(85.0, "confirm_config"),
        ),
        (
            *SAFETY,
            Expectation("setpoint_c", "Cel", min=31.9, max=33.1, from_s=_SETTLED_S),
            *(_late(e) for e in LIVENESS),
        ),
    )


def _late(expect: Expectation) -> Expectation:
    values = {**vars(expect), "from_s": float(_SETTLED_S)}
    return Expectation(**values)


def _on_store(run: VirtualRun, nth: int) -> Counter:
    world = run.world

    def cut() -> None:
        world.at(world.now, run.row.set_power, False)
        world.at(world.now + _OFF_US, run.row.set_power, True)

    counter = Counter(world, nth, cut if nth % 2 else lambda: None)
    for store in run.row.stores.values():
        _watch(store, counter, fails=nth % 2 == 0)
    return counter


def _watch(store: StoreEnd, counter: Counter, fails: bool) -> None:
    ask = store.ask

    def asked(op: str, data: bytes) -> None:
        if op in ("get", "list") or counter.passes() or not fails:
            ask(op, data)
        else:
            store.fail()

    store.ask = asked  # type: ignore[method-assign]
    store.write = lambda data: asked("write", data)  # type: ignore[method-assign]


def _on_bus(run: VirtualRun, nth: int) -> Counter:
    counter = Counter(run.world, nth, lambda: None)
    bus = run.row.bus
    receive, wake = bus.receive, bus.wake

    def passed(replies: Replies) -> Replies:
        kept = []
        for delay, data in replies:
            if counter.passes():
                kept.append((delay, data))
            elif nth % 2 == 0:
                kept.append((delay, bytes((data[0] ^ 1,)) + data[1:]))
        return kept

    bus.receive = lambda data, now: passed(receive(data, now))  # type: ignore[method-assign]
    bus.wake = lambda now: passed(wake(now))  # type: ignore[method-assign]
    return counter


def _on_broker(run: VirtualRun, nth: int) -> Counter:
    end = run.shell.ends[BROKER]
    if not isinstance(end, TcpEnd):
        raise BenchError("--sweep broker: the row has no broker of the bench's")
    world = run.world

    def broken() -> None:
        world.at(world.now, end.set_down, True)
        world.at(world.now + 1, end.set_down, False)

    counter = Counter(world, nth, broken)
    write = end.write

    def written_to(data: bytes) -> None:
        if counter.passes():
            write(data)

    end.write = written_to  # type: ignore[method-assign]
    return counter


KINDS: dict[str, Callable[[VirtualRun, int], Counter]] = {
    "store": _on_store,
    "bus": _on_bus,
    "broker": _on_broker,
}
"""What can be swept, and how its n-th is let fail."""


def one(kind: str, nth: int, dut: str) -> tuple[list[str], int, float]:
    """Run once with the n-th failing (0: none): failures, how many there were, seconds it took."""
    began = time.perf_counter()
    run = VirtualRun(written(base()), 1, DUTS[dut])
    counter = KINDS[kind](run, nth)
    try:
        run.run()
        failures = run.judge.failures()
    finally:
        run.dut.close()
    return failures, counter.count, time.perf_counter() - began


def places(whole: int, most: int, first: int = 1) -> list[int]:
    """At most `most` of `first` to `whole`, evenly spread, odd ones and even ones in turn."""
    left = whole - first + 1
    if left <= most:
        return list(range(first, whole + 1))
    chosen = {first + i * left // most for i in range(most)}
    return sorted(n ^ 1 if i % 2 and first < n < whole else n for i, n in enumerate(sorted(chosen)))


def text() -> str:
    """The base as a file."""
    return text_of(base())
