# SPDX-License-Identifier: Apache-2.0
"""Application slots: the installed application or one of two slots. A power cut leaves the old or
new.

Does not fetch updates; see `agent.remote.update.software_update`.

    update.record             confirmed slot, trial, fetch in progress (with a hash)
    update.copy               the same record, used if the first one is damaged
    update.have               number of durable chunks of the fetch
    update.a.AT, update.b.AT  the chunk of a slot that begins at byte AT

As with configurations, a slot is written only while the record does not refer to it. The code that
starts the application counts the starts of a trial. An update that does not run is rolled back by
its failed starts. On a server `choose_release` does this; the installed application always exists,
in neither slot. On a board the frozen start-up selects, and a chunk is stored at its address of
execution (drivers/ports/micropython/slot_store.py). The installed application is then in one of the
slots, and an update goes into the other one.

The start-up cannot decode CBOR. So the record begins with three bytes: the slots (1 a, 2 b, 0
neither) of the confirmed and the tried application, and the starts of the latter.
"""

from agent.remote.storage.config_slots import copy_key, with_hash, without_hash
from agent.remote.storage.running_slot import INSTALLED
from protocols import cbor
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Read = Callable[[str], bytes | None]
    Write = tuple[str, bytes]

RECORD_KEY, CHUNKS_KEY = "update.record", "update.have"
SLOTS = ("a", "b")
MAX_STARTS = 3
_FORMAT = 2
_FIELDS = 7
_HEAD_BYTES = 3


def chunk_key(slot: int, offset: int) -> str:
    """Return the key of the chunk of a slot that begins at byte `offset`."""
    return "update.%s.%d" % (SLOTS[slot], offset)


class Release:
    """A bundle in a slot: release, size, hashes, counter of its manifest, time to confirm it.

    `alarms`: codes that were active before its trial; `chunk_size`: bytes of a chunk.
    """

    def __init__(self, parts: "list[Any]") -> None:
        self.slot: int = parts[0]
        self.release: int = parts[1]
        self.size: int = parts[2]
        self.hash: bytes = parts[3]
        self.chunk_hashes: bytes = parts[4]
        self.counter: int = parts[5]
        self.confirm_s: int = parts[6]
        self.alarms: list[str] = parts[7]
        self.chunk_size: int = parts[8]
        self.starts = 0

    def to_list(self) -> "list[Any]":
        """Return the fields for the record."""
        head = [self.slot, self.release, self.size, self.hash, self.chunk_hashes]
        return head + [self.counter, self.confirm_s, self.alarms, self.chunk_size]


class ReleaseRecord:
    """The record in memory. Methods that change it return the writes that store it."""

    def __init__(self) -> None:
        self.highest = 0
        """The highest confirmed release. A new one must be higher."""
        self.initial_slot = INSTALLED
        """The slot of the installed application."""
        self.running: Release | None = None
        self.trial: Release | None = None
        self.fetching: Release | None = None
        self.last = (0, "nothing", "")

    def record_write(self) -> "Write":
        """Return the write of the record."""
        each = [
            None if r is None else r.to_list() for r in (self.running, self.trial, self.fetching)
        ]
        head = bytes((self.confirmed_slot() + 1, 0, 0))
        if self.trial is not None:
            head = bytes((self.confirmed_slot() + 1, self.trial.slot + 1, self.trial.starts))
        parts = [_FORMAT, self.highest, list(self.last)] + each + [self.initial_slot]
        return RECORD_KEY, with_hash(head + cbor.encode(parts))

    def set_running_slot(self, own_slot: int) -> None:
        """Set which slot runs, without a trial. The other application counts as missing."""
        if own_slot == INSTALLED:
            return
        if self.running is None or self.running.slot != own_slot:
            self.running, self.initial_slot = None, own_slot
        if self.fetching is not None and self.fetching.slot == own_slot:
            self.fetching = None

    def confirmed_slot(self) -> int:
        """Return the confirmed slot."""
        return self.initial_slot if self.running is None else self.running.slot

    def free_slot(self) -> int:
        """Return the slot that is not in use."""
        used_slots = (self.confirmed_slot(), INSTALLED if self.trial is None else self.trial.slot)
        return 0 if 0 not in used_slots else 1

    def start_fetch(self, release: Release) -> "list[Write]":
        """Start a fetch. An earlier one is dropped."""
        self.fetching = release
        return [(CHUNKS_KEY, b"\0\0"), self.record_write()]

    def start_trial(self, alarms: "list[str]") -> "list[Write]":
        """Start the trial of the fetched application."""
        self.trial, self.fetching = self.fetching, None
        if self.trial is not None:
            self.trial.alarms = alarms
        return [self.record_write()]

    def save_confirm_time(self, remaining_s: int) -> "list[Write]":
        """Store the remaining time to confirm the trial."""
        if self.trial is not None:
            self.trial.confirm_s = remaining_s
        return [self.record_write()]

    def confirm(self) -> "list[Write]":
        """Confirm the application on trial."""
        if self.trial is not None:
            self.running = self.trial
            self.highest = max(self.highest, self.trial.release)
            self.last = (self.trial.counter, "confirmed", "")
        self.trial = None
        return [self.record_write()]

    def roll_back(self, reason: str, own_slot: int = INSTALLED) -> "list[Write]":
        """End the trial without the new application. `own_slot`: the slot that already runs."""
        if self.trial is not None:
            self.last = (self.trial.counter, "rolled_back", reason)
        self.trial = None
        self.set_running_slot(own_slot)
        return [self.record_write()]


def load_releases(read: "Read") -> "ReleaseRecord | None":
    """Read the record. None: it is missing or damaged."""
    body, parts = _read_record(RECORD_KEY, read)
    if parts is None:
        body, parts = _read_record(copy_key(RECORD_KEY), read)
    if parts is None:
        return None
    record = ReleaseRecord()
    record.highest, record.initial_slot = parts[1], parts[6]
    record.last = (parts[2][0], parts[2][1], parts[2][2])
    each = [None if part is None else Release(part) for part in parts[3:6]]
    record.running, record.trial, record.fetching = each
    if record.trial is not None:
        record.trial.starts = body[_HEAD_BYTES - 1]
    return record


def _read_record(key: str, read: "Read") -> "tuple[bytes, list[Any] | None]":
    """Return a record as bytes and decoded; None: it is missing or damaged."""
    body = without_hash(read(key)) or b""
    try:
        parts = cbor.decode(body[_HEAD_BYTES:])
    except DecodeError:
        return body, None
    if type(parts) is not list or len(parts) != _FIELDS or parts[0] != _FORMAT:
        return body, None
    return body, parts


def read_chunk_count(read: "Read") -> int:
    """Read the number of durable chunks."""
    return int.from_bytes((read(CHUNKS_KEY) or b"")[:2], "big")


def choose_release(read: "Read") -> "tuple[Release | None, list[Write]]":
    """Select the release to start, and the writes before. None is the installed application."""
    record = load_releases(read)
    if record is None:
        return None, []
    if record.trial is None:
        return record.running, []
    if record.trial.starts >= MAX_STARTS:
        writes = record.roll_back("crashed")
        return record.running, writes
    record.trial.starts += 1
    return record.trial, [record.record_write()]


def read_bundle(release: Release, read: "Read") -> "bytes | None":
    """Join the chunks of a slot, None if they are invalid. Needs memory for the whole bundle."""
    import hashlib  # noqa: PLC0415 - rare

    starts = range(0, release.size, release.chunk_size)
    joined = b"".join([read(chunk_key(release.slot, offset)) or b"" for offset in starts])
    return joined if hashlib.sha256(joined).digest() == release.hash else None
