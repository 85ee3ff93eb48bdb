# SPDX-License-Identifier: Apache-2.0
"""`coldloop alarms show CODE`: cause, consequence and what to do. Needs no agent."""

import argparse
import difflib
import json

from agent.alarms.catalogue import catalogue
from agent.alarms.entry_text import entry_json, entry_text
from agent.core.errors import AgentError
from agent.tools.alarm_list import all_records

EXAMPLE = "coldloop alarms show device_lost:valve"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop alarms show`."""
    parser.add_argument("code", metavar="CODE", help="code, CODE:SOURCE or number of an alarm")
    parser.add_argument("--json", action="store_true", help="print it as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print one alarm. Raises AgentError if there is no such alarm."""
    alarm_catalogue = catalogue()
    entry = alarm_catalogue.find(arguments.code)
    if entry is None:
        code = arguments.code.partition(":")[0]
        raise AgentError(f"no alarm {code}{_hint(code, list(alarm_catalogue.entries))}")
    record = all_records().get(entry.code)
    if arguments.json:
        print(json.dumps(entry_json(entry, record)))
    else:
        print(entry_text(entry, record, arguments.code.partition(":")[2]))
    return 0


def _hint(code: str, codes: list[str]) -> str:
    close = difflib.get_close_matches(code, codes, 1)
    return f" (did you mean {close[0]}?)" if close else "; `coldloop alarms list` has all"
