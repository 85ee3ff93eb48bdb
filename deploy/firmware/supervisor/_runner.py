# SPDX-License-Identifier: Apache-2.0
"""What all boards do alike: load an application, run its agent, read lines, end.

Frozen into the firmware; does not run on CPython. `SlotFlash` in
drivers/ports/micropython/slot_store.py describes `Flash`.
"""

import io
import select
import sys
import time

import _slots  # type: ignore[import-not-found]
import _supervisor  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]
import vfs  # type: ignore[import-not-found]

WATCHDOG_MS = 8000
_POLL_MS = 100


class Flash:
    """The flash with the slots, for the agent. `driver` is the board.

    `confirmed_only`: a configuration on trial ends. `feed` services the watchdog; `mark_calm` ends
    the count of failed starts and the reports of a crash. `set_led` switches the LED, if any.
    `start_notes`: see _supervisor.py. `journal`: see _journal.py; None: the files need no gaps.
    """

    sector_bytes = 4096
    folder = _slots.FOLDER

    def __init__(self, driver: object, number: int, release: int, count: object) -> None:
        self.slot = number
        self.release = release
        self.slot_bytes = driver.slot_bytes  # type: ignore[attr-defined]
        self.confirmed_only = count.level >= 2  # type: ignore[attr-defined]
        self.read_slot = driver.read_slot  # type: ignore[attr-defined]
        self.erase = driver.erase  # type: ignore[attr-defined]
        self.program = driver.program  # type: ignore[attr-defined]
        self.feed = driver.feed  # type: ignore[attr-defined]
        self.set_led = getattr(driver, "set_led", None)
        self.journal = getattr(driver, "journal", None)
        self._count = count
        self.start_notes = _supervisor.start_notes(driver.cause)  # type: ignore[attr-defined]

    def mark_calm(self) -> None:
        """Record that the agent has run for 10 minutes."""
        self._count.clear()  # type: ignore[attr-defined]
        _supervisor.end_crash()


class ServiceUart:
    """The service UART: standard input and output. The LED flashes fast while it waits."""

    def __init__(self, board: object) -> None:
        self._feed = board.feed  # type: ignore[attr-defined]
        self._set_led = getattr(board, "set_led", None)
        self._poll = select.poll()
        self._poll.register(sys.stdin, select.POLLIN)
        self.begin()

    def begin(self) -> None:
        """Begin the time of `read_line`."""
        self._began = time.ticks_ms()  # type: ignore[attr-defined]

    def write_line(self, text: str) -> None:
        """Print a line."""
        print("coldloop: " + text)

    def read_line(self, timeout_ms: int) -> "str | None":
        """Return a line; None: it did not end in time."""
        line, start = "", self._began
        while time.ticks_diff(time.ticks_ms(), start) < timeout_ms:  # type: ignore[attr-defined]
            self._feed()
            if self._set_led is not None:
                elapsed = time.ticks_diff(time.ticks_ms(), start)  # type: ignore[attr-defined]
                self._set_led(elapsed // _POLL_MS % 2 == 0)
            if not self._poll.poll(_POLL_MS):
                continue
            character = sys.stdin.read(1)
            if character in "\r\n":
                return line
            line = (line + character)[-256:]
        return None


class TextFileSystem:
    """A file system for `vfs.mount` in which each name is one text, for reading."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def mount(self, _readonly: bool, _mkfs: bool) -> None:
        """Do nothing: there is nothing to prepare."""

    def umount(self) -> None:
        """Do nothing."""

    def open(self, _path: str, mode: str) -> "io.BytesIO | io.StringIO":
        """Return the text as an open file."""
        return io.BytesIO(self._text) if "b" in mode else io.StringIO(self._text.decode())


def mount_text(text: bytes) -> str:
    """Make a text readable as a file; return its path."""
    vfs.mount(TextFileSystem(text), "/backup")
    return "/backup/unit.json"


def load(image: bytes) -> None:
    """Make an application importable, and nothing else."""
    vfs.mount(vfs.VfsRom(image), "/rom")
    sys.path[:] = ["/rom"]


def run_agent(board: object, path: str, number: int, release: int, count: object) -> int:
    """Run the agent of the loaded application; return its exit code."""
    from agent.runtime.micropython import main  # noqa: PLC0415 - it is on /rom

    return main(path, Flash(board, number, release, count))


def start(board: object) -> None:
    """Run the unit. Returns only for the prompt."""
    outcome = _supervisor.RESET
    try:
        outcome = _supervisor.supervise(board)
    except KeyboardInterrupt:
        outcome = _supervisor.RECOVER
    except Exception as error:
        _supervisor.keep_crash(error, board.log)  # type: ignore[attr-defined]
    if outcome == _supervisor.RECOVER:
        sys.path.append(".frozen")  # `load` has left the application only
        import _recovery  # type: ignore[import-not-found]  # noqa: PLC0415 - few starts need it

        console = ServiceUart(board)
        cause = board.cause  # type: ignore[attr-defined]

        def erase() -> None:
            board.erase_storage()  # type: ignore[attr-defined]
            board.write_backup(b"")  # type: ignore[attr-defined]

        try:
            if _recovery.recover(console, cause, erase) == _recovery.PROMPT:
                board.stop_watchdog()  # type: ignore[attr-defined]
                console.write_line("prompt follows")
                return
        except KeyboardInterrupt:
            pass
        except Exception as error:  # never the prompt: a line can hold any bytes
            console.write_line("recovery mode: %r" % error)
    machine.reset()
