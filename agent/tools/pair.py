# SPDX-License-Identifier: Apache-2.0
"""`coldloop pair`: the role of this controller of a redundant pair, and commands to it.

Does not talk to the agent by a socket: it writes a signed record to the store of the section
`redundancy`, which the agent reads once a second. Exit 0: done, 1: the agent did not do it in time.
"""

import argparse
import os
import time
from typing import Any

from agent.commands import read_config
from agent.core.errors import ConfigError
from agent.redundancy.stored_epoch import COMMAND_KEY, ROLE_KEY, STATE_KEY, command_text
from drivers.errors import PortError
from drivers.ports.address import Address
from drivers.ports.cpython.store import Store

EXAMPLE = "coldloop pair swap --config /etc/coldloop/unit.json"
_WAIT_S = 15.0
_EXPECTED = {"swap": ("standby",), "out": ("out",), "in": ("standby", "active")}
"""Role in which each command ends; a swap is a command to the active controller."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=["show", "swap", "out", "in"], help="what to do")
    parser.add_argument(
        "--config", metavar="FILE", required=True, help="configuration of this controller"
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the role, or give the command and wait for the role that must follow."""
    address, key = _open(arguments.config)
    store = Store(address)
    try:
        _use_owner(address.path)
    except OSError as error:
        raise ConfigError(f"{address.path}: {error.strerror}") from None
    role, epoch = _read_role(store)
    if arguments.action == "show":
        print(f"role   {role}\nepoch  {epoch}")
        return 0
    if arguments.action == "swap" and role != "active":
        print(f"coldloop pair: this controller is {role}; swap at the active one")
        return 1
    command = command_text(key, arguments.action, epoch)
    store.write(COMMAND_KEY, command)
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        role, _ = _read_role(store)
        if role in _EXPECTED[arguments.action] and store.read(COMMAND_KEY) is None:
            print(f"role   {role}")
            return 0
        time.sleep(0.1)
    store.delete(COMMAND_KEY)
    print(f"coldloop pair: still {role} after {_WAIT_S:g} s: does the other controller run?")
    return 1


def _open(path: str) -> tuple[Address, bytes]:
    """Return the address of the store of the section and the key of the pair."""
    config = read_config(path)
    sections: dict[str, tuple[dict[str, Any], Any]] = {
        name: (settings, address) for name, settings, address in config.components
    }
    if "redundancy" not in sections:
        raise ConfigError(f"{path}: redundancy: missing; this controller is not one of a pair")
    settings, address = sections["redundancy"]
    if address is None:
        raise ConfigError(f"{path}: redundancy.port: missing; the commands go through this store")
    return address, bytes.fromhex(settings["key"])


def _use_owner(folder_path: str) -> None:
    """Give up the rights of root: the agent must be able to read what this command writes."""
    folder = os.stat(folder_path)
    if os.geteuid() == 0 and folder.st_uid:
        os.setegid(folder.st_gid)
        os.seteuid(folder.st_uid)


def _read_role(store: Store) -> tuple[str, int]:
    """Return the stored role and the largest stored epoch."""
    try:
        words = (store.read(ROLE_KEY) or b"").decode().split()
        state = (store.read(STATE_KEY) or b"").decode().split()
    except PortError as error:
        raise ConfigError(str(error)) from None
    epochs = [int(text) for text in words[1:2] + state[:1] if text.isdigit()]
    return (words[0] if words else "unknown", max(epochs, default=0))
