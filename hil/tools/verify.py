"""`coldloop hil verify`: was a record changed after it was written, and who wrote it.

A folder of records is verified as a chain: each names the hash of the one before it.
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
    parser.add_argument("--key", metavar="HEX", help="the public key it must be signed with")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


class _VerifiedRecord(NamedTuple):
    """A record file, its content, and its problems; no problem: the record is good."""

    path: Path
    record: Record
    problems: list[str]


def run(arguments: argparse.Namespace) -> int:
    """Verify; exit 1 when anything is wrong."""
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
