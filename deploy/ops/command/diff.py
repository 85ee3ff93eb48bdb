# SPDX-License-Identifier: Apache-2.0
"""`coldloop config diff`: compare the configuration of a unit with a file, or save it as a file.

A unit publishes its whole configuration without secrets after each change. The saved file is for a
replacement unit.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from agent.core.errors import ConfigError
from agent.remote.message import canonical
from agent.runtime.cpython_start import read_file
from deploy.errors import OpsError
from deploy.ops import keys
from deploy.ops.arguments import add_broker, add_unit, open_session
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.private_file import write_private
from deploy.relay.terminal_text import printable
from protocols.errors import DecodeError

EXAMPLE = "coldloop config diff site/unit unit.json --broker tcp:broker:1883"
CONFIG = "cfg/config"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_unit(parser)
    parser.add_argument("file", metavar="FILE", nargs="?", help="compare with this file")
    parser.add_argument(
        "--out", metavar="FILE", help="write the configuration of the unit to this file"
    )
    parser.add_argument(
        "--trust",
        metavar="NAME.json",
        action="append",
        default=[],
        help="with --out: key of an operator that the file may name; others are left out",
    )
    add_broker(parser)
    parser.add_argument("--json", action="store_true", help="print the differences as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the differences; return 0 if there are none."""
    with open_session(arguments) as session:
        raw = _fetch_config(session, arguments.unit)
    if arguments.out is not None:
        _write(Path(arguments.out), with_trusted_keys(raw, arguments.trust))
    if arguments.file is None:
        if arguments.out is None:
            print(json.dumps(raw, indent=None if arguments.json else 2))
        return 0
    try:
        file = canonical.without_secrets(read_file(arguments.file))
    except ConfigError as error:
        raise OpsError(str(error)) from None
    different = list_differences("", file, raw)
    if arguments.json:
        print(json.dumps([{"path": p, "file": a, "unit": b} for p, a, b in different]))
    else:
        for path, file_value, unit_value in different:
            line = f"{path}: {_format_value(file_value)} -> {_format_value(unit_value)}"
            print(printable(line))
    return 1 if different else 0


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


def list_differences(path: str, file: Any, unit: Any) -> list[tuple[str, Any, Any]]:
    """Return (path, value in the file, value at the unit) for each difference; None: missing."""
    if isinstance(file, dict) and isinstance(unit, dict):
        different = []
        for key in sorted({*file, *unit}):
            name = f"{path}.{key}" if path else key
            different += list_differences(name, file.get(key), unit.get(key))
        return different
    return [] if file == unit else [(path, file, unit)]


def _format_value(value: Any) -> str:
    return "(nothing)" if value is None else json.dumps(value)


def _fetch_config(session: BrokerSession, unit: str) -> dict[str, Any]:
    session.subscribe(f"{unit}/{CONFIG}")
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for topic, payload in session.messages(0.2):
            if topic == f"{unit}/{CONFIG}":
                try:
                    return canonical.decode_config(payload)
                except DecodeError as error:
                    raise OpsError(f"{unit}: not a configuration: {error}") from None
    raise OpsError(
        f"{unit}: no configuration published; check the section remote of its configuration"
    )


def _write(path: Path, raw: dict[str, Any]) -> None:
    write_private(path, json.dumps(raw, indent=2).encode() + b"\n")
