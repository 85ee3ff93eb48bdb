# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil year`: simulate a year of cooling with the control code and the plant."""

import argparse

from hil.annual import command
from hil.annual.words import (
    BOUNDS,
    CLIMATES,
    FAULTS,
    KINDS,
    LOADS,
    PLATFORMS,
    POLICIES,
    SILENT,
    WET_ABOVE_C,
    WINDOWS_H,
)
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
        "--silent",
        choices=SILENT,
        default="none",
        help="sensor of the row that gives nothing, from the first second (none)",
    )
    parser.add_argument(
        "--coarse",
        type=int,
        default=5,
        metavar="S",
        help="time step in a steady state, 1 to 5 s (5)",
    )
    _add_site_arguments(parser)
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the sensors (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    parser.add_argument(
        "--plot", type=path_argument, metavar="FILE.html", help="write plots of the year"
    )


def _add_site_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the unit and of its site."""
    parser.add_argument(
        "--unit",
        type=path_argument,
        metavar="FILE.json",
        help="configuration of the unit whose control code runs (a default for the site)",
    )
    parser.add_argument(
        "--write-unit",
        type=path_argument,
        metavar="FILE.json",
        help="write the default configuration for the site and end",
    )
    parser.add_argument(
        "--platform", choices=PLATFORMS, default="W45", help="class of flow and limits (W45)"
    )
    parser.add_argument("--load", choices=LOADS, default="constant", help="IT load (constant)")
    parser.add_argument(
        "--window",
        type=int,
        choices=WINDOWS_H,
        default=1,
        metavar="H",
        help="optimum: heat is stored and work is moved within blocks of 1, 6, 12 or 24 h (1)",
    )
    parser.add_argument(
        "--bound",
        choices=BOUNDS,
        default="free",
        help="optimum: with the margins of the unit, and with the thermostat of the pads (free)",
    )
    numbers = (
        ("--exchanger-ua", 1.0, "F", "real over design UA of the exchanger (1)"),
        ("--cooler-ua", 1.0, "F", "real over design UA of the cooler (1)"),
        ("--recirculation", 0.0, "K", "warm exhaust air at the cooler, K (0)"),
        ("--wet-above", WET_ABOVE_C, "C", "thermostat of the pads of an adiabatic cooler (29)"),
        ("--water-price", 10.0, "KWH", "price of a cubic metre of water, as energy (10)"),
        ("--dropouts", 0.1, "PCT", "part of the minutes in which a sensor drops out (0.1)"),
    )
    for name, default, metavar, text in numbers:
        parser.add_argument(name, type=float, default=default, metavar=metavar, help=text)


def run(arguments: argparse.Namespace) -> int:
    """Simulate the year."""
    return command.run(arguments)
