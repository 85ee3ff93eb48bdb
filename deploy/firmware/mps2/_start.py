"""What the board does first: storage, self-test, the application of the right slot, the agent.

Frozen into the firmware, so that it is there whatever is in the slots. Two slots hold applications
(deploy/firmware/memory_layout.py). The agent's record in the storage says which is confirmed and
which on trial (_slots.py); a slot whose hash is wrong is never started. One on trial that ends in
any other way than by asking for a new start is started anew at once: its starts are counted.

The slots are memory that QEMU fills from files at a reset. What an update has written lies in the
host's file, behind the storage, and is laid over them here; a real board has flash there.

The outputs are safe meanwhile: until the agent's first write nothing has been written, and the
drives' own communication timeouts stand.
"""

import binascii
import hashlib
import os
import struct
import sys

import board  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]
import vfs  # type: ignore[import-not-found]
from _slots import Flash, order, read_record, write_record  # type: ignore[import-not-found]

SLOTS = (("a", 0x200000), ("b", 0x300000))
MAGIC = b"CLDLOOP1"
HEAD = 64
FLASH = 1024 * 1024  # bytes of storage
BLOCK = 4096
ROOM = 1024 * 1024  # bytes of a slot, its head among them
CAUSES = {
    machine.PWRON_RESET: "power on",
    machine.HARD_RESET: "asked for",
    machine.WDT_RESET: "watchdog",
}


class Blocks:
    """The host's file as a block device for LittleFS; a board has its flash here."""

    def readblocks(self, number: int, data: bytearray, offset: int = 0) -> None:
        """Fill `data`."""
        board.read(number * BLOCK + offset, data)

    def writeblocks(self, number: int, data: bytes, offset: int = 0) -> None:
        """Write `data`."""
        board.write(number * BLOCK + offset, data)

    def ioctl(self, operation: int, _argument: int) -> int:
        """Answer what LittleFS asks: 4 how many blocks, 5 how large, 6 erase (nothing to do)."""
        return {4: FLASH // BLOCK, 5: BLOCK}.get(operation, 0)


def say(text: str) -> None:
    """Say a line on the console."""
    print("coldloop: " + text)


def mount_storage() -> None:
    """Mount the storage; format it when there is no file system."""
    end = FLASH + len(SLOTS) * ROOM
    if board.open("flash.img") < end:
        board.write(end - 1, b"\0")
    blocks = Blocks()
    try:
        vfs.mount(vfs.VfsLfs2(blocks), "/flash")
    except OSError:
        say("storage: formatted")
        vfs.VfsLfs2.mkfs(blocks)
        vfs.mount(vfs.VfsLfs2(blocks), "/flash")
    if "store" not in os.listdir("/flash"):
        os.mkdir("/flash/store")


def check(address: int) -> "tuple[memoryview, int, str] | None":
    """Check a slot; give (ROMFS, release, hash), or None when it holds no whole application."""
    head = board.image(address, HEAD)
    magic, length, release, digest = struct.unpack("<8sII32s", head)
    if magic != MAGIC:
        return None
    image = board.image(address + HEAD, length)
    if hashlib.sha256(image).digest() != digest:
        return None
    return image, release, binascii.hexlify(digest).decode()


def lay_over() -> None:
    """Put what updates have written over what QEMU has loaded; zeros were never written."""
    first = bytearray(1)
    for number, (_, address) in enumerate(SLOTS):
        at = FLASH + number * ROOM
        board.read(at, first)
        if first[0]:
            board.load(address, at, ROOM)


def choose() -> "tuple[int, tuple[memoryview, int, str], bool] | None":
    """Choose the slot; give it, what it holds, and whether it is on trial."""
    lay_over()
    slots, record = order(read_record())
    if record is not None:
        write_record(record)
    for place, number in enumerate(slots):
        name, address = SLOTS[number]
        found = check(address)
        if found is not None:
            return number, found, record is not None and place == 0
        say("slot %s: empty or damaged" % name)
    return None


def config_path() -> "str | None":
    """Where the configuration is: in the storage, else the one that came with the application."""
    for path in ("/flash/unit.json", "/rom/unit.json"):
        try:
            os.stat(path)
            return path
        except OSError:
            pass
    return None


def start() -> None:
    """Do all of it."""
    say("reset: " + CAUSES.get(machine.reset_cause(), "unknown"))
    mount_storage()
    chosen = choose()
    if chosen is None:
        say("no application: put one into slot a; here is a prompt")
        return
    number, (image, release, digest), trial = chosen
    vfs.mount(vfs.VfsRom(image), "/rom")
    sys.path[:] = ["/rom"]
    text = ", on trial" if trial else ""
    say("slot %s, release %d, sha256 %s%s" % (SLOTS[number][0], release, digest, text))
    path = config_path()
    if path is None:
        say("no configuration: copy one to /flash/unit.json; here is a prompt")
        return
    say("configuration " + path)
    flash = Flash(board.write, FLASH, ROOM, number, release)
    if run(path, flash, trial):
        machine.reset()


def run(path: str, flash: Flash, trial: bool) -> bool:
    """Run the agent; say whether to start anew."""
    try:
        from agent.runtime.micropython import RESTARTED, main  # noqa: PLC0415 - it is on /rom

        code = main(path, flash)
    except Exception as error:
        if not trial:
            raise
        sys.print_exception(error)  # type: ignore[attr-defined]
        return True
    say("the agent ended with %d" % code)
    return trial or code == RESTARTED


start()
