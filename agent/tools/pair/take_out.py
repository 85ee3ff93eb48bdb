# SPDX-License-Identifier: Apache-2.0
"""`coldloop pair out`: take this controller out of the pair; it sends nothing then.

Exit 0: done. Exit 1: the controller did not do it in time.
"""

import argparse

from agent.tools.pair.pair_command import add_config, give

EXAMPLE = "coldloop pair out --config /etc/coldloop/unit.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_config(parser)


def run(arguments: argparse.Namespace) -> int:
    """Give the command and wait for the role that must follow."""
    return give(arguments, "out", ("out",))
