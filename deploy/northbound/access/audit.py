# SPDX-License-Identifier: Apache-2.0
"""Audit log of a server: who did what from where, with which result; each entry has a hash chain.

Not the audit log of the agent (`agent.remote.storage.audit`), which has each signed message. A line
is a JSON object; `hash` is SHA-256 over the hash of the line before and the line without it. So a
changed or missing line in the middle is found; a missing end is not.

Equal entries within `_WINDOW_S` are one line with a count, and at most `_MAX_LINES` lines are
written in a window, `_MAX_OF_SOURCE` of them of one source. Each of `_MAX_SOURCES` sources has
`_FIRST` lines beyond that. So a flood neither fills the disk nor hides the entries of others. A log
has `_FILES` files of `_MAX_BYTES`; the oldest is deleted. Several processes can write one log: each
entry follows the last one of the file, under a lock.

What is refused has a log of its own, NAME-refused. Each client that reaches a port can fill it. It
takes no line, no count and no file from logins, writes and changes that were accepted. Likewise
NAME-sessions has the logins, the ends of sessions, the streams, and all that accounts with the role
ReadOnly do: they take no file from writes and changes of accounts.
"""

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from deploy.ops.private_file import open_locked

_WINDOW_S = 10
_MAX_LINES = 100
_MAX_OF_SOURCE = 40
_MAX_SOURCES, _FIRST = 100, 4
_MAX_BYTES = 1 << 20
_FILES = 4
_ROTATIONS = 8
_LENGTH = 120
_START = "0" * 64

_REFUSED = ("refused", "locked", "without effect")
_ERROR_STATUS = 400

Entry = tuple[str, str, str, str, str, str]


def log_names(name: str) -> tuple[str, str, str]:
    """Return the logs of a server: of what was accepted, of sessions, and of what was refused."""
    return name, f"{name}-sessions", f"{name}-refused"


class ServerAudit:
    """The logs of `log_names` in `folder`. `clock`: monotonic seconds."""

    def __init__(
        self, folder: Path, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        accepted, sessions, refused = log_names(name)
        self._accepted = ChainedLog(folder, accepted, clock)
        self._sessions = ChainedLog(folder, sessions, clock)
        self._refused = ChainedLog(folder, refused, clock)

    @property
    def failures(self) -> int:
        """Entries that could not be written."""
        return self._accepted.failures + self._sessions.failures + self._refused.failures

    def record(
        self, user: str, address: str, protocol: str, action: str, target: str, result: str
    ) -> None:
        """Append an entry. Never raises; `failures` counts entries that could not be written.

        The source of a refusal is its address, because a client chooses the name of its user.
        """
        self._record((user, address, protocol, action, target, result), self._accepted)

    def record_session(
        self, user: str, address: str, protocol: str, action: str, target: str, result: str
    ) -> None:
        """Append an entry on a session, or of an account that can only read. Never raises."""
        self._record((user, address, protocol, action, target, result), self._sessions)

    def _record(self, entry: Entry, accepted: "ChainedLog") -> None:
        if _is_refused(entry[-1]):
            self._refused.record(entry, entry[1])
        else:
            accepted.record(entry, entry[0])

    def flush(self) -> None:
        """Write the counts of a window that is over; call it also without new entries."""
        for log in (self._accepted, self._sessions, self._refused):
            log.flush()


def _is_refused(result: str) -> bool:
    """Return whether a result is a refusal: a word, or a status of HTTP."""
    return result.startswith(_REFUSED) or (
        len(result) == 3 and result.isascii() and result.isdigit() and int(result) >= _ERROR_STATUS
    )


class ChainedLog:
    """The log NAME.log in `folder`. `clock`: monotonic seconds."""

    def __init__(
        self, folder: Path, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures = 0
        self._path = folder / f"{name}.log"
        self._clock = clock
        self._window_end = 0.0
        self._lines = 0
        self._counts: dict[Entry, int] = {}
        self._of_source: dict[str, int] = {}
        self._number, self._hash = 0, _START
        self._end = (0, 0)

    def record(self, texts: Entry, source: str) -> None:
        """Append an entry. Never raises; `failures` counts entries that could not be written."""
        self.flush()
        entry: Entry = tuple(text[:_LENGTH] for text in texts)  # type: ignore[assignment]
        if entry in self._counts:
            self._counts[entry] += 1
            return
        source = source[:_LENGTH]
        of_source = self._of_source.get(source, 0)
        is_first = of_source < _FIRST and len(self._of_source | {source: 0}) <= _MAX_SOURCES
        is_full = not is_first and (self._lines >= _MAX_LINES or of_source >= _MAX_OF_SOURCE)
        if is_full and (len(self._counts) >= 2 * _MAX_LINES or of_source >= 2 * _MAX_OF_SOURCE):
            known = source in self._of_source and len(self._of_source) <= _MAX_SOURCES
            entry = ("", entry[1] if known else "", "", "other", "", "")
            self._counts[entry] = self._counts.get(entry, 0) + 1
            return
        self._of_source[source] = of_source + 1
        self._counts[entry] = int(is_full)
        if not is_full:
            self._lines += 1
            self._append(entry, 1)

    def flush(self) -> None:
        """Write the counts of a window that is over; call it also without new entries."""
        now = self._clock()
        if now < self._window_end:
            return
        counts, self._counts = self._counts, {}
        self._window_end, self._lines, self._of_source = now + _WINDOW_S, 0, {}
        for entry, count in counts.items():
            if count:
                self._append(entry, count)

    def _append(self, entry: Entry, count: int) -> None:
        user, address, protocol, action, target, result = entry
        fields: dict[str, object] = {
            "n": 0,
            "utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "user": user,
            "address": address,
            "protocol": protocol,
            "action": action,
            "target": target,
            "result": result,
        }
        if count > 1 or entry[3] == "other":
            fields["count"] = count
        try:
            self._write(fields)
        except OSError:
            self.failures += 1

    def _write(self, fields: dict[str, object]) -> None:
        """Write an entry after the last one, also if another process wrote that. Raises OSError."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        for _ in range(_ROTATIONS):
            file = open_locked(self._path, flags)
            try:
                if _end_of(file) != self._end:
                    self._number, self._hash = self._read_end()
                entry = {**fields, "n": self._number + 1}
                digest = chain(self._hash, entry)
                line = (json.dumps({**entry, "hash": digest}) + "\n").encode()
                if not self._rotate(file, len(line)):
                    _append_whole(file, line)
                    self._number, self._hash = self._number + 1, digest
                    self._end = _end_of(file)
                    return
            finally:
                os.close(file)
        raise OSError(errno.EAGAIN, "the file was replaced")

    def _rotate(self, file: int, length: int) -> bool:
        """Begin a new file if this one is full; return whether it is. The chain continues."""
        size = os.fstat(file).st_size
        if size == 0 or size + length <= _MAX_BYTES:
            return False
        for i in range(_FILES - 1, 0, -1):
            older = self._path if i == 1 else self._path.with_suffix(f".log.{i - 1}")
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, self._path.with_suffix(f".log.{i}"))
        return True

    def _read_end(self) -> tuple[int, str]:
        """Return number and hash of the last entry; an incomplete last line is ended."""
        for path in (self._path, self._path.with_suffix(".log.1")):
            last = None
            for last in read_entries(path):  # noqa: B007 - the last one counts
                pass
            if last is not None:
                with contextlib.suppress(OSError):
                    _end_line(path)
                return int(str(last["n"])), str(last["hash"])
        return 0, _START


def _end_of(file: int) -> tuple[int, int]:
    """Return what changes when another process appends to the log: the file and its length."""
    info = os.fstat(file)
    return info.st_ino, info.st_size


def _append_whole(file: int, data: bytes) -> None:
    """Append all of `data` or nothing: a part of an entry would break the chain. Raises OSError."""
    length = os.fstat(file).st_size
    if os.write(file, data) < len(data):
        os.ftruncate(file, length)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _end_line(path: Path) -> None:
    """End an incomplete last line, as a power cut leaves it."""
    with path.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def chain(before: str, fields: dict[str, object]) -> str:
    """Return the hash of an entry: `before` is that of the entry before."""
    return hashlib.sha256(f"{before}{json.dumps(fields)}".encode()).hexdigest()


def read_entries(path: Path) -> Iterator[dict[str, object]]:
    """Return the entries of a file. Lines that are no entry are left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            if isinstance(entry, dict) and type(entry.get("n")) is int and "hash" in entry:
                yield entry


def missing_before(entries: list[dict[str, object]]) -> str:
    """Return a text on the entries before the first one; "" if none is missing."""
    first = int(str(entries[0]["n"])) if entries else 1
    if first == 1:
        return ""
    return f"the log begins with entry {first}; the {first - 1} entries before it are gone"


def verify(folder: Path, name: str) -> tuple[list[dict[str, object]], list[str]]:
    """Return all entries, oldest first, and the faults of the chain."""
    entries: list[dict[str, object]] = []
    for i in range(_FILES - 1, -1, -1):
        entries += read_entries(folder / (f"{name}.log.{i}" if i else f"{name}.log"))
    faults = []
    before: dict[str, object] | None = None
    for entry in entries:
        fields = {key: value for key, value in entry.items() if key != "hash"}
        expected = _START if before is None else str(before["hash"])
        follows = before is None or entry["n"] == int(str(before["n"])) + 1
        if before is None and entry["n"] != 1:
            before = entry
            continue  # older files were deleted: the chain begins here
        if not follows or chain(expected, fields) != entry["hash"]:
            faults.append(f"entry {entry['n']}: changed, or an entry before it is missing")
        before = entry
    return entries, faults
