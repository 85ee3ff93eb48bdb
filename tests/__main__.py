"""`make test`: what needs the machine to itself first, then the rest on all cores.

A test marked `realtime` has the clock on the wall in it: ticks that may be late, programs that time
out. Beside busy neighbours it would fail for their sake. Words are handed to pytest.
"""

import os
import subprocess
import sys

NO_TESTS_CHOSEN = 5  # pytest's exit code


def main(arguments: list[str]) -> int:
    """Run both parts; the worst exit code, but a part without a test is no failure."""
    spread = ["-n", str(os.cpu_count() or 1), "--dist", "loadfile"]
    parts = (["-m", "realtime and not soak"], [*spread, "-m", "not realtime and not soak"])
    codes = [
        subprocess.run([sys.executable, "-m", "pytest", *part, *arguments], check=False).returncode
        for part in parts
    ]
    chosen = [code for code in codes if code != NO_TESTS_CHOSEN]
    return max(chosen) if chosen else NO_TESTS_CHOSEN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
