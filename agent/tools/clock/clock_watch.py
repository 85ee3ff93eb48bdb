# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock watch`: the clock of the running agent, one line for each new status."""

import argparse
import json
import time
from typing import Any

from agent.commands import add_status_options, read_status, state_folder
from agent.telemetry.status import STATUS_FILE
from agent.tools.clock.clock_text import evidence_lines, status_line

EXAMPLE = "coldloop clock watch --config /etc/coldloop/unit.json --seconds 60"
_POLL_S = 0.2


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop clock watch`."""
    add_status_options(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object for each change")
    parser.add_argument("--seconds", type=float, metavar="N", help="end after N seconds")


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGINT or `--seconds`; return 1 without a new status of the agent, else 0."""
    path = state_folder(arguments) / STATUS_FILE
    end = None if arguments.seconds is None else time.monotonic() + arguments.seconds
    last = read_status(path)["mono_us"] if end is not None else None
    printed: list[tuple[str, int]] = []
    lines = 0
    while end is None or time.monotonic() < end:
        snapshot = read_status(path)
        if snapshot["mono_us"] != last:
            last = snapshot["mono_us"]
            lines += 1
            if arguments.json:
                print(json.dumps({"utc_us": snapshot["utc_us"], **snapshot["clock"]}), flush=True)
            else:
                printed = _print_new(snapshot, printed)
        time.sleep(_POLL_S)
    return 0 if lines else 1


def _print_new(
    snapshot: "dict[str, Any]", printed: "list[tuple[str, int]]"
) -> "list[tuple[str, int]]":
    """Print the line and new findings; return the keys of all findings."""
    print(status_line(snapshot), flush=True)
    known = [(item["check"], item["since_us"]) for item in snapshot["clock"]["evidence"]]
    for key, text in zip(known, evidence_lines(snapshot), strict=True):
        if key not in printed:
            print("  " + text, flush=True)
    return known
