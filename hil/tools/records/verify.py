# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil verify`: check that reports are those that a known bench has written.

A report is GOOD if all this is true: the record has the right form, hash, signature and scenario
hashes; the signed manifest covers each entry of the folder, and each is a regular file; and the key
of the bench is known. A key is known if it is that of this machine, if a person has accepted it, or
if `--key` names it. On a terminal the first use of a key asks. Otherwise the verdict is UNKNOWN,
and the exit code 1.

A report without its record is BAD. So is a symbolic link to a folder: it is not followed.

The record before this one in the chain can be elsewhere. Then a note says so.

With `--unit FILE`, each report is also compared with a configuration and its profiles: a report of
another configuration says nothing about this one.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from hil.errors import BenchError
from hil.record import trust_store
from hil.record.label import escape_text
from hil.record.manifest import find_manifest_problems
from hil.record.record import Record, find_problems, read
from hil.report.write import NO_PREVIOUS
from hil.run.unit.unit_file import Basis, basis_of, find_differences, load_unit
from hil.tools.arguments import path_argument
from hil.tools.records.report_folders import list_reports

EXAMPLE = "coldloop hil verify out/acceptance"
_NO_UNIT = "names no configuration of a unit"
GOOD, BAD, UNKNOWN = "GOOD", "BAD", "UNKNOWN"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "record", type=path_argument, nargs="+", metavar="DIR", help="folders of reports"
    )
    parser.add_argument("--key", metavar="HEX", help="public key of the expected bench")
    parser.add_argument(
        "--trust", action="store_true", help="accept the keys of these records as known benches"
    )
    parser.add_argument(
        "--unit",
        type=Path,
        metavar="FILE",
        help="configuration of a unit that the reports must be of, with its profiles",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list")


@dataclass
class _Verification:
    """A record file, its content, its problems, its notes, and whether its key is known.

    `differences`: to the configuration of `--unit`; None: not compared.
    """

    path: Path
    record: Record
    problems: list[str]
    notes: list[str]
    is_known: bool = False
    differences: list[str] | None = None

    @property
    def verdict(self) -> str:
        if self.problems:
            return BAD
        return GOOD if self.is_known else UNKNOWN


def run(arguments: argparse.Namespace) -> int:
    """Verify the reports; exit 1 if one is not GOOD, or not of the configuration of `--unit`."""
    if arguments.key is not None and not trust_store.is_key(arguments.key):
        raise BenchError("--key: not a public key of 64 hexadecimal digits")
    basis = None if arguments.unit is None else basis_of(load_unit(arguments.unit))
    paths = [path for location in arguments.record for path in list_reports(location)]
    checks = [_verify(path, arguments.key) for path in paths]
    _add_chain_notes(checks)
    for check in checks:
        check.is_known = not check.problems and _is_known(check, arguments)
        if basis is not None and not check.problems:
            check.differences = _compare(check.record, basis)
    if arguments.json:
        print(json.dumps([_to_json(check) for check in checks]))
    else:
        for check in checks:
            _print_check(check, arguments.unit)
    return 1 if any(check.verdict != GOOD or check.differences for check in checks) else 0


def _compare(record: Record, basis: Basis) -> list[str]:
    """Return what differs between the configuration of a record and another one."""
    found = [run.get("basis") for run in record["runs"]]
    if not found or not all(_is_basis(entry) for entry in found):
        return [_NO_UNIT]
    return list(dict.fromkeys(d for entry in found for d in find_differences(entry, basis)))


def _is_basis(entry: object) -> bool:
    if not isinstance(entry, dict) or entry.keys() != {"devices", "sections"}:
        return False
    return all(isinstance(part, dict) for part in entry.values())


def _verify(path: Path, key: str | None) -> _Verification:
    try:
        record = read(path)
    except BenchError as error:
        return _Verification(path, {}, [str(error).removeprefix(f"{path}: ")], [])
    problems = find_problems(record, key)
    if not problems:
        problems = find_manifest_problems(path.parent, record.get("key"))
    return _Verification(path, record, problems, [])


def _add_chain_notes(checks: list[_Verification]) -> None:
    hashes = {check.record.get("hash") for check in checks}
    for check in checks:
        previous = check.record.get("previous")
        if previous not in hashes and previous != NO_PREVIOUS and not check.problems:
            check.notes.append(f"the record before it, {str(previous)[:16]}, is not among these")


def _is_known(check: _Verification, arguments: argparse.Namespace) -> bool:
    key = str(check.record.get("key"))
    if arguments.key is not None or trust_store.is_known(key):
        return True
    if arguments.trust or (not arguments.json and sys.stdin.isatty() and _ask(check, key)):
        try:
            trust_store.accept(key)
        except BenchError as error:  # the verdicts of the records follow
            check.notes.append(str(error))
            return False
        return True
    return False


def _ask(check: _Verification, key: str) -> bool:
    sys.stderr.write(
        f"{escape_text(check.path)}: the bench with the key\n  {escape_text(key)}\n"
        "is not known. Accept it? [y/N] "
    )
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _to_json(check: _Verification) -> dict[str, object]:
    return {
        "file": str(check.path),
        "verdict": check.verdict,
        "key": check.record.get("key"),
        "problems": check.problems,
        "notes": check.notes,
        **({} if check.differences is None else {"differences": check.differences}),
    }


def _print_check(check: _Verification, unit: Path | None) -> None:
    suite, key = check.record.get("suite"), str(check.record.get("key"))[:16]
    print(escape_text(f"{check.verdict:<7} {check.path}  {suite}  key {key}"))
    if check.verdict == GOOD:
        print(f"  {escape_text(check.record['verdict_text'])}")
    if check.verdict == UNKNOWN:
        print(f"  key {escape_text(check.record['key'])} is not that of a known bench")
        print("  compare it with that of the bench (coldloop hil key); then add --trust")
    for line in (*check.problems, *_describe_differences(check.differences, unit), *check.notes):
        print(f"  {escape_text(line)}")


def _describe_differences(differences: list[str] | None, unit: Path | None) -> list[str]:
    if differences is None:
        return []
    if not differences:
        return [f"is of the configuration {unit}"]
    if differences == [_NO_UNIT]:
        return [f"is NOT of the configuration {unit}: it {_NO_UNIT}"]
    return [f"is NOT of the configuration {unit}: {', '.join(differences)} differ"]
