# SPDX-License-Identifier: Apache-2.0
"""`make test`: all tests but the soak tests, in three processes of pytest at the same time.

A test marked `realtime` mostly waits for wall time: ticks and timeouts. A test marked `waiting`
mostly waits for other programs: brokers, stores, units in threads. Both use little of a core, so
several of them run side by side. The other tests use the cores meanwhile, with the lowest priority.
So a program of a test in real time gets a core as soon as it needs one. The other tests have one
process more than the machine has cores, because some of them wait for browsers and disks. With two
or three for each core, tests in real time beside them missed their ticks. Their order is that of
tests/distribution.py. The output of the two parts that wait follows that of the others. Arguments
are passed to pytest.

A few tests that failed beside the others run once more, alone. A test that passes then was late on
a busy machine: it is named at the end, and the exit code is 0. More than _MOST_REPEATED failures
are not repeated. Each part names its slowest tests (`_SLOWEST`).
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, NamedTuple

from tests.support.repository import REALTIME, REALTIME_PARTS, ROOT, WAITING

NO_TESTS_CHOSEN = 5  # exit code of pytest
_TESTS_FAILED = 1  # exit code of pytest
_MOST_REPEATED = 5
_SLOWEST = ("--durations=40", "--durations-min=2")
_REALTIME_PROCESSES = 3
_MAX_WAITING = 4  # processes for the tests that wait for programs
_PROCESS_BYTES = 1_500_000_000  # of a process with the programs of a test


class Part(NamedTuple):
    """A process of pytest: its tests, its number of workers, and their `nice` value."""

    marks: str
    processes: int
    niceness: int
    files: tuple[str, ...] = ()

    def command(self, arguments: list[str], cache: Path) -> list[str]:
        """Return its command; `arguments` replace its own files, `cache` keeps what failed."""
        spread = ["-n", str(self.processes), "--dist", "loadfile", "--no-loadscope-reorder"]
        spread += [*_SLOWEST, "-o", f"cache_dir={cache / str(self.niceness)}"]
        pytest = [sys.executable, "-m", "pytest", *spread, "-m", f"{self.marks} and not soak"]
        return ["nice", "-n", str(self.niceness), *pytest, *(arguments or self.files)]


def count_processes(cores: int, memory_bytes: int) -> tuple[int, int]:
    """Return the numbers of processes of the tests without a mark, and of those that wait."""
    most = memory_bytes // _PROCESS_BYTES
    others = max(1, min(cores + 1, most))
    return others, max(1, min(_MAX_WAITING, most - others - _REALTIME_PROCESSES))


def find_parts(cores: int, memory_bytes: int) -> list[Part]:
    """Return the parts; the first one prints while it runs. Each test belongs to one part."""
    others, waiting = count_processes(cores, memory_bytes)
    return [
        Part("not realtime and not waiting", others, 10),
        Part("waiting and not realtime", waiting, 5, WAITING),
        Part("realtime", _REALTIME_PROCESSES, 0, (*REALTIME, *REALTIME_PARTS)),
    ]


def compile_tests(folder: Path) -> None:
    """Compile all tests and what they import, if none is compiled: after a clone.

    Else each process of the parts does it, three to ten at the same time: 8 s of CPU in each.
    """
    if next(folder.rglob("test_*-pytest-*.pyc"), None) is None:
        collect = ["--collect-only", "-qq", "-p", "no:cacheprovider", str(folder)]
        subprocess.run(
            [sys.executable, "-m", "pytest", *collect], stdout=subprocess.DEVNULL, check=False
        )


def _show(output: IO[bytes]) -> None:
    output.seek(0)
    sys.stdout.write(output.read().decode(errors="replace"))


def find_failed(cache: Path) -> list[str]:
    """Return the tests that failed in the parts whose caches are in this folder."""
    files = sorted(cache.glob("*/v/cache/lastfailed"))
    return [test for file in files for test in json.loads(file.read_text())]


def repeat_alone(failed: list[str]) -> int:
    """Run these tests in one process, and say which ones failed before; return the exit code."""
    print(f"{len(failed)} failed beside the other tests; once more, alone:", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *failed]
    code = subprocess.run(command, check=False).returncode
    if code == 0:
        print("failed once, and passed alone:", *failed, sep="\n  ", flush=True)
    return code


def _run_parts(arguments: list[str], cache: Path) -> int:
    """Run all parts; return the worst exit code. A part without tests is not a failure."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    first, *quiet = find_parts(os.cpu_count() or 1, memory_bytes)
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in quiet]
        started = [
            stack.enter_context(
                subprocess.Popen(
                    part.command(arguments, cache), stdout=file, stderr=subprocess.STDOUT
                )
            )
            for part, file in zip(quiet, outputs, strict=True)
        ]
        codes = [subprocess.run(first.command(arguments, cache), check=False).returncode]
        codes += [process.wait() for process in started]
        for output in outputs:
            _show(output)
    chosen = [code for code in codes if code != NO_TESTS_CHOSEN]
    return max(chosen) if chosen else NO_TESTS_CHOSEN


def main(arguments: list[str]) -> int:
    """Run all tests, and those that failed once more; return the exit code."""
    if not arguments:
        compile_tests(ROOT / "tests")
    with tempfile.TemporaryDirectory(prefix="coldloop-cache") as folder:
        code = _run_parts(arguments, Path(folder))
        failed = find_failed(Path(folder))
        if code == _TESTS_FAILED and 0 < len(failed) <= _MOST_REPEATED:
            return repeat_alone(failed)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
