# SPDX-License-Identifier: Apache-2.0
"""The programs of a time server: chronyc, ptp4l and pmc. Runs them and reads their answers.

Does not decide what they state; see `agent.tools.clock.site_time`.
"""

import os
import shutil
import subprocess
from pathlib import Path

_PATH = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
_TIMEOUT_S = 5.0
_OFFSET_FIELD, _STRATUM_FIELD = 4, 2


def find_program(name: str) -> str | None:
    """Return the path of a program, None if it is not installed."""
    return shutil.which(name, path=_PATH)


def run_program(*argv: str) -> str | None:
    """Run a program; return its output, None if it is missing, fails or takes over 5 s."""
    path = find_program(argv[0])
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *argv[1:]], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


class Chronyd:
    """A running chronyd; `socket` is its command socket."""

    def __init__(self, socket: str) -> None:
        self._argv = ("chronyc", "-h", socket)

    def tracking(self) -> list[str] | None:
        """Return the fields of `tracking`: reference, …; None if chronyd does not answer."""
        text = run_program(*self._argv, "-c", "tracking")
        fields = (text or "").strip().split(",")
        return fields if len(fields) > _OFFSET_FIELD else None

    def offset_us(self) -> int:
        """Return the distance of the system clock from the time that chronyd serves, µs."""
        fields = self.tracking()
        return 0 if fields is None else int(abs(float(fields[_OFFSET_FIELD])) * 1e6) + 1

    def is_synchronized(self) -> bool:
        """Return whether chronyd states that it is synchronized."""
        fields = self.tracking()
        return fields is not None and fields[_STRATUM_FIELD] != "0"

    def withdraw(self) -> bool:
        """Drop all measurements: chronyd is not synchronized until a source has new ones."""
        return run_program(*self._argv, "reset", "sources") is not None

    def sources(self) -> str | None:
        """Return the table of the sources as CSV; None if chronyd does not answer."""
        return run_program(*self._argv, "-c", "sources")


class Grandmaster:
    """A ptp4l that this process starts and stops. `folder` has its file and its sockets."""

    def __init__(self, configuration: Path, folder: Path) -> None:
        self._configuration = configuration
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """True while the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> bool:
        """Start it if it does not run; return whether it runs."""
        path = find_program("ptp4l")
        if not self.running and path is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._process = subprocess.Popen(
                [path, "-f", str(self._configuration)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        return self.running

    def stop(self) -> None:
        """Stop it: clients leave when three announcements are missing."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def send_settings(self, command: str) -> bool:
        """Send a command through pmc; return whether ptp4l has confirmed it."""
        own_socket = self._folder / f"pmc-{os.getpid()}.sock"
        text = run_program(
            "pmc",
            "-u",
            "-b",
            "0",
            "-s",
            f"{self._folder}/ptp4l.sock",
            "-i",
            str(own_socket),
            command,
        )
        return text is not None and "RESPONSE" in text
