# SPDX-License-Identifier: Apache-2.0
"""RolloutJournal of a rollout: another process continues the rollout after this one has died.

    FOLDER/ID.jsonl     one JSON line for each event, durable before its message is sent
    FOLDER/ID.request   a word of another process: pause or resume
    FOLDER/ID.abort     another process asks for an abort; kept until the abort is stored here

    {"rollout": {...}}                                    the settings, once
    {"unit", "state", "counter", "reason", "message"}     a unit has changed its state
    {"paused", "aborted"}                                 the operator, or too many failures
    {"ended": {state: count}}                             nothing is left to do

Does not sign: each signed message is in the ledger first. A message that was signed but is not here
was not sent. The process that drives the rollout holds a lock on the file, which ends with it. A
power cut can leave a part of the last line, which is removed. Damage elsewhere is an error.
"""

import contextlib
import fcntl
import json
import math
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agent.config.validate import is_valid_name
from deploy.errors import LocalError, OpsError
from deploy.ops.change_parser import Change
from deploy.ops.fleet.rollout.state import FAILED, STATES, WAITING, Plan, Rollout, RolloutUnit
from deploy.ops.private_file import replace_private
from protocols import cbor
from protocols.errors import DecodeError

REQUESTS = ("pause", "resume", "abort")
_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}")


@dataclass(frozen=True)
class RolloutSettings:
    """What a rollout needs beside the states of its units; times in seconds.

    `changes`: the changes in CBOR, hexadecimal. `group`: "" without one. `signers`: public keys
    that sign, hexadecimal. `newest_counters`: counter of the newest change of each unit at the
    start. Both are empty in the journal of an earlier version.
    """

    changes: str
    group: str
    expires_s: int
    confirm_s: int
    after_s: int
    cohorts: list[list[str]]
    plan: dict[str, Any]
    signers: list[str] = field(default_factory=list)
    newest_counters: dict[str, int] = field(default_factory=dict)

    def requested(self) -> list[Change]:
        """Return the changes."""
        return [(name, value) for name, value in cbor.decode(bytes.fromhex(self.changes))]


def encode_changes(changes: list[Change]) -> str:
    """Return changes for `RolloutSettings`."""
    return cbor.encode([list(change) for change in changes]).hex()


@dataclass
class UnitEntry:
    """The last stored state of a unit."""

    state: str = WAITING
    counter: int = 0
    reason: str = ""
    message: bytes = b""


@dataclass
class JournalContent:
    """What a journal says."""

    settings: RolloutSettings
    units: dict[str, UnitEntry] = field(default_factory=dict)
    paused: bool = False
    abort_reason: str = ""
    ended: dict[str, int] | None = None


class RolloutJournal:
    """One rollout, open for its driver. Raises `OpsError`: another process drives it."""

    def __init__(self, folder: Path, name: str, is_new: bool = False) -> None:
        self.name = name
        self.path = journal_path(folder, name)
        self._request = self.path.with_suffix(".request")
        self._stored: tuple[bool, str] = (False, "")
        flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self.path, flags | (os.O_CREAT | os.O_EXCL if is_new else 0), 0o600)
        except OSError as error:
            raise OpsError(f"{self.path}: {error.strerror}; see `config rollout list`") from None
        self._file = file
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise OpsError(f"{name}: another process drives this rollout") from None
        if not is_new:
            self._remove_tail()

    def _remove_tail(self) -> None:
        """Remove a part of a last line."""
        data = self.path.read_bytes()
        os.ftruncate(self._file, data.rfind(b"\n") + 1)

    def close(self) -> None:
        """Release the lock."""
        os.close(self._file)

    def write(self, *records: dict[str, Any]) -> None:
        """Append records; they are durable on return. Raises `LocalError`: none was written."""
        data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
        size = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, data)
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise LocalError(f"{self.path}: {error.strerror}; nothing is sent") from None
        if written != len(data):
            os.ftruncate(self._file, size)
            raise LocalError(f"{self.path}: written in part, the disk is full; nothing is sent")

    def store(self, rollout: Rollout) -> None:
        """Store what has changed, before the messages of it are sent."""
        records = [unit_record(rollout.units[name]) for name in sorted(rollout.changed)]
        if (rollout.paused, rollout.abort_reason) != self._stored:
            self._stored = rollout.paused, rollout.abort_reason
            records.append({"paused": rollout.paused, "aborted": rollout.abort_reason})
        if records:
            self.write(*records)
        rollout.changed.clear()

    def take_request(self) -> str:
        """Return the request of another process, empty without one, and remove it.

        An abort stays until `end_abort`.
        """
        if wants_abort(self.path):
            return "abort"
        try:
            word = self._request.read_bytes().strip().decode(errors="replace")
            self._request.unlink()
        except OSError:
            return ""
        return word if word in REQUESTS else ""

    def end_abort(self) -> None:
        """Remove the request for an abort: the abort is stored."""
        for path in (self.path.with_suffix(".abort"), self._request):
            with contextlib.suppress(OSError):
                path.unlink()


def wants_abort(path: Path) -> bool:
    """Return whether an abort of the journal `path` was asked for and is not stored."""
    if path.with_suffix(".abort").exists():
        return True
    try:  # of an earlier version
        return path.with_suffix(".request").read_bytes().strip() == b"abort"
    except OSError:
        return False


def journal_path(folder: Path, name: str) -> Path:
    """Return the file of a rollout. Raises `OpsError`: the name is no name of a rollout."""
    if not _ID.fullmatch(name):
        raise OpsError(f"{name!r}: not a rollout; see `config rollout list`")
    return folder / f"{name}.jsonl"


def new_name() -> str:
    """Return the name of a new rollout: its time and four random digits."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(2)


def send_request(folder: Path, name: str, word: str) -> None:
    """Ask the process that drives a rollout. Raises `OpsError`."""
    suffix = ".abort" if word == "abort" else ".request"  # no other word replaces an abort
    try:
        replace_private(journal_path(folder, name).with_suffix(suffix), word)
    except OSError as error:
        raise LocalError(f"{folder}: {error.strerror}") from None


def has_running_process(folder: Path, name: str) -> bool:
    """Return whether a process runs the rollout now."""
    try:
        with journal_path(folder, name).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        raise OpsError(f"{name}: {error.strerror}; see `config rollout list`") from None
    return False


def unit_record(unit: RolloutUnit) -> dict[str, Any]:
    """Return the record of a unit."""
    record: dict[str, Any] = {"unit": unit.name, "state": unit.state, "counter": unit.counter}
    if unit.reason:
        record["reason"] = unit.reason
    if unit.message:
        record["message"] = unit.message.hex()
    return record


def first_record(settings: RolloutSettings) -> dict[str, Any]:
    """Return the first record of a rollout."""
    return {"rollout": asdict(settings)}


def read_journal(folder: Path, name: str) -> JournalContent:
    """Read a journal. Raises `OpsError`: it is missing or damaged."""
    path = journal_path(folder, name)
    try:
        lines = path.read_bytes().split(b"\n")[:-1]  # the rest is a part of a line
        content = JournalContent(_parse_settings(json.loads(lines[0])))
        content.settings.requested()
        for names in content.settings.cohorts:
            content.units.update({unit: UnitEntry() for unit in names})
        for line in lines[1:]:
            _apply(json.loads(line), content)
    except OSError as error:
        raise OpsError(f"{path}: {error.strerror}; see `config rollout list`") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError):
        raise OpsError(f"{path}: damaged; see `config show` for each unit") from None
    except (ValueError, TypeError, DecodeError):
        raise OpsError(f"{path}: damaged; see `config show` for each unit") from None
    return content


def _parse_settings(record: dict[str, Any]) -> RolloutSettings:
    fields = dict(record["rollout"])
    if "newest" in fields:  # a journal of an earlier version
        fields["newest_counters"] = fields.pop("newest")
    settings = RolloutSettings(**fields)
    plan = Plan(**settings.plan)
    names = [name for names in settings.cohorts for name in names]
    numbers = [
        settings.expires_s,
        settings.confirm_s,
        settings.after_s,
        *settings.newest_counters.values(),
    ]
    shares = [plan.canary, plan.max_failures]
    counts = [plan.wave, plan.answer_s, plan.trial_s, plan.delay_s, plan.soak_s]
    if not all(
        (
            all(type(number) is int for number in [*numbers, *counts]),
            all(type(share) in (int, float) and math.isfinite(share) for share in shares),
            type(plan.confirm) is bool,
            names and all(settings.cohorts) and len(set(names)) == len(names),
            all(type(cohort) is list for cohort in settings.cohorts),
            all(_is_unit(name) for name in names),
            type(settings.group) is str,
            all(type(key) is str for key in settings.signers),
        )
    ):
        raise ValueError
    return settings


def _is_unit(name: Any) -> bool:
    return type(name) is str and name.count("/") == 1 and all(map(is_valid_name, name.split("/")))


def _apply(record: dict[str, Any], content: JournalContent) -> None:
    if "unit" in record:
        entry = content.units[record["unit"]]
        entry.state, entry.counter = record["state"], int(record["counter"])
        entry.reason = record.get("reason", "")
        entry.message = bytes.fromhex(record.get("message", ""))
        if entry.state not in STATES or type(entry.reason) is not str:
            raise ValueError(entry.state)
        if entry.state not in (WAITING, FAILED) and not entry.message:
            raise ValueError("without its message")
    content.paused = bool(record.get("paused", content.paused))
    content.abort_reason = str(record.get("aborted", content.abort_reason))
    content.ended = record.get("ended", None if "unit" in record else content.ended)
    if content.ended is not None and type(content.ended) is not dict:
        raise TypeError("ended")
