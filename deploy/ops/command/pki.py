# SPDX-License-Identifier: Apache-2.0
"""`coldloop config pki`: certificates for units, operators and the broker."""

import argparse
import json
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops import pki
from deploy.ops.command.keygen import ask_passphrase

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
    parser.add_argument("--site", metavar="SITE", default="", help="only site of operator, reader")
    parser.add_argument("--csr", metavar="FILE", help="sign this request; its key stays elsewhere")
    parser.add_argument(
        "--no-passphrase", action="store_true", help="store the key of the authority unencrypted"
    )
    parser.add_argument("--json", action="store_true", help="print the file as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do the action and print the written file."""
    folder = Path(arguments.dir)
    if arguments.action == "create":
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        passphrase = "" if arguments.no_passphrase else ask_passphrase()
        path = pki.create(folder, arguments.name, passphrase)
    elif not folder.is_dir():
        raise OpsError(f"{folder}: no such folder; `config pki create` makes it")
    else:
        path = _change(folder, arguments)
    print(json.dumps({"file": str(path)}) if arguments.json else f"written: {path}")
    return 0


def _change(folder: Path, arguments: argparse.Namespace) -> Path:
    passphrase = ask_passphrase() if pki.is_encrypted(folder) else ""
    name, hosts = arguments.name, arguments.host
    if arguments.action == "revoke":
        return pki.revoke(folder, name, passphrase)
    if arguments.action == "rotate":
        return pki.rotate(folder, name, hosts, passphrase)
    try:
        request = None if arguments.csr is None else Path(arguments.csr).read_bytes()
    except OSError as error:
        raise OpsError(f"{arguments.csr}: {error.strerror}") from None
    return pki.issue(folder, name, arguments.role, hosts, passphrase, request, arguments.site)
