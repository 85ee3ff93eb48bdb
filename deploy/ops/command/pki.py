# SPDX-License-Identifier: Apache-2.0
"""`coldloop config pki`: certificates for units, operators and the broker."""

import argparse
import json
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops.command.keygen import ask_passphrase
from deploy.ops.pki import authority as pki
from deploy.ops.pki import est
from deploy.ops.pki.certificates import Rights

EXAMPLE = "coldloop config pki issue --dir pki riyadh-2.row07-cdu1 --role unit"
ACTIONS = ("root", "create", "renew", "issue", "invite", "serve", "revoke", "rotate")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=ACTIONS, help="create the authority first")
    parser.add_argument("name", metavar="NAME", help="organisation, SITE.UNIT, broker, operator")
    parser.add_argument("--dir", metavar="FOLDER", default="pki", help="folder of the files (pki)")
    parser.add_argument(
        "--role", choices=pki.ROLES, help="role of the certificate (unit; rotate: as before)"
    )
    parser.add_argument(
        "--host", metavar="HOST", action="append", default=[], help="host name of a broker"
    )
    parser.add_argument("--site", metavar="SITE", default="", help="only site of operator, reader")
    parser.add_argument("--csr", metavar="FILE", help="sign this request; its key stays elsewhere")
    parser.add_argument(
        "--no-passphrase", action="store_true", help="store the key of the authority unencrypted"
    )
    parser.add_argument(
        "--root", metavar="FOLDER", help="with create, renew: the root signs the authority"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8085", help="with serve (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the file as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do the action and print the written file."""
    folder = Path(arguments.dir)
    if arguments.action in ("root", "create"):
        path = _create(folder, arguments)
    elif not folder.is_dir():
        raise OpsError(f"{folder}: no such folder; `config pki create` makes it")
    else:
        path = _change(folder, arguments)
    print(json.dumps({"file": str(path)}) if arguments.json else f"written: {path}")
    return 0


def _create(folder: Path, arguments: argparse.Namespace) -> Path:
    root = None if arguments.root is None else _load_root(arguments)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OpsError(f"{folder}: {error.strerror}") from None
    passphrase = "" if arguments.no_passphrase else ask_passphrase()
    if arguments.action == "root":
        return pki.create_root(folder, arguments.name, passphrase)
    return pki.create(folder, arguments.name, passphrase, root)


def _load_root(arguments: argparse.Namespace) -> pki.SigningAuthority:
    if arguments.root is None:
        raise OpsError("--root is needed: the folder of `config pki root`")
    folder = Path(arguments.root)
    return pki.load_authority(folder, ask_passphrase() if pki.is_encrypted(folder) else "")


def _change(folder: Path, arguments: argparse.Namespace) -> Path:
    passphrase = ask_passphrase() if pki.is_encrypted(folder) else ""
    name, hosts = arguments.name, arguments.host
    if arguments.action == "renew":
        return pki.renew(folder, name, passphrase, _load_root(arguments))
    if arguments.action == "invite":
        return est.invite(folder, name)
    if arguments.action == "serve":
        return est.serve(folder, passphrase, name, arguments.listen)
    if arguments.action == "revoke":
        return pki.revoke(folder, name, passphrase)
    try:
        request = None if arguments.csr is None else Path(arguments.csr).read_bytes()
    except OSError as error:
        raise OpsError(f"{arguments.csr}: {error.strerror}") from None
    role, site = arguments.role, arguments.site
    if arguments.action == "rotate":
        rights = None if role is None else Rights(role, site)
        return pki.rotate(folder, name, hosts, passphrase, request, rights)
    return pki.issue(folder, name, role or "unit", hosts, passphrase, request, site)
