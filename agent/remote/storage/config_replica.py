# SPDX-License-Identifier: Apache-2.0
"""The records of remote changes at both controllers of a pair: what is newer, what is missing.

Does not send and does not write; see `agent.redundancy.config_mirror`.

A `Head` is what one controller has stored: the record of `config_slots` and the records of `LIMITS`
as they are, and of each slot only its hash. It goes to the other controller with the slots that
this one does not have. Each controller has its own numbers of slots.

    rank   number of confirmed changes, a confirmed configuration is here, counter of the last
           change, no trial, counter of commands

The higher rank is newer: an end of a trial has no counter of its own. Starts and the remaining time
of a trial do not count. Counters of both are merged, so that no message is executed twice. A start
that falls back to the file counts as a version (`agent.remote.update.boot`), but is no change of
operators: it must not replace the confirmed configuration of the other controller.

The other controller can have other software. A message that does not fit is not used.
"""

from agent.remote.message.canonical import HASH_BYTES
from agent.remote.message.header import MAX_COUNT, MAX_COUNTER, is_count
from agent.remote.storage.config_slots import (
    FILE,
    RECORD,
    SLOTS,
    ConfigSlots,
    ConfigTrial,
    load_slots,
    without_hash,
)
from agent.remote.storage.day_values import DAY_KEY
from agent.remote.storage.suspended_keys import SUSPENDED_KEY
from agent.remote.storage.unit_key import SITE_TRIAL
from protocols import cbor
from protocols.errors import DecodeError
from protocols.signed_message import COMMAND, PATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.remote.storage.config_slots import Write

LIMITS = (DAY_KEY, SUSPENDED_KEY, SITE_TRIAL)
"""Records that limit what a message may do."""
KEYS = SLOTS + (RECORD,) + LIMITS
"""All records that both controllers have."""
_FORMAT = 1
_PARTS = 6
_PLACES = (FILE, 0, 1)


def _rank(slots: ConfigSlots, confirmed: bytes) -> "tuple[int, bool, int, bool, int]":
    changes = slots.version - (slots.slot == FILE)
    counters = slots.counters
    times = counters[PATCH - 1], slots.trial is None, counters[COMMAND - 1]
    return (changes, bool(confirmed)) + times


class Head:
    """What a controller has stored. `hashes`: of the slots; `file_hash`: of its file."""

    def __init__(
        self, file_hash: bytes, record: bytes, hashes: "list[bytes]", limits: "list[bytes]"
    ) -> None:
        self.file_hash = file_hash
        self.record, self.hashes, self.limits = record, hashes, limits
        self.slots = load_slots(file_hash, {RECORD: record}.get)
        self.rank = _rank(self.slots, self.confirmed())
        self.sent: list[bytes] = []

    def confirmed(self) -> bytes:
        """Return the hash of the confirmed configuration; empty: that of the file."""
        return b"" if self.slots.slot == FILE else self.hashes[self.slots.slot]

    def on_trial(self) -> bytes:
        """Return the hash of the configuration on trial; empty: none."""
        return b"" if self.slots.trial is None else self.hashes[self.slots.trial.slot]

    def to_run(self) -> bytes:
        """Return the hash of the configuration of a start."""
        return self.on_trial() or self.confirmed() or self.file_hash

    def encode(self, sent: "list[bytes]") -> bytes:
        """Return the bytes for the other controller, with the records of slots in `sent`."""
        return cbor.encode([_FORMAT, self.file_hash, self.record, self.hashes, self.limits, sent])

    def is_equal(self, other: "Head") -> bool:
        """Return whether the other one has the same, but for starts and the remaining time."""
        return (
            self.file_hash == other.file_hash
            and self.rank == other.rank
            and self.slots.counters == other.slots.counters
            and self.limits == other.limits
            and (self.confirmed(), self.on_trial()) == (other.confirmed(), other.on_trial())
        )


def head_of(records: "dict[str, bytes]", file_hash: bytes) -> Head:
    """Return what `records` hold. `file_hash`: of the file of this controller."""
    hashes = []
    for key in SLOTS:
        data = records.get(key, b"")
        hashes.append(data[:HASH_BYTES] if without_hash(data) is not None else b"")
    limits = [records.get(key, b"") for key in LIMITS]
    return Head(file_hash, records.get(RECORD, b""), hashes, limits)


def decode_head(data: bytes) -> "Head | None":
    """Return the content of a message of the other controller; None: another format."""
    try:
        parts: Any = cbor.decode(data)
    except DecodeError:
        return None
    if type(parts) is not list or len(parts) != _PARTS or parts[0] != _FORMAT:
        return None
    file_hash, record, hashes, limits, sent = parts[1:]
    if not (_all_bytes([file_hash, record]) and _all_bytes(hashes, len(SLOTS))):
        return None
    if not (_all_bytes(limits, len(LIMITS)) and _all_bytes(sent)):
        return None
    if not _is_usable(load_slots(file_hash, {RECORD: record}.get)):
        return None
    head = Head(file_hash, record, hashes, limits)
    head.sent = [record for record in sent if without_hash(record) is not None]
    return head


def _all_bytes(values: "Any", count: int = -1) -> bool:
    """Return whether `values` is a list of bytes, of `count` ones if that is given."""
    if type(values) is not list or count not in (-1, len(values)):
        return False
    return not [value for value in values if type(value) is not bytes]


def _is_usable(slots: ConfigSlots) -> bool:
    """Return whether each field of a record of the other controller has a possible value."""
    counters, counts = slots.counters + [slots.last[0]], [slots.version]
    places, texts = [slots.slot], list(slots.last[1:])
    trial = slots.trial
    if trial is not None:
        if type(trial.alarms) is not list or trial.slot in (FILE, slots.slot):
            return False
        counters.append(trial.counter)
        counts += [trial.starts, trial.confirm_s]
        places.append(trial.slot)
        texts += trial.alarms
    return (
        _are_counts(counters, MAX_COUNTER)
        and _are_counts(counts, MAX_COUNT)
        and not [place for place in places if type(place) is not int or place not in _PLACES]
        and not [value for value in texts if type(value) is not str]
    )


def _are_counts(values: "list[Any]", largest: int) -> bool:
    return not [value for value in values if not is_count(value, largest)]


def missing_slots(own: Head, peer: Head, records: "dict[str, bytes]") -> "list[bytes]":
    """Return the records of slots that the `peer` needs and does not have."""
    if own.rank < peer.rank or own.file_hash != peer.file_hash:
        return []
    needed = [wanted for wanted in (own.confirmed(), own.on_trial()) if wanted]
    return [
        records[SLOTS[number]]
        for number, value in enumerate(own.hashes)
        if value in needed and value not in peer.hashes
    ]


def _merged(own: Head, peer: Head) -> ConfigSlots:
    """Return the newer record with the higher counters of both; the slots are not valid yet."""
    newer, older = (own, peer) if own.rank > peer.rank else (peer, own)
    source, other = newer.slots, older.slots
    slots = ConfigSlots(own.file_hash)
    slots.version, slots.last = source.version, source.last
    slots.counters = [max(pair) for pair in zip(source.counters, other.counters)]
    trial, same = source.trial, other.trial
    if trial is not None:
        is_same = same is not None and same.counter == trial.counter
        confirm_s = min(trial.confirm_s, same.confirm_s) if is_same and same else trial.confirm_s
        starts = max(trial.starts, same.starts) if is_same and same else 0
        slots.trial = ConfigTrial(-1, trial.counter, confirm_s, starts, trial.alarms)
    return slots


def writes_to_follow(own: Head, peer: Head) -> "list[Write]":
    """Return the writes, in this order, after which this controller has what is newer.

    Empty: nothing to do, or the peer has not sent the slots yet. Each write leaves a valid state.
    """
    if own.file_hash != peer.file_hash:
        return []
    newer = own if own.rank > peer.rank else peer
    confirmed, on_trial = newer.confirmed(), newer.on_trial()
    plan = _Placing(own, peer.sent, _merged(own, peer))
    if not (plan.has(confirmed) and plan.has(on_trial)):
        return []
    plan.place_confirmed(confirmed)
    plan.place_trial(on_trial)
    if plan.slots.record_write()[1] != own.record:
        plan.writes.append(plan.slots.record_write())
    for key, theirs, mine in zip(LIMITS, peer.limits, own.limits):
        if theirs != mine and theirs and _has_newer_limit(peer, own, key):
            plan.writes.append((key, theirs))
    return plan.writes


def _has_newer_limit(peer: Head, own: Head, key: str) -> bool:
    """Return whether the record of a limit is newer at the peer.

    Commands suspend keys: more confirmed changes must not undo that.
    """
    if key == SUSPENDED_KEY:
        commands = COMMAND - 1
        return peer.slots.counters[commands] >= own.slots.counters[commands]
    return own.rank <= peer.rank


class _Placing:
    """Puts configurations into the slots of this controller. `slots`: the record to come."""

    def __init__(self, own: Head, sent: "list[bytes]", slots: ConfigSlots) -> None:
        self._own = own
        self._held = list(own.hashes)
        self._sent = {record[:HASH_BYTES]: record for record in sent}
        self.slots = slots
        self._trial, slots.trial = slots.trial, None
        self.writes: list[Write] = []

    def has(self, value: bytes) -> bool:
        """Return whether a configuration is here, or was sent. The file is always here."""
        return not value or value in self._held or value in self._sent

    def place_confirmed(self, confirmed: bytes) -> None:
        """Put the confirmed configuration into a slot."""
        own = self._own
        if not confirmed:
            self.slots.slot = FILE
            return
        if confirmed not in self._held:
            free = 1 if own.slots.slot == 0 else 0
            if own.slots.trial is not None:
                # The record must not refer to a slot that is written.
                before = load_slots(own.file_hash, {RECORD: own.record}.get)
                before.drop_trial()
                self.writes.append(before.record_write())
            self.writes.append((SLOTS[free], self._sent[confirmed]))
            self._held[free] = confirmed
        self.slots.slot = self._held.index(confirmed)

    def place_trial(self, on_trial: bytes) -> None:
        """Put the configuration on trial into the other slot.

        If it was in the slot that the confirmed one took, it comes with the next message.
        """
        slots, trial = self.slots, self._trial
        if trial is None:
            return
        counters, place = slots.counters, PATCH - 1
        if on_trial not in self._held:
            # Not the new counter yet: with it and without the trial, this is the end of a trial.
            slots.counters = list(counters)
            slots.counters[place] = self._own.slots.counters[place]
            if on_trial not in self._sent:
                return
            free = 1 if slots.slot == 0 else 0
            self.writes += [slots.record_write(), (SLOTS[free], self._sent[on_trial])]
            self._held[free] = on_trial
        trial.slot = self._held.index(on_trial)
        slots.counters, slots.trial = counters, trial
