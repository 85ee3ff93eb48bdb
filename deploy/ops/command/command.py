"""`coldloop config command`: a signed command to one unit, and what came of it."""

import argparse
import json
import time
from typing import Any

from deploy.errors import OpsError
from deploy.ops import arguments as common
from deploy.ops import change_parser, messages
from deploy.ops.command.show import as_json, text
from deploy.ops.messages import Reported
from deploy.ops.mqtt_session import Session

EXAMPLE = "coldloop config command site/unit acknowledge --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.unit_name)
    parser.add_argument("command", metavar="COMMAND", help="acknowledge, restart ...")
    parser.add_argument("arguments", metavar="NAME=VALUE", nargs="*", help="its arguments")
    _add_rest(parser)


def configure_named(parser: argparse.ArgumentParser, name: str) -> None:
    """Describe the arguments of a command that has a subcommand of its own."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.unit_name)
    parser.set_defaults(command=name, arguments=[])
    _add_rest(parser)


def _add_rest(parser: argparse.ArgumentParser) -> None:
    common.add_broker(parser)
    common.add_keys(parser)
    parser.add_argument(
        "--expires", type=common.duration, default=3600, metavar="TIME", help="not done later (1h)"
    )
    parser.add_argument(
        "--answer", type=common.duration, default=60, metavar="TIME", help="wait for it (1m)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Send it; 0 when it was done, 1 when it was refused."""
    keys = common.load_keys(arguments)
    given = change_parser.parse(arguments.arguments) if arguments.arguments else []
    with common.session(arguments) as link:
        before = common.report_of(link, arguments.unit, 10)
        when = messages.Times(int(time.time()), arguments.expires)
        counter, message = messages.signed_command(
            arguments.unit, before, arguments.command, _named(given), keys, when
        )
        link.publish(f"{arguments.unit}/{common.COMMAND}", message)
        after = _answer(link, arguments.unit, before, counter, arguments.answer)
    print(json.dumps(as_json(after)) if arguments.json else text(arguments.unit, after))
    return 0 if after.counters[1] == counter and after.refused == before.refused else 1


def _named(given: list[change_parser.Change]) -> list[tuple[str, Any]]:
    return [(str(name), value) for name, value in given]


def _answer(link: Session, unit: str, before: Reported, counter: int, seconds: float) -> Reported:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for topic, payload in link.messages(0.2):
            if topic != f"{unit}/{common.REPORTED}" or not payload:
                continue
            report = messages.read(payload)
            if _told(report, counter) or report.refused > before.refused:
                return report
    raise OpsError(f"{unit}: no answer within {seconds} s; it may still come (see `config show`)")


def _told(report: Reported, counter: int) -> bool:
    """Say whether the result is there; the counter comes first, once the command is noted."""
    return any(result.startswith(f"{counter} ") for result in report.results)
