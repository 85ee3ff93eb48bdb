# SPDX-License-Identifier: Apache-2.0
"""Break each promise of docs/project/assurance.md once: the test that it names must fail.

    python -m benchmarks.mutation.promises [--only TEXT] [--write]

Works in a copy of the repository: the named test passes there first, then fails with the fault
(`promises.toml`). Exit code 1: a named test stays green. `--write` keeps the results for
docs/reference/mutation.md. The tests run on CPython. Not for random faults; see
`benchmarks.mutation.run`.
"""

import argparse
import ast
import datetime as dt
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import common

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("promises.toml")
RESULTS = Path(__file__).with_name("promises.json")
KILLED, SURVIVED, BROKEN = "killed", "survived", "red without the fault"
_TIMEOUT_S = 900
_ARGUMENTS = ("-q", "-x", "--tb=no", "-p", "no:cacheprovider", "-k", "not unix and not mps2")


@dataclass(frozen=True)
class Promise:
    """A fault: `line` is the number of the promise, `test` the named test that must fail."""

    line: int
    what: str
    file: str
    before: str
    after: str
    test: str

    def key(self) -> str:
        """Return the name of the fault in the results."""
        return f"{self.line}: {self.what}"


def promises() -> list[Promise]:
    """Return the faults."""
    return [Promise(**row) for row in tomllib.loads(LIST.read_text())["promise"]]


def kept_results() -> dict[str, list[str]]:
    """Return result and date of each fault that was run with `--write`."""
    kept: dict[str, list[str]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return kept


def tracked_files() -> Iterator[str]:
    """Return the files of the repository, also new ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    yield from (name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


def copy_tree(folder: Path) -> None:
    """Copy the repository."""
    for name in tracked_files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)


def test_command(folder: Path, test: str) -> list[str]:
    """Return the command that runs a test: without pytest if the test needs no fixture."""
    file, _, name = test.partition("::")
    for node in ast.parse((folder / file).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == name and not node.args.args:
            module = file.removesuffix(".py").replace("/", ".")
            return [sys.executable, "-c", f"import {module} as tests; tests.{name}()"]
    return [sys.executable, "-m", "pytest", *_ARGUMENTS, test]


def is_green(folder: Path, test: str) -> bool:
    """Return whether the test passes. One that does not end counts as failed."""
    command = test_command(folder, test)
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1):
        raise SystemExit(f"{test}: pytest ends with {done.returncode}: {done.stdout[-500:]!r}")
    return done.returncode == 0


def judge(folder: Path, promise: Promise, green: set[str]) -> str:
    """Return the result of a fault in a copy of the repository, which is unchanged afterwards.

    `green`: the tests that have passed without a fault.
    """
    path = folder / promise.file
    text = path.read_text()
    if promise.test not in green and not is_green(folder, promise.test):
        return BROKEN
    green.add(promise.test)
    path.write_text(text.replace(promise.before, promise.after))
    try:
        return SURVIVED if is_green(folder, promise.test) else KILLED
    finally:
        path.write_text(text)


def run(selected: list[Promise]) -> dict[str, str]:
    """Judge the faults; return their results."""
    results: dict[str, str] = {}
    green: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        copy_tree(Path(name))
        for promise in selected:
            results[promise.key()] = judge(Path(name), promise, green)
            common.progress(f"{results[promise.key()]:9s} {promise.key()}")
    return results


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default="", help="part of the name of a fault")
    parser.add_argument("--write", action="store_true", help="keep the results for the documents")
    options = parser.parse_args()
    results = run([promise for promise in promises() if options.only in promise.key()])
    if options.write:
        date = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
        kept = kept_results() | {key: [result, date] for key, result in results.items()}
        known = {promise.key() for promise in promises()}
        kept = {key: kept[key] for key in sorted(kept, key=_number) if key in known}
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    killed = list(results.values()).count(KILLED)
    print(json.dumps(results) if options.json else f"{killed} of {len(results)} faults are killed")
    return 0 if killed == len(results) else 1


def _number(key: str) -> tuple[int, str]:
    return int(key.partition(":")[0]), key


if __name__ == "__main__":
    sys.exit(main())
