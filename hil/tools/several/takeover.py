# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil takeover`: faults of two redundant controllers on one emulated line.

Each run has one fault, or two with `--double`. It begins in a copy of a pair that is warm.

Exit 0: no run broke a limit of `hil.campaign.pair.pair_cases`. Ctrl-C: exit 130, with the
runs until then. Virtual time; nothing here is real.
"""

import argparse
import json
import sys

from hil.campaign.pair.pair_cases import (
    PairCase,
    PairVerdict,
    all_cases,
    draw_cases,
    draw_doubles,
    run_cases,
)
from hil.errors import INTERRUPTED
from hil.io.progress import ProgressLine

EXAMPLE = "coldloop hil takeover --runs 24"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--runs", type=int, default=24, metavar="N", help="number of runs (24)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the times (1)")
    parser.add_argument(
        "--all", action="store_true", help="each kind of fault at each tick within 60 s"
    )
    parser.add_argument(
        "--double", action="store_true", help="two faults within 3 s in each of the --runs"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Run the cases; print the worst figures and each case that broke a limit."""
    if not 1 <= arguments.runs <= 1_000_000:
        print("coldloop hil takeover: --runs must be 1 to 1000000", file=sys.stderr)
        return 2
    if arguments.all and arguments.double:
        print("coldloop hil takeover: --double is for --runs, not for --all", file=sys.stderr)
        return 2
    cases = _choose_cases(arguments)
    verdicts: list[PairVerdict] = []
    is_interrupted = False
    try:
        with ProgressLine(len(cases), "runs") as progress:
            for verdict in run_cases(cases):
                verdicts.append(verdict)
                progress.update(len(verdicts))
    except KeyboardInterrupt:
        if not verdicts:
            raise
        is_interrupted = True
    broken = [verdict for verdict in verdicts if verdict.problems]
    apart = [verdict.apart_s for verdict in verdicts if verdict.apart_s is not None]
    record: dict[str, object] = {
        "runs": len(verdicts),
        "faults": 2 if arguments.double else 1,
        "interrupted": is_interrupted,
        "broken": [
            {"case": v.case.text(), "problems": v.problems, "gap_s": v.gap_s} for v in broken
        ],
        "longest_gap_s": max(v.gap_s for v in verdicts),
        "least_time_between_writers_s": min(apart, default=None),
        "largest_step_pct": round(max(v.step_pct for v in verdicts), 3),
        "largest_supply_error_k": round(max(v.supply_k for v in verdicts), 3),
    }
    if arguments.json:
        print(json.dumps(record))
    else:
        _print(record)
    return INTERRUPTED if is_interrupted else 1 if broken else 0


def _choose_cases(arguments: argparse.Namespace) -> list[PairCase]:
    if arguments.all:
        return list(all_cases())
    draw = draw_doubles if arguments.double else draw_cases
    return list(draw(arguments.runs, arguments.seed))


def _print(record: dict[str, object]) -> None:
    if record["interrupted"]:
        print("INTERRUPTED")
    print(f"{record['runs']} runs in virtual time, both controllers emulated")
    limit = "2; 6.1 after a line that was not usable" if record["faults"] == 1 else "6.1"
    print(f"longest time without a writer  {record['longest_gap_s']} s (limit {limit})")
    apart = record["least_time_between_writers_s"]
    print(f"least time between two writers {apart} s (limit 1)")
    print(f"largest step of an actuator    {record['largest_step_pct']} % (limit 1)")
    print(f"largest error of the supply    {record['largest_supply_error_k']} K (limit 0.5)")
    broken = record["broken"]
    assert isinstance(broken, list)
    for item in broken:
        print(f"BROKEN: {item['case']}: {', '.join(item['problems'])}")
