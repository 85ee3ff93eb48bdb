# SPDX-License-Identifier: Apache-2.0
"""`coldloop fleet late`: units without recent rows, or with rows without UTC."""

import argparse

from deploy.ops.fleet.store_reader import FleetReader, add_common, print_rows

EXAMPLE = "coldloop fleet late --after 900 --store relay.db.fleet"
_COLUMNS = ("unit", "data_age_s", "message_age_s", "online", "clock", "late", "undated")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_common(parser)
    parser.add_argument(
        "--after", type=int, default=900, metavar="S", help="age of the newest row, s (900)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the late units, the latest first. Exit 1: there is at least one."""
    with FleetReader(arguments.store) as reader:
        units = reader.units(arguments.pattern)
    late = [u for u in units if u["data_age_s"] is None or u["data_age_s"] > arguments.after]
    late.sort(key=lambda unit: -(unit["data_age_s"] or 1 << 40))
    if not late:
        print(f"no unit is late: {len(units)} units")
        return 0
    print_rows(late, _COLUMNS, arguments.json)
    return 1
