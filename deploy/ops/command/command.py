"""`coldloop config command`: a signed command to one unit, and what came of it."""

import argparse
import json
import time
from typing import Any

from deploy.errors import OpsError
from deploy.ops import arguments as common
from deploy.ops import change_parser, messages
from deploy.ops.command.show import report_to_json, report_to_text
from deploy.ops.messages import UnitReport
from deploy.ops.mqtt_session import BrokerSession

EXAMPLE = "coldloop config command site/unit acknowledge --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.parse_unit_name)
    parser.add_argument("command", metavar="COMMAND", help="acknowledge, restart ...")
    parser.add_argument("arguments", metavar="NAME=VALUE", nargs="*", help="its arguments")
    _add_options(parser)


def configure_named(parser: argparse.ArgumentParser, name: str) -> None:
    """Describe the arguments of a command that has a subcommand of its own."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.parse_unit_name)
    parser.set_defaults(command=name, arguments=[])
    _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    common.add_broker(parser)
    common.add_keys(parser)
    parser.add_argument(
        "--expires",
        type=common.parse_duration,
        default=3600,
        metavar="TIME",
        help="not done later (1h)",
    )
    parser.add_argument(
        "--answer", type=common.parse_duration, default=60, metavar="TIME", help="wait for it (1m)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Send it; 0 when it was done, 1 when it was refused."""
    keys = common.load_keys(arguments)
    command_arguments = change_parser.parse(arguments.arguments) if arguments.arguments else []
    with common.open_session(arguments) as session:
        before = common.wait_for_report(session, arguments.unit, 10)
        times = messages.MessageTimes(int(time.time()), arguments.expires)
        counter, message = messages.sign_command(
            arguments.unit,
            before,
            arguments.command,
            _with_text_names(command_arguments),
            keys,
            times,
        )
        session.publish(f"{arguments.unit}/{common.COMMAND}", message)
        after = _wait_for_result(session, arguments.unit, before, counter, arguments.answer)
    print(
        json.dumps(report_to_json(after))
        if arguments.json
        else report_to_text(arguments.unit, after)
    )
    return 0 if after.counters[1] == counter and after.refused == before.refused else 1


def _with_text_names(command_arguments: list[change_parser.Change]) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in command_arguments]


def _wait_for_result(
    session: BrokerSession, unit: str, before: UnitReport, counter: int, seconds: float
) -> UnitReport:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic != f"{unit}/{common.REPORTED}" or not payload:
                continue
            report = messages.parse_report(payload)
            if _is_result_of(report, counter) or report.refused > before.refused:
                return report
    raise OpsError(f"{unit}: no answer within {seconds} s; it may still come (see `config show`)")


def _is_result_of(report: UnitReport, counter: int) -> bool:
    """Say whether the result is there; the counter comes first, once the command is noted."""
    return any(result.startswith(f"{counter} ") for result in report.results)
