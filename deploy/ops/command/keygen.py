# SPDX-License-Identifier: Apache-2.0
"""`coldloop config keygen`: make a key of an operator, or import the public part of one."""

import argparse
import getpass
import json
import os
import sys
from pathlib import Path

from deploy.errors import OpsError
from deploy.ops import keys
from deploy.ops.arguments import PASSPHRASE

EXAMPLE = "coldloop config keygen alice --number 1 --role operate"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="of the files NAME.key and NAME.json")
    parser.add_argument("--dir", metavar="FOLDER", default=".", help="folder of the files (.)")
    parser.add_argument(
        "--number", type=int, choices=range(256), required=True, metavar="N", help="0 to 255"
    )
    parser.add_argument("--role", choices=keys.ROLES, default="operate", help="(operate)")
    parser.add_argument(
        "--public",
        metavar="PEM",
        help="only write NAME.json for this public key; the private key is in a token",
    )
    parser.add_argument(
        "--no-passphrase", action="store_true", help="store the private key without a passphrase"
    )
    parser.add_argument("--json", action="store_true", help="print the public part as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Make the key and print the next steps."""
    folder, identity = Path(arguments.dir), (arguments.name, arguments.number, arguments.role)
    if arguments.public:
        public_path = keys.import_public_key(folder, *identity, Path(arguments.public))
    else:
        passphrase = "" if arguments.no_passphrase else ask_passphrase()
        public_path = keys.make_key(folder, *identity, passphrase)
    public = json.loads(public_path.read_text())
    if arguments.json:
        print(json.dumps(public))
    else:
        if not arguments.public:
            print(f"private key: {public_path.with_suffix('.key')} (keep it; mode 0600)")
        print(f"for `remote.keys` of the units: {json.dumps(public)}")
    return 0


def ask_passphrase() -> str:
    """Return the passphrase of a private key, from the environment or the terminal."""
    preset = os.environ.get(PASSPHRASE)
    if preset:
        return preset
    if not sys.stdin.isatty():
        raise OpsError(f"no terminal for a passphrase; set {PASSPHRASE} or use --no-passphrase")
    first = getpass.getpass("passphrase: ")
    if first != getpass.getpass("again: "):
        raise OpsError("the two passphrases differ; no key was made")
    if len(first) < 8:
        raise OpsError("the passphrase needs at least 8 characters, or use --no-passphrase")
    return first
