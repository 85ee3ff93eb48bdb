"""Which application runs: the one that was installed, or one of two slots; old or new, never a mix.

    update.record             what is confirmed, on trial and being fetched (sealed as in slots)
    update.have               how many pieces of what is being fetched are durable
    update.a.N, update.b.N    the pieces of a slot

As with configurations a slot is only written while the record does not point to it, and whoever
starts the application (`choose`) counts the starts of one on trial: an update that does not come up
is rolled back by the starts it causes. The application that was installed is always there.
"""

from agent.remote.slots import sealed, unsealed
from protocols import cbor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Read = Callable[[str], bytes | None]
    Write = tuple[str, bytes]

RECORD, HAVE = "update.record", "update.have"
INSTALLED = -1
SLOTS = ("a", "b")
MOST_STARTS = 3
_FORMAT = 1
_PARTS = 7


def key_of(slot: int, piece: int) -> str:
    """Name a piece in the store."""
    return "update.%s.%d" % (SLOTS[slot], piece)


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
        self.starts: int = parts[7]
        self.alarms: list[str] = parts[8]
        self.piece: int = parts[9]

    def parts(self) -> "list[Any]":
        """Give what the record holds of it."""
        head = [self.slot, self.release, self.size, self.hash, self.pieces]
        return head + [self.counter, self.confirm_s, self.starts, self.alarms, self.piece]


class Releases:
    """The record in memory. Methods that change it give the writes that make it so."""

    def __init__(self) -> None:
        self.highest = 0
        """The highest release ever confirmed: nothing at or below it is taken."""
        self.running: Release | None = None
        self.trial: Release | None = None
        self.fetching: Release | None = None
        self.last = (0, "nothing", "")

    def record(self) -> "Write":
        """Give the write of the record."""
        each = [None if r is None else r.parts() for r in (self.running, self.trial, self.fetching)]
        return RECORD, sealed(cbor.encode([_FORMAT, self.highest, list(self.last)] + each + [0]))

    def free(self) -> int:
        """Give the slot that nothing runs from."""
        taken = [release.slot for release in (self.running, self.trial) if release is not None]
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

    def roll_back(self, reason: str) -> "list[Write]":
        """Give up what is on trial."""
        if self.trial is not None:
            self.last = (self.trial.counter, "rolled_back", reason)
        self.trial = None
        return [self.record()]


def load(read: "Read") -> "Releases | None":
    """Read the record; None when there is none, or it is damaged."""
    parts = unsealed(read(RECORD))
    if type(parts) is not list or len(parts) != _PARTS or parts[0] != _FORMAT:
        return None
    found = Releases()
    found.highest = parts[1]
    found.last = (parts[2][0], parts[2][1], parts[2][2])
    each = [None if part is None else Release(part) for part in parts[3:6]]
    found.running, found.trial, found.fetching = each
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

    count = -(-release.size // release.piece)
    pieces = [read(key_of(release.slot, i)) or b"" for i in range(count)]
    joined = b"".join(pieces)
    return joined if hashlib.sha256(joined).digest() == release.hash else None
