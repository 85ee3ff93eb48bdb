"""`coldloop config rollback`: the command of that name."""

import argparse

from deploy.ops.command import command

EXAMPLE = "coldloop config rollback site/unit --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    command.configure_named(parser, "rollback")


def run(arguments: argparse.Namespace) -> int:
    """Send it and show the report that follows."""
    return command.run(arguments)
