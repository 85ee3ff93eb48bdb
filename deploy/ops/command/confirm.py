# SPDX-License-Identifier: Apache-2.0
"""`coldloop config confirm`: send the command `confirm`."""

import argparse

from deploy.ops.command import command

EXAMPLE = "coldloop config confirm site/unit --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.configure_named(parser, "confirm")


def run(arguments: argparse.Namespace) -> int:
    """Send the command and show the next report."""
    return command.run(arguments)
