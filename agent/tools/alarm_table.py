# SPDX-License-Identifier: Apache-2.0
"""`coldloop alarms list`: number, priority and meaning of each alarm code. Needs no agent."""

import argparse
import json
import sys

from agent.alarms.catalogue import PRIORITIES, catalogue
from agent.alarms.entry_text import entry_json
from agent.tools.alarm_list import all_records

EXAMPLE = "coldloop alarms list --priority 1"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop alarms list`."""
    parser.add_argument("--json", action="store_true", help="print a JSON array")
    parser.add_argument(
        "--priority", type=int, choices=tuple(PRIORITIES), metavar="N", help="only this priority"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the alarms that this version raises, by number."""
    records = all_records()
    entries = [
        entry
        for entry in sorted(catalogue().entries.values(), key=lambda entry: entry.number)
        if entry.code in records and arguments.priority in (None, entry.priority)
    ]
    if arguments.json:
        print(json.dumps([entry_json(entry, records[entry.code]) for entry in entries]))
        return 0
    for entry in entries:
        record = records[entry.code]
        code = entry.code + (":" + record.per.upper() if record.per else "")
        sys.stdout.write(f"{entry.number}  P{entry.priority}  {code:<26}{entry.means}\n")
    return 0
