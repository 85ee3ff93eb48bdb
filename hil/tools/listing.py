"""`coldloop hil list`: the scenarios and suites that come with the bench."""

import argparse
import json

from hil.faults import EVENTS
from hil.scenario import find, shipped
from hil.suite import load, suites

EXAMPLE = "coldloop hil list --faults"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--faults", action="store_true", help="the words for events and faults")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Print the list."""
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


def _faults(as_json: bool) -> int:
    if as_json:
        rows = [{"name": n, "about": w.about, "limits": w.limits} for n, w in EVENTS.items()]
        print(json.dumps(rows))
        return 0
    for name, word in sorted(EVENTS.items()):
        span = "" if word.limits is None else f"  ({word.limits[0]:g} to {word.limits[1]:g})"
        print(f"{name:24} {word.about}{span}")
    return 0
