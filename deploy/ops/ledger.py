# SPDX-License-Identifier: Apache-2.0
"""Ledger of signed messages on the operator's computer: one JSON line for each, in a hash chain.

Does not read the audit log of a unit; see `audit.reader`. The ledger gives the next counter: a tool
uses its own ledger, its own clock and a report; `messages.next_counter` has the limits.
Another person checks a copy of it with `coldloop config history --ledger FILE --trust NAME.json`.

    {"number", "when", "target", "counter", "what", "base", "message", "previous"}

A line holds the message with its signatures, its target and the hash of its base. So only a holder
of the keys can add a line or change one. `previous` is the SHA-256 of the line before: a removed
line breaks the chain. Removed last lines do not; compare with the audit logs of the units. A
message is sent only after its line is written. So the next tool removes a truncated last line: its
message was not sent. The file is `COLDLOOP_LEDGER`, or `ledger.jsonl` in the data folder of the
user.
"""

import datetime as dt
import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from agent.remote.message.command import decode_command
from agent.remote.message.manifest import decode_manifest
from agent.remote.message.patch import decode_patch
from agent.remote.message.reject import Rejection
from deploy.errors import LocalError
from protocols.errors import ProtocolError
from protocols.signed_message import COMMAND, MANIFEST, PATCH, build_signing_input, unpack

VARIABLE = "COLDLOOP_LEDGER"
_START = "0" * 64


def default_path() -> Path:
    """Return the file of this user."""
    preset = os.environ.get(VARIABLE)
    if preset:
        return Path(preset)
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "coldloop" / "ledger.jsonl"


class Ledger:
    """The counters and the end of the file `path`. Raises `LocalError`: it cannot be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._counters: dict[tuple[str, int], int] = {}
        self._offset = 0
        self._number = 0
        self._previous = _START
        with self._open() as file:
            self._read_new(file)

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        """Open the file for this process alone. Two rollouts of one user share it."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise LocalError(f"{self.path}: {error.strerror}; set {VARIABLE}") from None
        with open(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _read_new(self, file: IO[bytes]) -> None:
        file.seek(self._offset)
        *lines, tail = file.read().split(b"\n")
        for line in lines:
            if not self._read_line(line + b"\n"):
                raise LocalError(
                    f"{self.path}: line {self._number + 1} is damaged; restore a copy, or rename "
                    "the file: a new ledger counts from the clock and the reports"
                )
        if tail:
            self._repair(file, tail)

    def _read_line(self, line: bytes) -> bool:
        """Take a line; return whether it is a record."""
        try:
            record = json.loads(line)
            place = str(record["target"]), int(record["kind"])
            number, counter = int(record["number"]), int(record["counter"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return False
        self._number = number
        self._counters[place] = max(counter, self._counters.get(place, 0))
        self._previous = hashlib.sha256(line).hexdigest()
        self._offset += len(line)
        return True

    def _repair(self, file: IO[bytes], tail: bytes) -> None:
        """Complete a last line without its line end, or remove it if it is not a record."""
        if self._read_line(tail + b"\n"):
            _append(file, b"\n", self.path)
            return
        file.truncate(self._offset)
        place = f"{self.path}: line {self._number + 1}"
        print(f"{place}: truncated, so removed; its message was not sent", file=sys.stderr)

    def last_counter(self, target: str, kind: int) -> int:
        """Return the highest counter of this kind that was signed here for `target`."""
        return self._counters.get((target, kind), 0)

    def add(self, target: str, base: bytes, message: bytes) -> None:
        """Append a message for `target` (SITE/UNIT or @GROUP) on the configuration hash `base`."""
        with self._open() as file:
            self._read_new(file)
            record = {
                "number": self._number + 1,
                "when": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "target": target,
                "kind": unpack(message).kind,
                "counter": decode_message(message).counter,
                "what": decode_message(message).describe(),
                "base": base.hex(),
                "message": message.hex(),
                "previous": self._previous,
            }
            _append(file, json.dumps(record).encode() + b"\n", self.path)
            self._read_new(file)


def _append(file: IO[bytes], data: bytes, path: Path) -> None:
    """Write at the end, all or nothing. Raises `LocalError`, for example if the disk is full."""
    size = os.fstat(file.fileno()).st_size
    try:
        written = os.write(file.fileno(), data)
    except OSError as error:
        raise LocalError(f"{path}: {error.strerror}; nothing is sent") from None
    if written != len(data):
        os.ftruncate(file.fileno(), size)
        raise LocalError(f"{path}: written in part, the disk is full; nothing is sent")


def decode_message(message: bytes) -> Any:
    """Return the decoded body of a message."""
    envelope = unpack(message)
    return _DECODERS[envelope.kind](envelope.body)


_DECODERS: dict[int, Any] = {
    PATCH: decode_patch,
    COMMAND: decode_command,
    MANIFEST: decode_manifest,
}


def verify(data: bytes, trusted: dict[int, bytes]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the records and the faults of a ledger. `trusted`: public keys by their numbers."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - servers do not verify

    records: list[dict[str, Any]] = []
    faults: list[str] = []
    previous = _START
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            record = dict(json.loads(line))
            keys = _verify_message(record, trusted)
        except (ValueError, KeyError, TypeError, ProtocolError, InvalidSignature, Rejection):
            is_truncated = not line.endswith(b"\n")
            fault = (
                "truncated; the next tool removes it"
                if is_truncated
                else "not signed by a trusted key"
            )
            faults.append(f"line {number}: {fault}")
        else:
            if record.get("previous") != previous or record.get("number") != number:
                faults.append(f"line {number} does not follow line {number - 1}")
            records.append({**record, "keys": keys})
        previous = hashlib.sha256(line).hexdigest()
    return records, faults


def _verify_message(record: dict[str, Any], trusted: dict[int, bytes]) -> list[int]:
    """Return the numbers of the keys. What is not signed must agree with the message."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415
        Ed25519PublicKey,
    )

    message = bytes.fromhex(record["message"])
    envelope = unpack(message)
    base = bytes.fromhex(record["base"])
    text = build_signing_input(envelope.kind, record["target"], base, envelope.body)
    for number, signature in envelope.signatures:
        Ed25519PublicKey.from_public_bytes(trusted[number]).verify(signature, text)
    decoded = decode_message(message)
    stated = record["counter"], record["kind"], record["what"]
    if stated != (decoded.counter, envelope.kind, decoded.describe()):
        raise ValueError("the line does not describe its message")
    return [number for number, _ in envelope.signatures]
