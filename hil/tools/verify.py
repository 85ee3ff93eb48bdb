"""`coldloop hil verify`: was a record changed after it was written, and who wrote it.

A folder of records is verified as a chain: each names the hash of the one before it.
"""

import argparse
import json
from pathlib import Path

from hil.errors import BenchError
from hil.record.record import FILE, problems, read

EXAMPLE = "coldloop hil verify out/acceptance/record.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("record", type=Path, nargs="+", metavar="RECORD", help="files or folders")
    parser.add_argument("--key", metavar="HEX", help="the public key it must be signed with")
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(arguments: argparse.Namespace) -> int:
    """Verify; exit 1 when anything is wrong."""
    rows = []
    for place in arguments.record:
        for path in _files(place):
            record = read(path)
            rows.append((path, record, problems(record, arguments.key)))
    if arguments.json:
        print(json.dumps([{"file": str(p), "problems": wrong} for p, _, wrong in rows]))
    else:
        for path, record, wrong in rows:
            print(
                f"{'BAD ' if wrong else 'GOOD'}  {path}  {record.get('suite')}  key {_key(record)}"
            )
            for line in wrong:
                print(f"  {line}")
    return 1 if any(wrong for _, _, wrong in rows) else 0


def _key(record: dict[str, object]) -> str:
    return str(record.get("key"))[:16]


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    found = sorted(place.rglob(FILE))
    if not found:
        raise BenchError(f"{place}: no {FILE} in it")
    return found
