"""`coldloop hil campaign`: scenarios drawn by chance, over all cores; what fails is kept."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from hil.campaign import LEAST_S, SECONDS, Result, Tally, results
from hil.errors import BenchError
from hil.recording import DUTS

EXAMPLE = "coldloop hil campaign --seeds 400 --keep out/campaign"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="how many (100)")
    parser.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (1)")
    parser.add_argument(
        "--seconds", type=int, default=SECONDS, metavar="N", help="virtual length of each (3600)"
    )
    parser.add_argument("--dut", choices=tuple(DUTS), default="cpython")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one a core)")
    parser.add_argument("--cluster", metavar="KIND:ADDRESS", help="dask:HOST:PORT or ray:ADDRESS")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write what failed as scenarios")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Run it; exit 1 when an invariant was violated."""
    if arguments.seeds < 1:
        raise BenchError(f"--seeds: {arguments.seeds} is below 1")
    if arguments.seconds < LEAST_S:
        raise BenchError(f"--seconds: {arguments.seconds} is below {LEAST_S}")
    workers = arguments.workers or os.cpu_count() or 1
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    tally, began = Tally(), time.perf_counter()
    for result in results(seeds, arguments.seconds, arguments.dut, workers, arguments.cluster):
        tally.add(result)
        _progress(tally, arguments.seeds, time.perf_counter() - began)
        if result.failures:
            _keep(result, arguments)
    record = tally.record(arguments.dut, time.perf_counter() - began)
    if arguments.json:
        print(json.dumps(record))
    else:
        verdict = "FAIL" if tally.failed else "PASS"
        print(
            f"{verdict}  {tally.seeds} seeds of {arguments.seconds} s, "
            f"{record['virtual_hours']} virtual hours in {record['wall_s']} s, "
            f"{len(tally.failed)} violations"
        )
    return 1 if tally.failed else 0


def _progress(tally: Tally, whole: int, wall_s: float) -> None:
    if sys.stderr.isatty():
        hours = tally.virtual_s / 3600
        sys.stderr.write(f"\r{tally.seeds}/{whole}  {hours:.1f} h in {wall_s:.0f} s ")
        sys.stderr.write(f" {len(tally.failed)} violations ")
        sys.stderr.flush()


def _keep(result: Result, arguments: argparse.Namespace) -> None:
    """Say what failed, and write the scenario."""
    if not arguments.json:
        print(f"FAIL  seed {result.seed}")
        for failure in result.failures:
            print(f"  {failure}")
        print(f"  again: {result.again(arguments.dut)}", flush=True)
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        path = arguments.keep / f"campaign-{result.seed}.toml"
        path.write_text(result.text, encoding="utf-8")
        if not arguments.json:
            print(f"  shrink: coldloop hil shrink {path} --seed {result.seed}", flush=True)
