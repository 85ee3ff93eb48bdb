# SPDX-License-Identifier: Apache-2.0
"""A power cut at each file system step of apply, confirm and rollback.

`sweep` runs a unit whose store is `flash_model.Disk` behind the real code of
`drivers/ports/micropython/store.py`. It cuts the power at selected steps and starts the unit again:

    the active configuration is complete, old or new, and has its hash
    the log has the entry of a change before any part of the change is durable; its chain is valid

Run as a program (on both interpreters), it sweeps every step: see
tests/agent/remote/test_power_cut_soak.py.
"""

import sys

from agent.remote.message import canonical
from agent.remote.storage.audit import SEGMENTS, AuditReader, key_of
from drivers.ports.address import parse_address
from drivers.ports.micropython import store as micropython_store
from tests.portable.support.check import eq
from tests.portable.support.power_cut.flash_model import Disk, PowerCut
from tests.portable.support.remote_rig import (
    COUNTER,
    PRESSURE,
    SETPOINT,
    START_S,
    RemoteRig,
    make_command,
    make_patch,
    remote_config,
)

MESSAGES = {}
CUT_RESULTS = ("lost", "torn", "kept")


class FileStore:
    """The store of a board on a disk of the model; None after the power cut."""

    def __init__(self, disk):
        self.disk = disk
        self._use()
        self._store = micropython_store.Store(parse_address("store:/flash"))

    def _use(self):
        micropython_store.open = self.disk.open
        micropython_store.os = self.disk
        micropython_store.sync = self.disk.sync
        micropython_store.sync_folder = self.disk.sync_folder

    def read(self, key):
        self._use()
        return self._store.read(key)

    def ask(self, op, data):
        self._use()
        key, _, payload = data.partition(b"\0")
        try:
            if op == "get":
                result = self._store.read(key.decode())
                return data if result is None else data + b"\0" + result
            if op == "delete":
                self._store.delete(key.decode())
            else:
                getattr(self._store, op)(key.decode(), payload)
        except PowerCut:
            return None
        return b""


class SweepRig(RemoteRig):
    """A unit with short times."""

    def __init__(self, disk):
        file = remote_config()
        file["remote"]["health_s"] = 5
        RemoteRig.__init__(self, file, FileStore(disk))


def run_change(disk, changes, command_name, at=START_S):
    """Run one start: a change, and its confirmation or its rollback."""
    rig = SweepRig(disk)
    rig.run(2)
    if (at, command_name) not in MESSAGES:  # signing is slow
        patch = make_patch(rig, changes, confirm_s=60, counter_s=at)
        named = [("counter", COUNTER + at - START_S)] if command_name == "confirm" else []
        command = make_command(command_name, named, counter_s=at)
        MESSAGES[(at, command_name)] = (patch, command)
    patch, command = MESSAGES[(at, command_name)]
    rig.send(patch)
    rig.run(7)
    rig.send(command)
    rig.run(1)


def audit_log(store):
    """Return the entries of the log; check its chain."""
    readers = []
    for i in range(SEGMENTS):
        data = store.read(key_of(i))
        reader = None if data is None else AuditReader(data)
        if reader is not None and reader.entries:
            readers.append(reader)
    readers.sort(key=lambda reader: reader.entries[0][0])
    for before, after in zip(readers, readers[1:]):
        eq(before.head, after.start_hash)
    return [(entry[3], entry[4]) for reader in readers for entry in reader.entries]


OLD, NEW = (31, 100), (33, 90)
"""Set-points of supply and dP: the confirmed ones and the pushed ones."""


def start_and_inspect(disk):
    """Start after the cut; return the active configuration."""
    rig = SweepRig(disk)
    boot = rig.manager.boot
    eq(
        canonical.hash_config(boot.config),
        canonical.hash_config(canonical.encode_config(boot.parsed_config())),
    )
    setpoints = rig.agent.supply_loop.setpoint, rig.agent.pressure_loop.setpoint
    assert setpoints in (OLD, NEW), setpoints
    entries = audit_log(rig.store)
    slots = boot.slots
    change_entries = [
        1 for what, counter in entries if what.startswith("patch") and counter == COUNTER
    ]
    if setpoints == NEW or slots.trial is not None or slots.counters[0] == COUNTER:
        assert change_entries, "no entry of the change"
    if slots.version == 2:
        assert ("confirmed", COUNTER) in entries, entries
    if slots.last[1] == "rolled_back":
        assert ("rolled back", COUNTER) in entries, entries
    rig.run(1)
    audit_log(rig.store)
    return setpoints[0], slots.version, slots.trial is not None


def sweep(command_name, stride=1, first=0):
    """Cut at every `stride`-th step with each outcome; return results and number of steps."""
    changes = [(SETPOINT, NEW[0]), (PRESSURE, NEW[1])]
    base = Disk()
    run_change(base, [(SETPOINT, OLD[0])], "confirm", START_S - 100)
    complete = base.after_cut("kept")
    run_change(complete, changes, command_name)
    outcomes = []
    for cut in range(first, complete.steps + 1, stride):
        disk = base.after_cut("kept")
        disk.cut_at = cut
        run_change(disk, changes, command_name)
        for outcome in CUT_RESULTS:
            result = start_and_inspect(disk.after_cut(outcome))
            if result not in outcomes:
                outcomes.append(result)
    return sorted(outcomes), complete.steps


def main():
    for order in ("confirm", "rollback"):
        print(order, sweep(order))


if __name__ == "__main__":
    main()
    sys.exit(0)
