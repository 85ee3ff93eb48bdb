# SPDX-License-Identifier: Apache-2.0
"""Check of the pinned packages against a database of advisories: `make advisories`.

    python -m deploy.release.advisories [--strict]

Run it before each release. Runs `pip-audit` from the PATH on the locks. Without the tool or without
a network the result is unknown. Exit codes: 0 no known vulnerability, 1 at least one, 2 not checked
(only with `--strict`, otherwise 0).
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
LOCKS = tuple(REQUIREMENTS / name for name in ("agent.txt", "ops.txt", "relay.txt", "bench.txt"))
GOOD, VULNERABLE, UNKNOWN = 0, 1, 2
_TOOL = "pip-audit"
_OPTIONS = ("--disable-pip", "--require-hashes", "--progress-spinner", "off")
_TIMEOUT_S = 300


def interpret(code: int, output: str) -> tuple[int, str]:
    """Return the verdict and its text for the exit code and the output of the tool."""
    if code == 0:
        return GOOD, "advisories: none for the pinned packages"
    if "Found " in output and "known vulnerabilit" in output:
        return VULNERABLE, output.strip()
    last = output.strip().splitlines()[-1:] or ["no output"]
    return UNKNOWN, f"advisories: not checked: {last[0]}"


def check(tool: str | None) -> tuple[int, str]:
    """Run the tool on the locks."""
    if tool is None:
        return UNKNOWN, f"advisories: not checked: {_TOOL} is not installed (pipx install {_TOOL})"
    locks = [option for lock in LOCKS for option in ("--requirement", str(lock))]
    command = [tool, *_OPTIONS, *locks]
    try:
        completed = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return UNKNOWN, f"advisories: not checked: {error}"
    return interpret(completed.returncode, completed.stdout + completed.stderr)


def main(argv: list[str]) -> int:
    """Check, print the verdict, return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.release.advisories")
    parser.add_argument(
        "--strict", action="store_true", help="exit with 2 if the check was not possible"
    )
    strict = parser.parse_args(argv).strict
    code, text = check(shutil.which(_TOOL))
    print(text)
    return code if strict or code == VULNERABLE else GOOD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
