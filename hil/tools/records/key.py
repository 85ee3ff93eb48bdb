# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil key`: print the public key of this bench, for `coldloop hil verify --key`."""

import argparse
import json

from hil.record.bench_key import default_path, load_key
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil key"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--key", type=path_argument, metavar="FILE", help="key file, if not the default"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Print the key; the first use creates the default one."""
    path = arguments.key or default_path()
    public = load_key(arguments.key).public
    print(json.dumps({"key": public, "file": str(path)}) if arguments.json else public)
    return 0
