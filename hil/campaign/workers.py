# SPDX-License-Identifier: Apache-2.0
"""Processes of a campaign: forked from one that has loaded the code; PyPy for a long campaign.

Does not know what a job is. `run_jobs` forks its processes from a server that has imported the
module of the job once, so no process loads it again. `rerun_on_pypy` runs the same command with
PyPy, where `make pypy` has installed it. PyPy is slow until its compiler has seen the code: about a
minute of computing time in each process. So a short campaign stays on this interpreter. Both give
the same digests.
"""

import argparse
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

from hil.errors import BenchError

AUTO, CPYTHON, PYPY = "auto", "cpython", "pypy"
_ROOT = Path(__file__).resolve().parents[2]
PYPY_PROGRAM = _ROOT / ".pypy" / "bin" / "python"
_END_S = 0.5
LONG_S = 120.0
"""Computing time of a process, s, from which PyPy is faster in sum."""


def add_options(parser: argparse.ArgumentParser, processes: str) -> None:
    """Add `--workers` and `--interpreter`; `processes` describes the default number."""
    parser.add_argument(
        "--workers",
        "--jobs",
        type=int,
        metavar="N",
        help=f"number of processes ({processes})",
    )
    parser.add_argument(
        "--interpreter",
        choices=(AUTO, CPYTHON, PYPY),
        default=AUTO,
        help="interpreter of the bench; auto: PyPy for a long campaign, if `make pypy` was run",
    )


def run_jobs(call: Callable[..., Any], jobs: list[tuple[Any, ...]], workers: int) -> Iterator[Any]:
    """Run `call` with each of `jobs` in `workers` processes; give results as they arrive.

    One worker is this process. Raises what `call` raises, and BenchError for no worker.
    """
    if workers < 1:
        raise BenchError(f"--workers: {workers} is below 1")
    if workers == 1:
        for job in jobs:
            yield call(*job)
        return
    context = get_context("forkserver")
    context.set_forkserver_preload([call.__module__])
    pool = ProcessPoolExecutor(workers, context, _ignore_interrupt)
    try:
        for future in as_completed([pool.submit(call, *job) for job in jobs]):
            yield future.result()
    except BaseException:
        _end_processes()  # also for an interrupt: a job can take a minute
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupt() -> None:
    """Leave Ctrl-C to the parent process, which then ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_processes() -> None:
    for process in active_children():
        process.terminate()
        process.join(_END_S)


def rerun_on_pypy(tool: str, arguments: argparse.Namespace, cpu_s: float) -> int | None:
    """Run `coldloop hil TOOL` with PyPy if that is wanted and sensible; return its exit code.

    `cpu_s` is the estimated computing time of each process on CPython, s. None: go on here. Raises
    BenchError if PyPy is demanded and missing.
    """
    if arguments.interpreter == CPYTHON or platform.python_implementation() == "PyPy":
        return None
    if arguments.interpreter == AUTO and (cpu_s < LONG_S or not PYPY_PROGRAM.exists()):
        return None
    if not PYPY_PROGRAM.exists():
        raise BenchError("--interpreter: PyPy is not installed; `make pypy`")
    print(f"on PyPy ({PYPY_PROGRAM})", file=sys.stderr, flush=True)
    command = [str(PYPY_PROGRAM), str(_ROOT / "coldloop.py"), "hil", tool, *arguments.argv]
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # the other process has the same signal, and ends soon
                process.send_signal(signal.SIGINT)
