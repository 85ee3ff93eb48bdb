# SPDX-License-Identifier: Apache-2.0
"""Start of the board: storage, self-test, selection of the slot, the agent.

Frozen into the firmware, so it does not depend on the slots. Two slots hold applications
(deploy/firmware/memory_layout.py). The record of the agent in the storage names the confirmed slot
and the trial slot (_slots.py). A slot with a wrong hash never starts. If a trial ends in another
way than by a restart request, the board restarts immediately; _slots.py counts the starts.

The slots are memory that QEMU fills from files at a reset. An update lies in the file of the host
after the storage, and this module copies it over the slots. A real board has flash there.

The outputs stay safe: before the first write of the agent, the communication timeouts of the drives
apply.
"""

import binascii
import hashlib
import os
import struct
import sys

import board  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]
import vfs  # type: ignore[import-not-found]
from _slots import Flash, read_record, start_order, write_record  # type: ignore[import-not-found]

SLOTS = (("a", 0x200000), ("b", 0x300000))
MAGIC = b"CLDLOOP1"
HEAD = 64
FLASH = 1024 * 1024  # bytes of storage
BLOCK = 4096
ROOM = 1024 * 1024  # bytes of a slot with its header
CAUSES = {
    machine.PWRON_RESET: "power on",
    machine.HARD_RESET: "requested",
    machine.WDT_RESET: "watchdog",
}


class Blocks:
    """The file of the host as a block device for LittleFS; a real board uses its flash."""

    def readblocks(self, number: int, data: bytearray, offset: int = 0) -> None:
        """Fill `data`."""
        board.read(number * BLOCK + offset, data)

    def writeblocks(self, number: int, data: bytes, offset: int = 0) -> None:
        """Write `data`."""
        board.write(number * BLOCK + offset, data)

    def ioctl(self, operation: int, _argument: int) -> int:
        """Return the answer for LittleFS: 4 number of blocks, 5 block size, 6 erase (no action)."""
        return {4: FLASH // BLOCK, 5: BLOCK}.get(operation, 0)


def log(text: str) -> None:
    """Print a line on the console."""
    print("coldloop: " + text)


def mount_storage() -> None:
    """Mount the storage; format it if it has no file system."""
    end = FLASH + len(SLOTS) * ROOM
    if board.open("flash.img") < end:
        board.write(end - 1, b"\0")
    blocks = Blocks()
    try:
        vfs.mount(vfs.VfsLfs2(blocks), "/flash")
    except OSError:
        log("storage: formatted")
        vfs.VfsLfs2.mkfs(blocks)
        vfs.mount(vfs.VfsLfs2(blocks), "/flash")
    if "store" not in os.listdir("/flash"):
        os.mkdir("/flash/store")


def check_slot(address: int) -> "tuple[memoryview, int, str] | None":
    """Check a slot; return (ROMFS, release, hash), or None if it holds no complete application."""
    head = board.image(address, HEAD)
    magic, length, release, digest = struct.unpack("<8sII32s", head)
    if magic != MAGIC:
        return None
    image = board.image(address + HEAD, length)
    if hashlib.sha256(image).digest() != digest:
        return None
    return image, release, binascii.hexlify(digest).decode()


def copy_updates() -> None:
    """Copy written updates over the slots; the first byte of an unwritten slot is 0."""
    first = bytearray(1)
    for number, (_, address) in enumerate(SLOTS):
        at = FLASH + number * ROOM
        board.read(at, first)
        if first[0]:
            board.load(address, at, ROOM)


def select_slot() -> "tuple[int, tuple[memoryview, int, str], bool] | None":
    """Return the number of the slot, its content, and whether it is on trial."""
    copy_updates()
    slots, record = start_order(read_record())
    if record is not None:
        write_record(record)
    for place, number in enumerate(slots):
        name, address = SLOTS[number]
        content = check_slot(address)
        if content is not None:
            return number, content, record is not None and place == 0
        log("slot %s: empty or damaged" % name)
    return None


def config_path() -> "str | None":
    """Return the path of the configuration: in the storage, otherwise in the application."""
    for path in ("/flash/unit.json", "/rom/unit.json"):
        try:
            os.stat(path)
            return path
        except OSError:
            pass
    return None


def start() -> None:
    """Run all steps."""
    log("reset: " + CAUSES.get(machine.reset_cause(), "unknown"))
    mount_storage()
    chosen = select_slot()
    if chosen is None:
        log("no application: write one to slot a; prompt follows")
        return
    number, (image, release, digest), trial = chosen
    vfs.mount(vfs.VfsRom(image), "/rom")
    sys.path[:] = ["/rom"]
    text = ", on trial" if trial else ""
    log("slot %s, release %d, sha256 %s%s" % (SLOTS[number][0], release, digest, text))
    path = config_path()
    if path is None:
        log("no configuration: copy one to /flash/unit.json; prompt follows")
        return
    log("configuration " + path)
    flash = Flash(board.write, FLASH, ROOM, number, release)
    if run(path, flash, trial):
        machine.reset()


def run(path: str, flash: Flash, trial: bool) -> bool:
    """Run the agent; return whether to restart."""
    try:
        from agent.runtime.micropython import RESTARTED, main  # noqa: PLC0415 - it is on /rom

        code = main(path, flash)
    except Exception as error:
        if not trial:
            raise
        sys.print_exception(error)  # type: ignore[attr-defined]
        return True
    log("the agent ended with %d" % code)
    return trial or code == RESTARTED


start()
