"""`coldloop hil list`: the scenarios and suites that come with the bench."""

import argparse
import json

from hil.campaign.words import DRAWN, NOT_DRAWN
from hil.errors import BenchError
from hil.fault.registry import EVENTS
from hil.scenario.loader import find, shipped
from hil.scenario.suite import load, suites

EXAMPLE = "coldloop hil list --faults"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--faults", action="store_true", help="the words for events and faults")
    parser.add_argument("--table", action="store_true", help="with --faults: as Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
    if arguments.table and not arguments.faults:
        raise BenchError("--table: of what? add --faults")
    if arguments.table:
        print(table())
        return 0
    if arguments.faults:
        return _faults(arguments.json)
    scenarios = [find(name) for name in shipped()]
    if arguments.json:
        keys = ("name", "title", "seconds", "realtime")
        print(json.dumps([{k: getattr(s, k) for k in keys} for s in scenarios]))
        return 0
    for scenario in scenarios:
        tag = "real time too" if scenario.realtime else ""
        print(f"{scenario.name:24} {scenario.seconds:6.0f} s  {tag:13}  {scenario.title}")
    print()
    for name in suites():
        suite = load(name)
        print(f"{name:24} suite of {len(suite.scenarios)}  {suite.title}")
    return 0


def table() -> str:
    """Write the words as a table of Markdown: docs/reference/scenario_words.md holds it."""
    drawn = {draw.word for draw in DRAWN}
    lines = ["| word | what happens | value | ends | in campaigns |", "|---|---|---|---|---|"]
    for name, word in sorted(EVENTS.items()):
        span = "-" if word.limits is None else f"{word.limits[0]:g} to {word.limits[1]:g}"
        ends = "yes" if word.undo is not None else "no"
        why = "drawn" if name in drawn else NOT_DRAWN[name]
        lines.append(f"| `{name}` | {word.about} | {span} | {ends} | {why} |")
    return "\n".join(lines)


def _faults(as_json: bool) -> int:
    if as_json:
        rows = [{"name": n, "about": w.about, "limits": w.limits} for n, w in EVENTS.items()]
        print(json.dumps(rows))
        return 0
    for name, word in sorted(EVENTS.items()):
        span = "" if word.limits is None else f"  ({word.limits[0]:g} to {word.limits[1]:g})"
        print(f"{name:24} {word.about}{span}")
    return 0
