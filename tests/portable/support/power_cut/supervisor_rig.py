# SPDX-License-Identifier: Apache-2.0
"""A board for the tests of the supervisor: two slots, files with power cuts, an agent by a script.

`SupervisedBoard` is the hardware. Its files are on `flash_model.Disk`. `agent(board, path)` decides
how a start ends; `CONFIG` is the good configuration.
"""

import binascii
import hashlib
import struct

from deploy.firmware.supervisor import _files, _slots, _supervisor, _unit_file
from tests.portable.support.power_cut.flash_model import Disk

CONFIG = b'{"unit": "a", "supply_c": 32}'
BACKUP = "raw backup"
MOUNTED_TEXT = "/backup/unit.json"
IMAGE_CONFIG = b'{"unit": "a", "supply_c": 30}'
SLOT_BYTES = 1024
GOOD = 0


class CrashedAgent(Exception):  # noqa: N818 - the end of a script, no error of the program
    """The agent ended with an exception."""


def application(release, floor=0, size=40, signature=b""):
    """Return an application with its head."""
    romfs = bytes([release & 255] * size)
    head = _slots.MAGIC + struct.pack("<IIII", size, release, floor, 0)
    return head + hashlib.sha256(head + romfs).digest() + (signature + bytes(72))[:72] + romfs


def run_well(_board, _path):
    """Do as an agent that runs until a person interrupts it."""
    return GOOD


class SupervisedBoard:
    """The hardware; `calls` are the steps of a start."""

    slot_bytes = SLOT_BYTES
    keys = ()
    keeps_marks = True
    backup_bytes = 256

    def __init__(self, disk=None, slots=None, agent=run_well, power_on=True):
        """Connect the parts. The backup is a node of `disk`, so that a power cut can tear it."""
        self.disk = Disk() if disk is None else disk
        self.slots = slots or [application(1), b""]
        self.agent = agent
        self.is_power_on = power_on
        self.cause = "power on" if power_on else "watchdog"
        self.calls = []
        self.lines = []
        self.has_storage = True

    def verify(self, key, message, signature):
        return signature == hashlib.sha256(key + message).digest() * 2

    def log(self, text):
        self.lines.append(text)

    def start_watchdog(self):
        self.calls.append("watchdog")

    def mount(self):
        self.calls.append("mount")
        return self.has_storage

    def read_slot(self, number, at, size):
        return (self.slots[number] + b"\xff" * SLOT_BYTES)[at : at + size]

    def checksum(self, image):
        return binascii.crc32(image)

    def read_backup(self, at, size):
        return ((content(self.disk, BACKUP) or b"") + b"\xff" * 256)[at : at + size]

    def write_backup(self, data):
        with self.disk.open(BACKUP, "wb") as file:
            file.write(data[: len(data) // 2])
            file.write(data[len(data) // 2 :])

    def mount_text(self, text):
        write(self.disk, MOUNTED_TEXT, text)
        return MOUNTED_TEXT

    def read_retained(self):
        return getattr(self.disk, "kept", 0xA5A5A5A5)

    def write_retained(self, value):
        self.disk.kept = value

    def load(self, image):
        self.calls.append(("load", image[0]))

    def run(self, path, number, release, count):
        self.count = count
        self.calls.append(("run", path, number, release))
        return self.agent(self, path)

    def runs(self):
        """Return the runs of this start as (path, slot)."""
        return [(call[1], call[2]) for call in self.calls if call[0] == "run"]


def start(board):
    """Start once; return the outcome."""
    _files.open, _files.os = board.disk.open, board.disk
    board.calls = []
    return _supervisor.supervise(board)


def write(disk, path, data):
    """Write a file durably."""
    disk.names[path] = [data, data]
    disk.durable = dict(disk.names)


def content(disk, path):
    """Return the content of a file, None if it is missing."""
    return disk.names[path][0] if path in disk.names else None


def sealed_disk():
    """Return files after a first good start, with a configuration in the application too."""
    disk = Disk()
    write(disk, _unit_file.UNIT, CONFIG)
    write(disk, _unit_file.IMAGE, IMAGE_CONFIG)
    start(SupervisedBoard(disk))
    disk.sync_folder()
    return copy_disk(disk)


def copy_disk(disk):
    """Return a copy, as after a power cut with all data."""
    return disk.after_cut("kept")


def flip(data, bit):
    """Return data with one bit inverted."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)
