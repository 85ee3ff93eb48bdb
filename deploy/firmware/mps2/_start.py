"""What the board does first: storage, self-test, the application of the right slot, the agent.

Frozen into the firmware, so that it is there whatever is in the slots. Two slots hold applications
(deploy/firmware/layout.py). `boot` in the storage names the slot that is confirmed, the one on
trial, and how often that was started; a trial that does not confirm itself within MOST_STARTS
starts is given up, and a slot whose hash is wrong is never started.

The outputs are safe meanwhile: until the agent's first write nothing has been written, and the
drives' own communication timeouts stand.
"""

import binascii
import hashlib
import json
import os
import struct
import sys

import board  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]
import vfs  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SLOTS = (("a", 0x200000), ("b", 0x300000))
MAGIC = b"CLDLOOP1"
HEAD = 64
FLASH = 1024 * 1024  # bytes of storage
BLOCK = 4096
MOST_STARTS = 3
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
    if board.open("flash.img") < FLASH:
        board.write(FLASH - 1, b"\0")
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


def read_boot() -> "dict[str, Any]":
    """Read which slot is good, which on trial and how often started."""
    try:
        with open("/flash/boot") as file:
            found = json.load(file)
        return {"good": str(found["good"]), "trial": found["trial"], "starts": int(found["starts"])}
    except (OSError, ValueError, KeyError):
        return {"good": "a", "trial": None, "starts": 0}


def write_boot(boot: "dict[str, Any]") -> None:
    """Replace it, whole."""
    with open("/flash/boot.new", "w") as file:
        json.dump(boot, file)
    os.rename("/flash/boot.new", "/flash/boot")


def choose(boot: "dict[str, Any]") -> "tuple[str, tuple[memoryview, int, str]] | None":
    """Choose the slot: the trial while it may still be started, else the good one, else any."""
    order = [boot["good"]] + [name for name, _ in SLOTS if name != boot["good"]]
    if boot["trial"] is not None:
        if boot["starts"] < MOST_STARTS:
            boot["starts"] += 1
            order.insert(0, boot["trial"])
        else:
            say("slot %s: not confirmed in %d starts, given up" % (boot["trial"], MOST_STARTS))
            boot["trial"], boot["starts"] = None, 0
        write_boot(boot)
    for name in order:
        for slot, address in SLOTS:
            if slot == name:
                found = check(address)
                if found is not None:
                    return slot, found
                say("slot %s: empty or damaged" % slot)
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
    chosen = choose(read_boot())
    if chosen is None:
        say("no application: put one into slot a; here is a prompt")
        return
    slot, (image, release, digest) = chosen
    vfs.mount(vfs.VfsRom(image), "/rom")
    sys.path[:] = ["/rom"]
    say("slot %s, release %d, sha256 %s" % (slot, release, digest))
    path = config_path()
    if path is None:
        say("no configuration: copy one to /flash/unit.json; here is a prompt")
        return
    say("configuration " + path)
    from agent.shell.micropython import RESTARTED, main  # noqa: PLC0415 - it is on /rom

    code = main(path)
    say("the agent ended with %d" % code)
    if code == RESTARTED:
        machine.reset()


start()
