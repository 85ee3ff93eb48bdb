# SPDX-License-Identifier: Apache-2.0
"""Slots of a board: an update goes to the idle slot, runs on trial, is confirmed or rolled back."""

import sys

from agent.remote.storage.software_slots import load_releases
from deploy.firmware.supervisor import _files, _slots
from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.micropython.slot_store import SlotStorePort
from tests.portable.support.check import eq, raises
from tests.portable.support.power_cut.board_sweep import (
    CHUNK,
    NEW,
    OLD,
    SLOT_BYTES,
    THIRD,
    BoardRig,
    BoardSlots,
    confirm,
    new_board,
    run_update,
    select_slot,
    send_chunks,
    send_update,
    sweep,
)
from tests.portable.support.remote_rig import START_S

LONG = ("test_power_cut_at_every_step_leaves_old_or_new",)


EVERY = 8 if sys.implementation.name == "micropython" else 1  # each of them in the soak


def make_fetched_rig():
    """Return a board whose slot b has release 2, ready for the trial."""
    disk, nor = new_board()
    rig = BoardRig(disk, nor)
    rig.run(2)
    send_update(rig, NEW, 2)
    eq(rig.restarts, 1)
    return disk, nor


def test_update_in_the_idle_slot_is_run_on_trial_and_confirmed():
    disk, nor = make_fetched_rig()
    eq((bytes(nor.cells[0][: len(OLD)]), bytes(nor.cells[1][: len(NEW)])), (OLD, NEW))
    eq([name for name in disk.names if "update.b" in name], [])  # there is no second copy
    rig = BoardRig(disk, nor)
    eq((rig.slot, rig.release, rig.manager.update.trial_monitor is not None), (1, 2, True))
    confirm(rig)
    eq(
        rig.manager.update.status()[:8],
        [2, 0, 2, 0, "", rig.manager.update.releases.last[0]] + ["confirmed", ""],
    )
    again = BoardRig(disk, nor)
    eq((again.slot, again.manager.update.trial_monitor), (1, None))


def test_next_update_uses_the_previous_slot():
    disk, nor = new_board()
    run_update(disk, nor)
    rig = BoardRig(disk, nor)
    rig.run(2)
    send_update(rig, THIRD, 3, START_S + 60)
    eq(rig.restarts, 1)
    rig = BoardRig(disk, nor)
    eq((rig.slot, rig.release), (0, 3))
    eq(bytes(nor.cells[1][: len(NEW)]), NEW)


def test_older_release_is_rejected():
    disk, nor = new_board()
    rig = BoardRig(disk, nor)
    rig.run(2)
    send_update(rig, OLD, 1, START_S - 60)  # the running one, although no record has it
    eq(rig.manager.rejections.last[0], "rollback")
    run_update(disk, nor)
    rig = BoardRig(disk, nor)
    rig.run(2)
    send_update(rig, NEW, 2, START_S + 60)
    eq(rig.manager.rejections.last[0], "rollback")


def test_oversized_update_or_missing_slot_is_rejected():
    disk, nor = new_board()
    rig = BoardRig(disk, nor, len(NEW) - 1)
    rig.run(2)
    send_update(rig, NEW, 2)
    eq(rig.manager.rejections.last[0], "out_of_range")
    rig = BoardRig(disk, nor, 0)
    rig.run(2)
    send_update(rig, NEW, 2, START_S + 60)
    eq(rig.manager.rejections.last[0], "unsupported")


def test_crashing_update_is_rolled_back_after_its_starts():
    disk, nor = make_fetched_rig()
    eq([select_slot(disk, nor) for _ in range(4)], [(1, 2)] * 3 + [(0, 1)])
    rig = BoardRig(disk, nor)
    rig.run(1)
    eq((rig.release, rig.manager.update.releases.last[1:]), (1, ("rolled_back", "crashed")))
    send_update(rig, NEW, 2, START_S + 60)  # the same release again, repaired
    eq(rig.restarts, 1)


def test_damaged_update_is_not_started():
    disk, nor = make_fetched_rig()
    nor.cells[1][700] ^= 4
    rig = BoardRig(disk, nor)
    rig.run(1)
    eq((rig.release, rig.manager.update.releases.last[1:]), (1, ("rolled_back", "damaged")))


def test_damaged_confirmed_release_falls_back_and_is_replaced():
    disk, nor = new_board()
    run_update(disk, nor)
    nor.cells[1][700] ^= 4
    rig = BoardRig(disk, nor)
    eq((rig.slot, rig.release), (0, 1))
    rig.run(2)
    send_update(rig, THIRD, 3, START_S + 60)
    eq(bytes(nor.cells[1][: len(THIRD)]), THIRD)
    for _ in range(3):
        select_slot(disk, nor)
    eq(select_slot(disk, nor), (0, 1))  # the rolled-back release is not the previous one


def test_fetch_continues_after_a_restart():
    disk, nor = new_board()
    rig = BoardRig(disk, nor)
    rig.run(2)
    disk.cut_at = disk.steps + 50
    send_update(rig, NEW, 2)
    eq(rig.restarts, 0)
    left = disk.after_cut("torn")
    flash = nor.after_cut(left, "torn")
    rig = BoardRig(left, flash)
    rig.run(2)
    assert 0 < rig.manager.update.received_chunks < len(NEW) // CHUNK + 1, (
        rig.manager.update.received_chunks
    )
    send_chunks(rig, NEW)
    eq((rig.restarts, select_slot(left, flash)), (1, (1, 2)))


def test_start_up_uses_the_copy_of_a_damaged_record():
    disk, _ = make_fetched_rig()
    wholes = [disk.names[path][0] for path in _slots.RECORDS]
    eq(_slots.start_order(_slots.read_record())[0], [1, 0])
    for at in range(0, len(wholes[0]), 5):
        for path, whole in zip(_slots.RECORDS, wholes):
            disk.names[path][0] = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
            eq(_slots.read_record() is None, path == _slots.RECORDS[1])
        eq(_slots.start_order(_slots.read_record()), ([0, 1], None))
        for path, whole in zip(_slots.RECORDS, wholes):
            disk.names[path][0] = whole
    counted = _slots.start_order(_slots.read_record())[1]
    eq(load_releases(lambda _: _files.seal(counted)).trial.starts, 1)


def test_chunk_is_written_in_slices():
    disk, nor = new_board()
    woken = []
    address = parse_address("store:" + _slots.FOLDER)
    port = SlotStorePort(address, lambda: woken.append(disk.steps), BoardSlots(nor, 0, 1))
    port.write(b"update.b.700\0" + bytes(CHUNK))
    turns = [disk.steps]
    while not port.is_drained():
        turns.append(disk.steps)
    # Two pages to the end of a sector; one sector erased, and two pages: one of these in a step.
    eq(turns, [0, 0, 1, 2, 3, 4, 5])
    eq(woken, [0, 0, 1, 2, 3, 4, 5])
    eq(bytes(nor.cells[1][690:1510]), b"\xff" * 10 + bytes(CHUNK) + b"\xff" * 10)
    for key in ("update.a.0", "update.b.%d" % (SLOT_BYTES - CHUNK + 1)):
        port.write(key.encode() + b"\0" + bytes(CHUNK))
        raises(PortError, port.is_drained)


def test_power_cut_at_every_step_leaves_old_or_new():
    seen, steps = sweep(EVERY)
    eq(seen, [(1, False), (2, False), (2, True)])
    assert steps > 80, steps
