# SPDX-License-Identifier: Apache-2.0
"""Two or three failures of a group at random times, each with an end; judged during and after.

Does not emulate; see `hil.run.several.group_run`. A seed draws the units, the heat, the header and
the failures. The failures begin within `BEGIN_S`. The run ends `SETTLE_S` after the last one has
ended. The limits are:

- while the units that can cool have the capacity for the heat and a reserve: no case is hotter than
  `CASE_C`, and no supply is more than `STARTING_K` above its set-point. A unit that started with
  warm coolant, minutes after the failures, was 4.1 K above it;
- at the end all units have the same lead and the same selection, all selected ones run, the supply
  is within `END_K`, and at a header the speeds are within `SPREAD_PCT`.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from hil.campaign.group.group_cases import CASE_C, SPREAD_PCT
from hil.run.several.group_run import CAPACITY_KW, FAULTS, GroupRun

BEGIN_S = (50.0, 90.0)
LASTS_S = (2.0, 4.0, 7.0, 12.0, 30.0, 60.0, 120.0)
SETTLE_S, JUDGED_S = 420.0, 30.0
STARTING_K, END_K = 6.0, 1.0
_RESERVE = 1.25
_SENSORS = {
    "flow_low": ("flow_lpm", "offset", -60.0),
    "flow_high": ("flow_lpm", "offset", 60.0),
    "flow_zero": ("flow_lpm", "stuck_value", 0.0),
    "return_low": ("return_c", "offset", -8.0),
}
"""False sensors of a unit: the heat that it reports is false."""
KINDS = (
    *("power", "pumps", "rpu", "return", "pressure", "low", "high", "alone", "deaf"),
    *("split", "loss", "load", "uncoupled", "pump", "clogged"),
    *_SENSORS,
)
"""Those of `FAULTS`, and faults of a plant."""
_STOPS = ("power", "pumps", "uncoupled")


class RandomFailure(NamedTuple):
    """A failure of `KINDS`. `value`: number of the unit; of `split` units, percent, or kW."""

    kind: str
    value: float
    begins_s: float
    ends_s: float

    def text(self) -> str:
        """Return the failure as words."""
        return f"{self.kind} {self.value:g} from {self.begins_s:.1f} to {self.ends_s:.1f} s"


class RandomGroupCase(NamedTuple):
    """One run."""

    seed: int
    units: int
    load_kw: float
    has_header: bool
    failures: tuple[RandomFailure, ...]

    @property
    def is_carried(self) -> bool:
        """Whether the units that never stop have the capacity, with a reserve."""
        stopped = {failure.value for failure in self.failures if failure.kind in _STOPS}
        return (self.units - len(stopped)) * CAPACITY_KW >= _RESERVE * self.load_kw

    def text(self) -> str:
        """Return the case as one line."""
        words = "; ".join([failure.text() for failure in self.failures])
        header = " at a header" if self.has_header else ""
        return f"seed {self.seed}, {self.units} units{header}, {self.load_kw:g} kW: {words}"


def draw_case(seed: int) -> RandomGroupCase:
    """Return the case of a seed."""
    rng = Random(seed)
    units = rng.choice((2, 2, 3, 3, 4, 5))
    has_header = rng.random() < 0.7
    load_kw = rng.choice((20.0, 40.0, 55.0)) * units * (0.5 if units == 2 else 1.0)
    failures = []
    for _ in range(rng.choice((2, 3))):
        kind = rng.choice(KINDS)
        value: float = rng.randint(1, units)
        if kind == "split":
            value = rng.randint(1, units - 1)
        elif kind == "loss":
            value = rng.choice((20.0, 50.0))
        elif kind == "load":
            value = load_kw / units * rng.choice((0.5, 1.2))
        begins_s = rng.uniform(*BEGIN_S)
        failures.append(RandomFailure(kind, value, begins_s, begins_s + rng.choice(LASTS_S)))
    return RandomGroupCase(seed, units, load_kw, has_header, tuple(failures))


def _change(run: GroupRun, failure: RandomFailure, load_kw: float, is_begin: bool) -> None:
    """Begin or end a failure."""
    kind, value = failure.kind, failure.value
    if kind == "load" and not is_begin:
        run.load_kw = load_kw
    elif kind in FAULTS:
        (run.begin_fault if is_begin else run.end_fault)(kind, value)
    else:
        plant = run.testbeds[int(value) - 1].plant
        if kind == "uncoupled":
            plant.set_uncoupled(0, is_begin)
        elif kind == "pump":
            plant.pumps[0].set_seized(is_begin)
        elif kind == "clogged":
            plant.set_clogging(0.5 if is_begin else 0.0)
        else:
            sensor, name, false = _SENSORS[kind]
            fault = plant.sensor_fault(sensor)
            if is_begin:
                fault.inject(name, false)
            else:
                fault.clear()


def run_random(seed: int) -> tuple[RandomGroupCase, list[str]]:
    """Run the case of a seed. Return it, and the limits that it broke."""
    case = draw_case(seed)
    shared = "header" if case.has_header else "none"
    run = GroupRun(case.units, case.load_kw, seed, shared=shared)
    run.start()
    events = [(f.begins_s, True, f) for f in case.failures]
    events += [(f.ends_s, False, f) for f in case.failures]
    events.sort(key=lambda event: event[0])
    end_s = events[-1][0] + SETTLE_S
    over_k = hottest_c = spread_pct = at_s = 0.0
    while at_s < end_s:
        at_s += 1.0
        while events and events[0][0] <= at_s:
            event_s, is_begin, failure = events.pop(0)
            run.run(event_s)
            _change(run, failure, case.load_kw, is_begin)
        run.run(at_s)
        running = run.running()
        if at_s >= BEGIN_S[0] and running:
            over_k = max(over_k, run.worst_excess_k())
            hottest_c = max(hottest_c, *(run.testbeds[n - 1].plant.case_c for n in running))
        if at_s > end_s - JUDGED_S:
            spread_pct = max(spread_pct, run.speed_spread_pct())
    problems = _judge_end(run, spread_pct if case.has_header else 0.0)
    if case.is_carried and over_k > STARTING_K:
        problems.append(f"a supply was {over_k:.1f} K too warm")
    if case.is_carried and hottest_c > CASE_C:
        problems.append(f"a case had {hottest_c:.1f} °C")
    return case, problems


def _judge_end(run: GroupRun, spread_pct: float) -> list[str]:
    """Return what is wrong at the end."""
    groups = [run.group(number) for number in range(1, run.count + 1)]
    selected = [group.staging.selected for group in groups]
    running = run.running()
    excess_k = run.worst_excess_k()
    checks = (
        (any(one != selected[0] for one in selected), f"the selections differ: {selected}"),
        (len({group.staging.lead for group in groups}) > 1, "the leads differ"),
        (not set(selected[0]) <= set(running), f"selected {selected[0]}, but {running} run"),
        (excess_k > END_K, f"a supply is {excess_k:.1f} K too warm at the end"),
        (spread_pct > SPREAD_PCT, f"the speeds differ by {spread_pct:.1f} %"),
    )
    return [text for is_broken, text in checks if is_broken]
