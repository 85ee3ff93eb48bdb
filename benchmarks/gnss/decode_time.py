# SPDX-License-Identifier: Apache-2.0
"""Processor time of `coldloop nmea decode --json` beside gpsdecode, with the start of the programs.

    python -m benchmarks.gnss.decode_time [CAPTURE…] [--runs 5] [--json]

Without captures: one line, 1000 lines, and more than 100,000 lines of emulated receivers. Each
program decodes each file in turn; the figure is user and system time in ms, the least of the runs.
`python -c pass` is the start of Python alone. The command runs as an installation does: with
compiled bytecode, which the first run writes, and with a buffered output. `all in turn` is the sum
over the given captures.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import Record, describe_machine, show
from benchmarks.gnss.gpsd import capture
from hil.devices.gnss.dialects import DIALECTS

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "gpsdecode": ["gpsdecode"],
    "coldloop": [sys.executable, "-c", "import coldloop; coldloop.main()", "nmea", "decode"],
    "python": [sys.executable, "-c", "pass"],
}
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
}


def processor_ms(program: str, path: Path) -> float:
    """Return the user and system time of one run on a file."""
    words = ["--json", str(path)] if program == "coldloop" else []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with path.open("rb") as file:
        subprocess.run(
            PROGRAMS[program] + words,
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=_ENVIRONMENT,
            check=False,  # a capture without a sentence has exit code 1
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def measure(path: Path, runs: int) -> dict[str, float]:
    """Return the least time of each program on a file, in ms."""
    best = dict.fromkeys(PROGRAMS, float("inf"))
    for _ in range(runs):
        for name in PROGRAMS:
            best[name] = min(best[name], processor_ms(name, path))
    return best


def make_captures(folder: Path) -> list[Path]:
    """Write captures of emulated receivers: one line, 1000 lines, more than 100,000 lines."""
    paths: list[Path] = []
    for dialect, seconds in zip(DIALECTS, (6000, 2600, 3100), strict=False):
        stream = capture(dialect, seconds)
        if not paths:
            lines = stream.splitlines(keepends=True)
            for count in (1, 1000):
                paths.append(folder / f"{dialect}, {count} lines")
                paths[-1].write_bytes(b"".join(lines[:count]))
        paths.append(folder / f"{dialect}, {stream.count(b'$')} lines")
        paths[-1].write_bytes(stream)
    return paths


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gnss.decode_time",
        description="Processor time of nmea decode beside gpsdecode, with the start.",
    )
    parser.add_argument("captures", nargs="*", type=Path, metavar="CAPTURE")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="of each program (5)")
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    record: Record = {"machine": describe_machine(), "ms": {}}
    with tempfile.TemporaryDirectory() as folder:
        paths = [path.resolve() for path in arguments.captures] or make_captures(Path(folder))
        processor_ms("coldloop", paths[0])  # writes the bytecode
        times = {path.name: measure(path, arguments.runs) for path in paths}
    if arguments.captures:
        times["all in turn"] = {n: sum(each[n] for each in times.values()) for n in PROGRAMS}
    record["ms"] = {
        name: {program: round(ms, 1) for program, ms in each.items()}
        for name, each in times.items()
    }
    head = ["", *PROGRAMS, "coldloop : gpsdecode"]
    rows = [
        [name, *each.values(), f"{times[name]['coldloop'] / times[name]['gpsdecode']:.2f}"]
        for name, each in record["ms"].items()
    ]
    show(record, arguments.json, head, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
