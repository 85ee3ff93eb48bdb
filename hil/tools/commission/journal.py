# SPDX-License-Identifier: Apache-2.0
"""The journal of a commissioning: results of its steps, so that it can be continued later.

Does not run steps; see `hil.tools.commission.steps`. The file is `commission.json` in the folder of
the site. Each write replaces it as a whole. `lock_folder` keeps a second program away from the
folder and its outputs.

The old words of an output stay in the journal from before its first write until they were read
back as equal. A later test of the same output does not replace them.
"""

import fcntl
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from drivers.tools.lib.modbus_client import port_address
from hil.errors import BenchError
from hil.io.regular_file import write_whole

FILE = "commission.json"
FORMAT = "coldloop-commission-1"
_PENDING = "pending-write"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Make the folder of a site and lock it. Raises BenchError if another program has it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise BenchError(f"{folder}: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BenchError(
            f"{folder}: another `coldloop commission` works with this folder; wait for its end"
        ) from None
    finally:
        os.close(descriptor)


class PortLocks:
    """Keeps a second program on this machine away from the TCP endpoints of a commissioning.

    The lock is an abstract socket of Linux: it has no file, is valid for all users, and ends with
    the program. A serial port has its own lock.
    """

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        for held in self._held.values():
            held.close()
        self._held.clear()

    def lock(self, port: str) -> None:
        """Lock the endpoint of a port. Raises BenchError if another program has it."""
        address = port_address(port)
        if sys.platform != "linux" or not address.host:
            return
        try:
            host = socket.gethostbyname(address.host)
        except OSError:
            host = address.host
        name = f"\0coldloop-commission-{host}-{address.port}"
        if name in self._held:
            return
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(name)
        except OSError:
            held.close()
            raise BenchError(
                f"{port}: another `coldloop commission` works with this port; wait for its end"
            ) from None
        self._held[name] = held


class Journal:
    """The journal in `folder`. Raises BenchError for a damaged file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._steps: dict[str, Any] = {}
        self._pending: list[dict[str, Any]] = []
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"{self.path}: cannot be read: {error}") from None
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise ValueError
            self._steps = dict(record["steps"])
            pending = record.get(_PENDING, [])
            self._pending = [pending] if isinstance(pending, dict) else list(pending)
            for entry in self._pending:
                _is_output(entry, entry["device"], entry["old"]["words"])  # has these keys
        except (ValueError, KeyError, TypeError):
            raise BenchError(
                f"{self.path}: not a journal of a commissioning; move it away to start again"
            ) from None

    def get(self, step: str) -> Any:
        """Return the result of a step; None if it is not done."""
        entry = self._steps.get(step)
        return None if entry is None else entry["result"]

    def done_at(self, step: str) -> str:
        """Return the UTC of a step that is done."""
        return str(self._steps[step]["utc"])

    def arguments(self, step: str) -> dict[str, Any]:
        """Return the arguments with which a step was done; empty if it is not done."""
        return dict(self._steps.get(step, {}).get("arguments", {}))

    def put(self, step: str, result: Any, arguments: dict[str, Any] | None = None) -> None:
        """Store the result of a step. Raises BenchError if the disk takes no file."""
        utc = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._steps[step] = {"utc": utc, "arguments": arguments or {}, "result": result}
        self._write()

    @property
    def pending_writes(self) -> list[dict[str, Any]]:
        """`device` and `old` words of each output that is perhaps not at its old words."""
        return list(self._pending)

    def keep_words(self, device: dict[str, Any], old: dict[str, Any]) -> None:
        """Store the old words before a write. Words that are already pending are not replaced."""
        if not any(_is_output(entry, device, old["point"]) for entry in self._pending):
            self._pending.append({"device": device, "old": old})
            self._write()

    def forget_words(self, device: dict[str, Any], point: str) -> None:
        """Remove the old words of an output that has them again."""
        self._pending = [e for e in self._pending if not _is_output(e, device, point)]
        self._write()

    def forget(self, steps: list[str]) -> None:
        """Remove the results of some steps."""
        for step in steps:
            self._steps.pop(step, None)
        self._write()

    def _write(self) -> None:
        content: dict[str, Any] = {"format": FORMAT, "steps": self._steps}
        if self._pending:
            content[_PENDING] = self._pending
        write_whole(self.path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _is_output(entry: dict[str, Any], device: dict[str, Any], point: str) -> bool:
    """Return whether the entry is of this output."""
    kept = entry["device"]
    where = (kept["port"], kept["unit"], entry["old"]["point"])
    return bool(where == (device["port"], device["unit"], point))
