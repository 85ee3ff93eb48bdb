# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil check`: list all problems of scenario files, each with its line.

Exit 0: no problems. Exit 2: a file has problems, as in `coldloop hil run`.
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
    """Check the files and print the problems in the form of compilers."""
    rows = [(path, problem) for path in arguments.file for problem in check_file(path)]
    if arguments.json:
        print(json.dumps([{"file": str(path), **problem._asdict()} for path, problem in rows]))
    for path, problem in [] if arguments.json else rows:
        place = f"{problem.key_path}: " if problem.key_path else ""
        print(f"{path}:{problem.line}: {place}{problem.text}")
    if not rows and not arguments.json:
        print(
            f"{len(arguments.file)} files without problems" if len(arguments.file) > 1 else "good"
        )
    return 2 if rows else 0
