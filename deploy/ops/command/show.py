"""`coldloop config show`: what a unit runs, what is on trial, what became of the last message."""

import argparse
import dataclasses
import json

from deploy.ops import arguments as common
from deploy.ops.messages import UnitReport

EXAMPLE = "coldloop config show riyadh-2/row07-cdu1 --broker tls:broker.example:8883?ca=ca.pem"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.parse_unit_name)
    common.add_broker(parser)
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show one unit's report."""
    with common.open_session(arguments) as session:
        report = common.wait_for_report(session, arguments.unit, 10)
    print(
        json.dumps(report_to_json(report))
        if arguments.json
        else report_to_text(arguments.unit, report)
    )
    return 0


def report_to_json(report: UnitReport) -> dict[str, object]:
    """Give a report as JSON."""
    fields = dataclasses.asdict(report)
    fields["base_hash"] = report.base_hash.hex()
    return fields


def report_to_text(unit: str, report: UnitReport) -> str:
    """Give a report as lines."""
    trial = "none" if report.trial is None else f"{report.trial} ({report.phase})"
    lines = [
        f"{unit}: version {report.version}, {report.base_hash.hex()[:16]}",
        f"on trial: {trial}",
        f"last:     {report.last[0]} {report.last[1]} {report.last[2]}".rstrip(),
    ]
    if report.refused:
        lines.append(f"refused:  {report.refused}, last: {': '.join(report.refusal)}")
    lines += [f"command:  {result}" for result in report.results]
    return "\n".join(lines)
