# SPDX-License-Identifier: Apache-2.0
"""Finds the fewest events with which a scenario still fails, by QuickXplain.

Theory of operation. `fails(events)` runs the scenario with a part of its events. It tells whether
the scenario fails in the same way: an expectation on the same measure, or the same exception. The
algorithm halves the events; one run excludes a half that is not needed. With k causes among n
events it needs about 2 k log2(n/k) + 2 k runs; ddmin needs up to n squared. The causes can be
anywhere. Source: U. Junker, QuickXplain: preferred explanations and relaxations for
over-constrained problems, AAAI 2004.

Does not find the smallest set. The result is minimal: without any one of its events the scenario
passes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hil.errors import BenchError
from hil.run.recorded import DUTS
from hil.run.virtual import VirtualRun
from hil.scenario.model import Scenario, ScenarioEvent

ScenarioEvents = tuple[ScenarioEvent, ...]
FailureTest = Callable[[ScenarioEvents], bool]


def quickxplain(events: ScenarioEvents, fails: FailureTest) -> ScenarioEvents:
    """Return a minimal part of `events` that still fails; all of them together must fail.

    If the scenario fails without events, the result is empty.
    """
    if not events or fails(()):
        return ()
    needed = _explain((), False, events, fails)
    return tuple(event for event in events if event in needed)


def _explain(
    background: ScenarioEvents, has_grown: bool, events: ScenarioEvents, fails: FailureTest
) -> ScenarioEvents:
    """Find the needed part of `events` if `background` stays; `has_grown`: it has new events."""
    if has_grown and fails(background):
        return ()
    if len(events) == 1:
        return events
    half = len(events) // 2
    first, second = events[:half], events[half:]
    needed_second = _explain(background + first, bool(first), second, fails)
    needed_first = _explain(background + needed_second, bool(needed_second), first, fails)
    return needed_first + needed_second


@dataclass
class ShrinkResult:
    """The shrunk scenario, the number of runs, and the failures of the original.

    `is_interrupted`: the scenario still fails, but it can have events that are not needed.
    """

    scenario: Scenario
    runs: int
    failing: tuple[str, ...]
    is_interrupted: bool = False


def find_failures(scenario: Scenario, seed: int, dut: str) -> tuple[str, ...]:
    """Run once; name the failures: measures, or the class of an exception."""
    run = VirtualRun(scenario, seed, DUTS[dut])
    try:
        run.run()
        return tuple(
            result.measure for result in run.evaluator.results() if result.failure is not None
        )
    except BenchError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the controller dies of is a finding
        return (type(error).__name__,)
    finally:
        run.dut.close()


def shrink(
    scenario: Scenario, seed: int, dut: str, progress: Callable[[int, int], None] | None = None
) -> ShrinkResult:
    """Shrink a failing scenario, until Ctrl-C; raises BenchError if it passes."""
    original = find_failures(scenario, seed, dut)
    if not original:
        raise BenchError(f"{scenario.name}: passes with seed {seed}; there is nothing to shrink")
    runs, smallest, is_interrupted = 1, scenario.events, False

    def fails(events: ScenarioEvents) -> bool:
        nonlocal runs, smallest
        runs += 1
        if progress is not None:
            progress(runs, len(events))
        failures = find_failures(replace(scenario, events=events), seed, dut)
        is_failing = bool(set(original) & set(failures))
        if is_failing and len(events) < len(smallest):
            smallest = events
        return is_failing

    try:
        smallest = quickxplain(scenario.events, fails)
    except KeyboardInterrupt:
        is_interrupted = True
    shrunk = replace(scenario, name=f"{scenario.name}-shrunk", events=smallest, cases=())
    return ShrinkResult(shrunk, runs, original, is_interrupted)
