# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil report`: write HTML, PDF and JUnit from a record."""

import argparse
import json
from pathlib import Path

from hil.errors import BenchError
from hil.record.bench_key import BenchKey, default_path
from hil.record.record import FILE, find_problems, read
from hil.report.write import write_reports

EXAMPLE = "coldloop hil report out/acceptance"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help=f"a folder with a {FILE}")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="key file of the bench, if not the default"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list of the files")


def run(arguments: argparse.Namespace) -> int:
    """Write the reports; a changed record gives an error."""
    record = read(arguments.folder / FILE)
    messages = find_problems(record)
    if messages:
        raise BenchError(f"{arguments.folder / FILE}: {messages[0]}; no report is made of it")
    key = BenchKey(arguments.key or default_path())
    paths = [str(path) for path in write_reports(record, arguments.folder, key)]
    print(json.dumps(paths) if arguments.json else "\n".join(paths))
    return 0
