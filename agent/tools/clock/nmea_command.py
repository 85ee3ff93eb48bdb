# SPDX-License-Identifier: Apache-2.0
"""`coldloop nmea decode`: the decoder of `drivers.tools.nmea_decode`, with verdicts on request.

Does not judge; see `agent.tools.clock.capture_verdicts`, which is loaded for `--verdicts` only.
"""

import argparse

from drivers.tools import nmea_decode

EXAMPLE = nmea_decode.EXAMPLE


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `coldloop nmea decode`."""
    nmea_decode.configure(parser)
    parser.add_argument(
        "--verdicts",
        action="store_true",
        help="apply the integrity checks of the agent; exit code 1 if one fails",
    )
    parser.add_argument(
        "--radius",
        type=int,
        default=100,
        metavar="M",
        help="largest distance from the first fixes in m, with --verdicts (default 100)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run `coldloop nmea decode`."""
    judge = None
    if arguments.verdicts:
        # the clock of the agent takes as long to load as the decoder
        from agent.tools.clock.capture_verdicts import CaptureJudge  # noqa: PLC0415

        judge = CaptureJudge(arguments.radius)
    return nmea_decode.print_epochs(
        arguments.source,
        as_json=arguments.json,
        vendor=arguments.vendor,
        seconds=arguments.seconds,
        judge=judge,
    )
