# SPDX-License-Identifier: Apache-2.0
"""Common part of `coldloop pair`: the store of a controller, and commands through it.

Does not talk to the agent by a socket: it writes a signed record to the store of the section
`redundancy`, which the agent reads once a second. Exit 0: done, 1: the agent did not do it in time.
"""

import argparse
import json
import os
import time
from typing import Any

from agent.commands import read_config
from agent.core.errors import ConfigError
from agent.redundancy.stored_epoch import COMMAND_KEY, ROLE_KEY, STATE_KEY, command_text
from drivers.errors import PortError
from drivers.ports.cpython.store import Store

_WAIT_S = 15.0


def give(arguments: argparse.Namespace, name: str, roles: tuple[str, ...]) -> int:
    """Give the command `name` to the controller of the configuration.

    Wait until it has one of `roles`. Return the exit code. Raises `ConfigError`.
    """
    store, key = open_store(arguments.config)
    role, epoch = read_role(store)
    store.write(COMMAND_KEY, command_text(key, name, epoch))
    end = time.monotonic() + _WAIT_S
    while time.monotonic() < end:
        role, epoch = read_role(store)
        if role in roles and store.read(COMMAND_KEY) is None:
            print_role(arguments, role, epoch)
            return 0
        time.sleep(0.1)
    store.delete(COMMAND_KEY)
    reason = f"still {role} after {_WAIT_S:g} s: does the other controller run?"
    print_role(arguments, role, epoch, reason)
    return 1


def print_role(arguments: argparse.Namespace, role: str, epoch: int, problem: str = "") -> None:
    """Print the result of a command, also as JSON: `problem` is why it was not done."""
    if arguments.json:
        print(json.dumps({"role": role, "epoch": epoch, "problem": problem}))
    else:
        print(f"coldloop pair: {problem}" if problem else f"role   {role}")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of each command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--config", metavar="FILE", required=True, help="configuration of this controller"
    )


def open_store(path: str) -> tuple[Store, bytes]:
    """Return the store of the section and the key of the pair. Raises `ConfigError`."""
    config = read_config(path)
    sections: dict[str, tuple[dict[str, Any], Any]] = {
        name: (settings, address) for name, settings, address in config.components
    }
    if "redundancy" not in sections:
        raise ConfigError(f"{path}: redundancy: missing; this controller is not one of a pair")
    settings, address = sections["redundancy"]
    if address is None:
        raise ConfigError(f"{path}: redundancy.port: missing; the commands go through this store")
    try:
        _use_owner(address.path)
    except OSError as error:
        raise ConfigError(f"{address.path}: {error.strerror}") from None
    return Store(address), bytes.fromhex(settings["key"])


def _use_owner(folder_path: str) -> None:
    """Give up the rights of root: the agent must be able to read what this command writes."""
    folder = os.stat(folder_path)
    if os.geteuid() == 0 and folder.st_uid:
        os.setegid(folder.st_gid)
        os.seteuid(folder.st_uid)


def read_role(store: Store) -> tuple[str, int]:
    """Return the stored role and the largest stored epoch."""
    try:
        words = (store.read(ROLE_KEY) or b"").decode().split()
        state = (store.read(STATE_KEY) or b"").decode().split()
    except PortError as error:
        raise ConfigError(str(error)) from None
    epochs = [int(text) for text in words[1:2] + state[:1] if text.isdigit()]
    return (words[0] if words else "unknown", max(epochs, default=0))
