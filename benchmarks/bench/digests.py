# SPDX-License-Identifier: Apache-2.0
"""Digests of the same run on several interpreters, repeated.

    python -m benchmarks.bench.digests [SCENARIO ...] [--repeats 20] [--interpreters 3.11,3.13]

Does not measure speed. For each scenario and one seed it runs `coldloop hil run` repeatedly, on
each installed CPython and on MicroPython in lock-step. Each run is a separate process with another
hash seed. The benchmark compares the digests of all bytes in and out of the agent. Another
interpreter gets a temporary environment with the locked requirements; if that fails, the benchmark
names it and continues without it. Exit code 1: digests differ, or a run did not pass.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.common import ROOT, Record, describe_machine, progress, show
from hil.errors import BenchError
from hil.scenario.loader import find

MINORS = range(11, 20)
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def find_versions() -> list[str]:
    """Return the versions of CPython that start as `python3.X` and are new enough."""
    names = [f"3.{minor}" for minor in MINORS]
    return [name for name in names if name == HERE or find_executable(name) is not None]


def find_executable(version: str) -> str | None:
    """Return the path of a working interpreter; a shim of a version manager can fail."""
    command = shutil.which(f"python{version}")
    if command is None:
        return None
    code = "import sys; print(sys.executable)"
    completed = subprocess.run([command, "-c", code], capture_output=True, text=True, check=False)
    return completed.stdout.strip() if completed.returncode == 0 else None


def make_environment(version: str, folder: Path) -> str | None:
    """Make an environment with the locked requirements; None: not possible."""
    if version == HERE:
        return sys.executable
    python = find_executable(version)
    home = folder / version
    steps = (
        [python or f"python{version}", "-m", "venv", str(home)],
        [str(home / "bin/python"), "-m", "pip", "install", "--quiet", "--require-hashes"],
    )
    locked = ["--disable-pip-version-check"]
    for lock in ("agent.txt", "bench.txt"):
        locked += ["-r", str(ROOT / "requirements" / lock)]
    progress(f"environment for CPython {version}")
    for step in (steps[0], [*steps[1], *locked]):
        try:
            completed = subprocess.run(step, capture_output=True, text=True, check=False)
        except OSError:
            return None
        if completed.returncode != 0:
            return None
    return str(home / "bin/python")


def run(python: str, dut: str, scenario: str, seed: int, hash_seed: int) -> tuple[str, bool]:
    """Return the digest of one run in a separate process, and whether it passed."""
    command = [python, "coldloop.py", "hil", "run", scenario, "--json"]
    command += ["--seed", str(seed), "--dut", dut]
    variables = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    completed = subprocess.run(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, check=False
    )
    if completed.returncode not in (0, 1):
        raise BenchError(f"{' '.join(command)}: ended with {completed.returncode}")
    record = json.loads(completed.stdout)
    return record["digest"], record["verdict"] == "pass"


def measure(duts: dict[str, tuple[str, str]], scenarios: list[str], seed: int, n: int) -> Record:
    """Run each scenario `n` times on each interpreter and compare."""
    compared: Record = {}
    for scenario in scenarios:
        per_dut: Record = {}
        for name, (python, dut) in duts.items():
            progress(f"{scenario} on {name}")
            results = [run(python, dut, scenario, seed, i) for i in range(n)]
            per_dut[name] = {
                "digests": dict(Counter(digest for digest, _ in results)),
                "passed": sum(passed for _, passed in results),
            }
        all_digests = {
            digest for duts_record in per_dut.values() for digest in duts_record["digests"]
        }
        compared[scenario] = {"equal": len(all_digests) == 1, "duts": per_dut}
    return compared


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench.digests",
        description="The same scenario and seed on several interpreters, repeated.",
        epilog="example: python -m benchmarks.bench.digests smoke --interpreters 3.11,3.13",
    )
    parser.add_argument("scenarios", nargs="*", default=["smoke"], metavar="SCENARIO")
    parser.add_argument("--repeats", type=int, default=20, metavar="N", help="runs of each (20)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--interpreters", metavar="3.X,...", help="versions of CPython (all installed)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    versions = arguments.interpreters.split(",") if arguments.interpreters else find_versions()
    try:
        for name in arguments.scenarios:
            find(name)
        with tempfile.TemporaryDirectory(prefix="coldloop-digests-") as folder:
            pythons = {version: make_environment(version, Path(folder)) for version in versions}
            duts = {f"CPython {v}": (p, "cpython") for v, p in pythons.items() if p is not None}
            if about["micropython"] is not None:
                duts[f"MicroPython {about['micropython']}"] = (sys.executable, "micropython")
            compared = measure(duts, arguments.scenarios, arguments.seed, arguments.repeats)
    except BenchError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    record = {
        "machine": about,
        "seed": arguments.seed,
        "repeats": arguments.repeats,
        "left_out": [version for version, python in pythons.items() if python is None],
        "equal": all(scenario_record["equal"] for scenario_record in compared.values()),
        "scenarios": compared,
    }
    show(record, arguments.json, ["scenario", "dut", "passed", "same", "digest"], rows(record))
    if not arguments.json:
        print_verdict(record)
    passed = all(
        dut["passed"] == arguments.repeats
        for scenario_record in compared.values()
        for dut in scenario_record["duts"].values()
    )
    return 0 if record["equal"] and passed else 1


def rows(record: Record) -> list[list[str]]:
    """Return one row for each interpreter and digest."""
    repeats = record["repeats"]
    return [
        [scenario, name, f"{dut['passed']} of {repeats}", f"{count} of {repeats}", digest[:16]]
        for scenario, scenario_record in record["scenarios"].items()
        for name, dut in scenario_record["duts"].items()
        for digest, count in dut["digests"].items()
    ]


def print_verdict(record: Record) -> None:
    """Print the verdict."""
    for version in record["left_out"]:
        print(f"CPython {version} skipped: installation of the locked requirements failed")
    print("\nall digests are equal" if record["equal"] else "\nDIGESTS DIFFER")


if __name__ == "__main__":
    sys.exit(main())
