# SPDX-License-Identifier: Apache-2.0
"""`coldloop config decommission`: a unit erases its data and ends. This is not reversible.

First the command fetches the log of the unit, checks it and writes it to a file. Then it sends the
command with two signatures. The final report of the unit names the last entry of the log; the
command adds it to the file. At the end it removes the retained messages of the unit from the
broker, except the final report.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from deploy.errors import LocalError, OpsError
from deploy.ops import messages
from deploy.ops.arguments import (
    COMMAND,
    DESIRED,
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
from deploy.ops.command.history import fetch_history
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.unit_report import UnitReport
from drivers.ports.cpython.whole_file import replace_file

EXAMPLE = (
    "coldloop config decommission site/unit --out site-unit.log.json --broker tcp:broker:1883 "
    "--key alice.key --key bob.key"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_unit(parser)
    parser.add_argument("--out", metavar="FILE", required=True, help="file for the log of the unit")
    parser.add_argument("--yes", action="store_true", help="do not ask for the name of the unit")
    add_broker(parser)
    add_keys(parser)
    add_time(parser, "--answer", 120, "wait so long (2m)")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Fetch the log, send the command, wait for the final report; return 0 if it came."""
    out = Path(arguments.out)
    if out.exists():
        raise OpsError(f"{out}: exists; the command never overwrites a log")
    _ask_confirmation(arguments)
    history = fetch_history(arguments)
    if history.faults:
        raise OpsError(
            f"{arguments.unit}: the hash chain of its log is not valid: {history.faults[0]}"
        )
    _write(out, {"unit": arguments.unit, "entries": history.entries, "head": history.head})
    final_report = _send_decommission(arguments)
    outcome = {"unit": arguments.unit, "last": list(final_report.audit)}
    _write(out, {**json.loads(out.read_text()), **outcome})
    name = arguments.unit.replace("/", ".")
    if arguments.json:
        print(json.dumps({**outcome, "file": str(out)}))
    else:
        print(
            f"{arguments.unit}: has ended; {out} holds its log, last entry "
            f"{final_report.audit[0]}\nnow: coldloop config pki revoke {name}"
        )
    return 0


def _ask_confirmation(arguments: argparse.Namespace) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise OpsError("no terminal for the confirmation; use --yes")
    if input(f"{arguments.unit} will erase its data; type its name: ") != arguments.unit:
        raise OpsError("another name; nothing was done")


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        replace_file(path, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}; use a file that you can write") from None


def _send_decommission(arguments: argparse.Namespace) -> UnitReport:
    unit, keys = arguments.unit, load_keys(arguments)
    # the counter of a message is the second of its signature; fetching the log used one
    time.sleep(1.1)
    with open_session(arguments) as session:
        before = wait_for_report(session, unit, 10)
        times = messages.MessageTimes(int(time.time()), 3600)
        message = messages.sign_command(
            unit, before, "decommission", [], keys, times, open_ledger()
        )[1]
        session.publish(f"{unit}/{COMMAND}", message)
        final_report = _wait_final_report(session, unit, before, arguments.answer)
        session.publish(f"{unit}/{DESIRED}", b"", True)
    return final_report


def _wait_final_report(
    session: BrokerSession, unit: str, before: UnitReport, seconds: float
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
                continue  # of another sender; the unit repeats its own
            if report.decommissioned:
                return report
            if report.refused_count > before.refused_count:
                raise OpsError(f"{unit}: rejected: {': '.join(report.last_refusal)}")
    raise OpsError(f"{unit}: no final report within {seconds} s; see `config show`")
