"""A board's slots: an update goes into the idle one, runs on trial, is kept or given up."""

import sys

from agent.remote.storage.software_slots import load
from deploy.firmware.mps2 import _slots
from drivers.errors import PortError
from drivers.ports.address import parse
from drivers.ports.micropython.slot_store import SlotStorePort
from tests.portable.support.board_sweep import (
    NEW,
    OLD,
    PIECE,
    ROOM,
    THIRD,
    BoardRig,
    Slots,
    confirm,
    feed,
    fresh,
    offer,
    started,
    sweep,
    update,
)
from tests.portable.support.check import eq, raises
from tests.portable.support.remote_rig import START_S

HEAP = "768wK"
EVERY = 8 if sys.implementation.name == "micropython" else 1  # there each in the soak


def fetched():
    """A board whose slot b has release 2, to be tried."""
    disk, nor = fresh()
    rig = BoardRig(disk, nor)
    rig.run(2)
    offer(rig, NEW, 2)
    eq(rig.restarts, 1)
    return disk, nor


def test_an_update_goes_into_the_idle_slot_is_tried_and_confirmed():
    disk, nor = fetched()
    eq((bytes(nor.cells[0][: len(OLD)]), bytes(nor.cells[1][: len(NEW)])), (OLD, NEW))
    eq([name for name in disk.names if "update.b" in name], [])  # there is no second copy
    rig = BoardRig(disk, nor)
    eq((rig.slot, rig.release, rig.desk.update.watch is not None), (1, 2, True))
    confirm(rig)
    eq(
        rig.desk.update.status()[:8],
        [2, 0, 2, 0, "", rig.desk.update.releases.last[0]] + ["confirmed", ""],
    )
    again = BoardRig(disk, nor)
    eq((again.slot, again.desk.update.watch), (1, None))


def test_the_next_one_goes_into_the_slot_that_was_left():
    disk, nor = fresh()
    update(disk, nor)
    rig = BoardRig(disk, nor)
    rig.run(2)
    offer(rig, THIRD, 3, START_S + 60)
    eq(rig.restarts, 1)
    rig = BoardRig(disk, nor)
    eq((rig.slot, rig.release), (0, 3))
    eq(bytes(nor.cells[1][: len(NEW)]), NEW)


def test_no_old_release_is_taken():
    disk, nor = fresh()
    rig = BoardRig(disk, nor)
    rig.run(2)
    offer(rig, OLD, 1, START_S - 60)  # the one that runs, although no record knows it
    eq(rig.desk.refusal[0], "rollback")
    update(disk, nor)
    rig = BoardRig(disk, nor)
    rig.run(2)
    offer(rig, NEW, 2, START_S + 60)
    eq(rig.desk.refusal[0], "rollback")


def test_what_does_not_fit_a_slot_or_has_none_is_refused():
    disk, nor = fresh()
    rig = BoardRig(disk, nor, len(NEW) - 1)
    rig.run(2)
    offer(rig, NEW, 2)
    eq(rig.desk.refusal[0], "out_of_range")
    rig = BoardRig(disk, nor, 0)
    rig.run(2)
    offer(rig, NEW, 2, START_S + 60)
    eq(rig.desk.refusal[0], "unsupported")


def test_one_that_does_not_come_up_is_given_up_by_its_starts():
    disk, nor = fetched()
    eq([started(disk, nor) for _ in range(4)], [(1, 2)] * 3 + [(0, 1)])
    rig = BoardRig(disk, nor)
    rig.run(1)
    eq((rig.release, rig.desk.update.releases.last[1:]), (1, ("rolled_back", "crashed")))
    offer(rig, NEW, 2, START_S + 60)  # the same release again, repaired
    eq(rig.restarts, 1)


def test_one_that_is_damaged_is_not_started():
    disk, nor = fetched()
    nor.cells[1][700] ^= 4
    rig = BoardRig(disk, nor)
    rig.run(1)
    eq((rig.release, rig.desk.update.releases.last[1:]), (1, ("rolled_back", "damaged")))


def test_a_confirmed_one_that_is_damaged_leaves_the_other_and_is_replaced():
    disk, nor = fresh()
    update(disk, nor)
    nor.cells[1][700] ^= 4
    rig = BoardRig(disk, nor)
    eq((rig.slot, rig.release), (0, 1))
    rig.run(2)
    offer(rig, THIRD, 3, START_S + 60)
    eq(bytes(nor.cells[1][: len(THIRD)]), THIRD)
    for _ in range(3):
        started(disk, nor)
    eq(started(disk, nor), (0, 1))  # what was given up is not what was good before


def test_it_goes_on_where_it_was_when_the_unit_is_started_anew():
    disk, nor = fresh()
    rig = BoardRig(disk, nor)
    rig.run(2)
    disk.cut_at = disk.steps + 40
    offer(rig, NEW, 2)
    eq(rig.restarts, 0)
    left = disk.after("torn")
    flash = nor.after(left, "torn")
    rig = BoardRig(left, flash)
    rig.run(2)
    assert 0 < rig.desk.update.have < len(NEW) // PIECE + 1, rig.desk.update.have
    feed(rig, NEW)
    eq((rig.restarts, started(left, flash)), (1, (1, 2)))


def test_the_start_up_reads_no_damaged_record():
    disk, _ = fetched()
    path = _slots.RECORD
    whole = disk.names[path][0]
    for at in range(0, len(whole), 5):
        disk.names[path][0] = whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :]
        eq(_slots.order(_slots.read_record()), ([0, 1], None))
    disk.names[path][0] = whole
    eq(_slots.order(_slots.read_record())[0], [1, 0])
    counted = _slots.order(_slots.read_record())[1]
    eq(load(lambda _: counted).trial.starts, 1)


def test_a_piece_is_written_in_slices_one_a_turn():
    disk, nor = fresh()
    woken = []
    address = parse("store:" + _slots.FOLDER)
    port = SlotStorePort(address, lambda: woken.append(disk.steps), Slots(nor, 0, 1))
    port.write(b"update.b.700\0" + bytes(PIECE))
    turns = [disk.steps]
    while not port.settled():
        turns.append(disk.steps)
    # To the end of a sector; one sector erased and programmed: never two of these at once.
    eq(turns, [0, 0, 1, 2, 3])
    eq(woken, [0, 0, 1, 2, 3])
    eq(bytes(nor.cells[1][690:1510]), b"\xff" * 10 + bytes(PIECE) + b"\xff" * 10)
    for key in ("update.a.0", "update.b.%d" % (ROOM - PIECE + 1)):
        port.write(key.encode() + b"\0" + bytes(PIECE))
        raises(PortError, port.settled)


def test_power_cut_at_every_step_leaves_the_old_one_or_the_new_one():
    seen, steps = sweep(EVERY)
    eq(seen, [(1, False), (2, False), (2, True)])
    assert steps > 80, steps
