"""The power goes at each step that apply, confirm and rollback take in a file system.

`sweep` runs a unit whose store is `flash_model.Disk` behind the real code of
`drivers/ports/micropython/store.py`, cuts the power at chosen steps, starts it anew and looks:

    what runs is the old configuration or the new one, whole, and has its hash
    the log has the entry of a change before anything of it is durable, and its chain holds

Run by itself (on both interpreters) it sweeps every step: see tests/agent/remote/test_power_cut_soak.py.
"""

import sys

from agent.remote.message import canonical
from agent.remote.storage.audit import SEGMENTS, Walk, key_of
from drivers.ports.address import parse
from drivers.ports.micropython import store as micropython_store
from tests.portable.support.check import eq
from tests.portable.support.flash_model import Disk, PowerCut
from tests.portable.support.remote_rig import (
    COUNTER,
    PRESSURE,
    SETPOINT,
    START_S,
    RemoteRig,
    a_command,
    a_patch,
    remote_config,
)

MESSAGES = {}
ENDS = ("lost", "torn", "kept")


class FileStore:
    """The store of a board on a disk of the model; None once the power has gone."""

    def __init__(self, disk):
        self.disk = disk
        self._use()
        self._store = micropython_store.Store(parse("store:/flash"))

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
                found = self._store.read(key.decode())
                return data if found is None else data + b"\0" + found
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


def life(disk, changes, order, at=START_S):
    """One life: a change, and its confirmation or its end."""
    rig = SweepRig(disk)
    rig.run(2)
    if (at, order) not in MESSAGES:  # signing is slow
        patch = a_patch(rig, changes, confirm_s=60, counter_s=at)
        MESSAGES[(at, order)] = (patch, a_command(order, counter_s=at))
    patch, command = MESSAGES[(at, order)]
    rig.send(patch)
    rig.run(7)
    rig.send(command)
    rig.run(1)


def told(store):
    """The log's entries; its chain must hold."""
    walks = []
    for i in range(SEGMENTS):
        data = store.read(key_of(i))
        walk = None if data is None else Walk(data)
        if walk is not None and walk.entries:
            walks.append(walk)
    walks.sort(key=lambda walk: walk.entries[0][0])
    for before, after in zip(walks, walks[1:]):
        eq(before.head, after.first)
    return [(entry[3], entry[4]) for walk in walks for entry in walk.entries]


OLD, NEW = (31, 100), (33, 90)
"""Set-points of supply and dP, confirmed before and pushed now."""


def look(disk):
    """Start on what is left; say what runs."""
    rig = SweepRig(disk)
    boot = rig.desk.boot
    eq(canonical.digest(boot.config), canonical.digest(canonical.write(boot.raw())))
    runs = rig.agent.supply.setpoint, rig.agent.pressure.setpoint
    assert runs in (OLD, NEW), runs
    entries = told(rig.store)
    slots = boot.slots
    taken = [1 for what, counter in entries if what.startswith("patch") and counter == COUNTER]
    if runs == NEW or slots.trial is not None or slots.counters[0] == COUNTER:
        assert taken, "no entry of the change"
    if slots.version == 2:
        assert ("confirmed", COUNTER) in entries, entries
    if slots.last[1] == "rolled_back":
        assert ("rolled back", COUNTER) in entries, entries
    rig.run(1)
    told(rig.store)
    return runs[0], slots.version, slots.trial is not None


def sweep(order, stride=1, first=0):
    """Cut at every `stride`-th step, end in every way; give what was seen and how many steps."""
    changes = [(SETPOINT, NEW[0]), (PRESSURE, NEW[1])]
    base = Disk()
    life(base, [(SETPOINT, OLD[0])], "confirm", START_S - 100)
    whole = base.after("kept")
    life(whole, changes, order)
    seen = []
    for cut in range(first, whole.steps + 1, stride):
        disk = base.after("kept")
        disk.cut_at = cut
        life(disk, changes, order)
        for ends in ENDS:
            found = look(disk.after(ends))
            if found not in seen:
                seen.append(found)
    return sorted(seen), whole.steps


def main():
    for order in ("confirm", "rollback"):
        print(order, sweep(order))


if __name__ == "__main__":
    main()
    sys.exit(0)
