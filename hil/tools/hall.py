"""`coldloop hil hall`: many rows, a cap at a UTC instant, no link: do they act as one.

Exit 0: every row acted within one tick of the instant (of its own step with `--stagger-ms`).
"""

import argparse
import json
import sys

from hil.run.multi_row import run_rows

EXAMPLE = "coldloop hil hall --rows 64 --json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--rows", type=int, default=64, metavar="N", help="how many rows (64)")
    parser.add_argument(
        "--stagger-ms", type=int, default=0, metavar="MS", help="each row so much later (0)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    if not 1 <= arguments.rows <= 1024 or not 0 <= arguments.stagger_ms <= 10_000:
        print("coldloop hil hall: --rows is 1 to 1024, --stagger-ms 0 to 10000", file=sys.stderr)
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
            f"the instant; link {record['link']}; clocks off by "
            f"{record['worst_clock_error_us'] / 1000:.1f} ms at most"
        )
    return 0 if record["within_one_tick"] else 1
