# SPDX-License-Identifier: Apache-2.0
"""Mutation tests: mutmut changes the code of a subject, and a test must fail.

Works in a copy of the repository. The sample depends on the seed and on the code alone. A mutant
that loops until its time is over counts as killed. A mutant that no test can detect stands in
`equivalent.toml` with the reason, and does not count. Exit code 1: a subject is below the limit.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.mutation.subjects import (
    RESULTS,
    Change,
    MutatedSubject,
    equivalents,
    results,
    subjects,
)

LIMIT_PCT = 90.0
_COUNT = 100
_KILLED = ("killed", "timeout")

_MUTATED = ("agent", "drivers", "protocols")
_COPIED = ("benchmarks", "coldloop.py", "deploy", "docs", "hil", "requirements")


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", maxsplit=1)[0],
        epilog="example: python -m benchmarks.mutation.run --subject laws --count 200 --seed 7",
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--subject", choices=sorted(subjects()), action="append", help="default: all"
    )
    parser.add_argument("--count", type=int, default=_COUNT, help="mutants of a subject; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of a mutant")
    parser.add_argument("--write", action="store_true", help="keep the result for the documents")
    options = parser.parse_args()
    record = {"machine": common.describe_machine(), "subjects": {}}
    for name in options.subject or subjects():
        common.progress(name)
        record["subjects"][name] = judge(run_subject(name, options), options.seed)
        if options.write:
            keep(name, record)
    show(record, options.json)
    return 0 if all(subject["pct"] >= LIMIT_PCT for subject in record["subjects"].values()) else 1


def run_subject(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run the sample of one subject in a copy of the repository."""
    with tempfile.TemporaryDirectory(prefix="coldloop-mutation-") as folder:
        copy_repository(Path(folder))
        configure(subjects()[name], Path(folder))
        output = Path(folder, "result.json")
        command = [sys.executable, "-m", "benchmarks.mutation.session", name]
        command += [str(options.count), str(options.seed), options.only]
        session = subprocess.run(
            [*command, str(output)], cwd=folder, capture_output=True, text=True, check=False
        )
        if not output.exists():
            sys.exit(f"{name}: mutmut failed\n{session.stdout[-4000:]}{session.stderr[-2000:]}")
        result: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        return result


def configure(subject: MutatedSubject, folder: Path) -> None:
    """Write the settings of mutmut."""
    settings = {
        "source_paths": _MUTATED,
        "only_mutate": subject.sources,
        "also_copy": _COPIED,
    }
    text = "".join(
        f"{key} = {values[0]}\n" + "".join(f"    {value}\n" for value in values[1:])
        for key, values in settings.items()
    )
    Path(folder, "setup.cfg").write_text("[mutmut]\n" + text, encoding="utf-8")


def copy_repository(target: Path) -> None:
    """Copy the files that are or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=common.ROOT, capture_output=True, check=True)
    for name in sorted(set(listing.stdout.decode().split("\0")) - {""}):
        if (common.ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(common.ROOT / name, target / name)


def judge(result: dict[str, Any], seed: int) -> dict[str, Any]:
    """Count the mutants of a sample, and list the survivors."""
    known = equivalents()
    survivors = [mutant for mutant in result["mutants"] if mutant["status"] not in _KILLED]
    missed = [
        mutant
        for mutant in survivors
        if Change(mutant["function"], mutant["before"], mutant["after"]) not in known
    ]
    timeouts = sum(mutant["status"] == "timeout" for mutant in result["mutants"])
    killed = len(result["mutants"]) - len(survivors)
    counted = killed + len(missed)
    return {
        "all": result["all"],
        "seed": seed,
        "sample": len(result["mutants"]),
        "killed": killed - timeouts,
        "timeout": timeouts,
        "survived": len(missed),
        "equivalent": len(survivors) - len(missed),
        "pct": round(100.0 * killed / counted, 1) if counted else 100.0,
        "survivors": missed,
    }


def keep(name: str, record: dict[str, Any]) -> None:
    """Write the counts of a subject to `results.json`."""
    kept = results()
    counts = {key: n for key, n in record["subjects"][name].items() if key != "survivors"}
    kept[name] = {**counts, "date": record["machine"]["date"][:10]}
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def show(record: dict[str, Any], as_json: bool) -> None:
    """Print the table and the survivors."""
    keys = ("all", "seed", "sample", "killed", "timeout", "survived", "equivalent", "pct")
    rows = [[name, *(subject[key] for key in keys)] for name, subject in record["subjects"].items()]
    common.show(record, as_json, ["subject", *keys], rows)
    for subject in [] if as_json else record["subjects"].values():
        for mutant in subject["survivors"]:
            print(f"\n{mutant['function']}  ({mutant['status']}, {mutant['mutant']})")
            print("".join(f"- {line}\n" for line in mutant["before"].splitlines()), end="")
            print("".join(f"+ {line}\n" for line in mutant["after"].splitlines()), end="")


if __name__ == "__main__":
    sys.exit(main())
