# SPDX-License-Identifier: Apache-2.0
"""`coldloop config watch`: print a line for each change in the reports of units, until Ctrl-C."""

import argparse
import fnmatch
import json
import sys
import time

from deploy.errors import OpsError
from deploy.ops.arguments import (
    REPORTED,
    add_broker,
    open_enrolled,
    open_session,
    parse_duration,
)
from deploy.ops.command.show import report_to_json
from deploy.ops.report.enrolled import EnrolledUnits
from deploy.ops.report.unit_report import UnitReport
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop config watch 'riyadh-2/*' --broker tls:broker.example:8883?ca=ca.pem"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("units", metavar="SITE/UNIT", help="a unit, or a pattern such as 'site/*'")
    add_broker(parser)
    parser.add_argument(
        "--for",
        dest="seconds",
        type=parse_duration,
        default=0,
        metavar="TIME",
        help="duration (until Ctrl-C)",
    )
    parser.add_argument("--json", action="store_true", help="print each report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the reports."""
    end = time.monotonic() + arguments.seconds if arguments.seconds else None
    last: dict[str, str] = {}
    enrolled = open_enrolled()
    with open_session(arguments) as session:
        session.subscribe(f"+/+/{REPORTED}")
        while end is None or time.monotonic() < end:
            for topic, payload in session.messages(0.2):
                name = topic.removesuffix(f"/{REPORTED}")
                if payload and fnmatch.fnmatchcase(name, arguments.units):
                    _print_report(enrolled, name, payload, last, arguments.json)
    return 0


def _print_report(
    enrolled: EnrolledUnits, name: str, payload: bytes, last: dict[str, str], as_json: bool
) -> None:
    try:
        report = enrolled.read(name, payload)
    except OpsError as error:
        if last.get(name) != str(error):
            last[name] = str(error)
            print(printable(f"{name}  {error}"), file=sys.stderr, flush=True)
        return
    _print_change(name, report, last, as_json)


def _print_change(
    name: str, report: UnitReport, last: dict[str, str], as_json_record: bool
) -> None:
    line = _format_report(report)
    if last.get(name) == line:
        return
    last[name] = line
    text = (
        json.dumps({"unit": name, **report_to_json(report)})
        if as_json_record
        else printable(f"{name}  {line}")
    )
    print(text, flush=True)


def _format_report(report: UnitReport) -> str:
    trial = "" if report.trial is None else f", {report.trial} on trial ({report.phase})"
    update = report.update
    fetched = f", update {update[2]} of {update[3]}" if update and update[4] == "fetching" else ""
    refused = (
        f", {report.refused_count} refused: {report.last_refusal[0]}"
        if report.refused_count
        else ""
    )
    last = " ".join(map(str, report.last)).rstrip()
    return f"version {report.version}{trial}{fetched}, last {last}{refused}"
