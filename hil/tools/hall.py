# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil hall`: test that many rows apply a power cap at the same UTC time without a
network.

Exit 0: each row acts within one tick of the scheduled time plus its delay (`--stagger-ms`).
"""

import argparse
import json
import sys

from hil.run.multi_row import run_rows

EXAMPLE = "coldloop hil hall --rows 64 --json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--rows", type=int, default=64, metavar="N", help="number of rows (64)")
    parser.add_argument(
        "--stagger-ms", type=int, default=0, metavar="MS", help="delay from row to row (0)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Run the rows; print the result."""
    if not 1 <= arguments.rows <= 1024 or not 0 <= arguments.stagger_ms <= 10_000:
        print(
            "coldloop hil hall: --rows must be 1 to 1024, --stagger-ms 0 to 10000", file=sys.stderr
        )
        return 2
    is_terminal = sys.stderr.isatty()

    def progress(done: int) -> None:
        if is_terminal:
            print(f"\r{done} of {arguments.rows} rows", end="", file=sys.stderr, flush=True)

    record = run_rows(arguments.rows, arguments.stagger_ms, progress)
    if is_terminal:
        print(file=sys.stderr)
    if arguments.json:
        print(json.dumps(record))
    else:
        print(
            f"{record['acted']} of {record['rows']} rows acted, first "
            f"{record['first_us'] / 1000:.1f} ms, last {record['last_us'] / 1000:.1f} ms after "
            f"the scheduled time; link {record['link']}; largest clock error "
            f"{record['worst_clock_error_us'] / 1000:.1f} ms"
        )
    return 0 if record["within_one_tick"] else 1
