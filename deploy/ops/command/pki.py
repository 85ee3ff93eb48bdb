# SPDX-License-Identifier: Apache-2.0
"""`coldloop config pki`: certificates for units, operators and the broker."""

import argparse
import json
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops import pki

EXAMPLE = "coldloop config pki issue --dir pki riyadh-2.row07-cdu1 --role unit"
ACTIONS = ("create", "issue", "revoke", "rotate")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=ACTIONS, help="create the authority first")
    parser.add_argument("name", metavar="NAME", help="organisation, SITE.UNIT, broker, operator")
    parser.add_argument("--dir", metavar="FOLDER", default="pki", help="folder of the files (pki)")
    parser.add_argument(
        "--role", choices=pki.ROLES, default="unit", help="role of the certificate (unit)"
    )
    parser.add_argument(
        "--host", metavar="HOST", action="append", default=[], help="host name of a broker"
    )
    parser.add_argument("--json", action="store_true", help="print the file as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do the action and print the written file."""
    folder = Path(arguments.dir)
    if arguments.action == "create":
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = pki.create(folder, arguments.name)
    elif not folder.is_dir():
        raise OpsError(f"{folder}: no such folder; `config pki create` makes it")
    elif arguments.action == "issue":
        path = pki.issue(folder, arguments.name, arguments.role, arguments.host)
    elif arguments.action == "revoke":
        path = pki.revoke(folder, arguments.name)
    else:
        path = pki.rotate(folder, arguments.name, arguments.host)
    print(json.dumps({"file": str(path)}) if arguments.json else f"written: {path}")
    return 0
