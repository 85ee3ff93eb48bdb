# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil key`: print the public key of this bench, for `coldloop hil verify --key`."""

import argparse
import json
from pathlib import Path

from hil.record.bench_key import BenchKey, default_path

EXAMPLE = "coldloop hil key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--key", type=Path, metavar="FILE", help="key file, if not the default")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Print the key; the first use creates it."""
    path = arguments.key or default_path()
    public = BenchKey(path).public
    print(json.dumps({"key": public, "file": str(path)}) if arguments.json else public)
    return 0
