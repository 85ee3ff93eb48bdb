# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil year`: simulate a year of cooling with the control code and the plant."""

import argparse

from hil.annual import command
from hil.annual.words import CLIMATES, FAULTS, KINDS, POLICIES
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil year --weather dubai --rejection adiabatic --plot year.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--weather",
        required=True,
        metavar="FILE.epw|NAME",
        help=f"an EPW file, or one of {', '.join(CLIMATES)}",
    )
    parser.add_argument("--rejection", choices=KINDS, default="dry", help="kind of cooler (dry)")
    parser.add_argument(
        "--policy",
        default="coldloop",
        metavar="NAME",
        help=f"one of {', '.join(POLICIES)} (coldloop)",
    )
    parser.add_argument("--it-kw", type=float, default=1000.0, metavar="KW", help="IT power (1000)")
    parser.add_argument("--hours", type=int, metavar="N", help="simulate only N hours")
    parser.add_argument("--start", type=int, default=0, metavar="HOUR", help="first hour (0)")
    parser.add_argument(
        "--every",
        type=int,
        default=1,
        metavar="N",
        help="simulate only one day in N, for a quick estimate (1)",
    )
    parser.add_argument(
        "--humidity", choices=FAULTS, default="none", help="fault of the two humidity sensors"
    )
    parser.add_argument(
        "--coarse",
        type=int,
        default=5,
        metavar="S",
        help="time step in a steady state, 1 to 5 s (5)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the sensors (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    parser.add_argument(
        "--plot", type=path_argument, metavar="FILE.html", help="write plots of the year"
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulate the year."""
    return command.run(arguments)
