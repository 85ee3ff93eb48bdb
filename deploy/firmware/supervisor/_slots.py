# SPDX-License-Identifier: Apache-2.0
"""Application slots of a board: check of a slot, order of the attempts, writes of updates.

Frozen into the firmware. Does not start an application; see _supervisor.py.

A slot begins with a head of 128 bytes: magic, length, release, floor, 4 bytes 0, hash, signature.
The hash covers the first 24 bytes and the application. The Ed25519 signature covers PREFIX and the
hash. A firmware with release keys starts only signed slots.

The whole check takes 0.7 s on an RP2040, and a signature longer. So a board can keep a mark after a
good check: the hash, bound to the release keys, and a short sum of the slot. A later start then
compares only the sum, as long as no start has failed. The mark finds damage, not intent: a board
with a secure boot checks each time.

Rollback protection: `floor` is the oldest release that may run after this one is confirmed, and
never above its own release. The highest floor of confirmed slots is stored twice; a slot with an
older release is not started. A slot that runs because others failed, or without a record, does not
raise it: it could lock out the only release that works.

The agent writes the record of updates and its copy (agent/remote/storage/software_slots.py). This
module reads the hash and the first three bytes: the confirmed slot and the trial slot (1 a, 2 b),
and the number of trial starts. It counts a trial start before the start; a trial that cannot be
counted, because the storage is full, is not started. After MAX_STARTS starts
without a confirmation it starts the confirmed slot; the agent there records the rollback.
"""

import hashlib
import struct

try:
    import _files  # type: ignore[import-not-found]
except ImportError:  # in the tests
    from deploy.firmware.supervisor import _files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]
    Sum = Callable[[bytes], int]

NAMES = ("a", "b")
FOLDER = "/flash/store"
RECORDS = (FOLDER + "/update.record", FOLDER + "/update.copy")
FLOOR_FILES = ("/flash/boot.floor", "/flash/boot.floor2")
MARKS = ("/flash/boot.checked_a", "/flash/boot.checked_b")
MAX_STARTS = 3
MAGIC = b"CLDLOOP2"
HEAD = 128
PREFIX = b"coldloop application\0"
_HEAD_FORM = "<8sIII4x32s64s"
_HASHED = 24
_RECORD_HEAD = 3


class Slot:
    """A complete application. `release`, `floor`: see the module; `hash`: its SHA-256."""

    def __init__(self, release: int, floor: int, digest: bytes, image: bytes) -> None:
        self.release = release
        self.floor = floor
        self.hash = digest
        self.image = image


def check_slot(
    read: "Read",
    slot_bytes: int,
    keys: "tuple[bytes, ...]",
    verify: "Callable[..., bool] | None",
    mark: "bytes | None" = None,
    checksum: "Sum | None" = None,
) -> "Slot | None":
    """Check a slot of `slot_bytes` bytes; None if it holds no complete application.

    `read(at, size)` returns a part of the slot. Without `keys` no signature is needed. `mark`: that
    of an earlier check, with `checksum`.
    """
    head = bytes(read(0, HEAD))
    magic, length, release, floor, digest, signature = struct.unpack(_HEAD_FORM, head[:120])
    if magic != MAGIC or not 0 < length <= slot_bytes - HEAD or floor > release:
        return None
    image = read(HEAD, length)
    if mark and checksum and mark == make_mark(head, image, keys, checksum):
        return Slot(release, floor, digest, image)
    total = hashlib.sha256(head[:_HASHED])
    total.update(image)
    if total.digest() != digest:
        return None
    if keys and not is_signed(digest, signature, keys, verify):
        return None
    return Slot(release, floor, digest, image)


def make_mark(head: bytes, image: bytes, keys: "tuple[bytes, ...]", checksum: "Sum") -> bytes:
    """Return the mark of a slot: a hash of its head and the keys, and the sum of its content."""
    bound = hashlib.sha256(head)
    for key in keys:
        bound.update(key)
    return bound.digest() + struct.pack("<I", checksum(image))


def read_mark(number: int) -> "bytes | None":
    """Return the mark of a slot; None if it is missing or damaged."""
    mark: bytes | None = _files.unseal(_files.read(MARKS[number]))
    return mark


def write_mark(number: int, mark: bytes) -> None:
    """Store the mark of a slot."""
    _files.replace(MARKS[number], _files.seal(mark))


def is_signed(
    digest: bytes,
    signature: bytes,
    keys: "tuple[bytes, ...]",
    verify: "Callable[..., bool] | None",
) -> bool:
    """Return whether one of the release keys signed the hash."""
    return verify is not None and any(
        [verify(key, PREFIX + digest, signature) for key in keys]  # noqa: C419 - few keys
    )


def read_record() -> "bytes | None":
    """Return the body of the record; None if it and its copy are missing or damaged."""
    for path in RECORDS:
        body: bytes | None = _files.unseal(_files.read(path))
        if body is not None and len(body) >= _RECORD_HEAD and body[0] < 3 and body[1] < 3:
            return body
    return None


def write_record(body: bytes) -> bool:
    """Replace the record, then its copy; return whether the next start will read it."""
    for path in RECORDS:
        _files.replace(path, _files.seal(body))
    return read_record() == body


def start_order(body: "bytes | None", newest: int = 0) -> "tuple[list[int], bytes | None]":
    """Return the slots in the order of the attempts, and the body of the record to write first.

    `newest`: the slot with the highest release in its head, for a board without a record.
    """
    if body is None:
        return [newest, 1 - newest], None
    confirmed, trial, starts = body[:_RECORD_HEAD]
    first = max(confirmed - 1, 0)
    if not trial or starts >= MAX_STARTS:
        return [first, 1 - first], None
    changed = body[:2] + bytes((starts + 1,)) + body[_RECORD_HEAD:]
    return [trial - 1, first if trial - 1 != first else 1 - first], changed


def newest_slot(read_head: "Callable[[int], bytes]") -> int:
    """Return the slot with the higher release in its head, unchecked."""
    releases = []
    for number in range(len(NAMES)):
        magic, _, release = struct.unpack("<8sII", bytes(read_head(number))[:16])
        releases.append(release if magic == MAGIC else -1)
    return 1 if releases[1] > releases[0] else 0


def read_floor() -> int:
    """Return the oldest release that may run."""
    floor = 0
    for path in FLOOR_FILES:
        body = _files.unseal(_files.read(path))
        if body is not None and len(body) == 4:
            floor = max(floor, struct.unpack("<I", body)[0])
    return floor


def raise_floor(floor: int) -> None:
    """Store a higher floor; a lower one changes nothing."""
    if floor > read_floor():
        for path in FLOOR_FILES:
            _files.replace(path, _files.seal(struct.pack("<I", floor)))
