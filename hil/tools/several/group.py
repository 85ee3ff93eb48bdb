# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil group`: failures of units and network of a group of CDUs in one virtual world.

Exit 0: no run broke a limit of `hil.campaign.group.group_cases`, or with `--random` of
`hil.campaign.group.random_cases`. Nothing here is real.
"""

import argparse
import json
import sys
from typing import Any

from hil.campaign.group.group_cases import LIMIT_K, SPREAD_PCT, draw_cases, run_case
from hil.campaign.group.random_cases import run_random
from hil.run.several.group_run import CAPACITY_KW

EXAMPLE = "coldloop hil group --units 4"
_SHARE = 0.4


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--units", type=int, default=4, metavar="N", help="units, 2 to 16 (4)")
    parser.add_argument(
        "--load-kw", type=float, metavar="KW", help="heat of the row (40 kW for each unit)"
    )
    parser.add_argument("--double", action="store_true", help="two failures in each run")
    parser.add_argument("--header", action="store_true", help="all units pump into one header")
    parser.add_argument(
        "--random",
        type=int,
        metavar="N",
        help="N runs with failures at random times; units, heat and header are drawn too",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first random run (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Run the cases; print the worst figures and each case that broke a limit."""
    if arguments.random is not None:
        return _run_random(arguments.random, arguments.seed, arguments.json)
    if not 2 <= arguments.units <= 16:
        print("coldloop hil group: --units must be 2 to 16", file=sys.stderr)
        return 2
    load_kw = arguments.load_kw
    if load_kw is None:
        load_kw = arguments.units * CAPACITY_KW * _SHARE
    if not 1 <= load_kw <= arguments.units * CAPACITY_KW:
        print("coldloop hil group: --load-kw must be 1 to 100 for each unit", file=sys.stderr)
        return 2
    cases = draw_cases(arguments.units, load_kw, arguments.double, arguments.header)
    verdicts = [run_case(case) for case in cases]
    broken = [verdict for verdict in verdicts if verdict.problems]
    record = {
        "runs": len(verdicts),
        "units": arguments.units,
        "load_kw": load_kw,
        "largest_excess_k": round(max(verdict.over_k for verdict in verdicts), 2),
        "hottest_case_c": round(max(verdict.case_c for verdict in verdicts), 1),
        "largest_spread_pct": round(max(verdict.spread_pct for verdict in verdicts), 2),
        "changes": max(verdict.changes for verdict in verdicts),
        "least_speed": round(min(verdict.speed for verdict in verdicts), 1),
        "broken": [{"case": v.case.text(), "problems": v.problems} for v in broken],
    }
    print(json.dumps(record)) if arguments.json else _print(record)
    return 1 if broken else 0


def _run_random(count: int, first: int, is_json: bool) -> int:
    """Run `count` random cases from seed `first`; print those that broke a limit."""
    if count < 1:
        print("coldloop hil group: --random must be 1 or more", file=sys.stderr)
        return 2
    broken: list[dict[str, Any]] = []
    for seed in range(first, first + count):
        case, problems = run_random(seed)
        if problems:
            broken.append({"case": case.text(), "problems": problems})
    if is_json:
        print(json.dumps({"runs": count, "seed": first, "broken": broken}))
    else:
        print(f"{count} runs with random failures of emulated units, {len(broken)} broken")
        _print_broken(broken)
    return 1 if broken else 0


def _print(record: dict[str, object]) -> None:
    print(f"{record['runs']} runs of {record['units']} emulated units, {record['load_kw']} kW")
    print(f"largest excess of a supply   {record['largest_excess_k']} K (limit {LIMIT_K})")
    print(f"hottest case                 {record['hottest_case_c']} °C")
    print(f"largest difference of speeds {record['largest_spread_pct']} % (limit {SPREAD_PCT})")
    print(f"changes without a failure    {record['changes']} (limit 1)")
    print(f"speed                        {record['least_speed']} x real time, of one core")
    broken = record["broken"]
    assert isinstance(broken, list)
    _print_broken(broken)


def _print_broken(broken: list[dict[str, Any]]) -> None:
    for item in broken:
        print(f"BROKEN: {item['case']}: {', '.join(item['problems'])}")
