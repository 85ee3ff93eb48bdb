# SPDX-License-Identifier: Apache-2.0
"""Common parts of the benchmarks: description of the machine, summaries, tables.

Not a benchmark. Compare only figures of one run. The fastest round shows the cost of the code, the
median shows the influence of other programs. No function here judges a time.
"""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hil.kernel.cpu_affinity import read_cores

ROOT = Path(__file__).resolve().parents[1]

Record = dict[str, Any]


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def micropython_version() -> str | None:
    """Return the version of `micropython`; None: not installed."""
    if shutil.which("micropython") is None:
        return None
    command = ["micropython", "-c", "import sys; print(sys.implementation[1])"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return ".".join(part.strip(" ()'") for part in output.split(",")[:3])


def revision() -> str | None:
    """Return the commit, with `-dirty` for changed files; None without a repository."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        git_describe = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return git_describe.stdout.strip() or None


def describe_machine() -> Record:
    """Return the commit, the interpreters, the processor and the load of the machine."""
    return {
        "revision": revision(),
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": _cpu(),
        "cores": len(read_cores()),
        "cpython": platform.python_version(),
        "micropython": micropython_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def summarise(values: Sequence[float], digits: int = 1) -> Record:
    """Summarise the rounds of one figure."""
    return {
        "min": round(min(values), digits),
        "median": round(statistics.median(values), digits),
        "max": round(max(values), digits),
        "rounds": len(values),
    }


def show(record: Record, as_json: bool, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print the record as one JSON object, or the machine and a table."""
    if as_json:
        print(json.dumps(record))
        return
    about = record["machine"]
    print(
        f"{about['date']}  {about['cores']} cores of {about['cpu']}, load {about['load']}, "
        f"CPython {about['cpython']}, MicroPython {about['micropython'] or 'not installed'}, "
        f"revision {about['revision'] or 'unknown'}\n"
    )
    print(table(head, rows))


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Format rows below their heads: text to the left, figures to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    lines = []
    for row in [list(head), *cells]:
        columns = [row[0].ljust(widths[0])]
        columns += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(columns).rstrip())
    return "\n".join(lines)


def progress(text: str) -> None:
    """Print the progress of a long benchmark on a terminal."""
    if sys.stderr.isatty():
        print(f"  {text}", file=sys.stderr, flush=True)
