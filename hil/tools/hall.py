# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil hall`: test that many rows apply a power cap at the same UTC time without a
network.

Exit 0: each row acts within one tick of the scheduled time plus its delay (`--stagger-ms`). Ctrl-C:
exit 130, with the rows until then.
"""

import argparse
import json
import sys

from hil.errors import INTERRUPTED
from hil.io.progress import ProgressLine
from hil.run.several.multi_row import run_rows

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
    with ProgressLine(arguments.rows, "rows") as progress:
        record = run_rows(arguments.rows, arguments.stagger_ms, progress.update)
    if arguments.json:
        print(json.dumps(record))
    else:
        print(
            f"{'INTERRUPTED  ' if record['interrupted'] else ''}"
            f"{record['acted']} of {record['rows']} rows acted, first "
            f"{record['first_us'] / 1000:.1f} ms, last {record['last_us'] / 1000:.1f} ms after "
            f"the scheduled time; link {record['link']}; largest clock error "
            f"{record['worst_clock_error_us'] / 1000:.1f} ms"
        )
    if record["interrupted"]:
        return INTERRUPTED
    return 0 if record["within_one_tick"] else 1
