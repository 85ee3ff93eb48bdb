# SPDX-License-Identifier: Apache-2.0
"""`coldloop config diff`: compare two configurations, of units or of files, or save one as a file.

A name of an existing file is a file; all others are units. The saved file is for a replacement
unit. Secrets are not compared, because a unit does not publish them.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from agent.config.text_file import read_file
from agent.core.errors import ConfigError
from agent.remote.message import canonical
from deploy.errors import OpsError
from deploy.ops import keys
from deploy.ops.arguments import add_broker, open_enrolled, open_session, parse_unit_name
from deploy.ops.private_file import write_private
from deploy.ops.unit_config.published import fetch_config, list_differences
from deploy.relay.terminal_text import printable

EXAMPLE = "coldloop config diff site/unit-a site/unit-b --broker tcp:broker:1883"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("first", metavar="SITE/UNIT|FILE", help="a unit or a file")
    parser.add_argument(
        "second", metavar="SITE/UNIT|FILE", nargs="?", help="compare with this unit or file"
    )
    parser.add_argument("--out", metavar="FILE", help="write the first configuration to this file")
    parser.add_argument(
        "--trust",
        metavar="NAME.json",
        action="append",
        default=[],
        help="with --out: key of an operator that the file may name; others are left out",
    )
    add_broker(parser, required=False)
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the differences; return 0 if there are none."""
    first = _read(arguments, arguments.first)
    if arguments.out is not None:
        _write(Path(arguments.out), with_trusted_keys(first, arguments.trust))
    if arguments.second is None:
        if arguments.out is None:
            print(json.dumps(first, indent=None if arguments.json else 2))
        return 0
    different = list_differences(first, _read(arguments, arguments.second))
    if arguments.json:
        print(json.dumps([row._asdict() for row in different]))
    else:
        for row in different:
            line = f"{row.path}: {_format_value(row.first)} -> {_format_value(row.second)}"
            print(printable(line))
    return 1 if different else 0


def _read(arguments: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return the configuration of a unit or of a file, without secrets."""
    if Path(name).is_file():
        try:
            raw = canonical.without_secrets(read_file(name))
        except ConfigError as error:
            raise OpsError(str(error)) from None
        if not isinstance(raw, dict):
            raise OpsError(f"{name}: not a configuration, because it is no JSON object")
        return raw
    try:
        unit = parse_unit_name(name)
    except argparse.ArgumentTypeError as error:
        raise OpsError(f"{name}: no such file, and no unit: {error}") from None
    if arguments.broker is None:
        raise OpsError(f"{name} is a unit: --broker is needed (there is no such file)")
    with open_session(arguments) as session:
        return fetch_config(session, unit, open_enrolled())


def with_trusted_keys(raw: dict[str, Any], trusted: list[str]) -> dict[str, Any]:
    """Return `raw` with the trusted keys of operators only.

    The holder of a stolen unit can publish a configuration with other keys.
    """
    remote = raw.get("remote")
    if not isinstance(remote, dict) or not isinstance(remote.get("keys"), list):
        return raw
    known = [keys.read_public_key(Path(path)) for path in trusted]
    kept = [key for key in remote["keys"] if key in known]
    for key in remote["keys"]:
        if key not in kept:
            text = f"left out of remote.keys: {json.dumps(key)}; name its file with --trust"
            print(printable(text), file=sys.stderr)
    return {**raw, "remote": {**remote, "keys": kept}}


def _format_value(value: Any) -> str:
    return "(nothing)" if value is None else json.dumps(value)


def _write(path: Path, raw: dict[str, Any]) -> None:
    write_private(path, json.dumps(raw, indent=2).encode() + b"\n")
