"""`coldloop config decommission`: a unit erases what it holds, and ends. There is no way back.

First its log is fetched, checked and written to a file; then the unit is told, by two signatures.
Its last report names the log's last entry, which goes into the file, too. What is retained for the
unit at the broker is taken away, but for that report.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.ops import arguments as common
from deploy.ops import messages
from deploy.ops.command.history import fetch_history
from deploy.ops.messages import UnitReport
from deploy.ops.mqtt_session import BrokerSession

EXAMPLE = (
    "coldloop config decommission site/unit --out site-unit.log.json --broker tcp:broker:1883 "
    "--key alice.key --key bob.key"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.parse_unit_name)
    parser.add_argument("--out", metavar="FILE", required=True, help="where its log goes")
    parser.add_argument("--yes", action="store_true", help="do not ask for the unit's name")
    common.add_broker(parser)
    common.add_keys(parser)
    parser.add_argument(
        "--answer", type=common.parse_duration, default=120, metavar="TIME", help="wait for it (2m)"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Fetch, tell, wait for the last report; 0 when the unit has ended."""
    out = Path(arguments.out)
    if out.exists():
        raise OpsError(f"{out}: there already; a log is never overwritten")
    _ask_confirmation(arguments)
    history = fetch_history(arguments)
    if history.faults:
        raise OpsError(f"{arguments.unit}: its log does not hold: {history.faults[0]}")
    _write(out, {"unit": arguments.unit, "entries": history.entries, "head": history.head})
    final_report = _send_decommission(arguments)
    outcome = {"unit": arguments.unit, "last": list(final_report.audit)}
    _write(out, {**json.loads(out.read_text()), **outcome})
    name = arguments.unit.replace("/", ".")
    if arguments.json:
        print(json.dumps({**outcome, "file": str(out)}))
    else:
        print(
            f"{arguments.unit}: has ended; its log is in {out}, last entry {final_report.audit[0]}\n"
            f"now: coldloop config pki revoke {name}"
        )
    return 0


def _ask_confirmation(arguments: argparse.Namespace) -> None:
    if arguments.yes:
        return
    if not sys.stdin.isatty():
        raise OpsError("no terminal to ask whether that is meant; say --yes")
    if input(f"{arguments.unit} will erase itself; type its name: ") != arguments.unit:
        raise OpsError("not its name; nothing was done")


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}; name a file you may write") from None


def _send_decommission(arguments: argparse.Namespace) -> UnitReport:
    unit, keys = arguments.unit, common.load_keys(arguments)
    time.sleep(1.1)  # a message's counter is the second of its signing; the log took one
    with common.open_session(arguments) as session:
        before = common.wait_for_report(session, unit, 10)
        times = messages.MessageTimes(int(time.time()), 3600)
        message = messages.sign_command(unit, before, "decommission", [], keys, times)[1]
        session.publish(f"{unit}/{common.COMMAND}", message)
        final_report = _wait_final_report(session, unit, before, arguments.answer)
        session.publish(f"{unit}/{common.DESIRED}", b"", True)
    return final_report


def _wait_final_report(
    session: BrokerSession, unit: str, before: UnitReport, seconds: float
) -> UnitReport:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic != f"{unit}/{common.REPORTED}" or not payload:
                continue
            report = messages.parse_report(payload)
            if report.decommissioned:
                return report
            if report.refused > before.refused:
                raise OpsError(f"{unit}: refused: {': '.join(report.refusal)}")
    raise OpsError(f"{unit}: no last report within {seconds} s; see `config show`")
