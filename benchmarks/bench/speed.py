# SPDX-License-Identifier: Apache-2.0
"""Speed of the bench relative to real time, on one core.

    python -m benchmarks.bench.speed [--seconds 1200] [--rounds 5] [--profile]

The agent and all devices exchange the same bytes as on real lines. `cpython` runs the agent in this
process; `micropython` runs it in another process in lock-step, both on one core, from source and
from precompiled files. A scenario runs for `--seconds` virtual seconds, so the start costs little.
The rounds of the three take turns, so the load of the machine affects all of them. `--profile` runs
once more under cProfile and shows the share of each package. The profiler slows calls more than
loops, so the shares are rough.
"""

import argparse
import cProfile
import os
import pstats
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, Record, describe_machine, progress, show, summarise
from benchmarks.firmware.flash import compile_flash
from hil.errors import BenchError
from hil.kernel.dut import DutFactory, InProcessDut
from hil.run.virtual import RunResult, VirtualRun
from hil.scenario.loader import find
from hil.scenario.model import Scenario
from hil.shells.lockstep import LockStepDut

PACKAGES = ("protocols", "drivers", "agent", "hil/devices", "hil/plant", "hil")


def run(scenario: Scenario, seed: int, name: str, make: DutFactory) -> RunResult:
    """Run a scenario once."""
    virtual = VirtualRun(scenario, seed, make)
    try:
        return virtual.make_result(name, virtual.run())
    finally:
        virtual.dut.close()


def duts(flash: Path | None) -> dict[str, DutFactory]:
    """Return the ways to run the agent; `flash` is a folder of precompiled files."""
    ways: dict[str, DutFactory] = {"cpython": InProcessDut}
    if shutil.which("micropython") is not None:
        ways["micropython"] = LockStepDut
        if flash is not None:
            ways["micropython, .mpy"] = partial(LockStepDut, path=flash)
    return ways


def measure(
    scenario: Scenario, seed: int, rounds: int, ways: dict[str, DutFactory]
) -> list[Record]:
    """Run the ways in turns for `rounds` rounds."""
    outcomes: dict[str, list[RunResult]] = {name: [] for name in ways}
    for i in range(rounds):
        for name, make in ways.items():
            outcomes[name].append(run(scenario, seed, name, make))
            progress(f"round {i + 1}: {name} {outcomes[name][-1].record()['speed']:.0f} x")
    runs = []
    for name, result in outcomes.items():
        runs.append(
            {
                "dut": name,
                "verdict": "fail" if any(o.failures for o in result) else "pass",
                "digests": sorted({str(o.digest) for o in result}),
                "speed": summarise([o.virtual_s / o.wall_s for o in result], 0),
                "us_per_virtual_s": summarise([o.wall_s / o.virtual_s * 1e6 for o in result], 0),
            }
        )
    return runs


def cpu_speed(scenario: Scenario, seed: int) -> float:
    """Return virtual seconds per second of CPU time, in this process."""
    virtual = VirtualRun(scenario, seed)
    started_at = time.process_time()
    virtual.run()
    return scenario.seconds / (time.process_time() - started_at)


def profile(scenario: Scenario, seed: int) -> dict[str, float]:
    """Return the share of each package, in percent, of one run in this process under cProfile."""
    profiler = cProfile.Profile()
    virtual = VirtualRun(scenario, seed)
    profiler.enable()
    virtual.run()
    profiler.disable()
    times: dict[str, float] = {}
    result: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    for function, (_, _, own, _, callers) in result.items():
        package = package_of(function[0])
        if function[0] != "~" or not callers:
            times[package] = times.get(package, 0.0) + own
            continue
        for caller, (_, _, part, _) in callers.items():  # code in C: to its caller
            package = package_of(caller[0])
            times[package] = times.get(package, 0.0) + part
    whole = sum(times.values())
    order = sorted(times, key=lambda name: -times[name])
    return {name: round(100 * times[name] / whole, 1) for name in order}


def package_of(file: str) -> str:
    """Return the package of a file, or "library"."""
    parts = file.split(os.sep)
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    try:
        inside = Path(file).relative_to(ROOT).as_posix()
    except ValueError:
        return "standard library"
    return next((package for package in PACKAGES if inside.startswith(package + "/")), "other")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench.speed",
        description="Speed of virtual time: agent and all devices on one core.",
        epilog="example: python -m benchmarks.bench.speed --seconds 1200 --rounds 5 --profile",
    )
    parser.add_argument("--scenario", default="smoke", metavar="NAME|FILE.toml")
    parser.add_argument(
        "--seconds", type=int, default=1200, metavar="N", help="virtual seconds (1200)"
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each way (5)")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--profile", action="store_true", help="also show the share of each package"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    about = describe_machine()
    record: Record = {"machine": about, "virtual_s": arguments.seconds, "seed": arguments.seed}
    try:
        scenario = replace(find(arguments.scenario), seconds=arguments.seconds)
        with tempfile.TemporaryDirectory(prefix="coldloop-flash-") as folder:
            ways = duts(compile_flash(Path(folder)))
            record["scenario"] = scenario.name
            record["runs"] = measure(scenario, arguments.seed, arguments.rounds, ways)
        record["cpython_x_cpu"] = round(cpu_speed(scenario, arguments.seed), 0)
        if arguments.profile:
            record["packages_pct"] = profile(scenario, arguments.seed)
    except BenchError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    head = ["dut", "x real, best", "median", "worst", "us a virtual s, best", "median", "verdict"]
    rows = []
    for result in record["runs"]:
        speed, cost = result["speed"], result["us_per_virtual_s"]
        rows.append([result["dut"], *[f"{speed[w]:.0f}" for w in ("max", "median", "min")]])
        rows[-1] += [f"{cost[w]:.0f}" for w in ("min", "median")] + [result["verdict"]]
    show(record, arguments.json, head, rows)
    if not arguments.json:
        print(f"\ncpython: {record['cpython_x_cpu']:.0f} virtual seconds a second of CPU time")
    if not arguments.json and arguments.profile:
        print(
            "\n" + "\n".join(f"{share:5.1f} %  {n}" for n, share in record["packages_pct"].items())
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
