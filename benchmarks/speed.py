# SPDX-License-Identifier: Apache-2.0
"""Speed of virtual time beside a small reference program of the same job, as ratios of one run.

    python -m benchmarks.speed [--seconds 300] [--rounds 5] [--instructions | --calls] [--keep]

The reference is `benchmarks.bench.reference`: three devices, each polled once a second, and 12 NMEA
sentences a second. It is the same for all scenarios. A ratio is its cost of a virtual second over
that of the scenario. The reference and the scenarios take turns in one process. Each figure is CPU
time. Other programs still have an effect: they empty the caches of a core, and a scenario needs
more of them than the reference. Compare figures of a quiet machine.

`--instructions` counts instructions with Valgrind instead. The cost is the difference between a
long and a short run, so the start does not count. It is slow, but a shared machine has no effect.
The ratios of the two methods differ: the reference is small and stays in the caches of a core, so
its instructions take less time each.

`--calls` counts calls of functions, in Python and in C. It is quick, and neither the machine nor
its load has an effect; the time of a call is not seen.

`HISTORY` keeps earlier ratios. A ratio that is more than `WORSE_PCT` below the last kept one of the
same method is named in a notice. `--keep` adds the ratios of this run to the file. Does not judge:
the exit code is 0.
"""

import argparse
import cProfile
import json
import os
import re
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.bench.reference import ReferenceProgram, ReferenceTraffic
from benchmarks.common import ROOT, Record, describe_machine, progress, show
from hil.errors import BenchError
from hil.run.virtual import VirtualRun
from hil.scenario.loader import find

HISTORY = ROOT / "benchmarks" / "history.json"
SCENARIOS = ("smoke", "load-step", "full-bench")
REFERENCE = "reference"
WORSE_PCT = 10
TRAFFIC = ReferenceTraffic(devices=3, reads=3, writes=1, registers=20, sentences=12)
_SHORT_S = 20
_UNITS = {"CPU time": "us of CPU", "instructions": "thousand instructions", "calls": "calls"}
_VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def run_once(name: str, seconds: int) -> float:
    """Run the reference or a scenario; return its CPU time, s."""
    if name == REFERENCE:
        reference = ReferenceProgram(TRAFFIC)
        started_s = time.process_time()
        reference.run(seconds)
    else:
        scenario = VirtualRun(replace(find(name), seconds=seconds), 1)
        started_s = time.process_time()
        scenario.run()
    return time.process_time() - started_s


def measure_time(names: tuple[str, ...], seconds: int, rounds: int) -> dict[str, list[float]]:
    """Run all in turn; return the cost of a virtual second, µs, by name and round."""
    costs: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        progress(f"round {i + 1}")
        for name in names:
            costs[name].append(run_once(name, seconds) / seconds * 1e6)
    return costs


def count_instructions(name: str, seconds: int) -> int:
    """Return the instructions of a process that runs `name` for `seconds`."""
    command = [*_VALGRIND, sys.executable, "-m", "benchmarks.speed"]
    command += ["--one", name, "--seconds", str(seconds)]
    try:
        completed = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise BenchError(f"valgrind: {error.strerror}") from error
    count = re.search(r"I +refs: +([\d,]+)", completed.stderr)
    if count is None:
        raise BenchError(f"valgrind: no count: {completed.stderr[-200:]}")
    return int(count[1].replace(",", ""))


def measure_instructions(names: tuple[str, ...], seconds: int) -> dict[str, list[float]]:
    """Return the instructions of a virtual second, in thousands, by name."""
    costs = {}
    for name in names:
        progress(name)
        short, long = (count_instructions(name, s) for s in (_SHORT_S, _SHORT_S + seconds))
        costs[name] = [(long - short) / seconds / 1000]
    return costs


def count_calls(name: str, seconds: int) -> int:
    """Return the calls of functions of a run."""
    profile = cProfile.Profile()
    if name == REFERENCE:
        reference = ReferenceProgram(TRAFFIC)
        profile.runcall(reference.run, seconds)
    else:
        profile.runcall(VirtualRun(replace(find(name), seconds=seconds), 1).run)
    return sum(entry.callcount for entry in profile.getstats())


def measure_calls(names: tuple[str, ...], seconds: int) -> dict[str, list[float]]:
    """Return the calls of a virtual second by name, without those of the start."""
    costs = {}
    for name in names:
        short, long = (count_calls(name, s) for s in (_SHORT_S, _SHORT_S + seconds))
        costs[name] = [(long - short) / seconds]
    return costs


def find_ratios(costs: dict[str, list[float]]) -> dict[str, float]:
    """Return the median ratio of the rounds, by scenario."""
    reference = costs[REFERENCE]
    return {
        name: round(statistics.median(r / c for r, c in zip(reference, cost, strict=True)), 3)
        for name, cost in costs.items()
        if name != REFERENCE
    }


def load_history(path: Path = HISTORY) -> list[Record]:
    """Return the kept records, oldest first."""
    if not path.exists():
        return []
    records: list[Record] = json.loads(path.read_text(encoding="utf-8"))
    return records


def find_worse(ratios: dict[str, float], method: str, history: list[Record]) -> list[str]:
    """Return a line for each ratio that is much below the last kept one of the same method."""
    last = [record["ratios"] for record in history if record["method"] == method][-1:]
    lines = []
    for name, ratio in ratios.items():
        before = last[0].get(name) if last else None
        if before is not None and ratio < before * (1 - WORSE_PCT / 100):
            worse_pct = 100 * (1 - ratio / before)
            lines.append(f"{name}: {ratio:.3f} of the reference, {worse_pct:.0f} % below {before}")
    return lines


def keep(record: Record, path: Path = HISTORY) -> None:
    """Add the ratios of this run to the history."""
    about = record["machine"]
    entry = {key: about[key] for key in ("date", "revision", "cpython", "cpu", "load")}
    entry |= {"method": record["method"], "ratios": record["ratios"]}
    lines = ",\n".join(json.dumps(kept) for kept in [*load_history(path), entry])
    path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Cost of a virtual second beside a small reference program.",
        epilog="example: python -m benchmarks.speed --rounds 5 --keep",
    )
    parser.add_argument("--seconds", type=int, default=300, metavar="N", help="virtual s (300)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (5)")
    parser.add_argument("--instructions", action="store_true", help="count with Valgrind")
    parser.add_argument("--calls", action="store_true", help="count calls of functions")
    parser.add_argument("--keep", action="store_true", help="add the ratios to the history")
    parser.add_argument("--one", metavar="NAME", help="only run NAME once (for --instructions)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    names = (REFERENCE, *SCENARIOS)
    record: Record = {"machine": describe_machine(), "virtual_s": arguments.seconds}
    try:
        if arguments.one is not None:
            run_once(arguments.one, arguments.seconds)
            return 0
        if arguments.instructions:
            costs, record["method"] = measure_instructions(names, arguments.seconds), "instructions"
        elif arguments.calls:
            costs, record["method"] = measure_calls(names, arguments.seconds), "calls"
        else:
            costs = measure_time(names, arguments.seconds, arguments.rounds)
            record["method"] = "CPU time"
    except BenchError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    record["costs"] = {name: round(statistics.median(cost), 1) for name, cost in costs.items()}
    record["ratios"] = find_ratios(costs)
    record["notices"] = find_worse(record["ratios"], record["method"], load_history())
    if arguments.keep:
        keep(record)
    unit = _UNITS[record["method"]]
    rows = [[n, f"{c:.0f}", record["ratios"].get(n, 1.0)] for n, c in record["costs"].items()]
    show(record, arguments.json, ["", f"{unit} a virtual s", "ratio"], rows)
    for line in record["notices"]:
        print(f"notice: {line}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
