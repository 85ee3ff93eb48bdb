# SPDX-License-Identifier: Apache-2.0
"""`coldloop config check`: check a configuration file.

Exit code 2 for a file that is not valid, as `coldloop agent` and `coldloop agent --check`.
"""

import argparse
import json

from agent.commands import read_config
from agent.core.errors import ConfigError

EXAMPLE = "coldloop config check /etc/coldloop/unit.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", metavar="FILE", help="JSON or TOML")
    parser.add_argument("--json", action="store_true", help="print the errors as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print "good" or one line for each error."""
    errors: list[str] = []
    try:
        read_config(arguments.file)
    except ConfigError as error:
        errors = str(error).splitlines()
    if arguments.json:
        print(json.dumps({"file": arguments.file, "good": not errors, "errors": errors}))
    else:
        print("\n".join(errors) or f"{arguments.file}: good")
    return 2 if errors else 0
