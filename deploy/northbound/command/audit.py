# SPDX-License-Identifier: Apache-2.0
"""`coldloop northbound audit`: print the audit logs of the servers and check their chains."""

import argparse
import json
import sys

from deploy.northbound.access.audit import log_names, missing_before, verify
from deploy.northbound.command.serve import CONFIG
from deploy.northbound.process.settings import PROCESSES, read_settings

EXAMPLE = "coldloop northbound audit --json"
_LOGS = tuple(log for name in (*PROCESSES, "account") for log in log_names(name))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--config", metavar="FILE", default=CONFIG, help=f"({CONFIG})")
    parser.add_argument("--state", metavar="FOLDER", default="", help="folder of the logs")
    parser.add_argument("--json", action="store_true", help="print the entries as JSON lines")


def run(arguments: argparse.Namespace) -> int:
    """Print all entries; 1 if a chain is broken. A missing beginning is named, and is no fault."""
    settings = read_settings(arguments.config, arguments.state)
    broken = False
    for name in _LOGS:
        entries, faults = verify(settings.state, name)
        for entry in entries:
            print(json.dumps({"log": name, **entry}) if arguments.json else _line(name, entry))
        for fault in [*filter(None, [missing_before(entries)]), *faults]:
            print(f"{name}.log: {fault}", file=sys.stderr)
        broken = broken or bool(faults)
    return 1 if broken else 0


def _line(name: str, entry: dict[str, object]) -> str:
    count = f" x{entry['count']}" if "count" in entry else ""
    keys = ("utc", "user", "address", "protocol", "action", "target", "result")
    line = f"{name}: " + "  ".join(str(entry.get(key) or "-") for key in keys) + count
    return printable(line)


def printable(text: str) -> str:
    """Return a text whose control characters are escapes: it was written by clients."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
