# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil report`: write HTML, PDF and JUnit from a record."""

import argparse
import json

from hil.errors import BenchError
from hil.record.bench_key import load_key
from hil.record.record import RECORD_FILE, find_problems, read
from hil.report.write import write_reports
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil report out/acceptance"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "folder", type=path_argument, metavar="DIR", help=f"a folder with a {RECORD_FILE}"
    )
    parser.add_argument(
        "--key",
        type=path_argument,
        metavar="FILE",
        help="key file of the bench, if not the default",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list of the files")


def run(arguments: argparse.Namespace) -> int:
    """Write the reports; a changed record gives an error."""
    record = read(arguments.folder / RECORD_FILE)
    messages = find_problems(record)
    if messages:
        raise BenchError(
            f"{arguments.folder / RECORD_FILE}: {messages[0]}; no report is made of it"
        )
    key = load_key(arguments.key)
    paths = [str(path) for path in write_reports(record, arguments.folder, key)]
    print(json.dumps(paths) if arguments.json else "\n".join(paths))
    return 0
