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
from deploy.ops.command.history import asked
from deploy.ops.messages import Reported
from deploy.ops.mqtt_session import Session

EXAMPLE = (
    "coldloop config decommission site/unit --out site-unit.log.json --broker tcp:broker:1883 "
    "--key alice.key --key bob.key"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.add_argument("unit", metavar="SITE/UNIT", type=common.unit_name)
    parser.add_argument("--out", metavar="FILE", required=True, help="where its log goes")
    parser.add_argument("--yes", action="store_true", help="do not ask for the unit's name")
    common.add_broker(parser)
    common.add_keys(parser)
    parser.add_argument(
        "--answer", type=common.duration, default=120, metavar="TIME", help="wait for it (2m)"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Fetch, tell, wait for the last report; 0 when the unit has ended."""
    out = Path(arguments.out)
    if out.exists():
        raise OpsError(f"{out}: there already; a log is never overwritten")
    _sure(arguments)
    found = asked(arguments)
    if found.faults:
        raise OpsError(f"{arguments.unit}: its log does not hold: {found.faults[0]}")
    _write(out, {"unit": arguments.unit, "entries": found.entries, "head": found.head})
    last = _told(arguments)
    end = {"unit": arguments.unit, "last": list(last.audit)}
    _write(out, {**json.loads(out.read_text()), **end})
    name = arguments.unit.replace("/", ".")
    if arguments.json:
        print(json.dumps({**end, "file": str(out)}))
    else:
        print(
            f"{arguments.unit}: has ended; its log is in {out}, last entry {last.audit[0]}\n"
            f"now: coldloop config pki revoke {name}"
        )
    return 0


def _sure(arguments: argparse.Namespace) -> None:
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


def _told(arguments: argparse.Namespace) -> Reported:
    unit, keys = arguments.unit, common.load_keys(arguments)
    time.sleep(1.1)  # a message's counter is the second of its signing; the log took one
    with common.session(arguments) as link:
        before = common.report_of(link, unit, 10)
        when = messages.Times(int(time.time()), 3600)
        message = messages.signed_command(unit, before, "decommission", [], keys, when)[1]
        link.publish(f"{unit}/{common.COMMAND}", message)
        last = _last_report(link, unit, before, arguments.answer)
        link.publish(f"{unit}/{common.DESIRED}", b"", True)
    return last


def _last_report(link: Session, unit: str, before: Reported, seconds: float) -> Reported:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for topic, payload in link.messages(0.2):
            if topic != f"{unit}/{common.REPORTED}" or not payload:
                continue
            report = messages.read(payload)
            if report.decommissioned:
                return report
            if report.refused > before.refused:
                raise OpsError(f"{unit}: refused: {': '.join(report.refusal)}")
    raise OpsError(f"{unit}: no last report within {seconds} s; see `config show`")
