"""`make test`: what has the clock on the wall in it apart from what has not. Words go to pytest.

In a test marked `realtime` ticks may be late and programs may time out: beside busy neighbours it
would fail for their sake. So those tests, and the programs they start, get a real-time priority, as
the service gives it to the agent, and run at the same time as the rest, which fills the cores.
Where no such priority is to be had they run alone, before the rest.
"""

import os
import subprocess
import sys
import tempfile

NOTHING_CHOSEN = 5  # pytest's exit code
PRIORITY = 10
_CLOCKED = ("-m", "realtime and not soak")
_REST = ("-n", str(os.cpu_count() or 1), "--dist", "loadfile", "-m", "not realtime and not soak")


def main(words: list[str]) -> int:
    """Run both parts; the worst exit code, but a part without a test is no failure."""
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryFile("w+") as said:
        clocked = subprocess.Popen([*pytest, *_CLOCKED, *words], stdout=said, stderr=said)
        try:
            if not came_first(clocked.pid):
                clocked.wait()
            rest = subprocess.run([*pytest, *_REST, *words], check=False).returncode
            clocked.wait()
        finally:
            clocked.kill()
        said.seek(0)
        print("\nThe tests with the clock on the wall in them:\n" + said.read(), flush=True)
    chosen = [code for code in (clocked.returncode, rest) if code != NOTHING_CHOSEN]
    return max(chosen) if chosen else NOTHING_CHOSEN


def came_first(process: int) -> bool:
    """Give a process, and what it will start, a real-time priority; False where that may not be."""
    try:
        os.sched_setscheduler(process, os.SCHED_RR, os.sched_param(PRIORITY))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
