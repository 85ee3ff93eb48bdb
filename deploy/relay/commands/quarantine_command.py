# SPDX-License-Identifier: Apache-2.0
"""`coldloop relay quarantine list|show|retry|export`.

Works on the file of a relay, also while the relay runs. `retry` gives records back to the relay
that stored them; it prepares them in turn, the first within a second, or at its next start.
"""

import argparse
import base64
import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.errors import DeployError
from deploy.relay.outputs.registry import OUTPUTS
from deploy.relay.records.database import RelayDatabase
from deploy.relay.records.quarantine import REASONS, Quarantined, QuarantineTable
from deploy.relay.records.tables import is_present_store, is_relay_store
from deploy.relay.terminal_text import printable
from drivers.tools.lib.parser import Parser
from protocols.telemetry.message import CLASSES

_KIND_NAMES = ("message", "schema", "rows", "note", "summary", "merged")
_LOT = 500
EXAMPLE = "coldloop relay quarantine list --store relay.db --unit s1/u1"


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="coldloop relay quarantine",
        description="Show, retry or export what a relay could not decode, date or deliver.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("action", choices=("list", "show", "retry", "export"))
    add = parser.add_argument
    add("id", nargs="*", type=int, help="numbers of the list (show, retry, export); none: all")
    add("--store", required=True, metavar="FILE", help="SQLite file of the relay")
    add("--unit", default="", metavar="SITE/UNIT", help="only this unit")
    add("--reason", default="", help="only this reason")
    add(
        "--output",
        default="",
        metavar="NAME",
        help="retry: give refused records to this output, not to the one that refused them",
    )
    add("--json", action="store_true", help="one JSON object on each line")
    return parser


def _describe(held: Quarantined, with_payload: bool) -> dict[str, Any]:
    entry = held.entry
    row: dict[str, Any] = {
        "id": entry.id,
        "unit": entry.unit,
        "reason": held.reason,
        "detail": held.detail,
        "kind": _KIND_NAMES[entry.kind] if entry.kind < len(_KIND_NAMES) else str(entry.kind),
        "log": entry.generation.hex(),
        "class": CLASSES[entry.record_class] if entry.number else "",
        "record": entry.record_id,
        "count": entry.record_count,
        "bytes": len(entry.payload),
        "received_ms": held.at_ms,
    }
    if entry.output:
        row["output"] = entry.output
    if with_payload:
        row["payload"] = base64.b64encode(entry.payload).decode()
    return row


def _select(table: QuarantineTable, arguments: argparse.Namespace) -> Iterator[Quarantined]:
    """Return the records of the arguments, read one by one."""
    if not arguments.id:
        return table.pages(arguments.unit, arguments.reason)
    found = (table.get(number) for number in _checked_ids(table, arguments))
    return (held for held in found if held is not None)  # one can be released meanwhile


def _selected_ids(table: QuarantineTable, arguments: argparse.Namespace) -> list[int]:
    """Return the numbers of the arguments. Raises DeployError as `_checked_ids`."""
    if arguments.id:
        return _checked_ids(table, arguments)
    return table.ids(arguments.unit, arguments.reason)


def _checked_ids(table: QuarantineTable, arguments: argparse.Namespace) -> list[int]:
    """Return the numbers. Raises DeployError if one is not a record of the other arguments."""
    numbers = list(dict.fromkeys(arguments.id))
    for number in numbers:
        held = table.get(number)
        if held is None:
            raise DeployError(f"{number}: not in the quarantine")
        if arguments.unit not in ("", held.entry.unit):
            raise DeployError(f"{number}: of {held.entry.unit}, not of {arguments.unit}")
        if arguments.reason not in ("", held.reason):
            raise DeployError(f"{number}: its reason is {held.reason}, not {arguments.reason}")
    return numbers


def _check_reason(table: QuarantineTable, arguments: argparse.Namespace) -> None:
    """Raise DeployError for a reason that no record has, and that is none."""
    reason = arguments.reason
    if reason not in ("", *REASONS) and not table.find(arguments.unit, reason, limit=1):
        raise DeployError(f"--reason {reason}: not one of {', '.join(REASONS)}")


def _print_list(selected: Iterator[Quarantined], as_json: bool) -> None:
    count = 0
    for held in selected:
        count += 1
        row = _describe(held, False)
        if as_json:
            print(json.dumps(row))
            continue
        line = (
            f"{row['id']:>6}  {row['unit']:<24} {row['reason']:<9} {row['kind']:<8}"
            f" {row['class']:<5} {row['record']:>8}  {row['bytes']:>6} B  {row['detail']}"
        )
        print(printable(line))
    if not as_json:
        print(f"{count} in the quarantine")


def run(argv: list[str]) -> int:
    """Run one command: exit 0, or 2 after wrong use."""
    arguments = _make_parser().parse_args(argv)
    path = Path(arguments.store)
    try:
        _check_store(path)
        reads_only = arguments.action != "retry" and is_present_store(path)
        database = RelayDatabase(path, "", reads_only)
        try:
            return _run(QuarantineTable(database), database, arguments)
        finally:
            database.close()
    except (DeployError, sqlite3.Error) as error:
        sys.stderr.write(f"coldloop relay quarantine: {error}\n")
    except UnicodeEncodeError:
        sys.stderr.write("coldloop relay quarantine: an argument is not UTF-8\n")
    return 2


def _check_store(path: Path) -> None:
    """Refuse a file that is not the store of a relay, before anything changes it."""
    if not path.exists():
        raise DeployError(f"{path}: there is no such file")
    try:
        is_store = is_relay_store(path)
    except sqlite3.Error as error:
        raise DeployError(f"{path}: {error}") from None
    if not is_store:
        other = path.with_suffix("")
        hint = f"; try {other}" if path.suffix == ".fleet" and other.exists() else ""
        raise DeployError(f"{path}: not the store of a relay{hint}")


def _check_output(name: str) -> None:
    names = [spec.name for spec in OUTPUTS]
    if name and name not in names:
        raise DeployError(f"--output {name}: not one of {', '.join(names)}")


def _retry(table: QuarantineTable, database: RelayDatabase, ids: list[int], output: str) -> None:
    """Give records back. Whatever fails, a line says how many of them the relay has."""
    done = 0
    try:
        for at in range(0, len(ids), _LOT):  # a relay that runs stores its messages in between
            with database.transaction():
                table.give_back(ids[at : at + _LOT], output)
            done += len(ids[at : at + _LOT])
        print(f"{done} given back to the relay", flush=True)
    except BaseException:
        sys.stderr.write(f"coldloop relay quarantine: {done} of {len(ids)} given back\n")
        raise


def _run(table: QuarantineTable, database: RelayDatabase, arguments: argparse.Namespace) -> int:
    _check_reason(table, arguments)
    if arguments.action == "retry":
        _check_output(arguments.output)
        _retry(table, database, _selected_ids(table, arguments), arguments.output)
        return 0
    selected = _select(table, arguments)
    if arguments.action == "list":
        _print_list(selected, arguments.json)
    else:
        indent = 2 if arguments.action == "show" and not arguments.json else None
        for held in selected:
            print(json.dumps(_describe(held, True), indent=indent))
    return 0
