"""`coldloop hil verify`: was a record changed after it was written, and who wrote it.

A folder of records is verified as a chain: each names the hash of the one before it.
"""

import argparse
import json
from pathlib import Path

from hil.errors import BenchError
from hil.record.record import FILE, find_problems, read

EXAMPLE = "coldloop hil verify out/acceptance/record.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("record", type=Path, nargs="+", metavar="RECORD", help="files or folders")
    parser.add_argument("--key", metavar="HEX", help="the public key it must be signed with")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Verify; exit 1 when anything is wrong."""
    rows = []
    for location in arguments.record:
        for path in _list_files(location):
            record = read(path)
            rows.append((path, record, find_problems(record, arguments.key)))
    if arguments.json:
        print(
            json.dumps(
                [
                    {"file": str(record_path), "problems": messages}
                    for record_path, _, messages in rows
                ]
            )
        )
    else:
        for path, record, messages in rows:
            print(
                f"{'BAD ' if messages else 'GOOD'}  {path}  {record.get('suite')}  key {_key_text(record)}"
            )
            for line in messages:
                print(f"  {line}")
    return 1 if any(messages for _, _, messages in rows) else 0


def _key_text(record: dict[str, object]) -> str:
    return str(record.get("key"))[:16]


def _list_files(location: Path) -> list[Path]:
    if not location.is_dir():
        return [location]
    paths = sorted(location.rglob(FILE))
    if not paths:
        raise BenchError(f"{location}: no {FILE} in it")
    return paths
