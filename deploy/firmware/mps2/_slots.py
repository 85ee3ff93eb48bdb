# SPDX-License-Identifier: Apache-2.0
"""Application slots of the board: selection of the slot that a start runs, and writes of updates.

Frozen into the firmware beside _start.py. Does not check applications; _start.py does that at each
start. The agent writes the record (agent/remote/storage/software_slots.py). This module reads its
hash and its first three bytes: the confirmed slot and the trial slot (1 a, 2 b), and the number of
trial starts. It counts a trial start before the start. After MAX_STARTS starts without a
confirmation it starts the confirmed slot; the agent there records the rollback.
"""

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = "/flash/store"
RECORD = FOLDER + "/update.record"
MAX_STARTS = 3
_HASH = 32


def read_record() -> "bytes | None":
    """Return the record; None if it is missing or damaged."""
    try:
        with open(RECORD, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data if data[:_HASH] == hashlib.sha256(data[_HASH:]).digest() else None


def start_order(record: "bytes | None") -> "tuple[list[int], bytes | None]":
    """Return the slots in the order of the attempts, and the record to write first."""
    confirmed, trial, starts = (0, 0, 0) if record is None else record[_HASH : _HASH + 3]
    first = max(confirmed - 1, 0)
    slots = [first, 1 - first]
    if record is None or not trial or starts >= MAX_STARTS:
        return slots, None
    body = record[_HASH : _HASH + 2] + bytes((starts + 1,)) + record[_HASH + 3 :]
    trial_slots = [trial - 1, first if trial - 1 != first else 1 - first]
    return trial_slots, hashlib.sha256(body).digest() + body


def write_record(data: bytes) -> None:
    """Replace the record atomically."""
    with open(RECORD + ".new", "wb") as file:
        file.write(data)
    os.rename(RECORD + ".new", RECORD)


class Flash:
    """The flash with the slots, as `SlotFlash` in drivers/ports/micropython/slot_store.py.

    Under QEMU a file of the host computer replaces the flash. `write(at, data)` writes to this
    file. The first slot begins at byte `base`; the slots are adjacent.
    """

    sector_bytes = 4096
    folder = FOLDER

    def __init__(
        self,
        write: "Callable[[int, bytes], None]",
        base: int,
        slot_bytes: int,
        slot: int,
        release: int,
    ) -> None:
        self._write = write
        self._base = base
        self.slot_bytes = slot_bytes
        self.slot = slot
        self.release = release

    def erase(self, slot: int, at: int) -> None:
        """Erase a sector."""
        self._write(self._base + slot * self.slot_bytes + at, b"\xff" * self.sector_bytes)

    def program(self, slot: int, at: int, data: bytes) -> None:
        """Program an erased range."""
        self._write(self._base + slot * self.slot_bytes + at, data)
