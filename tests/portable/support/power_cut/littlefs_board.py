# SPDX-License-Identifier: Apache-2.0
"""A board of the tests with LittleFS on flash in memory, as RP2 boards have it; MicroPython only.

`make_unit` returns the flash of a unit after its first starts. CPython has no LittleFS.
"""

import os

from deploy.firmware.supervisor import _files, _supervisor, _unit_file
from tests.portable.support.power_cut.supervisor_rig import CONFIG, GOOD, SupervisedBoard

try:
    import vfs
except ImportError:
    vfs = None

BLOCK = 4096
BLOCKS = 48
BACKUP_BLOCK = BLOCKS
"""The block behind the files."""


class LittlefsBlocks:
    """Blocks for LittleFS in a bytearray; an erased byte is 255."""

    def __init__(self, data):
        self.data = data
        self.erases = [0] * BLOCKS

    def readblocks(self, number, buffer, offset=0):
        at = number * BLOCK + offset
        buffer[:] = self.data[at : at + len(buffer)]

    def writeblocks(self, number, buffer, offset=0):
        at = number * BLOCK + offset
        self.data[at : at + len(buffer)] = buffer

    def ioctl(self, operation, argument):
        if operation == 6:
            if argument < BLOCKS:
                self.erases[argument] += 1
            self.data[argument * BLOCK : (argument + 1) * BLOCK] = b"\xff" * BLOCK
        return {4: BLOCKS, 5: BLOCK}.get(operation, 0)


class LittlefsBoard(SupervisedBoard):
    """The hardware with its files on LittleFS, and the backup in the block behind them."""

    backup_bytes = BLOCK

    def __init__(self, data, agent, power_on=True):
        SupervisedBoard.__init__(self, agent=agent, power_on=power_on)
        self.flash = LittlefsBlocks(data)
        self.offered = None

    def mount(self):
        data = self.flash.data
        if bytes(data[: 2 * BLOCK]) == b"\xff" * (2 * BLOCK):
            vfs.VfsLfs2.mkfs(self.flash, progsize=256)
        try:
            vfs.mount(vfs.VfsLfs2(self.flash, progsize=256), "/flash")
            if "store" not in os.listdir("/flash"):
                os.mkdir("/flash/store")
        except OSError:
            return False
        return True

    def read_backup(self, at, size):
        start = BACKUP_BLOCK * BLOCK + at
        return self.flash.data[start : start + size]

    def write_backup(self, data):
        self.flash.ioctl(6, BACKUP_BLOCK)
        self.flash.writeblocks(BACKUP_BLOCK, data)

    def mount_text(self, text):
        self.offered = text
        return "offered"

    def start(self):
        """Start once; return whether an agent ran with the good configuration."""
        _files.open, _files.os = open, os
        self.calls = []
        try:
            _supervisor.supervise(self)
        finally:
            try:
                vfs.umount("/flash")
            except OSError:
                pass
        return "the agent ended with %d" % GOOD in self.lines


def run_good(board, path):
    """Do as an agent that accepts CONFIG alone."""
    text = board.offered if path == "offered" else _files.read(path)
    return GOOD if text == CONFIG else 2


def make_unit():
    """Return the flash of a unit: formatted, configured in the recovery mode, started twice."""
    data = bytearray(b"\xff" * (BLOCK * (BLOCKS + 1)))
    LittlefsBoard(data, run_good).start()
    board = LittlefsBoard(data, run_good)
    board.mount()
    _files.replace(_unit_file.UNIT, CONFIG)
    _files.replace("/flash/store/unit.key", b"k" * 96)
    vfs.umount("/flash")
    for _ in range(2):
        assert LittlefsBoard(data, run_good).start()
    return data


def used_bytes(data):
    """Return the positions of the bytes that are in use: of each block up to its last one."""
    positions = []
    for block in range(BLOCKS + 1):
        end = BLOCK
        while end and data[block * BLOCK + end - 1] == 255:
            end -= 1
        positions.extend(range(block * BLOCK, block * BLOCK + end))
    return positions
