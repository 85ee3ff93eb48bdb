# SPDX-License-Identifier: Apache-2.0
"""A board with two slots, with a power cut at each step of an update.

`NorFlash` is flash as in real chips: a program only clears bits, an erase clears a whole sector,
and a power cut leaves a partial result. The files are on `flash_model.Disk`; both count the same
steps. The code between is real: the port of the store, the agent, and the choice of a slot at the
start.

    the start finds a complete application, the old one or the new one
    the new one runs on trial until it is confirmed; the old one never returns as the new one

Run as a program, it sweeps every step: tests/agent/remote/test_power_cut_soak.py does this on
MicroPython.
"""

import hashlib
import struct
import sys

from agent.agent import Agent
from agent.remote.message import manifest
from agent.remote.storage.running_slot import RunningSlot
from agent.remote.update import boot
from deploy.firmware.supervisor import _files, _slots
from drivers.ports.address import parse_address
from drivers.ports.micropython import slot_store, store
from protocols.signed_message import MANIFEST
from tests.portable.support.agent_rig import RigLcg
from tests.portable.support.check import eq
from tests.portable.support.power_cut.flash_model import Disk, PowerCut
from tests.portable.support.remote_rig import (
    COUNTER,
    HOUR,
    LIMITER,
    OPERATOR,
    START_S,
    RemoteRig,
    make_command,
    remote_config,
    sign_message,
)

SECTOR, SLOT_BYTES = 512, 4096
CHUNK = 800  # does not divide any length
MESSAGES = {}


def application(release, size=1436):
    """Return the output of `coldloop firmware build`, with noise for a ROMFS."""
    romfs = RigLcg(release).bytes(size)
    head = _slots.MAGIC + struct.pack("<IIII", size, release, 0, 0)
    return head + hashlib.sha256(head + romfs).digest() + bytes(72) + romfs


OLD, NEW = application(1), application(2)


class NorFlash:
    """Two slots; `disk` counts the steps."""

    def __init__(self, disk):
        self.disk = disk
        self.cells = [bytearray(b"\xff" * SLOT_BYTES), bytearray(b"\xff" * SLOT_BYTES)]
        self.interrupted = None

    def load(self, slot, data):
        self.cells[slot][: len(data)] = data

    def _step(self, slot, at, data):
        try:
            self.disk.step()
        except PowerCut:
            self.interrupted = self.interrupted or (slot, at, data)
            raise
        self.cells[slot][at : at + len(data)] = data

    def erase(self, slot, at):
        eq(at % SECTOR, 0)
        self._step(slot, at, b"\xff" * SECTOR)

    def program(self, slot, at, data):
        for old, new in zip(self.cells[slot][at:], data):
            eq(old & new, new)  # else it must be erased first
        self._step(slot, at, data)

    def after_cut(self, disk, outcome):
        """Return the flash as the next start finds it."""
        result = NorFlash(disk)
        result.cells = [bytearray(cells) for cells in self.cells]
        if self.interrupted is not None and outcome != "lost":
            slot, at, data = self.interrupted
            size = len(data) if outcome == "kept" else len(data) // 2
            result.cells[slot][at : at + size] = data[:size]
        return result


class BoardSlots:
    """The slots that a start passes to the agent."""

    sector_bytes, slot_bytes = SECTOR, SLOT_BYTES

    def __init__(self, nor, slot, release):
        self.slot, self.release = slot, release
        self.erase, self.program = nor.erase, nor.program
        self._nor = nor

    def read_slot(self, number, at, size):
        return bytes(self._nor.cells[number][at : at + size])


class BoardStore:
    """The store of a board with slots; None after the power cut."""

    def __init__(self, disk, flash):
        self.disk = disk
        self.flash = flash
        self._use()
        address = parse_address("store:" + _slots.FOLDER)
        self._store = store.Store(address)
        self._port = slot_store.SlotStorePort(address, lambda: None, flash)

    def _use(self):
        for module in (store, _files):
            module.open = self.disk.open
            module.os = self.disk
        store.sync = self.disk.sync
        store.sync_folder = self.disk.sync_folder

    def read(self, key):
        self._use()
        return self._store.read(key)

    def ask(self, op, data):
        self._use()
        answer = b""
        try:
            if op == "write":
                self._port.write(data)
            else:
                self._port.request(op, data)
            while not self._port.is_drained():
                answer = answer or self._port.read()
        except PowerCut:
            return None
        return answer


def select_slot(disk, nor):
    """Do the work of a start: count a trial, check the slots; return (slot, release) or None."""
    _files.open, _files.os = disk.open, disk
    slots, record = _slots.start_order(_slots.read_record())
    if record is not None:
        _slots.write_record(record)
        disk.sync_folder()
    for slot in slots:
        cells = bytes(nor.cells[slot])

        def read(at, size, cells=cells):
            return cells[at : at + size]

        found = _slots.check_slot(read, SLOT_BYTES, (), None)
        if found is not None:
            eq(found.image, {1: OLD, 2: NEW, 3: THIRD}[found.release][_slots.HEAD :])
            return slot, found.release
    return None


THIRD = application(3, 836)


class BoardRig(RemoteRig):
    """A unit on the application that the start has selected."""

    def __init__(self, disk, nor, slot_bytes=SLOT_BYTES):
        result = select_slot(disk, nor)
        assert result is not None, "nothing starts"
        self.slot, self.release = result
        self.slot_bytes = slot_bytes
        file = remote_config()
        file["remote"]["health_s"] = 5
        file["remote"]["port"] = "store:" + _slots.FOLDER
        RemoteRig.__init__(self, file, BoardStore(disk, BoardSlots(nor, self.slot, self.release)))

    def make(self, _raw, _models):
        ready, chosen = boot.start_config(self.file, self.store.read, self.check)
        chosen.running_slot = (
            RunningSlot(self.slot, self.release, self.slot_bytes, self.store.flash.read_slot)
            if self.slot_bytes
            else None
        )
        return Agent(ready, chosen)


def send_update(rig, bundle, release, at=START_S, confirm_s=600):
    """Send the manifest and all chunks."""
    if (release, at) not in MESSAGES:  # signing is slow
        body = manifest.encode_manifest(at, at + HOUR, release, bundle, CHUNK, confirm_s)
        MESSAGES[(release, at)] = sign_message(MANIFEST, body, (OPERATOR, LIMITER))
    rig.send(MESSAGES[(release, at)])
    rig.run(1)
    send_chunks(rig, bundle, at)


def send_chunks(rig, bundle, at=START_S):
    """Send the missing chunks until the unit accepts no more."""
    if rig.manager.update is None:
        return
    counter = COUNTER + at - START_S
    while rig.manager.update.received_chunks < rig.manager.update.chunk_count():
        received = rig.manager.update.received_chunks
        data = bundle[received * CHUNK : (received + 1) * CHUNK]
        rig.manager.on_chunk(
            counter.to_bytes(4, "big") + received.to_bytes(2, "big") + data, rig.now
        )
        rig.process_outbox()
        rig.run(0.1)
        if rig.manager.update.received_chunks == received:
            return  # the power was cut


def confirm(rig):
    """Let the unit be normal, then confirm."""
    rig.run(40)
    if "confirm" not in MESSAGES:
        MESSAGES["confirm"] = make_command("confirm")
    rig.send(MESSAGES["confirm"])
    rig.run(1)


def run_update(disk, nor):
    """Run a complete update over two starts."""
    rig = BoardRig(disk, nor)
    rig.run(2)
    send_update(rig, NEW, 2)
    if rig.restarts:
        try:
            rig = BoardRig(disk, nor)
        except PowerCut:
            return
        confirm(rig)


def new_board():
    """Return a new board: release 1 in slot a."""
    disk = Disk()
    nor = NorFlash(disk)
    nor.load(0, OLD)
    return disk, nor


def start_and_inspect(disk, nor):
    """Start after the cut; return the release, its trial flag and the confirmed release."""
    rig = BoardRig(disk, nor)
    eq(rig.slot, {1: 0, 2: 1}[rig.release])
    update = rig.manager.update
    on_trial = update is not None and update.trial_monitor is not None
    highest = 0 if update is None else update.releases.highest
    eq(rig.release == 2 and not on_trial, highest == 2)
    return rig.release, on_trial


def sweep(stride=1):
    """Cut at every `stride`-th step with each outcome; return results and number of steps."""
    complete = new_board()
    run_update(*complete)
    outcomes = []
    for cut in range(complete[0].steps, -1, -stride):
        disk, nor = new_board()
        disk.cut_at = cut
        run_update(disk, nor)
        for outcome in ("lost", "torn", "kept"):
            disk_after = disk.after_cut(outcome)
            result = start_and_inspect(disk_after, nor.after_cut(disk_after, outcome))
            if result not in outcomes:
                outcomes.append(result)
    return sorted(outcomes), complete[0].steps


if __name__ == "__main__":
    print("update", sweep())
    sys.exit(0)
