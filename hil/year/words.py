"""The words of `coldloop hil year` and its options; imports nothing that takes time."""

from __future__ import annotations

import argparse
from pathlib import Path

from drivers.tools.parser import Parser

POLICIES = ("coldloop", "optimum", "fixed:30", "fixed:40", "phosphor", "pi")
"""The policies; `fixed:` takes any supply temperature of 15 to 45 degC."""

KINDS = ("dry", "adiabatic", "tower")
"""Kinds of heat rejection."""

CLIMATES = ("dubai", "abu-dhabi", "johannesburg", "cape-town")
"""Shipped climates."""

FAULTS = ("none", "dead", "both-dead")
"""Of humidity sensors: all alive; one silent from the second month on; both from the second on."""


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the subcommand to `coldloop hil`."""
    year = commands.add_parser(
        "year",
        help="a year of cooling: energy, water, what had to be shed",
        epilog="example: coldloop hil year --weather dubai --rejection adiabatic --json",
    )
    year.add_argument(
        "--weather",
        required=True,
        metavar="FILE.epw|NAME",
        help=f"an EPW file, or one of {', '.join(CLIMATES)}",
    )
    year.add_argument("--rejection", choices=KINDS, default="dry", help="the cooler (dry)")
    year.add_argument(
        "--policy",
        default="coldloop",
        metavar="NAME",
        help=f"one of {', '.join(POLICIES)} (coldloop)",
    )
    year.add_argument("--it-kw", type=float, default=1000.0, metavar="KW", help="IT power (1000)")
    year.add_argument("--hours", type=int, metavar="N", help="only N hours of it")
    year.add_argument("--start", type=int, default=0, metavar="HOUR", help="from this hour on (0)")
    year.add_argument(
        "--humidity", choices=FAULTS, default="none", help="what fails of the two humidity sensors"
    )
    year.add_argument(
        "--coarse", type=int, default=5, metavar="S", help="step when nothing moves, 1 to 5 s (5)"
    )
    year.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the sensors (1)")
    year.add_argument("--json", action="store_true", help="print one JSON record")
    year.add_argument("--plot", type=Path, metavar="FILE.html", help="draw it")
