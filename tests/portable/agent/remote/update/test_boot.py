# SPDX-License-Identifier: Apache-2.0
"""Which configuration a start selects, and what it falls back to when the selected one fails."""

import hashlib

from agent.core.errors import ConfigError, DecommissionedError
from agent.remote.message import canonical
from agent.remote.storage import config_slots
from agent.remote.storage.config_slots import COPIES, RECORD, SLOTS, ConfigSlots
from agent.remote.storage.software_slots import Release, chunk_key, read_bundle
from agent.remote.update import boot
from drivers.errors import PortError
from protocols import cbor
from protocols.cbor import Map
from tests.portable.support.check import eq, raises

FILE = {"name": "file"}
CHANGED = {"name": "changed"}
TRIED = {"name": "tried"}


class BootRecords:
    """The records of a unit, and one start with them. `bad`: names that the check refuses."""

    def __init__(self, slots=0, bad=()):
        self.records, self.bad, self.stored = {}, bad, []
        made = ConfigSlots(canonical.hash_config(canonical.encode_config(FILE)))
        for counter, raw in ((11, CHANGED), (12, TRIED))[:slots]:
            if counter == 12:
                self.records.update(made.start_trial(counter, 600, ["a1"], encoded(raw)))
            else:
                self.records.update(made.start_trial(counter, 600, [], encoded(raw)))
                self.records.update([made.confirm()])

    def store(self, name, data):
        self.records[name] = data
        self.stored.append(name)

    def damage(self, name):
        data = self.records[name]
        self.records[name] = bytes((data[0] ^ 1,)) + data[1:]
        return self

    def check(self, raw):
        if raw["name"] in self.bad:
            raise ConfigError(raw["name"])
        return "compiled " + raw["name"]

    def run(self, confirmed_only=False, write=None):
        """Return the configuration, its version, the end of the trial, and the writes to do."""
        config, state = boot.start_config(FILE, self.records.get, self.check, confirmed_only, write)
        eq(config, "compiled " + state.parsed_config()["name"])
        slots, names = state.slots, [name for name, _ in state.writes]
        return config[9:], slots.version, slots.trial and slots.trial.counter, slots.last[2], names


def encoded(raw):
    return canonical.encode_config(raw)


def test_the_file_is_used_without_records():
    eq(BootRecords().run(), ("file", 0, None, "", []))


def test_the_confirmed_configuration_is_used():
    eq(BootRecords(1).run(), ("changed", 1, None, "", []))


def test_a_damaged_or_refused_configuration_gives_the_file_as_a_new_version():
    """All messages for the version before are then refused, and the next start knows that."""
    for start in (BootRecords(1).damage(SLOTS[0]), BootRecords(1, ["changed"])):
        eq(start.run(), ("file", 2, None, "", [RECORD]))
    start = BootRecords(1)
    start.records[SLOTS[0]] = config_slots.with_hash(b"\xff")  # no configuration
    eq(start.run(), ("file", 2, None, "", [RECORD]))


def test_a_file_that_is_refused_ends_the_start():
    eq(str(raises(ConfigError, BootRecords(0, ["file"]).run)), "file")
    eq(str(raises(ConfigError, BootRecords(1, ["file", "changed"]).run)), "file")


def test_each_start_of_a_trial_is_counted_before_it_runs():
    start = BootRecords(2)
    for starts in (1, 2, 3):
        start.stored = []
        eq(start.run(write=start.store), ("tried", 1, 12, "", [RECORD]))
        eq(start.stored, [RECORD, dict(COPIES)[RECORD]])
        slots = config_slots.load_slots(None, start.records.get)
        eq((slots.trial.starts, slots.trial.alarms, slots.trial.confirm_s), (starts, ["a1"], 600))
    eq(start.run(), ("changed", 1, None, boot.CRASHED, [RECORD]))


def test_a_trial_ends_with_its_reason():
    def refuse(*_):
        raise PortError("full")

    def lose(*_):
        raise OSError(5)

    for start, options, reason in (
        (BootRecords(2).damage(SLOTS[1]), {}, boot.DAMAGED),
        (BootRecords(2), {"confirmed_only": True}, boot.CRASHED),
        (BootRecords(2), {"write": refuse}, boot.NO_STORE),
        (BootRecords(2), {"write": lose}, boot.NO_STORE),
        (BootRecords(2, ["tried"]), {}, boot.UNUSABLE),
    ):
        name, version, trial, why, names = start.run(**options)
        eq((reason, name, version, trial, why), (reason, "changed", 1, None, reason))
        eq(names[-1], RECORD)


def test_a_trial_and_the_configuration_before_it_can_both_fail():
    name, version, trial, why, names = BootRecords(2, ["tried", "changed"]).run()
    eq((name, version, trial, why, names[-1]), ("file", 2, None, boot.UNUSABLE, RECORD))


def test_the_confirmed_configuration_runs_without_a_file():
    """The site file cannot be read: a trial is dropped, and the file of the record is not asked."""
    for count, version in ((1, 1), (2, 1)):
        start = BootRecords(count)
        config, state = boot.start_confirmed(start.records.get, start.check)
        eq((config, state.slots.version, state.slots.trial), ("compiled changed", version, None))
        eq(state.parsed_config(), CHANGED)
    for start in (BootRecords(), BootRecords(1).damage(SLOTS[0]), BootRecords(1, ["changed"])):
        error = raises(ConfigError, boot.start_confirmed, start.records.get, start.check)
        text = "changed" if start.bad else "the store holds no confirmed configuration"
        eq(str(error), text)


def test_a_decommissioned_unit_does_not_start():
    start = BootRecords(1)
    start.records[boot.DECOMMISSIONED_KEY] = b""
    eq(str(raises(DecommissionedError, start.run)), "decommissioned by operators")


def test_a_record_of_another_form_is_no_record():
    """Its hash is right: another version of the software wrote it."""
    good = [1, b"hash", 0, 5, [0, 0, 0], None, [0, "nothing", ""]]
    eq(slots_of(good).version, 6)  # of another file
    for i, part in ((0, 2), (4, [0, 0]), (4, None), (5, [0, 1]), (5, 3), (6, [0, ""]), (6, 1)):
        parts = list(good)
        parts[i] = part
        eq((i, slots_of(parts).version), (i, 0))
    for parts in (good[:6], good + [1], 7, b"", {}):
        eq(slots_of(parts).version, 0)


def slots_of(parts):
    data = config_slots.with_hash(cbor.encode(Map([]) if parts == {} else parts))
    return config_slots.load_slots(b"other", {RECORD: data}.get)


def test_a_bundle_with_a_damaged_or_lost_chunk_is_not_started():
    data = bytes(range(100))
    release = Release([1, 2, 100, hashlib.sha256(data).digest(), b"", 3, 4, [], 64])
    chunks = {chunk_key(1, 0): data[:64], chunk_key(1, 64): data[64:]}
    eq(read_bundle(release, chunks.get), data)
    for key, chunk in ((chunk_key(1, 0), data[:63] + b"x"), (chunk_key(1, 64), None)):
        eq(read_bundle(release, dict(chunks, **{key: chunk}).get), None)
