"""Which application runs: the one that was installed, or one of two slots; old or new, never a mix.

    update.record             what is confirmed, on trial and being fetched (sealed as in slots)
    update.have               how many pieces of what is being fetched are durable
    update.a.AT, update.b.AT  the piece of a slot that begins at byte AT

As with configurations a slot is only written while the record does not point to it, and whoever
starts the application counts the starts of one on trial: an update that does not come up is rolled
back by the starts it causes. On a server that is `choose_release`; the application that was
installed is always there, in neither slot. On a board the frozen start-up chooses, and a piece lies
where it will run (drivers/ports/micropython/slot_store.py); the application that was installed is
in one of the slots, and an update goes into the one that does not run.

The start-up knows no CBOR: the record begins with three bytes, the slots (1 a, 2 b, 0 neither) of
what is confirmed and of what is on trial, and the starts of the latter.
"""

from agent.remote.storage.config_slots import with_hash, without_hash
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
MOST_STARTS = 3
_FORMAT = 2
_FIELDS = 7
_HEAD_BYTES = 3


def chunk_key(slot: int, offset: int) -> str:
    """Name the piece of a slot that begins at byte `offset`."""
    return "update.%s.%d" % (SLOTS[slot], offset)


class Release:
    """A bundle in a slot: release, size, hashes, counter of its manifest, time to confirm it.

    `alarms`: codes that were active before its trial; `chunk_size`: bytes of a piece.
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
        """Give what the record holds of it."""
        head = [self.slot, self.release, self.size, self.hash, self.chunk_hashes]
        return head + [self.counter, self.confirm_s, self.alarms, self.chunk_size]


class ReleaseRecord:
    """The record in memory. Methods that change it give the writes that make it so."""

    def __init__(self) -> None:
        self.highest = 0
        """The highest release ever confirmed: nothing at or below it is taken."""
        self.initial_slot = INSTALLED
        """The slot of the application that no update brought."""
        self.running: Release | None = None
        self.trial: Release | None = None
        self.fetching: Release | None = None
        self.last = (0, "nothing", "")

    def record_write(self) -> "Write":
        """Give the write of the record."""
        each = [
            None if r is None else r.to_list() for r in (self.running, self.trial, self.fetching)
        ]
        head = bytes((self.confirmed_slot() + 1, 0, 0))
        if self.trial is not None:
            head = bytes((self.confirmed_slot() + 1, self.trial.slot + 1, self.trial.starts))
        parts = [_FORMAT, self.highest, list(self.last)] + each + [self.initial_slot]
        return RECORD_KEY, with_hash(head + cbor.encode(parts))

    def set_running_slot(self, own_slot: int) -> None:
        """Note which slot runs, without a trial: another one is as if it were not there."""
        if own_slot == INSTALLED:
            return
        if self.running is None or self.running.slot != own_slot:
            self.running, self.initial_slot = None, own_slot
        if self.fetching is not None and self.fetching.slot == own_slot:
            self.fetching = None

    def confirmed_slot(self) -> int:
        """Give the slot that is confirmed."""
        return self.initial_slot if self.running is None else self.running.slot

    def free_slot(self) -> int:
        """Give the slot that nothing runs from."""
        used_slots = (self.confirmed_slot(), INSTALLED if self.trial is None else self.trial.slot)
        return 0 if 0 not in used_slots else 1

    def start_fetch(self, release: Release) -> "list[Write]":
        """Begin to fetch; what was being fetched is given up."""
        self.fetching = release
        return [(CHUNKS_KEY, b"\0\0"), self.record_write()]

    def start_trial(self, alarms: "list[str]") -> "list[Write]":
        """Put what has been fetched on trial."""
        self.trial, self.fetching = self.fetching, None
        if self.trial is not None:
            self.trial.alarms = alarms
        return [self.record_write()]

    def confirm(self) -> "list[Write]":
        """Make what is on trial what runs."""
        if self.trial is not None:
            self.running = self.trial
            self.highest = max(self.highest, self.trial.release)
            self.last = (self.trial.counter, "confirmed", "")
        self.trial = None
        return [self.record_write()]

    def roll_back(self, reason: str, own_slot: int = INSTALLED) -> "list[Write]":
        """Give up what is on trial; `own_slot`: the slot that runs instead, where it already does."""
        if self.trial is not None:
            self.last = (self.trial.counter, "rolled_back", reason)
        self.trial = None
        self.set_running_slot(own_slot)
        return [self.record_write()]


def load_releases(read: "Read") -> "ReleaseRecord | None":
    """Read the record; None when there is none, or it is damaged."""
    body = without_hash(read(RECORD_KEY)) or b""
    try:
        parts = cbor.decode(body[_HEAD_BYTES:])
    except DecodeError:
        return None
    if type(parts) is not list or len(parts) != _FIELDS or parts[0] != _FORMAT:
        return None
    record = ReleaseRecord()
    record.highest, record.initial_slot = parts[1], parts[6]
    record.last = (parts[2][0], parts[2][1], parts[2][2])
    each = [None if part is None else Release(part) for part in parts[3:6]]
    record.running, record.trial, record.fetching = each
    if record.trial is not None:
        record.trial.starts = body[_HEAD_BYTES - 1]
    return record


def read_chunk_count(read: "Read") -> int:
    """Read how many pieces are durable."""
    return int.from_bytes((read(CHUNKS_KEY) or b"")[:2], "big")


def choose_release(read: "Read") -> "tuple[Release | None, list[Write]]":
    """Choose what to start, and what must be durable before: None is the installed application."""
    record = load_releases(read)
    if record is None:
        return None, []
    if record.trial is None:
        return record.running, []
    if record.trial.starts >= MOST_STARTS:
        writes = record.roll_back("crashed")
        return record.running, writes
    record.trial.starts += 1
    return record.trial, [record.record_write()]


def read_bundle(release: Release, read: "Read") -> "bytes | None":
    """Join the pieces of a slot; None when they are not whole. For a start with room for it."""
    import hashlib  # noqa: PLC0415 - rare

    starts = range(0, release.size, release.chunk_size)
    joined = b"".join([read(chunk_key(release.slot, offset)) or b"" for offset in starts])
    return joined if hashlib.sha256(joined).digest() == release.hash else None
