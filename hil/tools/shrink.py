# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil shrink`: find the fewest events with which a scenario still fails.

Ctrl-C: exit 130, with the smallest failing scenario until then.
"""

import argparse
import json
import shlex

from hil.campaign.shrink import ShrinkResult, shrink
from hil.errors import INTERRUPTED
from hil.io.progress import ProgressLine
from hil.io.regular_file import write_output
from hil.run.recorded import DUTS
from hil.scenario.loader import find
from hil.scenario.toml_writer import write_toml
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil shrink failing.toml --seed 7 --out small.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("scenario", metavar="NAME|FILE.toml", help="a scenario that fails")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed with which it fails")
    parser.add_argument("--dut", choices=tuple(DUTS), default="cpython")
    parser.add_argument(
        "--out", type=path_argument, metavar="FILE", help="write the shrunk scenario"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Shrink the scenario; exit 0 if it failed and so has a shrunk form."""
    scenario = find(arguments.scenario)
    with ProgressLine(None, "runs") as progress:
        result = shrink(
            scenario,
            arguments.seed,
            arguments.dut,
            lambda runs, events: progress.update(runs, f"{events} events"),
        )
    text = write_toml(result.scenario)
    if arguments.out is not None:
        write_output(arguments.out, text)
    if arguments.json:
        print(json.dumps(_record(result, len(scenario.events))))
    else:
        _print(result, len(scenario.events), text, arguments)
    return INTERRUPTED if result.is_interrupted else 0


def _record(result: ShrinkResult, count_before: int) -> dict[str, object]:
    return {
        "before": count_before,
        "after": len(result.scenario.events),
        "runs": result.runs,
        "fails": list(result.failing),
        "interrupted": result.is_interrupted,
    }


def _print(
    result: ShrinkResult, count_before: int, text: str, arguments: argparse.Namespace
) -> None:
    still = "left; interrupted" if result.is_interrupted else "are needed"
    print(
        f"{count_before} events, {len(result.scenario.events)} {still}; {result.runs} runs; "
        f"fails: {list(result.failing)}"
    )
    if arguments.out is None:
        print(text, end="")
    else:
        name = shlex.quote(str(arguments.out))
        print(f"again: coldloop hil run {name} --seed {arguments.seed} --dut {arguments.dut}")
