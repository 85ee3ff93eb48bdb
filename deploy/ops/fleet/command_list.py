# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet list`: one line for each unit."""

import argparse

from deploy.ops.fleet.store_reader import FleetReader, add_common, print_rows

EXAMPLE = "coldloop fleet list 'riyadh-*/*' --store relay.db.fleet"
_COLUMNS = ("unit", "data_age_s", "online", "clock", "state", "alarms", "priority", "version")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the units. Exit 1: none matches."""
    with FleetReader(arguments.store) as reader:
        return print_rows(reader.units(arguments.pattern), _COLUMNS, arguments.json)
