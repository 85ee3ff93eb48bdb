# SPDX-License-Identifier: Apache-2.0
"""Fuzzing guided by coverage: `python -m tests.fuzz.campaign --out FOLDER [--total N] [NAME …]`.

Needs `atheris` (libFuzzer for Python), except with `--plain`: then the seeds are changed without
coverage, which is about ten times faster. Does not run in `make test`; see `tests.fuzz.test_fuzz`.
All modules are loaded with coverage tracing once. Then each harness has a process of its own, one
after the other. Its corpus is FOLDER/NAME, so a later campaign continues from it.
FOLDER/results.txt gets a line for each harness: name, number of inputs, seconds, places of the code
that were reached (`cov` of libFuzzer; 0 with `--plain`), and `good` or the exit code.
FOLDER/ports.json has the inputs of each port of this call. An input that fails is in
FOLDER/NAME.crash-HASH, or in FOLDER/NAME.log.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import mmap
import os
import random
import re
import struct
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.fuzz.all_harnesses import GROUPS, make_all
from tests.fuzz.harness import MAX_INPUT
from tests.fuzz.mutation import mutate
from tests.fuzz.ports import counts_by_port, inputs_of


def _load(plain: bool, group: str) -> dict[str, Any]:
    if plain:
        return dict(make_all(group))
    import atheris  # noqa: PLC0415 - only a campaign needs it

    with (
        contextlib.redirect_stderr(io.StringIO()),
        atheris.instrument_imports(include=["protocols", "drivers", "agent", "hil", "deploy"]),
    ):
        return dict(make_all(group))


def _write_seeds(folder: Path, seeds: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds):
        (folder / f"seed{i}").write_bytes(seed[:MAX_INPUT])


def _change_seeds(harness: Any, options: Any, counter: mmap.mmap) -> None:
    """Run without coverage. A failing input is in the log."""
    rng = random.Random(f"{harness.name}/{options.seed}")
    ends = time.monotonic() + options.seconds
    for i in range(options.inputs[harness.name]):
        data = mutate(rng.choice(harness.seeds), harness.seeds, rng)
        try:
            harness.run(data)
        except Exception:  # noqa: BLE001 - each one is a finding
            print("input", data.hex(), flush=True)
            traceback.print_exc()
            os._exit(1)
        if i % 1024 == 0:
            counter[:8] = struct.pack("<q", harness.count)
            if time.monotonic() > ends:
                break
    counter[:8] = struct.pack("<q", harness.count)
    os._exit(0)


def _fuzz(harness: Any, arguments: Any, counter: mmap.mmap) -> None:
    """Run in a child process; does not return."""
    if arguments.plain:
        _change_seeds(harness, arguments, counter)
    import atheris  # noqa: PLC0415 - only a campaign needs it

    def one(data: bytes) -> None:
        harness.run(bytes(data))
        counter[:8] = struct.pack("<q", harness.count)

    folder = arguments.out
    corpus = folder / harness.name
    _write_seeds(corpus, harness.seeds)
    options = [
        sys.argv[0],
        str(corpus),
        f"-runs={arguments.inputs[harness.name]}",
        f"-max_len={MAX_INPUT}",
        f"-seed={arguments.seed}",
        f"-max_total_time={arguments.seconds}",
        "-timeout=60",
        "-rss_limit_mb=1500",
        "-verbosity=1",
        f"-artifact_prefix={folder / harness.name}.",
    ]
    atheris.Setup(options, one)
    atheris.Fuzz()


def _run_child(harness: Any, arguments: Any) -> tuple[str, int]:
    """Run one harness; return its line of the results, and the number of its inputs."""
    counter = mmap.mmap(-1, 8)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        with (arguments.out / f"{harness.name}.log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        try:
            _fuzz(harness, arguments, counter)
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    (count,) = struct.unpack("<q", counter[:8])
    seconds = time.monotonic() - started
    reached = _coverage(arguments.out / f"{harness.name}.log")
    return f"{harness.name} {count} {seconds:.0f} {reached} {'good' if code == 0 else code}", count


def _coverage(log: Path) -> int:
    """Return the last number of reached places in the log of a harness."""
    found = re.findall(rb" cov: (\d+) ", log.read_bytes())
    return int(found[-1]) if found else 0


def main(argv: list[str]) -> int:
    """Run the campaign; return 1 if an input has failed."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.campaign")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--total", type=int, default=10_000_000, help="inputs of all harnesses")
    parser.add_argument("--seconds", type=int, default=900, help="limit of one harness")
    parser.add_argument("--plain", action="store_true", help="change the seeds without coverage")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--group", default="", choices=("", *GROUPS), help="only these harnesses")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed, counts = False, {}
    harnesses = _load(arguments.plain, arguments.group)
    names = arguments.names or list(harnesses)
    arguments.inputs = inputs_of(names, arguments.total)
    for name in names:
        line, counts[name] = _run_child(harnesses[name], arguments)
        failed = failed or not line.endswith(" good")
        with (arguments.out / "results.txt").open("a") as results:
            results.write(line + "\n")
        print(line, flush=True)
    (arguments.out / "ports.json").write_text(json.dumps(counts_by_port(counts), indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
