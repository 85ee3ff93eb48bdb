# SPDX-License-Identifier: Apache-2.0
"""`coldloop config show`: configuration, trial and last result of a unit."""

import argparse
import dataclasses
import json

from deploy.ops.arguments import add_broker, add_unit, open_session, wait_for_report
from deploy.ops.report.unit_report import UnitReport
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop config show riyadh-2/row07-cdu1 --broker tls:broker.example:8883?ca=ca.pem"

_KEYS = {"config_hash": "base_hash", "last_refusal": "refusal", "refused_count": "refused"}
"""Keys of the JSON record that differ from the names of the fields."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_unit(parser)
    add_broker(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report of one unit."""
    with open_session(arguments) as session:
        report = wait_for_report(session, arguments.unit, 10)
    print(
        json.dumps(report_to_json(report))
        if arguments.json
        else report_to_text(arguments.unit, report)
    )
    return 0


def report_to_json(report: UnitReport) -> dict[str, object]:
    """Return a report as JSON."""
    fields = {_KEYS.get(name, name): v for name, v in dataclasses.asdict(report).items()}
    fields["base_hash"] = report.config_hash.hex()
    return fields


def report_to_text(unit: str, report: UnitReport) -> str:
    """Return a report as lines."""
    trial = "none" if report.trial is None else f"{report.trial} ({report.phase})"
    last = report.last
    lines = [
        f"{unit}: version {report.version}, {report.config_hash.hex()[:16]}",
        f"on trial: {trial}",
        f"last:     {last.counter} {last.result} {last.reason}".rstrip(),
    ]
    if not report.signed:
        lines.append("report:   not signed: no unit is enrolled (`config unit`)")
    if report.refused_count:
        reason = ": ".join(report.last_refusal)
        lines.append(f"refused:  {report.refused_count}, last: {reason}")
    if report.scheduled is not None:
        lines.append(f"scheduled: {report.scheduled}")
    lines += [f"command:  {result}" for result in report.results]
    return "\n".join(map(printable, lines))
