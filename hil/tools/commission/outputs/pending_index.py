# SPDX-License-Identifier: Apache-2.0
"""The tests on this machine that have pending outputs, of all users, wherever their folders are.

Does not return outputs; see `hil.tools.commission.outputs.site_journals`. A test that was killed
leaves its journal in its folder. A second folder with a copy of the configuration, or another user,
would take the moved outputs for those of before. So each journal with entries has a small note: its
path, the time, and the outputs with their old words. The note is gone with the last entry, and not
otherwise: a folder that was renamed, removed or restored from a copy does not prove that the
outputs are back.

Notes are in a folder that all users can write, as the lock of an endpoint is valid for all users.
It survives a restart. The user's own folder, beside the key of the bench, has each note too. If a
folder cannot be written, there is no note in it; the journal itself is not affected. Another user
can add a note, and so keep a test from its start; the message names the file.
"""

import hashlib
import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from hil.errors import BenchError
from hil.io.regular_file import SMALL_BYTES, read_regular, write_whole
from hil.record.bench_key import default_path

VARIABLE = "COLDLOOP_PENDING"
_SHARED = "/var/tmp/coldloop-pending-outputs"
"""As /tmp, but it survives a restart."""
_OF_ALL, _READABLE = 0o1777, 0o644
_DEVICE_KEYS = ("name", "port", "unit")


class PendingNote(NamedTuple):
    """A note: its file, the path of the journal, its time, the outputs as in the journal."""

    file: Path
    journal: Path
    utc: str
    outputs: list[dict[str, Any]]


def utc_now() -> str:
    """Return the present UTC of this machine."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def store_note(journal: Path, entries: list[dict[str, Any]]) -> None:
    """Store the note of a journal, or remove it if there are no entries."""
    path = journal.resolve()
    outputs = [
        {
            "device": {key: entry["device"][key] for key in _DEVICE_KEYS},
            "old": {key: entry["old"][key] for key in ("point", "address", "words")},
        }
        for entry in entries
    ]
    name = _name(path)
    for folder in _folders():
        with suppress(OSError, BenchError):
            if not entries:
                (folder / name).unlink(missing_ok=True)
            elif not _has(folder / name, outputs):
                _make_folder(folder)
                text = os.fsdecode(bytes(path))
                content = {"journal": text, "utc": utc_now(), "outputs": outputs}
                write_whole(folder / name, json.dumps(content).encode())
                (folder / name).chmod(_READABLE)


def check_note(journal: Path, entries: list[dict[str, Any]]) -> None:
    """Raise BenchError if the note of a journal has outputs that its entries do not have."""
    path = journal.resolve()
    name = _name(path)
    for folder in _folders():
        found = _read(folder / name)
        lost = lost_outputs(found, entries) if found is not None else []
        if found is not None and lost:
            raise BenchError(describe_lost(found, lost))


def lost_outputs(found: PendingNote, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the outputs of a note that are not among the entries of its journal."""
    kept = [_output_key(entry) for entry in entries]
    return [output for output in found.outputs if _output_key(output) not in kept]


def describe_lost(found: PendingNote, lost: list[dict[str, Any]]) -> str:
    """Return the refusal for outputs whose journal is gone, and what to do."""
    words = ", ".join(
        f"{output['old']['point']}, register {output['old'].get('address', '?')}, old words "
        f"{output['old']['words']} ({output['device']['port']} unit {output['device']['unit']})"
        for output in lost
    )
    when = f" of {found.utc}" if found.utc else ""
    return (
        f"{found.journal}: an interrupted test{when} has moved {words}; this journal is gone, or "
        "no longer has them. If its folder has another name now, call its command there first. "
        f"Compare the outputs, write these words if they are not back, then delete {found.file}"
    )


def _output_key(entry: dict[str, Any]) -> tuple[str, int, str]:
    device = entry["device"]
    return device["port"], device["unit"], entry["old"]["point"]


def read_notes() -> list[PendingNote]:
    """Return the notes of all journals with pending outputs; those of this user come first."""
    found: dict[Path, PendingNote] = {}
    for folder in _folders():
        with suppress(OSError):
            for file in sorted(folder.iterdir()):
                entry = _read(file)
                if entry is not None:
                    found.setdefault(entry.journal, entry)
    return list(found.values())


def _name(path: Path) -> str:
    return hashlib.sha256(bytes(path)).hexdigest()[:32]


def _has(file: Path, outputs: list[dict[str, Any]]) -> bool:
    entry = _read(file)
    return entry is not None and entry.outputs == outputs


def _read(file: Path) -> PendingNote | None:
    """Return a note; None for another file. That of an earlier version has only the path."""
    try:
        text = read_regular(file, SMALL_BYTES).decode(errors="surrogateescape")
    except BenchError:
        return None
    if text.startswith("/"):
        return PendingNote(file, Path(text), "", [])
    try:
        raw = json.loads(text)
        entry = PendingNote(file, Path(raw["journal"]), str(raw["utc"]), list(raw["outputs"]))
        for output in entry.outputs:
            _ = str(output["device"]["port"]), int(output["device"]["unit"])
            _ = str(output["old"]["point"]), list(output["old"]["words"])
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return entry


def _make_folder(folder: Path) -> None:
    if folder.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if folder == _shared():
        folder.chmod(_OF_ALL)


def _folders() -> list[Path]:
    """Return the folder of this user, and that of all; with the variable only the named one."""
    own = [] if os.environ.get(VARIABLE) else [default_path().parent / "pending-outputs"]
    return [*own, _shared()]


def _shared() -> Path:
    return Path(os.environ.get(VARIABLE) or _SHARED)
