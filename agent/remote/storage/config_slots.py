# SPDX-License-Identifier: Apache-2.0
"""Two configuration slots and one record in a store. A power cut leaves the old or the new one.

Does not select the configuration of a start; see `agent.remote.update.boot`.

    config.a, config.b   a configuration (`agent.remote.message.canonical`) with its hash
    config.record        confirmed slot, trial, counters, last outcome
    config.copy          the same record, written after it

The order makes it safe. A slot is written only while the record does not refer to it. The record is
replaced only when the slot is durable. A power cut before that leaves the old record. The store
replaces a record atomically (drivers/ports/*_store). Each write must be durable before the next one
begins; `agent.remote.storage.write_queue` ensures that. Each record is checked by its hash; if it
is invalid, the copy is used. If both are invalid, they count as missing. In the worst case the site
file remains, which always exists.

The record also holds the hash of the site file. If a technician edits that file, the edit has
precedence: a record with another hash is ignored. Its counters are kept, so that no old message
becomes valid again.
"""

from agent.remote.message.canonical import HASH_BYTES, hash_config
from agent.remote.message.counter import epoch_of, first_of
from protocols import cbor
from protocols.errors import DecodeError
from protocols.signed_message import KINDS, PATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Write = tuple[str, bytes]
    Read = Callable[[str], bytes | None]

RECORD = "config.record"
COPIES = (("config.record", "config.copy"), ("update.record", "update.copy"))
"""Records with a copy, and the keys of the copies."""
SLOTS = ("config.a", "config.b")
MAX_ALARMS = 16
_FORMAT = 1
FILE = -1
"""The slot number of the site file."""

NOTHING, CONFIRMED, ROLLED_BACK, REJECTED = "nothing", "confirmed", "rolled_back", "refused"


class ConfigTrial:
    """A configuration on trial: slot, counter, remaining time to confirm, number of starts.

    `alarms`: the codes that were active before the trial and do not count against it.
    """

    def __init__(
        self, slot: int, counter: int, confirm_s: int, starts: int, alarms: "list[str]"
    ) -> None:
        self.slot = slot
        self.counter = counter
        self.confirm_s = confirm_s
        self.starts = starts
        self.alarms = alarms

    def to_list(self) -> "list[Any]":
        """Return the fields for the record."""
        return [self.slot, self.counter, self.confirm_s, self.starts, self.alarms]


class ConfigSlots:
    """The record in memory. Methods that change it return the write that stores it."""

    def __init__(self, site_file_hash: bytes) -> None:
        self.site_file_hash = site_file_hash
        self.slot = FILE
        self.version = 0
        self.counters = [0, 0, 0]
        """The last accepted counter of each kind of message."""
        self.trial: ConfigTrial | None = None
        self.last = (0, NOTHING, "")

    def record_write(self) -> "Write":
        """Return the write of the record."""
        trial = None if self.trial is None else self.trial.to_list()
        parts = [_FORMAT, self.site_file_hash, self.slot, self.version, self.counters, trial]
        return RECORD, with_hash(cbor.encode(parts + [list(self.last)]))

    def free_slot(self) -> int:
        """Return the slot that is not in use."""
        used_slots = (self.slot, FILE if self.trial is None else self.trial.slot)
        return 0 if 0 not in used_slots else 1

    def count_start(self) -> "list[Write]":
        """Count a start of the trial."""
        if self.trial is not None:
            self.trial.starts += 1
        return [self.record_write()]

    def save_confirm_time(self, remaining_s: int) -> "Write":
        """Store the remaining time to confirm the trial."""
        if self.trial is not None:
            self.trial.confirm_s = remaining_s
        return self.record_write()

    def drop_trial(self) -> None:
        """Clear the trial in memory."""
        self.trial = None

    def use_file(self) -> "list[Write]":
        """Use the site file as a new version."""
        self.slot = FILE
        self.version += 1
        return [self.record_write()]

    def start_trial(
        self, counter: int, confirm_s: int, alarms: "list[str]", config: bytes
    ) -> "list[Write]":
        """Start a trial of `config`: write the slot, then the record."""
        slot = self.free_slot()
        self._take_counter(PATCH, counter)
        self.trial = ConfigTrial(slot, counter, confirm_s, 0, alarms)
        return [(SLOTS[slot], with_hash(config)), self.record_write()]

    def mark_taken(self, kind: int, counter: int) -> "Write":
        """Store that a message was accepted, so that it cannot be replayed."""
        self._take_counter(kind, counter)
        return self.record_write()

    def _take_counter(self, kind: int, counter: int) -> None:
        """Store the counter of an accepted message. A new epoch starts all counters again."""
        first = first_of(epoch_of(counter))
        self.counters = [max(first, last) for last in self.counters]
        self.counters[kind - 1] = max(counter, self.counters[kind - 1])

    def mark_rejected(self, counter: int, reason: str) -> "Write":
        """Store that a signed change was rejected, so that it cannot be replayed."""
        self._take_counter(PATCH, counter)
        self.last = (counter, REJECTED, reason)
        return self.record_write()

    def confirm(self) -> "Write":
        """Confirm the configuration on trial."""
        trial = self.trial
        if trial is not None:
            self.slot, self.version = trial.slot, self.version + 1
            self.last = (trial.counter, CONFIRMED, "")
        self.trial = None
        return self.record_write()

    def roll_back(self, reason: str) -> "Write":
        """End the trial without the new configuration."""
        if self.trial is not None:
            self.last = (self.trial.counter, ROLLED_BACK, reason)
        self.trial = None
        return self.record_write()


def load_slots(site_file_hash: "bytes | None", read: "Read") -> ConfigSlots:
    """Read the record. A missing or invalid one, or one of another site file, gives a new record.

    `site_file_hash` None accepts any: the site file cannot be read.
    """
    slots = ConfigSlots(site_file_hash or b"")
    parts = decode_hashed(read(RECORD))
    if not _is_valid(parts):
        parts = decode_hashed(read(copy_key(RECORD)))
    if not _is_valid(parts):
        return slots
    if site_file_hash is None:
        site_file_hash = slots.site_file_hash = parts[1]
    slots.counters = parts[4]
    slots.version = parts[3]
    slots.last = (parts[6][0], parts[6][1], parts[6][2])
    if parts[1] != site_file_hash:
        slots.version += 1  # the file was edited: another base
        return slots
    slots.slot = parts[2]
    if parts[5] is not None:
        slots.trial = ConfigTrial(*parts[5])
    return slots


def copy_key(key: str) -> str:
    """Return the key of the copy of a record, empty if it has none."""
    for record, copy in COPIES:
        if key == record:
            return copy
    return ""


def with_copies(writes: "list[Write]") -> "list[Write]":
    """Return the writes with those of the copies, each after its record."""
    result = []
    for key, data in writes:
        result.append((key, data))
        if copy_key(key):
            result.append((copy_key(key), data))
    return result


def read_config(slot: int, read: "Read") -> "bytes | None":
    """Return the configuration in a slot, None if it is invalid."""
    if slot == FILE:
        return None
    return without_hash(read(SLOTS[slot]))


def with_hash(body: bytes) -> bytes:
    """Return a record with its hash in front."""
    return hash_config(body) + body


def without_hash(data: "bytes | None") -> "bytes | None":
    """Return a record without its hash, None if it is invalid."""
    if data is None or data[:HASH_BYTES] != hash_config(data[HASH_BYTES:]):
        return None
    return data[HASH_BYTES:]


def decode_hashed(data: "bytes | None") -> "Any":
    """Return the decoded content of a record with a hash, None if it is invalid."""
    body = without_hash(data)
    try:
        return None if body is None else cbor.decode(body)
    except DecodeError:
        return None


def _is_valid(parts: "Any") -> bool:
    """Return whether a record with a valid hash also has a valid form."""
    if type(parts) is not list or len(parts) != 7 or parts[0] != _FORMAT:
        return False
    if type(parts[3]) is not int:
        return False
    if type(parts[4]) is not list or len(parts[4]) != len(KINDS):
        return False
    if type(parts[6]) is not list or len(parts[6]) != 3:
        return False
    return parts[5] is None or (type(parts[5]) is list and len(parts[5]) == 5)
