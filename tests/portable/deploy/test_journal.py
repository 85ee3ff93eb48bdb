# SPDX-License-Identifier: Apache-2.0
"""Calls of LittleFS in steps: one erase each, the same flash, and a power cut between any two."""

import os

from deploy.firmware.supervisor import _journal
from drivers.ports.address import parse_address
from drivers.ports.micropython import slot_store
from drivers.ports.micropython import store as board_store
from tests.portable.support.check import eq
from tests.portable.support.flash import LogLcg
from tests.portable.support.power_cut import littlefs_board

BLOCK = littlefs_board.BLOCK
ERASE_US = 40_000
"""A slice of this length erases."""


def make_blocks():
    return littlefs_board.LittlefsBlocks(bytearray(b"\xff" * (BLOCK * littlefs_board.BLOCKS)))


def test_recorded_steps_are_read_and_done_in_order():
    blocks = make_blocks()
    journal = _journal.FlashJournal(blocks)
    journal.writeblocks(1, b"a" * 600, 256)
    eq((bytes(blocks.data[BLOCK + 256 : BLOCK + 260]), journal.need()), (b"aaaa", 0))
    journal.record()
    eq(journal.ioctl(6, 1), 0)
    journal.writeblocks(1, b"b" * 600, 512)
    journal.stop()
    eq(blocks.erases[1], 0)
    found = bytearray(1024)
    journal.readblocks(1, found, 256)
    eq(bytes(found), b"\xff" * 256 + b"b" * 600 + b"\xff" * 168)
    needs = []
    while journal.need():
        needs.append(journal.need())
        journal.step()
    journal.step()
    eq(needs, [_journal.ERASE_US] + [_journal.PROGRAM_US] * 3)
    eq(bytes(blocks.data[BLOCK + 256 : BLOCK + 1280]), bytes(found))


def test_other_writes_come_after_those_that_wait():
    blocks = make_blocks()
    journal = _journal.FlashJournal(blocks)
    journal.record()
    journal.writeblocks(2, b"a" * 256)
    journal.stop()
    journal.writeblocks(2, b"b" * 256, 256)
    eq(bytes(blocks.data[2 * BLOCK : 2 * BLOCK + 512]), b"a" * 256 + b"b" * 256)
    journal.record()
    journal.writeblocks(2, b"c" * 256, 512)
    journal.stop()
    journal.ioctl(6, 2)
    eq(bytes(blocks.data[2 * BLOCK : 2 * BLOCK + 768]), b"\xff" * 768)
    eq((journal.ioctl(4, 0), journal.need()), (littlefs_board.BLOCKS, 0))


class ScarceData:
    """Data of a step that needs memory which is not there at first."""

    def __init__(self, data, refusals):
        self.data, self.refusals = data, refusals

    def __len__(self):
        return len(self.data)

    def __getitem__(self, part):
        self.refusals -= 1
        if self.refusals >= 0:
            raise MemoryError
        return self.data[part]


def step_has_memory(journal):
    try:
        journal.step()
    except MemoryError:
        return False
    return True


def test_a_step_without_memory_is_not_lost():
    for refusals in (1, 2):
        blocks = make_blocks()
        journal = _journal.FlashJournal(blocks)
        journal.record()
        journal.writeblocks(1, b"ab" * 300)
        journal.stop()
        number, at, data = journal._steps[0]
        journal._steps[0] = (number, at, ScarceData(data, refusals))
        refused = 0
        while journal.need():
            refused += not step_has_memory(journal)
        eq(refused, refusals)
        eq(bytes(blocks.data[BLOCK : BLOCK + 600]), b"ab" * 300)


class StepStore:
    """A store on LittleFS behind a journal. `slices`: time asked for, erases done in it."""

    slot, slot_bytes, sector_bytes = 0, 0, BLOCK

    def __init__(self, data=None):
        self.blocks = make_blocks()
        if data is None:
            littlefs_board.vfs.VfsLfs2.mkfs(self.blocks, progsize=256)
        else:
            self.blocks.data[:] = data
        self.journal = _journal.FlashJournal(self.blocks)
        littlefs_board.vfs.mount(littlefs_board.vfs.VfsLfs2(self.journal, progsize=256), "/steps")
        if data is None:
            os.mkdir("/steps/store")
        board_store.open, board_store.os = open, os
        board_store.sync_folder = lambda _path: None
        self.address = parse_address("store:/steps/store")
        self.store = board_store.Store(self.address)
        self.port = slot_store.SlotStorePort(self.address, lambda: None, self, self.note)
        self.slices = []
        self.images = []
        self.keeps_images = False
        self.needed = 0

    def note(self, need):
        self.finish_slice()
        self.needed = need
        return True

    def finish_slice(self):
        self.slices.append((self.needed, sum(self.blocks.erases)))
        self.blocks.erases = [0] * littlefs_board.BLOCKS
        if self.keeps_images:
            self.images.append(bytes(self.blocks.data))

    def request(self, op, data):
        self.port.request(op, data)
        while not self.port.is_drained():
            self.port.read()
        self.finish_slice()

    def close(self):
        littlefs_board.vfs.umount("/steps")


def requests(seed, count):
    """Return changes of a few files, as a log makes them."""
    rng, made = LogLcg(seed), []
    for i in range(count):
        key = b"log.010203.%d.%08x" % (rng.below(4), rng.below(3))
        content = b"%d " % i * (1 + rng.below(6) * rng.below(120))
        made.append((("append", "append", "append", "write", "delete")[rng.below(5)], key, content))
    return made


def model(changes):
    files = {}
    for op, key, content in changes:
        if op == "delete":
            files.pop(key, None)
        else:
            files[key] = (files.get(key, b"") if op == "append" else b"") + content
    return files


def content(board):
    keys = [key for key in board.store.list_keys().split(b"\0") if key]
    return {key: board.store.read(key.decode()) for key in keys if not key.endswith(b".new")}


def test_a_slice_has_one_erase_at_most_and_only_a_long_one_has_it():
    if littlefs_board.vfs is None:  # CPython
        return
    board = StepStore()
    try:
        changes = requests(1, 160)
        for op, key, text in changes:
            board.request(op, key if op == "delete" else key + b"\0" + text)
        eq(content(board), model(changes))
    finally:
        board.close()
    wrong = [part for part in board.slices[1:] if part[1] > (part[0] >= ERASE_US)]
    eq(wrong, [])  # before the first slice it was formatted
    assert sum([part[1] for part in board.slices]) > 20


def test_without_a_journal_a_slice_has_several_erases():
    """What the journal is for."""
    if littlefs_board.vfs is None:
        return
    board = StepStore()
    board.port = slot_store.SlotStorePort(board.address, lambda: None, object(), board.note)
    try:
        for op, key, text in requests(1, 160):
            board.request(op, key if op == "delete" else key + b"\0" + text)
    finally:
        board.close()
    assert max([part[1] for part in board.slices]) > 1


def test_a_power_cut_between_two_slices_leaves_the_state_before_or_after():
    if littlefs_board.vfs is None:
        return
    board = StepStore()
    changes = requests(7, 24)
    cuts = 0
    for i in range(len(changes)):
        op, key, text = changes[i]
        before, after = model(changes[:i]), model(changes[: i + 1])
        board.keeps_images, board.images = i % 3 == 2, []
        board.request(op, key if op == "delete" else key + b"\0" + text)
        images, data = board.images, bytes(board.blocks.data)
        board.close()
        for image in images:
            cuts += 1
            again = StepStore(image)
            found = content(again)
            again.close()
            if op == "append" and not found.get(key):  # a new file begins without content
                found.pop(key, None)
            assert found in (before, after), (op, key, len(text))
        board = StepStore(data)
    board.close()
    assert cuts > 30, cuts
