# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil shrink`: find the fewest events with which a scenario still fails."""

import argparse
import json
import shlex
import sys

from hil.campaign.shrink import shrink
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
    progress = _print_progress if sys.stderr.isatty() else None
    result = shrink(scenario, arguments.seed, arguments.dut, progress)
    text = write_toml(result.scenario)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")
    count_before, count_after = len(scenario.events), len(result.scenario.events)
    if arguments.json:
        fails = list(result.failing)
        print(
            json.dumps(
                {"before": count_before, "after": count_after, "runs": result.runs, "fails": fails}
            )
        )
        return 0
    print(
        f"{count_before} events, {count_after} are needed; {result.runs} runs; "
        f"fails: {list(result.failing)}"
    )
    if arguments.out is None:
        print(text, end="")
    else:
        name = shlex.quote(str(arguments.out))
        print(f"again: coldloop hil run {name} --seed {arguments.seed} --dut {arguments.dut}")
    return 0


def _print_progress(runs: int, events: int) -> None:
    sys.stderr.write(f"\rrun {runs}: {events} events ")
    sys.stderr.flush()
