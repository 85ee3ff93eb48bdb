# SPDX-License-Identifier: Apache-2.0
"""The agent as a process on this machine, on CPython or MicroPython, or as an image in QEMU.

Does not write its configuration; see `hil.run.real_bench`.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from hil.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
AGENT_COMMANDS = {
    "cpython": [sys.executable, str(ROOT / "coldloop.py"), "agent", "--config"],
    "micropython": ["micropython", "-X", "heapsize=304wK", "-m", "agent.runtime.micropython"],
    "qemu": [],
}
"""Commands that start the agent, by interpreter, without the configuration file at their end."""
_LARGE_HEAP = "heapsize=512wK"
"""Heap with optional components: MicroPython compiles them on it; a board has them compiled."""
_STOP_TIMEOUT_S = 5


def agent_command(dut: str, has_components: bool) -> list[str]:
    """Return the command that starts the agent with or without optional components."""
    return [
        _LARGE_HEAP if has_components and argument.startswith("heapsize") else argument
        for argument in AGENT_COMMANDS[dut]
    ]


class AgentSubprocess:
    """A running agent; `log` gets its output. Raises BenchError if `dut` is not installed."""

    def __init__(self, dut: str, command: list[str], log: Path | None) -> None:
        environment = {**os.environ, "MICROPYPATH": f"{ROOT}:.frozen"}
        with _open_log(log) as target:
            try:
                self._process = subprocess.Popen(
                    with_death_signal(command),
                    stdout=target,
                    stderr=target,
                    cwd=ROOT,
                    env=environment,
                )
            except FileNotFoundError:
                raise BenchError(f"{dut}: not installed; install Debian's package {dut}") from None

    def exit_code(self) -> int | None:
        """Return the exit code of an agent that has ended; None: it runs."""
        return self._process.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal to the agent."""
        self._process.send_signal(number)

    def stop(self) -> None:
        """Terminate the agent; kill it after 5 s."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_TIMEOUT_S)


def with_death_signal(command: list[str]) -> list[str]:
    """Return the command with a prefix: the kernel ends the process if its bench is killed.

    Otherwise the agent would run forever. It would open pseudo-terminals whose numbers other
    programs use by then. setpriv (util-linux) orders the signal and becomes the command, with the
    same process number. A function that runs between fork and exec could do it too, but the bench
    can have threads (the page), and locks of Python do not stand a fork beside them. Without
    setpriv, or if the command does not exist, it is returned as it is.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None or shutil.which(command[0]) is None:
        return command
    return [setpriv, "--pdeathsig", "TERM", "--", *command]


def _open_log(path: Path | None) -> BinaryIO:
    """Open the file for the output of the agent; without a path the output is discarded."""
    try:
        return open(path or os.devnull, "wb")
    except OSError as error:
        raise BenchError(f"{path}: {error.strerror}; name a writable log file") from None
