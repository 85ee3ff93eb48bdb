# SPDX-License-Identifier: Apache-2.0
"""`coldloop clock report`: quality of the time at this site, and the findings of its checks."""

import argparse
import json

from agent.clock.clock_state import TRUSTED
from agent.commands import STALE_AFTER_S, add_status_options, age_s, read_status, state_folder
from agent.telemetry.status import STATUS_FILE
from agent.tools.clock.clock_text import render_report

EXAMPLE = "coldloop clock report --config /etc/coldloop/unit.json"
_PARTS = ("timekeeping", "integrity", "pps", "chrony", "receiver_setup")
_HEAD = ("site", "unit", "mono_us", "utc_us", "clock", "receiver")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop clock report`."""
    add_status_options(parser)
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the report; return 0 if the status is recent and the clock is trusted, else 1."""
    snapshot = read_status(state_folder(arguments) / STATUS_FILE)
    age = age_s(snapshot)
    if arguments.json:
        sections = {key: snapshot[key] for key in (*_HEAD, *_PARTS) if key in snapshot}
        alarms = [a for a in snapshot["alarms"] if a["code"].startswith(("time_", "gnss_"))]
        print(json.dumps({**sections, "alarms": alarms, "age_s": age}))
    else:
        print(render_report(snapshot))
        print(f"age           {age:.1f} s")
    fresh = 0 <= age <= STALE_AFTER_S
    return 0 if fresh and snapshot["clock"]["state"] in TRUSTED else 1
