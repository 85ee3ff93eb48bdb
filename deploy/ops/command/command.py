# SPDX-License-Identifier: Apache-2.0
"""`coldloop config command`: send a signed command to a unit and show its result."""

import argparse
import json
import time
from typing import Any

from deploy.errors import OpsError
from deploy.ops import change_parser, messages
from deploy.ops.arguments import (
    COMMAND,
    REPORTED,
    add_broker,
    add_keys,
    add_time,
    add_unit,
    load_keys,
    open_session,
    wait_for_report,
)
from deploy.ops.command.show import report_to_json, report_to_text
from deploy.ops.messages import UnitReport
from deploy.ops.mqtt_session import BrokerSession

EXAMPLE = "coldloop config command site/unit acknowledge --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_unit(parser)
    parser.add_argument("command", metavar="COMMAND", help="acknowledge, restart ...")
    parser.add_argument(
        "arguments", metavar="NAME=VALUE", nargs="*", help="arguments of the command"
    )
    _add_options(parser)


def configure_named(parser: argparse.ArgumentParser, name: str) -> None:
    """Add the arguments of a command that has its own subcommand."""
    add_unit(parser)
    parser.set_defaults(command=name, arguments=[])
    _add_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_broker(parser)
    add_keys(parser)
    add_time(parser, "--expires", 3600, "time limit for its execution (1h)")
    add_time(parser, "--answer", 60, "wait so long (1m)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Send the command; return 0 if the unit did it, 1 if the unit rejected it."""
    keys = load_keys(arguments)
    command_arguments = change_parser.parse(arguments.arguments) if arguments.arguments else []
    with open_session(arguments) as session:
        before = wait_for_report(session, arguments.unit, 10)
        times = messages.MessageTimes(int(time.time()), arguments.expires)
        counter, message = messages.sign_command(
            arguments.unit,
            before,
            arguments.command,
            _with_text_names(command_arguments),
            keys,
            times,
        )
        session.publish(f"{arguments.unit}/{COMMAND}", message)
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
            if topic != f"{unit}/{REPORTED}" or not payload:
                continue
            report = messages.parse_report(payload)
            if _is_result_of(report, counter) or report.refused > before.refused:
                return report
    raise OpsError(f"{unit}: no result within {seconds} s; it can come later (see `config show`)")


def _is_result_of(report: UnitReport, counter: int) -> bool:
    """Return whether the report has the result. A result starts with the counter of the command."""
    return any(result.startswith(f"{counter} ") for result in report.results)
