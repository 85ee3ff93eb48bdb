# SPDX-License-Identifier: Apache-2.0
"""`coldloop config command`: send a signed command to a unit and show its result."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from agent.remote.message.reject import REJECT_REASONS
from deploy.errors import LocalError, OpsError
from deploy.ops import change_parser, messages
from deploy.ops.arguments import (
    COMMAND,
    REPORTED,
    add_broker,
    add_keys,
    add_time,
    add_unit,
    load_keys,
    open_enrolled,
    open_ledger,
    open_session,
    wait_for_report,
)
from deploy.ops.command.show import report_to_json, report_to_text
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.private_file import write_private
from deploy.ops.report.unit_report import UnitReport
from protocols.signed_message import COMMAND as COMMAND_KIND

EXAMPLE = "coldloop config command site/unit acknowledge --broker tcp:broker:1883 --key alice.key"

_ABOUT_A_CHANGE = ("confirm", "rollback", "cancel")


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
    parser.add_argument(
        "--out", metavar="FILE", help="write the message to FILE and do not send it (Sparkplug)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Send the command; return 0 if the unit did it, 1 if the unit rejected it."""
    keys, ledger = load_keys(arguments), open_ledger()
    command_arguments = change_parser.parse(arguments.arguments) if arguments.arguments else []
    with open_session(arguments) as session:
        before = wait_for_report(session, arguments.unit, 10)
        if not command_arguments:
            command_arguments = _named_change(arguments.command, arguments.unit, before)
        times = messages.MessageTimes(int(time.time()), arguments.expires)
        counter, message = messages.sign_command(
            arguments.unit,
            before,
            arguments.command,
            _with_text_names(command_arguments),
            keys,
            times,
            ledger,
        )
        if arguments.out is not None:
            write_private(Path(arguments.out), message)
            sys.stdout.write(f"{arguments.out}: {len(message)} bytes, counter {counter}\n")
            return 0
        session.publish(f"{arguments.unit}/{COMMAND}", message)
        after = _wait_for_answer(session, arguments.unit, before, counter, arguments.answer)
    print(
        json.dumps(report_to_json(after))
        if arguments.json
        else report_to_text(arguments.unit, after)
    )
    return 0 if is_done(after, counter, arguments.command) else 1


def _named_change(name: str, unit: str, before: UnitReport) -> list[change_parser.Change]:
    """Return the counter of the change that a command is about, as its argument."""
    if name not in _ABOUT_A_CHANGE:
        return []
    counter = before.scheduled if name == "cancel" else before.on_trial()
    if name == "rollback" and counter is None:
        counter = before.scheduled
    if counter is None:
        raise OpsError(f"{unit}: nothing to {name}: no change is on trial or scheduled")
    return [("counter", counter)]


def is_done(report: UnitReport, counter: int, name: str) -> bool:
    """Return whether the unit has done the command `name` with this counter."""
    start = f"{counter} {name}: "
    texts = [result.removeprefix(start) for result in report.results if result.startswith(start)]
    return bool(texts) and texts[-1].partition(":")[0] not in REJECT_REASONS


def _with_text_names(command_arguments: list[change_parser.Change]) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in command_arguments]


def _wait_for_answer(
    session: BrokerSession, unit: str, before: UnitReport, counter: int, seconds: float
) -> UnitReport:
    enrolled = open_enrolled()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic != f"{unit}/{REPORTED}" or not payload:
                continue
            try:
                report = enrolled.read(unit, payload)
            except LocalError:
                raise
            except OpsError:
                continue  # the next one can be complete
            if is_answer(report, before, counter):
                return report
    raise OpsError(f"{unit}: no result within {seconds} s; it can come later (see `config show`)")


def is_answer(report: UnitReport, before: UnitReport, counter: int) -> bool:
    """Return whether the report has the result of the command, or its rejection.

    A result starts with the counter of the command. A rejection names its message; that of an older
    unit does not, so a higher number of rejections counts there.
    """
    if any(result.startswith(f"{counter} ") for result in report.results):
        return True
    if report.refused_message is None:
        return report.refused_count > before.refused_count
    return report.refused_message == (COMMAND_KIND, counter)
