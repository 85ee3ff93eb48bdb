"""`make test`: what has the clock on the wall in it first, then the rest. Words go to pytest.

In a test marked `realtime` ticks may be late and programs may time out: beside busy neighbours it
would fail for their sake. So those tests run alone, and they and the programs they start get a
real-time priority where that may be, as the service gives it to the agent. The rest fills all
cores.
"""

import contextlib
import os
import subprocess
import sys

NOTHING_CHOSEN = 5  # pytest's exit code
PRIORITY = 10
_CLOCKED = ("-m", "realtime and not soak")
_REST = ("-n", str(os.cpu_count() or 1), "--dist", "loadfile", "-m", "not realtime and not soak")


def main(words: list[str]) -> int:
    """Run both parts; the worst exit code, but a part without a test is no failure."""
    codes = [run([*_CLOCKED, *words], first=True), run([*_REST, *words], first=False)]
    chosen = [code for code in codes if code != NOTHING_CHOSEN]
    return max(chosen) if chosen else NOTHING_CHOSEN


def run(words: list[str], *, first: bool) -> int:
    """Run pytest with `words`, before all else on this machine if `first` and that may be."""
    with subprocess.Popen([sys.executable, "-m", "pytest", *words]) as process:
        if first:
            with contextlib.suppress(OSError):
                os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(PRIORITY))
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
