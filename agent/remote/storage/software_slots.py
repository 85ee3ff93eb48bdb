"""Which application runs: the one that was installed, or one of two slots; old or new, never a mix.

    update.record             what is confirmed, on trial and being fetched (sealed as in slots)
    update.have               how many pieces of what is being fetched are durable
    update.a.AT, update.b.AT  the piece of a slot that begins at byte AT

As with configurations a slot is only written while the record does not point to it, and whoever
starts the application counts the starts of one on trial: an update that does not come up is rolled
back by the starts it causes. On a server that is `choose`; the application that was installed is
always there, in neither slot. On a board the frozen start-up chooses, and a piece lies where it
will run (drivers/ports/micropython/slot_store.py); the application that was installed is in one of the
slots, and an update goes into the one that does not run.

The start-up knows no CBOR: the record begins with three bytes, the slots (1 a, 2 b, 0 neither) of
what is confirmed and of what is on trial, and the starts of the latter.
"""

from agent.remote.storage.boot_state import INSTALLED
from agent.remote.storage.config_slots import opened, sealed
from protocols import cbor
from protocols.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Read = Callable[[str], bytes | None]
    Write = tuple[str, bytes]

RECORD, HAVE = "update.record", "update.have"
SLOTS = ("a", "b")
MOST_STARTS = 3
_FORMAT = 2
_PARTS = 7
_HEAD = 3


def key_of(slot: int, at: int) -> str:
    """Name the piece of a slot that begins at byte `at`."""
    return "update.%s.%d" % (SLOTS[slot], at)


class Release:
    """A bundle in a slot: release, size, hashes, counter of its manifest, time to confirm it.

    `alarms`: codes that were active before its trial; `piece`: bytes of a piece.
    """

    def __init__(self, parts: "list[Any]") -> None:
        self.slot: int = parts[0]
        self.release: int = parts[1]
        self.size: int = parts[2]
        self.hash: bytes = parts[3]
        self.pieces: bytes = parts[4]
        self.counter: int = parts[5]
        self.confirm_s: int = parts[6]
        self.alarms: list[str] = parts[7]
        self.piece: int = parts[8]
        self.starts = 0

    def parts(self) -> "list[Any]":
        """Give what the record holds of it."""
        head = [self.slot, self.release, self.size, self.hash, self.pieces]
        return head + [self.counter, self.confirm_s, self.alarms, self.piece]


class Releases:
    """The record in memory. Methods that change it give the writes that make it so."""

    def __init__(self) -> None:
        self.highest = 0
        """The highest release ever confirmed: nothing at or below it is taken."""
        self.first = INSTALLED
        """The slot of the application that no update brought."""
        self.running: Release | None = None
        self.trial: Release | None = None
        self.fetching: Release | None = None
        self.last = (0, "nothing", "")

    def record(self) -> "Write":
        """Give the write of the record."""
        each = [None if r is None else r.parts() for r in (self.running, self.trial, self.fetching)]
        head = bytes((self.good() + 1, 0, 0))
        if self.trial is not None:
            head = bytes((self.good() + 1, self.trial.slot + 1, self.trial.starts))
        parts = [_FORMAT, self.highest, list(self.last)] + each + [self.first]
        return RECORD, sealed(head + cbor.encode(parts))

    def stand(self, here: int) -> None:
        """Note which slot runs, without a trial: another one is as if it were not there."""
        if here == INSTALLED:
            return
        if self.running is None or self.running.slot != here:
            self.running, self.first = None, here
        if self.fetching is not None and self.fetching.slot == here:
            self.fetching = None

    def good(self) -> int:
        """Give the slot that is confirmed."""
        return self.first if self.running is None else self.running.slot

    def free(self) -> int:
        """Give the slot that nothing runs from."""
        taken = (self.good(), INSTALLED if self.trial is None else self.trial.slot)
        return 0 if 0 not in taken else 1

    def fetch(self, release: Release) -> "list[Write]":
        """Begin to fetch; what was being fetched is given up."""
        self.fetching = release
        return [(HAVE, b"\0\0"), self.record()]

    def begin(self, alarms: "list[str]") -> "list[Write]":
        """Put what has been fetched on trial."""
        self.trial, self.fetching = self.fetching, None
        if self.trial is not None:
            self.trial.alarms = alarms
        return [self.record()]

    def confirm(self) -> "list[Write]":
        """Make what is on trial what runs."""
        if self.trial is not None:
            self.running = self.trial
            self.highest = max(self.highest, self.trial.release)
            self.last = (self.trial.counter, "confirmed", "")
        self.trial = None
        return [self.record()]

    def roll_back(self, reason: str, here: int = INSTALLED) -> "list[Write]":
        """Give up what is on trial; `here`: the slot that runs instead, where it already does."""
        if self.trial is not None:
            self.last = (self.trial.counter, "rolled_back", reason)
        self.trial = None
        self.stand(here)
        return [self.record()]


def load(read: "Read") -> "Releases | None":
    """Read the record; None when there is none, or it is damaged."""
    body = opened(read(RECORD)) or b""
    try:
        parts = cbor.decode(body[_HEAD:])
    except DecodeError:
        return None
    if type(parts) is not list or len(parts) != _PARTS or parts[0] != _FORMAT:
        return None
    found = Releases()
    found.highest, found.first = parts[1], parts[6]
    found.last = (parts[2][0], parts[2][1], parts[2][2])
    each = [None if part is None else Release(part) for part in parts[3:6]]
    found.running, found.trial, found.fetching = each
    if found.trial is not None:
        found.trial.starts = body[_HEAD - 1]
    return found


def have(read: "Read") -> int:
    """Read how many pieces are durable."""
    return int.from_bytes((read(HAVE) or b"")[:2], "big")


def choose(read: "Read") -> "tuple[Release | None, list[Write]]":
    """Choose what to start, and what must be durable before: None is the installed application."""
    found = load(read)
    if found is None:
        return None, []
    if found.trial is None:
        return found.running, []
    if found.trial.starts >= MOST_STARTS:
        writes = found.roll_back("crashed")
        return found.running, writes
    found.trial.starts += 1
    return found.trial, [found.record()]


def bundle(release: Release, read: "Read") -> "bytes | None":
    """Join the pieces of a slot; None when they are not whole. For a start with room for it."""
    import hashlib  # noqa: PLC0415 - rare

    starts = range(0, release.size, release.piece)
    joined = b"".join([read(key_of(release.slot, at)) or b"" for at in starts])
    return joined if hashlib.sha256(joined).digest() == release.hash else None
