# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil list`: list the shipped scenarios and suites, or the faults.

A list of scenarios does not import the bench and does not check their values; a run does.
"""

import argparse
import json

from hil.errors import BenchError
from hil.scenario.loader import read_shipped, shipped_names
from hil.scenario.suite import load_suite, suite_names

EXAMPLE = "coldloop hil list --faults"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--faults", action="store_true", help="list the faults and events instead")
    parser.add_argument(
        "--table", action="store_true", help="with --faults: print a Markdown table"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    if arguments.table and not arguments.faults:
        raise BenchError("--table: needs --faults")
    if arguments.table:
        print(write_table())
        return 0
    if arguments.faults:
        return _print_faults(arguments.json)
    scenarios = [read_shipped(name) for name in shipped_names()]
    if arguments.json:
        keys = ("name", "title", "seconds", "realtime")
        print(json.dumps([{key: getattr(s, key) for key in keys} for s in scenarios]))
        return 0
    for scenario in scenarios:
        tag = "real time too" if scenario.realtime else ""
        print(f"{scenario.name:24} {scenario.seconds:6.0f} s  {tag:13}  {scenario.title}")
    print()
    for name in suite_names():
        suite = load_suite(name, read_shipped)
        print(f"{name:24} suite of {len(suite.scenarios)}  {suite.title}")
    return 0


def write_table() -> str:
    """Write the faults as a Markdown table, for docs/reference/scenario_words.md."""
    from hil.campaign.words import DRAWN, NOT_DRAWN  # noqa: PLC0415 - only for faults
    from hil.fault.registry import EVENTS  # noqa: PLC0415 - it imports the bench
    from hil.scenario.fault_parts import find_part  # noqa: PLC0415 - as above

    drawn = {rule.fault for rule in DRAWN}
    lines = ["| word | what happens | value | ends | needs | in campaigns |", "|---" * 6 + "|"]
    for name, fault_type in sorted(EVENTS.items()):
        span = (
            "-"
            if fault_type.limits is None
            else f"{fault_type.limits[0]:g} to {fault_type.limits[1]:g}"
        )
        ends = "yes" if fault_type.undo is not None else "no"
        campaign_text = "yes" if name in drawn else f"no: {NOT_DRAWN[name]}"
        part = find_part(name)
        needs = "" if part is None else f"`{part.setting}`"
        cells = (f"`{name}`", fault_type.description, span, ends, needs, campaign_text)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _print_faults(as_json: bool) -> int:
    from hil.fault.registry import EVENTS  # noqa: PLC0415 - it imports the bench

    if as_json:
        rows = [{"name": n, "about": w.description, "limits": w.limits} for n, w in EVENTS.items()]
        print(json.dumps(rows))
        return 0
    for name, fault_type in sorted(EVENTS.items()):
        span = (
            ""
            if fault_type.limits is None
            else f"  ({fault_type.limits[0]:g} to {fault_type.limits[1]:g})"
        )
        print(f"{name:24} {fault_type.description}{span}")
    return 0
