"""Two slots and one record in a store: what runs is the old configuration or the new, never a mix.

    config.a, config.b   a configuration (agent.remote.message.canonical) with its hash
    config.record        which slot is confirmed, what is on trial, the counter, the last outcome

The order makes it safe: a slot is written only while the record does not point to it, and the
record is replaced only once the slot is durable. A power cut before that leaves the old record; a
record is one write, replaced whole by the store (drivers/ports/*_store). Each write must be durable
before the next is begun; `agent.remote.manager` waits for that. Everything read back is checked by
its hash; what does not fit is as if it were not there, so that the file of the site, which is
always there, is what is left in the worst case.

The record also holds the hash of the site's own file (`origin`). A technician who edits that file
means it: a record with another origin is not believed, but its counter is kept, so that no old
message comes back to life.
"""

from agent.remote.message.canonical import HASH_BYTES, hash_config
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
SLOTS = ("config.a", "config.b")
MOST_ALARMS = 16
_FORMAT = 1
FILE = -1
"""The number of the slot when the site's own file is what is confirmed."""

NOTHING, CONFIRMED, ROLLED_BACK, REJECTED = "nothing", "confirmed", "rolled_back", "refused"


class ConfigTrial:
    """A configuration on trial: its slot, counter, how long it may still take, starts so far.

    `alarms`: the codes that were active before, and so do not speak against it.
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
        """Give what the record holds of it."""
        return [self.slot, self.counter, self.confirm_s, self.starts, self.alarms]


class ConfigSlots:
    """The record in memory. Methods that change it give the write that makes it so."""

    def __init__(self, origin: bytes) -> None:
        self.origin = origin
        self.slot = FILE
        self.version = 0
        self.counters = [0, 0, 0]
        """The last accepted of each kind of message."""
        self.trial: ConfigTrial | None = None
        self.last = (0, NOTHING, "")

    def record_write(self) -> "Write":
        """Give the write of the record."""
        trial = None if self.trial is None else self.trial.to_list()
        parts = [_FORMAT, self.origin, self.slot, self.version, self.counters, trial]
        return RECORD, with_hash(cbor.encode(parts + [list(self.last)]))

    def free_slot(self) -> int:
        """Give the slot that nothing points to."""
        used_slots = (self.slot, FILE if self.trial is None else self.trial.slot)
        return 0 if 0 not in used_slots else 1

    def start_trial(
        self, counter: int, confirm_s: int, alarms: "list[str]", config: bytes
    ) -> "list[Write]":
        """Put `config` on trial: the slot first, then the record."""
        slot = self.free_slot()
        self.counters[PATCH - 1] = counter
        self.trial = ConfigTrial(slot, counter, confirm_s, 0, alarms)
        return [(SLOTS[slot], with_hash(config)), self.record_write()]

    def mark_taken(self, kind: int, counter: int) -> "Write":
        """Note that a message was taken: it must not come back."""
        self.counters[kind - 1] = counter
        return self.record_write()

    def mark_rejected(self, counter: int, reason: str) -> "Write":
        """Note that a signed change was refused: it must not come back later."""
        self.counters[PATCH - 1] = counter
        self.last = (counter, REJECTED, reason)
        return self.record_write()

    def confirm(self) -> "Write":
        """Make what is on trial the confirmed configuration."""
        trial = self.trial
        if trial is not None:
            self.slot, self.version = trial.slot, self.version + 1
            self.last = (trial.counter, CONFIRMED, "")
        self.trial = None
        return self.record_write()

    def roll_back(self, reason: str) -> "Write":
        """Give up what is on trial."""
        if self.trial is not None:
            self.last = (self.trial.counter, ROLLED_BACK, reason)
        self.trial = None
        return self.record_write()


def load_slots(origin: "bytes | None", read: "Read") -> ConfigSlots:
    """Read the record; one that is not there, damaged or of another origin gives a fresh one.

    `origin` None takes any: the site's own file cannot be read.
    """
    slots = ConfigSlots(origin or b"")
    parts = decode_sealed(read(RECORD))
    if not _is_valid(parts):
        return slots
    if origin is None:
        origin = slots.origin = parts[1]
    slots.counters = parts[4]
    slots.version = parts[3]
    slots.last = (parts[6][0], parts[6][1], parts[6][2])
    if parts[1] != origin:
        slots.version += 1  # the file was edited: a base of its own
        return slots
    slots.slot = parts[2]
    if parts[5] is not None:
        slots.trial = ConfigTrial(*parts[5])
    return slots


def read_config(slot: int, read: "Read") -> "bytes | None":
    """Read the configuration in a slot, None when it is not whole."""
    if slot == FILE:
        return None
    return without_hash(read(SLOTS[slot]))


def with_hash(body: bytes) -> bytes:
    """Put its hash before a record."""
    return hash_config(body) + body


def without_hash(data: "bytes | None") -> "bytes | None":
    """Give a record without its hash, None when it is not whole."""
    if data is None or data[:HASH_BYTES] != hash_config(data[HASH_BYTES:]):
        return None
    return data[HASH_BYTES:]


def decode_sealed(data: "bytes | None") -> "Any":
    """Read what stands in a sealed record, None when it is not whole."""
    body = without_hash(data)
    try:
        return None if body is None else cbor.decode(body)
    except DecodeError:
        return None


def _is_valid(parts: "Any") -> bool:
    """Say whether a record that has the right hash has the right shape, too."""
    if type(parts) is not list or len(parts) != 7 or parts[0] != _FORMAT:
        return False
    if type(parts[4]) is not list or len(parts[4]) != len(KINDS):
        return False
    if type(parts[6]) is not list or len(parts[6]) != 3:
        return False
    return parts[5] is None or (type(parts[5]) is list and len(parts[5]) == 5)
