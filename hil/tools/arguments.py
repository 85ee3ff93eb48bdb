# SPDX-License-Identifier: Apache-2.0
"""Argument types of the commands of the bench: paths, and labels of records.

Does not open files. Each type raises an error of argparse, so that the command prints one line.
"""

import argparse
from pathlib import Path

from hil.errors import BenchError
from hil.record.label import check_label


def path_argument(text: str) -> Path:
    """Return a path. An empty text is an error: `Path` takes it for the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def label_argument(text: str) -> str:
    """Return a serial number or a name; see `hil.record.label`."""
    try:
        return check_label(text, "label")
    except BenchError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("label: ")) from None


def add_report_options(group: "argparse._ArgumentGroup") -> None:
    """Add the options of a signed report: its folder, the tester, the key of the bench."""
    group.add_argument(
        "--report", type=path_argument, metavar="DIR", help="write record, page, PDF, JUnit"
    )
    group.add_argument("--operator", type=label_argument, metavar="NAME", help="name of the tester")
    group.add_argument(
        "--key",
        type=path_argument,
        metavar="FILE",
        help="key file of the bench, if not the default",
    )
