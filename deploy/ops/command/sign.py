# SPDX-License-Identifier: Apache-2.0
"""`coldloop config sign`: write a signed change to a file, for a carrier without a broker.

The report of the unit (output of `config show --json`) gives the base of the change.
"""

import argparse
import json
import sys
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops import change_parser, messages
from deploy.ops.arguments import (
    add_keys,
    add_times,
    add_unit,
    load_keys,
    message_times,
    open_ledger,
)
from deploy.ops.private_file import write_private
from deploy.ops.report.unit_report import UnitReport, parse_report

EXAMPLE = (
    "coldloop config sign site/unit control.supply.setpoint_c=32.5 --report report.json "
    "--key alice.key --out patch.cbor"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_unit(parser)
    parser.add_argument("changes", metavar="PATH=VALUE", nargs="+", help="the changes")
    parser.add_argument("--report", metavar="FILE", required=True, help="output of `show --json`")
    add_keys(parser)
    add_times(parser)
    parser.add_argument("--out", metavar="FILE", required=True, help="file for the message")
    parser.add_argument(
        "--json", action="store_true", help="print file, length and counter as JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    """Sign the change and print the length of the message."""
    requested = change_parser.parse(arguments.changes)
    base = _read_report(Path(arguments.report))
    keys = load_keys(arguments)
    counter, message = messages.sign_patch(
        arguments.unit, base, requested, keys, message_times(arguments), open_ledger()
    )
    write_private(Path(arguments.out), message)
    if arguments.json:
        print(json.dumps({"file": arguments.out, "bytes": len(message), "counter": counter}))
    else:
        sys.stdout.write(f"{arguments.out}: {len(message)} bytes, counter {counter}\n")
    return 0


def _read_report(path: Path) -> UnitReport:
    try:
        raw = json.loads(path.read_text())
        raw["hash"] = raw.pop("base_hash")
        return parse_report(json.dumps(raw).encode())
    except (OSError, ValueError, KeyError, AttributeError):
        raise OpsError(f"{path}: not a report; make one with `config show --json`") from None
