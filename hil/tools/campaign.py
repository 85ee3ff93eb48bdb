# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil campaign`: run random scenarios on all cores and keep those that fail.

`--sweep` draws no faults: the n-th store request, bus reply or broker packet fails, n from 1 to N.
`--plant` runs control and plant without buses, for thousands of hours; with `--hazards` under pairs
of faults. `--clock` runs cases of the clock in memory: the only failure is a true UTC outside the
stated bound.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

from hil.campaign.clock.bytes_world import bytes_seed, run_with_bytes
from hil.campaign.clock.cases import CASES
from hil.campaign.clock.model import ClockCase, ClockResult
from hil.campaign.clock.report import ClockTally
from hil.campaign.clock.report import run_seed as run_clock_seed
from hil.campaign.clock.world import run_case
from hil.campaign.control_only import HOURS
from hil.campaign.nth_failure import KINDS, choose_places, run_one
from hil.campaign.nth_failure import SECONDS as SWEEP_S
from hil.campaign.random_campaign import (
    MIN_SECONDS,
    SECONDS,
    CampaignTally,
    SeedResult,
    run_control_hours,
    run_jobs,
    run_nth_failure,
    run_plant_hazards,
    run_seed,
)
from hil.campaign.workers import add_options, rerun_on_pypy
from hil.campaign.workers import run_jobs as run_in_processes
from hil.errors import INTERRUPTED, BenchError
from hil.io.progress import ProgressLine
from hil.io.regular_file import write_into
from hil.run.recorded import DUTS
from hil.tools.arguments import path_argument

_VIRTUAL_S, _PLANT_HOUR_S, _CLOCK_DAY_S = 0.0015, 0.06, 0.5
"""Computing time of a virtual second with all bytes, of an hour of control and plant, of a day of
the clock, s."""
EXAMPLE = "coldloop hil campaign --seeds 400 --keep out/campaign"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="number of seeds (100)")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="first seed (1)")
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS,
        metavar="N",
        help="virtual seconds of each run (3600)",
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--sweep",
        choices=tuple(KINDS),
        help="let the n-th request, reply or packet fail, n from --first on, at --seeds places",
    )
    kind.add_argument(
        "--plant", action="store_true", help="run only control and plant, without buses"
    )
    kind.add_argument(
        "--clock", action="store_true", help="run cases of sky, oscillator and host in memory"
    )
    parser.add_argument(
        "--bytes", action="store_true", help="with --clock: sentences on a serial line, all bytes"
    )
    parser.add_argument(
        "--drags", action="store_true", help="with --clock: a spoofer drags the time slowly"
    )
    parser.add_argument(
        "--second-source",
        type=float,
        default=0.0,
        metavar="MS",
        help="with --clock: an NTP server of the site states UTC within MS milliseconds",
    )
    parser.add_argument(
        "--case", metavar="NAME", help="with --clock: run this named case, or `all` of them"
    )
    parser.add_argument(
        "--hazards",
        action="store_true",
        help="with --plant: pairs of the words of `coldloop hil hazard`, with their values",
    )
    parser.add_argument(
        "--hours",
        type=int,
        default=HOURS,
        metavar="N",
        help=f"hours of each run with --plant ({HOURS})",
    )
    parser.add_argument("--dut", choices=tuple(DUTS), default="cpython")
    add_options(parser, "one for each core")
    parser.add_argument(
        "--cluster", metavar="KIND:HOST:PORT", help="run on this cluster: dask:… or ray:…"
    )
    parser.add_argument(
        "--keep", type=path_argument, metavar="DIR", help="write failed scenarios into this folder"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Run the campaign; exit 1 if an invariant was violated."""
    if arguments.seeds < 1:
        raise BenchError(f"--seeds: {arguments.seeds} is below 1")
    if arguments.seconds < MIN_SECONDS:
        raise BenchError(f"--seconds: {arguments.seconds} is below {MIN_SECONDS}")
    if arguments.hazards and not arguments.plant:
        raise BenchError("--hazards: needs --plant")
    if not 1 <= arguments.hours <= 8760:
        raise BenchError(f"--hours: {arguments.hours} is outside 1 to 8760")
    workers = arguments.workers or os.cpu_count() or 1
    if arguments.cluster is None and arguments.dut == "cpython":
        code = rerun_on_pypy("campaign", arguments, _estimate_s(arguments) / workers)
        if code is not None:
            return code
    if arguments.clock:
        return _run_clock(arguments, workers)
    call, jobs = _make_jobs(arguments)
    tally, started_s = CampaignTally(), time.perf_counter()
    interrupted = False
    try:
        with ProgressLine(len(jobs), "runs") as progress:
            for result in run_jobs(call, jobs, workers, arguments.cluster):
                tally.add(result)
                progress.update(tally.seeds, f"{len(tally.failed)} violations")
                if result.failures:
                    _report_failure(result, arguments)
    except KeyboardInterrupt:
        interrupted = True
    record = tally.record(arguments.dut, time.perf_counter() - started_s)
    if arguments.json:
        print(json.dumps({**record, "interrupted": interrupted}))
    else:
        verdict = "FAIL" if tally.failed else "INTERRUPTED" if interrupted else "PASS"
        done = f"{tally.seeds} of {len(jobs)}" if interrupted else str(tally.seeds)
        print(
            f"{verdict}  {done} {_job_text(arguments)}, "
            f"{record['virtual_hours']} virtual hours in {record['wall_s']} s, "
            f"{len(tally.failed)} violations"
        )
    return INTERRUPTED if interrupted else 1 if tally.failed else 0


def _run_clock(arguments: argparse.Namespace, workers: int) -> int:
    """Run cases of the clock; exit 1 if a true UTC was outside the bound."""
    if arguments.second_source < 0 or (arguments.second_source and arguments.bytes):
        raise BenchError("--second-source: must be 0 or more, and without --bytes")
    tally, interrupted = ClockTally(), False
    if arguments.case is not None:
        if arguments.case != "all" and arguments.case not in CASES:
            raise BenchError(f"--case: {arguments.case} is none of: {', '.join(CASES)}")
        names = list(CASES) if arguments.case == "all" else [arguments.case]
        for name in names:
            run = run_with_bytes if arguments.bytes else run_case
            tally.add(CASES[name], run(CASES[name]))
    else:
        seeds = range(arguments.first, arguments.first + arguments.seeds)
        function = bytes_seed if arguments.bytes else run_clock_seed
        options = () if arguments.bytes else (arguments.drags, arguments.second_source)
        jobs = [(seed, *options) for seed in seeds]
        interrupted = _run_clock_seeds(tally, jobs, workers, function)
    record = tally.record()
    code = INTERRUPTED if interrupted else 1 if tally.violations else 0
    if arguments.json:
        print(json.dumps({**record, "interrupted": interrupted}))
        return code
    for found in tally.violations:
        name = found.name or f"seed {found.seed}"
        print(
            f"FAIL  {name}: {found.excess_us} us beyond the bound, first at {found.first_s:.0f} s"
        )
    print(
        f"{'FAIL' if tally.violations else 'INTERRUPTED' if interrupted else 'PASS'}  "
        f"{tally.runs} cases drawn, {record['days']} "
        f"days of time, {len(tally.violations)} violations; median bound in us: "
        f"{record['median_bound_us']}"
    )
    if tally.drags.runs:
        print("drags: " + json.dumps(tally.drags.record()))
    return code


def _run_clock_seeds(
    tally: ClockTally,
    jobs: list[tuple[Any, ...]],
    workers: int,
    function: Callable[..., tuple[ClockCase, ClockResult]],
) -> bool:
    """Run the seeds; return whether they were interrupted."""
    try:
        with ProgressLine(len(jobs), "cases") as progress:
            for day, result in run_in_processes(function, jobs, workers):
                tally.add(day, result)
                progress.update(tally.runs, f"{len(tally.violations)} violations")
    except KeyboardInterrupt:
        return True
    return False


def _estimate_s(arguments: argparse.Namespace) -> float:
    """Return the computing time of the whole campaign on CPython, roughly, s."""
    if arguments.clock:
        return float(arguments.seeds) * _CLOCK_DAY_S if arguments.case is None else 0.0
    if arguments.plant:
        return float(arguments.seeds * arguments.hours) * _PLANT_HOUR_S
    seconds = SWEEP_S if arguments.sweep else arguments.seconds
    return float(arguments.seeds * seconds) * _VIRTUAL_S


def _make_jobs(
    arguments: argparse.Namespace,
) -> tuple[Callable[..., SeedResult], list[tuple[Any, ...]]]:
    """Return the function to call, and its arguments for each seed or place."""
    first_number, count, dut = arguments.first, arguments.seeds, arguments.dut
    if arguments.sweep:
        undisturbed = run_one(arguments.sweep, 0, dut)
        if undisturbed.failures:
            raise BenchError(
                f"--sweep: the scenario fails without a failure: {undisturbed.failures[0]}"
            )
        if first_number > undisturbed.places:
            raise BenchError(
                f"--first: {first_number} is above {undisturbed.places}, the number of places"
            )
        return run_nth_failure, [
            (n, arguments.sweep, dut)
            for n in choose_places(undisturbed.places, count, first_number)
        ]
    if arguments.plant:
        return run_plant_hazards if arguments.hazards else run_control_hours, [
            (n, arguments.hours, dut) for n in range(first_number, first_number + count)
        ]
    return run_seed, [
        (n, arguments.seconds, dut) for n in range(first_number, first_number + count)
    ]


def _job_text(arguments: argparse.Namespace) -> str:
    if arguments.sweep:
        return f"places of {arguments.sweep}"
    if arguments.plant:
        return f"seeds of {arguments.hours} h of control and plant"
    return f"seeds of {arguments.seconds} s"


def _report_failure(result: SeedResult, arguments: argparse.Namespace) -> None:
    """Print the failures, and write the scenario."""
    if not arguments.json:
        print(f"FAIL  seed {result.seed}")
        for failure in result.failures:
            print(f"  {failure}")
        print(f"  again: {result.repeat_command(arguments.dut)}", flush=True)
    if arguments.keep is not None and result.text:
        path = write_into(arguments.keep, f"campaign-{result.seed}.toml", result.text)
        if not arguments.json:
            print(f"  shrink: coldloop hil shrink {path} --seed {result.seed}", flush=True)
