"""Does anything that a release pins have a known weakness? `make advisories`, before each release.

    python -m deploy.release.advisories [--strict]

Asks `pip-audit` (from its own environment, or on the PATH), which reads the lock file and asks a
database of advisories. Without it, or without a network, nothing is known: that is said, and is an
error only with `--strict`. 0: nothing known to be weak; 1: something is; 2: not checked.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parents[2] / "requirements" / "run.txt"
GOOD, VULNERABLE, UNKNOWN = 0, 1, 2
_TOOL = "pip-audit"
_OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--requirement")
_TIMEOUT_S = 300


def interpret(code: int, output: str) -> tuple[int, str]:
    """Read what the tool's exit code and output mean."""
    if code == 0:
        return GOOD, "advisories: none for what is pinned"
    if "Found " in output and "known vulnerabilit" in output:
        return VULNERABLE, output.strip()
    last = output.strip().splitlines()[-1:] or ["no output"]
    return UNKNOWN, f"advisories: not checked: {last[0]}"


def check(tool: str | None) -> tuple[int, str]:
    """Run the tool on the lock."""
    if tool is None:
        return UNKNOWN, f"advisories: not checked: {_TOOL} is not installed (pipx install {_TOOL})"
    command = [tool, *_OPTIONS, str(LOCK)]
    try:
        completed = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return UNKNOWN, f"advisories: not checked: {error}"
    return interpret(completed.returncode, completed.stdout + completed.stderr)


def main(argv: list[str]) -> int:
    """Check, say, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.advisories")
    parser.add_argument("--strict", action="store_true", help="not to know is an error, too")
    strict = parser.parse_args(argv).strict
    code, text = check(shutil.which(_TOOL))
    print(text)
    return code if strict or code == VULNERABLE else GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
