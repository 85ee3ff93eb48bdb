# SPDX-License-Identifier: Apache-2.0
"""Helpers for tests of commands: processes, time limits, one-line checks."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import coldloop
from tests.support.repository import ROOT

COLDLOOP = (sys.executable, str(ROOT / "coldloop.py"))
TIMEOUT_S = 30.0  # a hang fails the test; no test checks speed

SHORT = """
name = "short"
title = "as short as a scenario can be"
seconds = 3
"""


def run_coldloop(
    *arguments: str, timeout_s: float = TIMEOUT_S
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*COLDLOOP, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )


def call_coldloop(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in this process: for its output and exit code, not for its start."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code = coldloop.main(list(arguments))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(arguments, code, *texts)


@contextmanager
def running_command(*arguments: str, **options: Any) -> "Iterator[subprocess.Popen[str]]":
    """Run a command during the block; terminate it at the end of the block."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    program = [] if arguments[0].startswith("/") else COLDLOOP
    process = subprocess.Popen(
        [*program, *arguments], cwd=ROOT, text=True, stdin=subprocess.DEVNULL, **options
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for_exit(
    process: "subprocess.Popen[str]", signal_number: int | None = None
) -> tuple[int, str, str]:
    """Wait for the end (after the signal `signal_number`): exit code, stdout, stderr."""
    if signal_number is not None:
        process.send_signal(signal_number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out or "", err or ""


def interrupt(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Interrupt a process as Ctrl-C does."""
    return wait_for_exit(process, signal.SIGINT)


def wait_until(
    condition: str, predicate: Callable[[], object], timeout_s: float = TIMEOUT_S
) -> Any:
    """Wait until `predicate()` is true and return its value; a timeout fails the test."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = predicate()
        if value:
            return value
        time.sleep(0.05)
    pytest.fail(f"never: {condition} (within {timeout_s:g} s)")


def check_one_line(text: str) -> str:
    """Check that `text` is one line, and return it without its end."""
    assert text.endswith("\n"), repr(text)
    assert text.count("\n") == 1, text
    return text[:-1]


def scenario_file(folder: Path, text: str, name: str = "own.toml") -> str:
    """Write a scenario file; return its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def open_files(pid: int) -> list[str]:
    """Return the open files of a process, with the names of the kernel."""
    folder = f"/proc/{pid}/fd"
    return [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
