# SPDX-License-Identifier: Apache-2.0
"""Arguments, units, keys and reports that the subcommands of `coldloop config` share."""

import argparse
import getpass
import os
import sys
import time
from pathlib import Path

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops import external_signer, keys, ledger, messages
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.enrolled import EnrolledUnits
from deploy.ops.report.unit_report import UnitReport
from drivers.tools.lib.parser import Parser

REPORTED = "cfg/reported"
DESIRED, COMMAND = "cfg/desired", "cmd"
PASSPHRASE = "COLDLOOP_PASSPHRASE"  # noqa: S105 - the name of a variable
_NEXT_REPORT_S = 1.0
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Add SITE/UNIT."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=parse_unit_name)


def add_time(parser: argparse.ArgumentParser, name: str, default: int, text: str) -> None:
    """Add an option with a duration; `default` in seconds."""
    parser.add_argument(name, type=parse_duration, default=default, metavar="TIME", help=text)


def add_broker(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add the options of the connection to the broker."""
    parser.add_argument(
        "--broker",
        metavar="ADDRESS",
        required=required,
        help="tcp:HOST:PORT or tls:HOST:PORT?ca=FILE&cert=FILE&key=FILE",
    )
    parser.add_argument("--username", metavar="NAME", help="user name at the broker")
    parser.add_argument("--password-file", metavar="FILE", help="file that holds the password")


def add_keys(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --key and --signer."""
    parser.add_argument(
        "--key",
        metavar="FILE",
        action="append",
        required=required,
        help=f"private key made by `config keygen`; two for limits and structure "
        f"(passphrase from the terminal or {PASSPHRASE}); NAME.json with --signer",
    )
    parser.add_argument(
        "--signer",
        metavar="COMMAND",
        help="program that signs for each --key NAME.json (a token, an agent): text on stdin, "
        "signature on stdout",
    )


def add_times(parser: argparse.ArgumentParser) -> None:
    """Add --confirm, --expires and --after."""
    add_time(
        parser,
        "--confirm",
        messages.CONFIRM_S,
        "time limit for the confirmation, at least twice the longest link outage "
        f"({messages.CONFIRM_S // 3600}h)",
    )
    limit = f"time limit for the reception ({messages.EXPIRES_S // 3600}h)"
    add_time(parser, "--expires", messages.EXPIRES_S, limit)
    add_time(parser, "--after", 0, "time until it is applied (immediately)")


def parse_duration(text: str) -> int:
    """Return the seconds of a text such as 90s, 30m, 12h or 2d."""
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _SECONDS or int(number) > 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 90s, 30m, 12h or 2d")
    return int(number) * _SECONDS[unit]


def message_times(arguments: argparse.Namespace) -> messages.MessageTimes:
    """Return the times of a message that is signed now."""
    now = int(time.time())
    after = now + arguments.after if arguments.after else 0
    return messages.MessageTimes(now, arguments.expires + arguments.after, arguments.confirm, after)


def parse_unit_name(text: str) -> str:
    """Return the text if it is SITE/UNIT, with names as in a configuration."""
    parts = text.split("/")
    if len(parts) != 2 or not all(map(is_valid_name, parts)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a unit; write SITE/UNIT")
    return text


def open_session(arguments: argparse.Namespace) -> BrokerSession:
    """Connect to the broker. Raises `OpsError`."""
    password = None
    if arguments.password_file is not None:
        try:
            password = Path(arguments.password_file).read_text().strip()
        except OSError as error:
            raise OpsError(f"{arguments.password_file}: {error.strerror}") from None
    return BrokerSession(arguments.broker, arguments.username, password)


def load_keys(arguments: argparse.Namespace) -> list[keys.Key]:
    """Read the keys; ask for the passphrase of each locked key. Raises `OpsError`."""
    return [
        external_signer.load(Path(path), arguments.signer)
        if path.endswith(".json")
        else _load_key(Path(path))
        for path in arguments.key
    ]


def _load_key(path: Path) -> keys.Key:
    passphrase = os.environ.get(PASSPHRASE, "")
    if not passphrase and path.exists() and b"ENCRYPTED" in path.read_bytes():
        if not sys.stdin.isatty():
            raise OpsError(f"{path}: needs a passphrase; set {PASSPHRASE} or use a terminal")
        passphrase = getpass.getpass(f"passphrase of {path}: ")
    elif path.exists() and b"ENCRYPTED" not in path.read_bytes():
        passphrase = ""
    return keys.load(path, passphrase)


def open_ledger() -> ledger.Ledger:
    """Open the ledger of this user. Raises `OpsError`."""
    return ledger.Ledger(ledger.default_path())


def open_enrolled(keep_damaged: bool = False) -> EnrolledUnits:
    """Open the enrolled units of this user, beside the ledger. Raises `OpsError`."""
    return EnrolledUnits(ledger.default_path().parent / "units", keep_damaged)


def wait_for_report(session: BrokerSession, unit: str, seconds: float) -> UnitReport:
    """Wait for the retained report of `unit`. Raises `OpsError`: none, or it is not accepted."""
    enrolled = open_enrolled()
    session.subscribe(f"{unit}/{REPORTED}")
    end = time.monotonic() + seconds
    fault: OpsError | None = None
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic == f"{unit}/{REPORTED}" and payload:
                try:
                    return enrolled.read(unit, payload)
                except OpsError as error:  # of another sender, or the next one is better
                    fault = error
                    end = min(end, time.monotonic() + _NEXT_REPORT_S)
    if fault is not None:
        raise OpsError(f"{unit}: {fault}")
    raise OpsError(
        f"{unit}: no report; check the name, and the section remote of its configuration"
    )


__all__ = ["Parser"]
