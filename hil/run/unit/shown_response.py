# SPDX-License-Identifier: Apache-2.0
"""Whether a run on real devices has shown that the controlled values answer to the outputs.

Does not move outputs: an acceptance disturbs nothing. A sensor that is frozen at the set-point
meets all limits. So each loop has a finding of its own, over all scenarios of the suite. It passes
if the step test of the commissioning has seen the answer, or if output and value have both moved
during the runs. Else it is marginal: "not shown". A differential pressure that stays exactly the
same while the pumps move fails. A supply temperature can do that without a heat load.
"""

from dataclasses import replace

from hil.run.recorded import RecordedRun
from hil.run.unit.unit_file import UnitFile
from hil.scenario.judge import FAIL, MARGINAL, PASS, ExpectationResult

MEASURE = "answer to the outputs: "
_LOOPS = {
    "supply": ("supply_c", ("valve_pct",), 0.5, "°C"),
    "dp": ("dp_kpa", ("pump_pct:1", "pump_pct:2"), 2.0, "kPa"),
}
"""Loop: curve of its value, curves of its outputs, least change of the value that counts, unit."""
_MOVED_PCT, _FAR_PCT = 2.0, 20.0
_HINT = "`coldloop commission --tune` shows it"


def add_responses(
    unit: UnitFile, recorded: list[RecordedRun], shown: tuple[str, ...] = ()
) -> list[RecordedRun]:
    """Return the runs; the last one has the findings. `shown`: loops with a good step test."""
    found = [
        _judge(loop, recorded, is_shown=loop in shown)
        for loop in _LOOPS
        if {"valve", "pumps", "cdu"} & set(unit.raw["control"].get(loop, {}))
    ]
    failures = tuple(result.failure for result in found if result.failure is not None)
    last = [
        replace(
            run,
            results=[*run.results, *found],
            run_result=replace(run.run_result, failures=(*run.run_result.failures, *failures)),
        )
        for run in recorded[-1:]
    ]
    return [*recorded[:-1], *last]


def _judge(loop: str, recorded: list[RecordedRun], *, is_shown: bool) -> ExpectationResult:
    value, outputs, least, unit = _LOOPS[loop]
    changed = _range(recorded, value)
    moved = [r for r in (_range(recorded, output) for output in outputs) if r is not None]
    far = max(moved, default=None)
    failure = near = None
    if not is_shown and loop == "dp" and changed == 0.0 and far is not None and far >= _FAR_PCT:
        failure = f"{MEASURE}{value}: exactly the same while the outputs moved by {far:.0f} %"
    elif not is_shown and (changed is None or changed < least or _rests(far)):
        what = "not known" if changed is None else f"{changed:g} {unit}"
        output = "" if far is None else f", of the outputs {far:.1f} %"
        near = f"{MEASURE}{value}: not shown (change of the value {what}{output}); {_HINT}"
    return ExpectationResult(
        f"{MEASURE}{value}",
        unit,
        "shown by the step test" if is_shown else f"a change >= {least:g}, with moved outputs",
        "all scenarios",
        "",
        FAIL if failure else MARGINAL if near else PASS,
        changed,
        None,
        None,
        failure,
        near,
    )


def _rests(moved_pct: float | None) -> bool:
    return moved_pct is not None and moved_pct < _MOVED_PCT


def _range(recorded: list[RecordedRun], curve: str) -> float | None:
    """Return the difference of the highest and lowest sample of a curve in all runs."""
    samples = [
        value for run in recorded for value in run.series.values.get(curve, []) if value is not None
    ]
    return max(samples) - min(samples) if samples else None
