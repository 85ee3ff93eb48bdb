# SPDX-License-Identifier: Apache-2.0
"""`coldloop config cancel`: drop a change that waits for its time (`push --after`)."""

import argparse

from deploy.ops.command import command

EXAMPLE = "coldloop config cancel site/unit --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.configure_named(parser, "cancel")


def run(arguments: argparse.Namespace) -> int:
    """Send the command and show the next report."""
    return command.run(arguments)
