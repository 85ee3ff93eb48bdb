# SPDX-License-Identifier: Apache-2.0
"""Single faults of two controllers on one line, each judged by what the devices and the plant see.

Does not emulate; see `hil.run.several.pair_run`. A run warms up for `WARM_S`. Then one fault of
`KINDS` begins at one controller, and the run ends 20 s after it. The limits are those of the pair:

- writes of both controllers are at least one bus cycle (1 s) apart;
- while a whole controller is there, the time without a controller that may write is at most 2 s;
- no command of an actuator moves by more than 1 % in 20 ms;
- the supply temperature stays within 0.5 K of its set-point.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from hil.bench.testbed_settings import TestbedSettings
from hil.run.several.pair_run import PairRun

WARM_S = 40.0
_AFTER_S = 20.0
_CYCLE_US, _GAP_US, _STEP_PCT, _SUPPLY_K = 1_000_000, 2_000_000, 1.0, 0.5


class FaultKind(NamedTuple):
    """A fault of `hil.run.several.pair_run.FAULTS`; `seconds` 0: it stays."""

    fault: str
    seconds: float


KINDS = tuple(
    FaultKind(fault, seconds)
    for fault, durations in (
        ("power", (0.0, 0.3, 5.0)),
        ("pause", (0.3, 0.7, 8.0)),
        ("receiver", (0.0, 0.5, 6.0)),
        ("driver", (0.0, 0.5, 6.0)),
    )
    for seconds in durations
)


class PairCase(NamedTuple):
    """One run: the fault, its controller (0 or 1) and its time in s."""

    kind: FaultKind
    node: int
    at_s: float

    def text(self) -> str:
        """Return the case as one line."""
        duration = f"{self.kind.seconds} s" if self.kind.seconds else "to the end"
        return f"{self.kind.fault} of {'ab'[self.node]} at {self.at_s} s, {duration}"


class PairVerdict(NamedTuple):
    """What a run showed. `problems`: the limits that it broke."""

    case: PairCase
    gap_s: float
    apart_s: float | None
    step_pct: float
    supply_k: float
    problems: tuple[str, ...]


def run_case(case: PairCase) -> PairVerdict:
    """Run one case and judge it."""
    run = PairRun(TestbedSettings())
    run.at(case.at_s, run.begin_fault, case.kind.fault, case.node)
    if case.kind.seconds:
        run.at(case.at_s + case.kind.seconds, run.end_fault, case.kind.fault, case.node)
    run.measure_from(WARM_S - 5)
    run.start()
    run.run(case.at_s + _AFTER_S)
    apart_us = run.closest_writes_us()
    checks = (
        (apart_us < _CYCLE_US, "both controllers wrote in one cycle"),
        (run.longest_gap_us > _GAP_US, "too long without a writer"),
        (run.largest_step_pct > _STEP_PCT, "an actuator jumped"),
        (run.supply_error_k > _SUPPLY_K, "the supply left its band"),
    )
    return PairVerdict(
        case,
        run.longest_gap_us / 1e6,
        apart_us / 1e6 if apart_us < 1 << 61 else None,
        run.largest_step_pct,
        run.supply_error_k,
        tuple(text for is_broken, text in checks if is_broken),
    )


def draw_cases(count: int, seed: int) -> Iterator[PairCase]:
    """Yield random cases: each kind in turn, at a tick of 60 s of either controller."""
    source = random.Random(seed)
    for number in range(count):
        at_s = WARM_S + source.randrange(600) / 10
        yield PairCase(KINDS[number % len(KINDS)], source.randrange(2), at_s)


def all_cases() -> Iterator[PairCase]:
    """Yield each kind at each tick of 60 s, at the active controller."""
    for kind in KINDS:
        for tick in range(600):
            yield PairCase(kind, 0, WARM_S + tick / 10)
