# SPDX-License-Identifier: Apache-2.0
"""Fuzzing guided by coverage: `python -m tests.fuzz.campaign --out FOLDER [--runs N] [NAME …]`.

Needs `atheris` (libFuzzer for Python). Does not run in `make test`; there, `tests.fuzz.test_fuzz`
changes the seeds without coverage. All modules are loaded with coverage tracing once. Then each
harness has a process of its own, one after the other. Its corpus is FOLDER/NAME, so a later
campaign continues from it. FOLDER/results.txt gets a line for each harness: name, number of inputs,
seconds, and `good` or the exit code. An input that fails is in FOLDER/NAME.crash-HASH.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.harness import MAX_INPUT

_SLOW_SHARE = 20
"""A harness of a whole unit gets this part of the inputs."""
_SLOW = ("agent_", "stored_", "device_modbus_line", "sniffer", "config_cbor", "relay")
_SECONDS = 900
"""Limit of one harness."""


def _load() -> dict[str, Any]:
    import atheris  # noqa: PLC0415 - only a campaign needs it

    with (
        contextlib.redirect_stderr(io.StringIO()),
        atheris.instrument_imports(include=["protocols", "drivers", "agent", "hil", "deploy"]),
    ):
        from tests.fuzz.all_harnesses import make_all  # noqa: PLC0415 - with coverage tracing
    return dict(make_all())


def _write_seeds(folder: Path, seeds: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds):
        (folder / f"seed{i}").write_bytes(seed[:MAX_INPUT])


def _fuzz(harness: Any, runs: int, folder: Path, seed: int, counter: mmap.mmap) -> None:
    """Run in a child process; does not return."""
    import atheris  # noqa: PLC0415 - only a campaign needs it

    def one(data: bytes) -> None:
        harness.run(bytes(data))
        counter[:8] = struct.pack("<q", harness.count)

    corpus = folder / harness.name
    _write_seeds(corpus, harness.seeds)
    options = [
        sys.argv[0],
        str(corpus),
        f"-runs={runs}",
        f"-max_len={MAX_INPUT}",
        f"-seed={seed}",
        f"-max_total_time={_SECONDS}",
        "-timeout=60",
        "-rss_limit_mb=1500",
        "-verbosity=0",
        f"-artifact_prefix={folder / harness.name}.",
    ]
    atheris.Setup(options, one)
    atheris.Fuzz()


def _run_child(harness: Any, runs: int, folder: Path, seed: int) -> str:
    counter = mmap.mmap(-1, 8)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        with (folder / f"{harness.name}.log").open("ab") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        try:
            _fuzz(harness, runs, folder, seed, counter)
        finally:
            os._exit(9)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    (count,) = struct.unpack("<q", counter[:8])
    seconds = time.monotonic() - started
    return f"{harness.name} {count} {seconds:.0f} {'good' if code == 0 else code}"


def main(argv: list[str]) -> int:
    """Run the campaign; return 1 if an input has failed."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.campaign")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--runs", type=int, default=200_000, help="inputs of a fast harness")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for name, harness in _load().items():
        if arguments.names and name not in arguments.names:
            continue
        runs = arguments.runs // (_SLOW_SHARE if name.startswith(_SLOW) else 1)
        line = _run_child(harness, runs, arguments.out, arguments.seed)
        failed = failed or not line.endswith(" good")
        with (arguments.out / "results.txt").open("a") as results:
            results.write(line + "\n")
        print(line, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
