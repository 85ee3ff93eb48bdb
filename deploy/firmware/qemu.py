# SPDX-License-Identifier: Apache-2.0
"""Image under QEMU: console and UARTs on pseudo-terminals or on existing ports.

Does not model the speed of a serial line: the UARTs of QEMU deliver bytes immediately. With `shift`
QEMU counts time in instructions (2^shift ns each), so all runs are equal.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.board_image import Image
from deploy.firmware.build_tools import find_program
from deploy.firmware.memory_layout import SLOTS


class Machine:
    """A running image. `uarts`: terminals by number; `console`: lines of the console."""

    def __init__(
        self,
        image: Image,
        uarts: dict[int, str] | None = None,
        folder: Path | None = None,
        shift: int | None = None,
        slots: dict[str, Path] | None = None,
    ) -> None:
        command_line = command(
            image, uarts or {}, shift, slots
        )  # can fail; then no file stays open
        self._folder = contextlib.ExitStack()
        work_folder = folder or Path(self._folder.enter_context(tempfile.TemporaryDirectory()))
        self.console: list[str] = []
        self._console_changed = threading.Condition()
        self.process = subprocess.Popen(
            command_line,
            cwd=work_folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read_console, daemon=True)
        self._reader.start()

    def _read_console(self) -> None:
        stream = self.process.stdout
        if stream is None:
            return
        for raw in iter(stream.readline, b""):
            with self._console_changed:
                self.console.append(raw.decode("utf-8", "replace").rstrip())
                self._console_changed.notify_all()
        with self._console_changed:
            self._console_changed.notify_all()

    def wait_for(self, pattern: str, seconds: float) -> str:
        """Wait for a console line that matches; FirmwareError holds the last lines."""
        end = time.monotonic() + seconds
        with self._console_changed:
            while True:
                match = next((line for line in self.console if re.search(pattern, line)), None)
                if match is not None:
                    return match
                remaining_s = end - time.monotonic()
                if remaining_s <= 0 or (
                    self.process.poll() is not None and not self._reader.is_alive()
                ):
                    last = "\n".join(self.console[-12:])
                    raise FirmwareError(
                        f"no line {pattern!r} from the image; its last lines:\n{last}"
                    )
                self._console_changed.wait(min(remaining_s, 0.5))

    def type(self, text: str) -> None:
        """Write a line to the console."""
        if self.process.stdin is not None:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()

    def terminals(self) -> dict[int, str]:
        """Return the terminals that QEMU made, by UART."""
        paths = {}
        for line in list(self.console):
            match = re.search(r"char device redirected to (\S+) \(label u(\d)\)", line)
            if match:
                paths[int(match[2])] = match[1]
        return paths

    def close(self) -> None:
        """End QEMU."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(5)
        self._reader.join(5)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._folder.close()


def command(
    image: Image,
    uarts: dict[int, str],
    shift: int | None = None,
    slots: dict[str, Path] | None = None,
) -> list[str]:
    """Return the command line: console on stdio, UARTs 1 to 4 on `uarts` or on new terminals."""
    command_line = [
        find_program("qemu-system-arm"),
        "-machine",
        image.board.machine,
        "-display",
        "none",
    ]
    command_line += ["-monitor", "none", "-kernel", str(image.firmware.resolve())]
    command_line += ["-semihosting-config", "enable=on,target=native", "-serial", "stdio"]
    for name, path in (slots or {"a": image.app}).items():
        where = f"file={path.resolve()},addr={SLOTS[name]:#x},force-raw=on"
        command_line += ["-device", f"loader,{where}"]
    for number in range(1, image.board.uarts + 1):
        command_line += ["-serial", f"chardev:u{number}"]
        command_line += ["-chardev", _chardev(number, uarts.get(number))]
    if shift is not None:
        command_line += ["-icount", f"shift={shift},align=off,sleep=off"]
    return command_line


def _chardev(number: int, path: str | None) -> str:
    if path is None:
        return f"pty,id=u{number}"
    return f"serial,id=u{number},path={path}"


@contextlib.contextmanager
def run_image(image: Image, **options: object) -> Iterator[Machine]:
    """Run an image while the block runs."""
    machine = Machine(image, **options)  # type: ignore[arg-type]
    try:
        yield machine
    finally:
        machine.close()
