"""`coldloop config rollback`: the command of that name."""

import argparse

from deploy.ops import config_command

EXAMPLE = "coldloop config rollback site/unit --broker tcp:broker:1883 --key alice.key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    config_command.configure_named(parser, "rollback")


def run(arguments: argparse.Namespace) -> int:
    """Send it and show the report that follows."""
    return config_command.run(arguments)
