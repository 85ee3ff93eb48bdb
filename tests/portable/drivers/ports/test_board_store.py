# SPDX-License-Identifier: Apache-2.0
"""A record of a board is read with the memory of its length, not of the longest record.

MicroPython gets the whole block of `read(N)` before it reads. A board rarely has 64 KiB in one
piece, so that a read of 3 bytes ended the agent.
"""

import gc
import os

from drivers.errors import PortError
from drivers.ports.address import parse_address
from drivers.ports.micropython import store as board_store
from tests.portable.support.check import eq, raises
from tests.portable.support.power_cut import littlefs_board

PIECE = 16384


def open_store():
    blocks = littlefs_board.LittlefsBlocks(
        bytearray(b"\xff" * (littlefs_board.BLOCK * littlefs_board.BLOCKS))
    )
    littlefs_board.vfs.VfsLfs2.mkfs(blocks, progsize=256)
    littlefs_board.vfs.mount(littlefs_board.vfs.VfsLfs2(blocks, progsize=256), "/small")
    os.mkdir("/small/store")
    board_store.sync_folder = lambda _path: None
    return board_store.Store(parse_address("store:/small/store"))


def break_heap():
    """Fill the heap with blocks, and free every second one; return the others."""
    pieces = []
    try:
        while True:
            pieces.append(bytearray(PIECE))
    except MemoryError:
        pass
    for at in range(0, len(pieces), 2):
        pieces[at] = None
    gc.collect()
    return pieces


def test_a_small_record_needs_little_memory():
    if littlefs_board.vfs is None:  # CPython
        return
    store = open_store()
    try:
        store.write("short", b"abc")
        store.write("empty", b"")
        store.write("longest", b"x" * 3000)
        pieces = break_heap()
        found = store.read("short"), store.read("empty"), store.read("none")
        assert len(pieces) > 8
        eq(found, (b"abc", b"", None))
        eq(store.read("longest"), b"x" * 3000)
        limit, board_store.MAX_READ = board_store.MAX_READ, 2999
        try:
            raises(PortError, store.read, "longest")
        finally:
            board_store.MAX_READ = limit
    finally:
        littlefs_board.vfs.umount("/small")
