# SPDX-License-Identifier: Apache-2.0
"""Failures of units and of the network of a group, each judged by what the plants see.

Does not emulate; see `hil.run.several.group_run`. A run warms up for `WARM_S`, then one failure
begins, and another one `SECOND_S` later in a double case. The limits are:

- no supply temperature of a unit with a flow is more than `LIMIT_K` above its set-point;
- no case is hotter than `CASE_C`;
- at most one change of the stages in 300 s without a failure;
- the speeds of the running units stay within `SPREAD_PCT`, while no unit has failed.

If the failures stop all units, nothing can cool: the temperatures are then not judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from hil.run.several.group_run import GroupRun

WARM_S, SECOND_S, AFTER_S = 60.0, 20.0, 120.0
LIMIT_K, CASE_C, SPREAD_PCT = 3.0, 70.0, 2.0
KINDS = ("off", "pumps", "rpu", "return", "pressure", "low", "high", "alone", "split", "deaf")
"""A unit without power; with blocked pumps; without sensors; without its return temperature or its
pressure; with a false pressure; cut off from all; half of the units cut off; a unit that receives
nothing."""

_STOPS = ("off", "pumps")
"""The kinds that stop the cooling of a unit."""


class GroupCase(NamedTuple):
    """One run: the failures, each a kind and a unit. `units` carry `load_kw`, with `has_header`
    through one header.
    """

    failures: tuple[tuple[str, int], ...]
    units: int
    load_kw: float
    has_header: bool = False

    @property
    def stops_all(self) -> bool:
        """Whether no unit can cool after the failures."""
        return len({unit for kind, unit in self.failures if kind in _STOPS}) == self.units

    def text(self) -> str:
        """Return the case as one line."""
        return " and ".join(f"{kind} of {unit}" for kind, unit in self.failures)


class GroupVerdict(NamedTuple):
    """What a run showed."""

    case: GroupCase
    over_k: float
    case_c: float
    spread_pct: float
    changes: int
    running: int
    speed: float
    problems: tuple[str, ...]


def begin(run: GroupRun, kind: str, unit: int) -> None:
    """Begin a failure of `KINDS` at a unit. Raises ValueError for another one."""
    name = {"off": "power"}.get(kind, kind)
    run.begin_fault(name, run.count // 2 if kind == "split" else unit)


def run_case(case: GroupCase, seed: int = 1) -> GroupVerdict:
    """Run one case and judge it."""
    shared = "header" if case.has_header else "none"
    run = GroupRun(case.units, case.load_kw, seed, shared=shared)
    run.start()
    run.run(WARM_S)
    over_k = hottest_c = spread_pct = 0.0
    at_s = WARM_S
    for number, (kind, unit) in enumerate(case.failures):
        begin(run, kind, unit)
        last = number == len(case.failures) - 1
        end_s = at_s + (AFTER_S if last else SECOND_S)
        while at_s < end_s:
            at_s += 1.0
            run.run(at_s)
            if not (last and case.stops_all):
                over_k = max(over_k, run.worst_excess_k())
                hottest_c = max(hottest_c, *(bed.plant.case_c for bed in run.testbeds))
            if {name for name, _ in case.failures} <= {"alone", "split", "deaf"}:
                spread_pct = max(spread_pct, run.speed_spread_pct())
    changes = max(run.group(unit).staging.changes for unit in range(1, case.units + 1))
    checks = (
        (over_k > LIMIT_K, "a supply was too warm"),
        (hottest_c > CASE_C, "a case was too hot"),
        (changes > 1, "too many changes of the stages"),
        (spread_pct > SPREAD_PCT, "the speeds differ"),
    )
    problems = tuple(text for is_broken, text in checks if is_broken)
    speed = run.world.now / 1e6 / run.cpu_s
    count = len(run.running())
    return GroupVerdict(case, over_k, hottest_c, spread_pct, changes, count, speed, problems)


def draw_cases(
    count: int, load_kw: float, is_double: bool, has_header: bool = False
) -> Iterator[GroupCase]:
    """Yield all single failures of unit 1 and of another unit, or all pairs of them."""
    single = [(kind, unit) for kind in KINDS for unit in (1, count)]
    for failures in itertools.combinations(single, 2) if is_double else [(one,) for one in single]:
        yield GroupCase(tuple(failures), count, load_kw, has_header)
