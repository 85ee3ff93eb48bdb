# SPDX-License-Identifier: Apache-2.0
"""`coldloop pair swap`: give the active role to the other controller.

Exit 0: done. Exit 1: the controller did not do it in time.
"""

import argparse

from agent.tools.pair.pair_command import add_config, give, open_store, print_role, read_role

EXAMPLE = "coldloop pair swap --config /etc/coldloop/unit.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Give the command and wait for the role that must follow."""
    role, epoch = read_role(open_store(arguments.config)[0])
    if role != "active":
        problem = f"this controller is {role}; swap at the active one"
        print_role(arguments, role, epoch, problem)
        return 1
    return give(arguments, "swap", ("standby",))
