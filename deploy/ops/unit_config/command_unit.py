# SPDX-License-Identifier: Apache-2.0
"""`coldloop config unit`: the key with which a unit signs its reports, and the enrolled units.

    make CONFIG     at the unit, once: makes the key in the store of its section `remote`
    enroll FILE     at the operator: the tools accept the reports of this unit by this key
    forget UNIT     at the operator: the unit is not enrolled any more
    list            the enrolled units

`make` prints the public part, which `--out` writes. Carry the file manually: who can replace it can
lie for the unit. The private part never leaves the controller.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from agent.config.text_file import read_file
from agent.config.validate import is_valid_name
from agent.core.errors import ConfigError
from agent.remote.storage.unit_key import UNIT_KEY, read_unit_key, unit_key_write
from deploy.errors import OpsError
from deploy.relay.terminal_text import printable
from drivers.errors import DriverError
from drivers.ports.address import parse_address
from drivers.ports.cpython.store import Store
from drivers.ports.cpython.whole_file import replace_file
from protocols.signing.ed25519_sign import SEED_BYTES, public_key

_BOARD = "command `key` of its recovery mode, or `coldloop factory make`"
EXAMPLE = "coldloop config unit make /etc/coldloop/unit.json --out site.unit.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=("make", "enroll", "forget", "list"), help="see above")
    parser.add_argument(
        "names", metavar="NAME", nargs="*", help="configuration; files; units; nothing for list"
    )
    parser.add_argument("--out", metavar="FILE", help="with make: write the public part")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    names = arguments.names
    if (arguments.action == "list") == bool(names):
        raise OpsError(f"config unit {arguments.action}: wrong number of names")
    if arguments.action == "make":
        if len(names) > 1:
            raise OpsError("config unit make: one configuration")
        _print_public(make_key(Path(names[0])), arguments)
        return 0
    # a controller with the agent alone has no `cryptography`, which the operators' tools need
    from deploy.ops.arguments import open_enrolled  # noqa: PLC0415

    enrolled = open_enrolled(keep_damaged=arguments.action in ("forget", "list"))
    for name in enrolled.damaged if arguments.action == "list" else ():
        print(printable(f"{name}: damaged; `config unit forget` removes it"), file=sys.stderr)
    for name in names:
        if arguments.action == "enroll":
            name = enrolled.add(Path(name))  # noqa: PLW2901 - the unit of the file
        else:
            enrolled.forget(_parse_unit(name))
        if not arguments.json:
            print(f"{name}: {'enrolled' if arguments.action == 'enroll' else 'forgotten'}")
    publics = {name: (enrolled.public(name) or b"").hex() for name in enrolled.names()}
    if arguments.json:
        print(json.dumps(publics))
    elif arguments.action == "list":
        print("\n".join(f"{name}  {public}" for name, public in publics.items()) or "none")
    return 0


def make_key(config: Path) -> dict[str, str]:
    """Make the key of a unit if it has none; return its public part. Raises `OpsError`."""
    try:
        raw: Any = read_file(str(config))
    except ConfigError as error:
        raise OpsError(str(error)) from None
    try:
        unit = _parse_unit(f"{raw['site']}/{raw['unit']}")
        address = parse_address(raw["remote"]["port"])
    except (KeyError, TypeError, DriverError):
        raise OpsError(f"{config}: site, unit and remote.port are needed") from None
    if address.kind != "store":
        raise OpsError(
            f"{config}: remote.port is not store:FOLDER; a board makes its key itself: {_BOARD}"
        )
    folder = Path(address.path)
    store = Store(address)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = read_unit_key(store.read)
        if found is None:
            if store.read(UNIT_KEY) is not None:
                raise OpsError(f"{folder / UNIT_KEY}: damaged; remove it to make another key")
            seed = os.urandom(SEED_BYTES)
            public = public_key(seed)
            store.write(*unit_key_write(seed, public))
            _give_to_owner(folder)
        else:
            public = found[1]
    except (OSError, DriverError) as error:
        raise OpsError(f"{folder}: {error}") from None
    return {"unit": unit, "public": public.hex()}


def _give_to_owner(folder: Path) -> None:
    """Give the record to the user of the agent, if the administrator made it."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(folder / UNIT_KEY, owner.st_uid, owner.st_gid)


def _print_public(public: dict[str, str], arguments: argparse.Namespace) -> None:
    text = json.dumps(public)
    if arguments.out is not None:
        try:
            replace_file(Path(arguments.out), f"{text}\n".encode())
        except OSError as error:
            raise OpsError(f"{arguments.out}: {error.strerror}") from None
    print(text if arguments.json else f"for `config unit enroll` at the operators: {text}")


def _parse_unit(name: str) -> str:
    parts = name.split("/")
    if len(parts) != 2 or not all(map(is_valid_name, parts)):
        raise OpsError(f"{name!r} is not a unit; write SITE/UNIT")
    return name
