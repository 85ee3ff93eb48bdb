# SPDX-License-Identifier: Apache-2.0
"""`coldloop pair show`: the role and the epoch of this controller, also at the standby."""

import argparse

from agent.tools.pair.pair_command import add_config, open_store, print_role, read_role

EXAMPLE = "coldloop pair show --config /etc/coldloop/unit.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the role that was stored last."""
    role, epoch = read_role(open_store(arguments.config)[0])
    print_role(arguments, role, epoch)
    if not arguments.json:
        print(f"epoch  {epoch}")
    return 0
