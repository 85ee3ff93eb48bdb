# SPDX-License-Identifier: Apache-2.0
"""`make test`: first the tests that need an idle machine, then the rest on all cores.

A test marked `realtime` depends on wall time: late ticks, timeouts of programs. Other load would
make it fail. Arguments are passed to pytest.
"""

import os
import subprocess
import sys

NO_TESTS_CHOSEN = 5  # exit code of pytest


def main(arguments: list[str]) -> int:
    """Run both parts; return the worst exit code. A part without tests is not a failure."""
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
