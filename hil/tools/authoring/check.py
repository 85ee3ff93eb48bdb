# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil check`: list all mistakes of scenario files, each with its line.

Exit 0: no mistakes. Exit 2: a file has mistakes, as in `coldloop hil run`.
"""

import argparse
import json

from hil.scenario.authoring.file_check import check_file
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil check my-test.toml"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "file", type=path_argument, nargs="+", metavar="FILE.toml", help="scenario files"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Check the files and print the mistakes in the form of compilers."""
    rows = [(path, mistake) for path in arguments.file for mistake in check_file(path)]
    if arguments.json:
        print(json.dumps([{"file": str(path), **mistake._asdict()} for path, mistake in rows]))
    for path, mistake in [] if arguments.json else rows:
        place = f"{mistake.key_path}: " if mistake.key_path else ""
        print(f"{path}:{mistake.line}: {place}{mistake.text}")
    if not rows and not arguments.json:
        print(
            f"{len(arguments.file)} files without mistakes" if len(arguments.file) > 1 else "good"
        )
    return 2 if rows else 0
