# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil verify`: check that records were not changed after they were written.

Checks format, hash, signature and scenario hashes of each record. Does not check that the chain of
a folder is complete.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from hil.errors import BenchError
from hil.record.record import FILE, Record, find_problems, read

EXAMPLE = "coldloop hil verify out/acceptance/record.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("record", type=Path, nargs="+", metavar="RECORD", help="files or folders")
    parser.add_argument("--key", metavar="HEX", help="public key of the expected bench")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


class _VerifiedRecord(NamedTuple):
    """A record file, its content, and its problems; an empty list: the record is good."""

    path: Path
    record: Record
    problems: list[str]


def run(arguments: argparse.Namespace) -> int:
    """Verify the records; exit 1 if a record has a problem."""
    verified = []
    for location in arguments.record:
        for path in _list_files(location):
            record = read(path)
            verified.append(_VerifiedRecord(path, record, find_problems(record, arguments.key)))
    if arguments.json:
        print(json.dumps([{"file": str(v.path), "problems": v.problems} for v in verified]))
    else:
        for entry in verified:
            _print_entry(entry)
    return 1 if any(entry.problems for entry in verified) else 0


def _print_entry(entry: _VerifiedRecord) -> None:
    verdict = "BAD " if entry.problems else "GOOD"
    suite, key = entry.record.get("suite"), _key_text(entry.record)
    print(f"{verdict}  {entry.path}  {suite}  key {key}")
    for line in entry.problems:
        print(f"  {line}")


def _key_text(record: dict[str, object]) -> str:
    return str(record.get("key"))[:16]


def _list_files(location: Path) -> list[Path]:
    if not location.is_dir():
        return [location]
    paths = sorted(location.rglob(FILE))
    if not paths:
        raise BenchError(f"{location}: no {FILE} in it")
    return paths
