# SPDX-License-Identifier: Apache-2.0
"""Sweep over the n-th failure, n from 1 to N: of a store request, a bus reply or a broker packet.

Does not draw faults; see `hil.campaign.random_campaign`. In each run exactly one place fails, and
the sweep visits all places, as the tests of SQLite do for allocations and writes. One run without a
failure counts the places N. After the failure the unit must be as before.

    store    odd n: power cut immediately after the n-th request, for 3 s;
             even n: the port fails at the n-th request, as with removed media
    bus      odd n: the n-th reply is lost; even n: one bit of it is flipped
    broker   the n-th packet to the broker is lost, and the connection breaks
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from agent.port_numbers import BROKER, FIRST_BUS
from hil.bench.testbed_settings import TestbedSettings
from hil.campaign.words import LIVENESS, SAFETY
from hil.devices.base import Replies
from hil.errors import BenchError
from hil.io.endpoints import SerialEndpoint, TcpEndpoint
from hil.io.store_endpoint import StoreEndpoint
from hil.kernel.serial_line import SerialLine
from hil.kernel.world import World
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Expectation, Scenario, ScenarioEvent
from hil.scenario.toml_writer import round_trip, write_toml

SECONDS = 150
_SECOND = 1_000_000
_OFF_US = 3 * _SECOND
_WINDOW_US = 95 * _SECOND
_SETTLED_S = 130
_PUSHED_SETPOINT_C = 33.0


class FailureCounter:
    """Counts places in the first 95 s, and calls `on_failure` at number `nth` (0: never)."""

    def __init__(self, world: World, nth: int, on_failure: Callable[[], None]) -> None:
        self.count = 0
        self._world = world
        self._nth = nth
        self._on_failure = on_failure

    def count_one(self) -> bool:
        """Count one place; give False at the place that fails."""
        if self._world.now >= _WINDOW_US:
            return True
        self.count += 1
        if self.count == self._nth:
            self._on_failure()
            return False
        return True


def make_base_scenario() -> Scenario:
    """Make the scenario of all runs: a load step, a pushed set-point, four sections with stores."""
    return Scenario(
        "sweep",
        "one failure, then recovery",
        SECONDS,
        TestbedSettings(it_kw=60.0, meters=2, parts="ledger, log, remote, timekeeping"),
        (
            ScenarioEvent(10.0, "it_load", 80.0),
            ScenarioEvent(20.0, "push_setpoint", _PUSHED_SETPOINT_C),
            ScenarioEvent(85.0, "confirm_config"),
        ),
        (
            *SAFETY,
            Expectation("setpoint_c", "Cel", min=31.9, max=33.1, from_s=_SETTLED_S),
            *(_expect_at_end(expectation) for expectation in LIVENESS),
        ),
    )


def _expect_at_end(expectation: Expectation) -> Expectation:
    values = {**vars(expectation), "from_s": float(_SETTLED_S)}
    return Expectation(**values)


def _sweep_store(run: VirtualRun, nth: int) -> FailureCounter:
    world = run.world

    def cut_power() -> None:
        world.schedule(world.now, run.testbed.set_power, False)
        world.schedule(world.now + _OFF_US, run.testbed.set_power, True)

    counter = FailureCounter(world, nth, cut_power if nth % 2 else lambda: None)
    for store in run.testbed.stores.values():
        _filter_store(store, counter, port_fails=nth % 2 == 0)
    return counter


def _filter_store(store: StoreEndpoint, counter: FailureCounter, port_fails: bool) -> None:
    def accepts(op: str, _: bytes) -> bool:
        if op in ("get", "list") or counter.count_one() or not port_fails:
            return True
        store.fail()
        return False

    store.filter_requests(accepts)


def _sweep_bus(run: VirtualRun, nth: int) -> FailureCounter:
    counter = FailureCounter(run.world, nth, lambda: None)
    endpoint = run.shell.endpoints[FIRST_BUS]
    if not isinstance(endpoint, SerialEndpoint) or not isinstance(endpoint.line, SerialLine):
        raise BenchError("--sweep bus: the row has no serial bus")

    def convert(replies: Replies) -> Replies:
        remaining = []
        for delay, data in replies:
            if counter.count_one():
                remaining.append((delay, data))
            elif nth % 2 == 0:
                remaining.append((delay, bytes((data[0] ^ 1,)) + data[1:]))
        return remaining

    endpoint.line.convert_replies(convert)
    return counter


def _sweep_broker(run: VirtualRun, nth: int) -> FailureCounter:
    endpoint = run.shell.endpoints[BROKER]
    if not isinstance(endpoint, TcpEndpoint):
        raise BenchError("--sweep broker: the row does not use the broker of the bench")
    world = run.world

    def break_connection() -> None:
        world.schedule(world.now, endpoint.set_down, True)
        world.schedule(world.now + 1, endpoint.set_down, False)

    counter = FailureCounter(world, nth, break_connection)
    endpoint.filter_writes(lambda _: counter.count_one())
    return counter


KINDS: dict[str, Callable[[VirtualRun, int], FailureCounter]] = {
    "store": _sweep_store,
    "bus": _sweep_bus,
    "broker": _sweep_broker,
}
"""Kind of place -> function that lets the n-th place of a run fail."""


class SweepRun(NamedTuple):
    """Result of one run: failures, number of places, and wall time in s."""

    failures: list[str]
    places: int
    wall_s: float


def run_one(kind: str, nth: int, dut: str) -> SweepRun:
    """Run once; let the n-th place fail (0: none)."""
    started_s = time.perf_counter()
    run = VirtualRun(round_trip(make_base_scenario()), 1, DUTS[dut])
    counter = KINDS[kind](run, nth)
    try:
        run.run()
        failures = run.evaluator.failures()
    finally:
        run.dut.close()
    return SweepRun(failures, counter.count, time.perf_counter() - started_s)


def choose_places(total: int, max_count: int, first: int = 1) -> list[int]:
    """Choose up to `max_count` places from `first` to `total`, spread evenly, odd and even."""
    available = total - first + 1
    if available <= max_count:
        return list(range(first, total + 1))
    chosen = {first + i * available // max_count for i in range(max_count)}
    return sorted(n ^ 1 if i % 2 and first < n < total else n for i, n in enumerate(sorted(chosen)))


def write_base_scenario() -> str:
    """Write the scenario of all runs as TOML."""
    return write_toml(make_base_scenario())
