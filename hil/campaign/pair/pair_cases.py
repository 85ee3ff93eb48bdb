# SPDX-License-Identifier: Apache-2.0
"""Faults of two controllers on one line, each run judged by what the devices and the plant see.

Does not emulate; see `hil.run.several.pair_run`. A pair warms up for `WARM_S`. Then one or two
faults of `KINDS` begin. The limits are those of the pair:

- writes of both controllers are at least one bus cycle (1 s) apart;
- while a whole controller is there, the time without a controller that may write is at most 2 s
  after one fault, and 6.1 s after two, or when the line was not usable;
- no command of an actuator moves by more than 1 % in 20 ms, unless a port babbles: then devices are
  lost, and the control reacts to that;
- the supply temperature stays within 0.5 K of its set-point.

A case runs in a copy of one warm pair (`hil.campaign.pair.snapshot`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from hil.bench.testbed_settings import TestbedSettings
from hil.campaign.pair.snapshot import run_in_copy
from hil.run.several.pair_meter import CYCLE_US
from hil.run.several.pair_run import PairRun

WARM_S = 40.0
_AFTER_S, _AFTER_DOUBLE_S = 20.0, 12.0
_TICK_S, _TICKS, _APART_TICKS = 0.1, 600, 30
_GAP_S, _LONG_GAP_S, _STEP_PCT, _SUPPLY_K = 2.0, 6.1, 1.0, 0.5
_LINE_FAULTS = ("stuck", "babble")


class FaultKind(NamedTuple):
    """A fault of `hil.run.several.pair_run.FAULTS`; `seconds` 0: it stays.

    `is_linked`: the pair has a link and stores.
    """

    fault: str
    seconds: float
    is_linked: bool = False


KINDS = (
    *(FaultKind("power", seconds) for seconds in (0.0, 0.3, 5.0)),
    *(FaultKind("pause", seconds) for seconds in (0.3, 0.7, 8.0)),
    *(FaultKind("receiver", seconds) for seconds in (0.0, 0.5, 6.0)),
    *(FaultKind("driver", seconds) for seconds in (0.0, 0.5, 6.0)),
    FaultKind("stuck", 1.0),
    FaultKind("babble", 2.0),
    FaultKind("link", 0.0, True),
    FaultKind("link", 3.0, True),
    FaultKind("store", 0.0, True),
    FaultKind("key", 0.0, True),
    FaultKind("version", 0.0, True),
    FaultKind("version", 4.0, True),
    FaultKind("swap", 0.0, True),
    FaultKind("out", 10.0, True),
)
"""Twelve faults, most of them with several durations. A link is cut in the direction from the
controller, so that it has two kinds."""
DOUBLE_KINDS = tuple(
    FaultKind(fault, seconds, True)
    for fault, seconds in (
        *(("power", 0.0), ("pause", 1.6), ("receiver", 0.0), ("receiver", 1.0), ("driver", 1.0)),
        *(("stuck", 0.7), ("babble", 1.0), ("link", 0.0), ("store", 0.0), ("key", 0.0)),
        *(("version", 0.0), ("swap", 0.0), ("out", 0.0)),
    )
)
"""Thirteen kinds for cases with two faults."""


class Fault(NamedTuple):
    """One fault: its kind, its controller (0 or 1) and its time in s."""

    kind: FaultKind
    node: int
    at_s: float

    def text(self) -> str:
        """Return the fault as words."""
        duration = f"{self.kind.seconds} s" if self.kind.seconds else "to the end"
        return f"{self.kind.fault} of {'ab'[self.node]} at {self.at_s:.1f} s, {duration}"


class PairCase(NamedTuple):
    """One run: its faults, in the order of their times."""

    faults: tuple[Fault, ...]

    @property
    def at_s(self) -> float:
        """Time of the first fault, s."""
        return self.faults[0].at_s

    @property
    def is_linked(self) -> bool:
        """Whether the pair has a link and stores."""
        return any(fault.kind.is_linked for fault in self.faults)

    def text(self) -> str:
        """Return the case as one line."""
        return " and ".join(fault.text() for fault in self.faults)


class PairVerdict(NamedTuple):
    """What a run showed. `problems`: the limits that it broke."""

    case: PairCase
    gap_s: float
    apart_s: float | None
    step_pct: float
    supply_k: float
    problems: tuple[str, ...]


def one_fault(kind: FaultKind, node: int, at_s: float) -> PairCase:
    """Return a case with one fault."""
    return PairCase((Fault(kind, node, at_s),))


def run_cases(cases: Sequence[PairCase], seed: int = 1) -> Iterator[PairVerdict]:
    """Run the cases in the order of their times, each in a copy of a warm pair."""
    for is_linked in (False, True):
        chosen = sorted(case for case in cases if case.is_linked == is_linked)
        if not chosen:
            continue
        pair = make_warm_pair(is_linked, seed)
        for at_s, group in groupby(sorted(chosen, key=_start), _start):
            pair.run(at_s)
            for case in group:
                yield run_in_copy(partial(_finish, pair, case))


def _start(case: PairCase) -> float:
    return case.at_s


def make_warm_pair(is_linked: bool, seed: int = 1) -> PairRun:
    """Return a pair that has started, with measurement from 5 s before `WARM_S`."""
    pair = PairRun(TestbedSettings(), seed, is_linked)
    pair.measure_from(WARM_S - 5)
    pair.start()
    return pair


def run_case(case: PairCase, seed: int = 1) -> PairVerdict:
    """Run one case from the start, without a copy."""
    pair = make_warm_pair(case.is_linked, seed)
    pair.run(case.at_s)
    return _finish(pair, case)


def _finish(pair: PairRun, case: PairCase) -> PairVerdict:
    """Run the faults of a case on a pair at the time of the first one, and judge."""
    for kind, node, at_s in case.faults:
        pair.at(at_s, pair.begin_fault, kind.fault, node)
        if kind.seconds:
            pair.at(at_s + kind.seconds, pair.end_fault, kind.fault, node)
    after_s = _AFTER_S if len(case.faults) == 1 else _AFTER_DOUBLE_S
    pair.run(case.faults[-1].at_s + after_s)
    return _judge(pair, case)


def _judge(pair: PairRun, case: PairCase) -> PairVerdict:
    apart_us, gap_s = pair.closest_writes_us(), pair.longest_gap_us / 1e6
    faults = {fault.kind.fault for fault in case.faults}
    is_long = len(case.faults) > 1 or bool(faults & set(_LINE_FAULTS))
    checks = (
        (apart_us < CYCLE_US, "both controllers wrote in one cycle"),
        (gap_s > (_LONG_GAP_S if is_long else _GAP_S), "too long without a writer"),
        (pair.largest_step_pct > _STEP_PCT and "babble" not in faults, "an actuator jumped"),
        (pair.supply_error_k > _SUPPLY_K, "the supply left its band"),
    )
    return PairVerdict(
        case,
        gap_s,
        apart_us / 1e6 if apart_us < 1 << 61 else None,
        0.0 if "babble" in faults else pair.largest_step_pct,
        pair.supply_error_k,
        tuple(text for is_broken, text in checks if is_broken),
    )


def _tick(number: int) -> float:
    return WARM_S + round(number * _TICK_S, 1)


def draw_cases(count: int, seed: int) -> Iterator[PairCase]:
    """Yield random cases: each kind in turn, at a tick of 60 s of either controller."""
    source = random.Random(seed)
    for number in range(count):
        at_s = _tick(source.randrange(_TICKS))
        yield one_fault(KINDS[number % len(KINDS)], source.randrange(2), at_s)


def all_cases() -> Iterator[PairCase]:
    """Yield each kind at each tick of 60 s, at the active controller; a link in both directions."""
    for kind in KINDS:
        for number in range(_TICKS):
            yield one_fault(kind, 0, _tick(number))
            if kind.fault == "link":
                yield one_fault(kind, 1, _tick(number))


def draw_doubles(count: int, seed: int) -> Iterator[PairCase]:
    """Yield random cases with two faults of `DOUBLE_KINDS` within 3 s, on a grid of 100 ms."""
    source = random.Random(seed)
    for _ in range(count):
        first = source.randrange(_APART_TICKS)
        second = first + source.randrange(_APART_TICKS)
        yield PairCase(
            tuple(
                Fault(source.choice(DOUBLE_KINDS), source.randrange(2), _tick(number))
                for number in (first, second)
            )
        )
