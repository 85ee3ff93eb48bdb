# SPDX-License-Identifier: Apache-2.0
"""`make test`: all tests but the soak tests, in two processes of pytest at the same time.

A test marked `realtime` mostly waits: for ticks, for timeouts, for other programs. Several of them
run side by side. The other tests use the cores meanwhile, with a lower priority. So a program of a
test in real time gets a core as soon as it needs one. The other tests have one process more than
the machine has cores, because many of them wait for browsers, servers and disks. With two or three
for each core, tests in real time beside them missed their ticks. Their order is that of
tests/distribution.py. The output of the part in real time follows that of the others. Arguments are
passed to pytest.
"""

import os
import subprocess
import sys
import tempfile

from tests.support.repository import REALTIME, REALTIME_PARTS

NO_TESTS_CHOSEN = 5  # exit code of pytest
_WAITING = 3  # processes for the tests that wait
_NICENESS = "10"  # of the other tests
_PROCESS_BYTES = 1_500_000_000  # of a process with the programs of a test


def _command(marks: str, processes: int, *arguments: str) -> list[str]:
    spread = ["-n", str(processes), "--dist", "loadfile", "--no-loadscope-reorder"]
    return [sys.executable, "-m", "pytest", *spread, "-m", f"{marks} and not soak", *arguments]


def count_processes(cores: int, memory_bytes: int) -> int:
    """Return the number of processes of the tests without the mark `realtime`."""
    return max(1, min(cores + 1, memory_bytes // _PROCESS_BYTES))


def main(arguments: list[str]) -> int:
    """Run both parts; return the worst exit code. A part without tests is not a failure."""
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    processes = count_processes(os.cpu_count() or 1, memory_bytes)
    others = ["nice", "-n", _NICENESS, *_command("not realtime", processes, *arguments)]
    realtime = _command("realtime", _WAITING, *(arguments or (*REALTIME, *REALTIME_PARTS)))
    with tempfile.TemporaryFile() as output:
        waiting = subprocess.Popen(realtime, stdout=output, stderr=subprocess.STDOUT)
        with waiting:
            codes = [subprocess.run(others, check=False).returncode, waiting.wait()]
        output.seek(0)
        sys.stdout.write(output.read().decode(errors="replace"))
    chosen = [code for code in codes if code != NO_TESTS_CHOSEN]
    return max(chosen) if chosen else NO_TESTS_CHOSEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
