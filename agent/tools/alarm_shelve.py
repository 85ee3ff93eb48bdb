# SPDX-License-Identifier: Apache-2.0
"""`coldloop alarms shelve`: shelve an alarm for a time, list shelved alarms, take one back.

Changes only which alarms reach people; see `agent.alarms.shelving`. On a controller the file is
in the state folder of the agent; on the ground `--file` names the file of the relay.
"""

import argparse
import json
import time
from pathlib import Path

from agent.alarms.shelving import FILE, MAX_HOURS, Shelving
from agent.commands import add_status_options, read_status, state_folder
from agent.core.errors import AgentError
from agent.telemetry.status import STATUS_FILE
from agent.tools.alarm_list import all_records
from protocols.calendar import iso8601

EXAMPLE = "coldloop alarms shelve fan_trip:fan2 --hours 4 --reason 'fan on order'"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop alarms shelve`."""
    parser.add_argument("code", metavar="CODE", nargs="?", help="CODE or CODE:SOURCE; none: list")
    parser.add_argument(
        "--hours", type=float, default=1.0, metavar="H", help=f"at most {MAX_HOURS:g} (1)"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed to shelve")
    parser.add_argument("--remove", action="store_true", help="end the shelving")
    parser.add_argument("--file", metavar="FILE", help="shelved alarms of a relay")
    parser.add_argument("--unit", metavar="SITE/UNIT", help="with --file: the unit of the alarm")
    parser.add_argument("--json", action="store_true", help="print the list as a JSON array")
    add_status_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Shelve, take back or list. Return 1 if an alarm to take back is not shelved."""
    shelving, unit = _place(arguments)
    now = time.time()
    if arguments.code is None:
        _print_list(shelving, now, arguments.json)
        return 0
    if not unit:
        raise AgentError("--unit: missing; --file has the alarms of many units")
    if arguments.remove:
        return 0 if shelving.remove(unit, arguments.code, now) else 1
    _check_source(arguments.code)
    shelving.add(unit, arguments.code, arguments.hours, arguments.reason, now)
    until = iso8601(int((now + arguments.hours * 3600) * 1e6))
    print(f"{unit} {arguments.code}: shelved until {until}")
    return 0


def _place(arguments: argparse.Namespace) -> tuple[Shelving, str]:
    """Return the list and the unit of the arguments."""
    if arguments.file is not None:
        return Shelving(Path(arguments.file)), arguments.unit or ""
    folder = state_folder(arguments)
    snapshot = read_status(folder / STATUS_FILE)
    return Shelving(folder / FILE), f"{snapshot['site']}/{snapshot['unit']}"


def _check_source(code: str) -> None:
    """Raise AgentError if no alarm of a unit can have this code: its source is missing or too much.

    Nothing would be shelved, and the confirmation would be false.
    """
    name, separator, source = code.partition(":")
    record = all_records().get(name)
    if record is None:
        return
    if record.per and not source:
        raise AgentError(f"{name}: which one? {name}:{record.per.upper()}")
    if separator and not record.per:
        raise AgentError(f"{code}: no such alarm, but {name}")


def _print_list(shelving: Shelving, now: float, as_json: bool) -> None:
    alarms = shelving.alarms(now)
    if as_json:
        names = ("unit", "code", "from_s", "until_s", "reason")
        print(json.dumps([{name: getattr(alarm, name) for name in names} for alarm in alarms]))
        return
    for a in alarms:
        print(f"{a.unit}  {a.code}  until {iso8601(int(a.until_s * 1e6))}  {a.reason}")
    if not alarms:
        print("no alarm is shelved")
