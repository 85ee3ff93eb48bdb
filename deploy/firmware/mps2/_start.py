# SPDX-License-Identifier: Apache-2.0
"""Start of the QEMU board: its storage, slots and watchdog, for the supervisor.

Frozen into the firmware with deploy/firmware/supervisor. The slots are memory that QEMU fills from
files at a reset. An update lies in the file of the host after the storage, and this module copies
it over the slots. A real board has flash there.
"""

import binascii
import os

import _board_data  # type: ignore[import-not-found] # noqa: F401 - loaded for the ports
import _keys  # type: ignore[import-not-found]
import _runner  # type: ignore[import-not-found]
import board  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]
import vfs  # type: ignore[import-not-found]

SLOTS = (("a", 0x200000), ("b", 0x300000))
FLASH = 1024 * 1024  # bytes of storage
BLOCK = 4096
SLOT_BYTES = 1024 * 1024  # bytes of a slot with its header
BACKUP_AT = FLASH + len(SLOTS) * SLOT_BYTES
"""The backup of the configuration follows in the file of the host."""
_WATCHDOG = 0x40008000
_RETAINED_AT = 0x21FFFFF0
"""The end of the 16 MiB of PSRAM (ARM DAI 0385, 3.4)."""
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


class Mps2Board:
    """The board; see `Board` in _supervisor.py."""

    keys = _keys.KEYS
    keeps_marks = False
    slot_bytes = SLOT_BYTES
    backup_bytes = 4 * BLOCK

    def __init__(self) -> None:
        self.cause = CAUSES.get(machine.reset_cause(), "unknown")
        self.is_power_on = machine.reset_cause() == machine.PWRON_RESET
        self._watchdog: object = None

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Check a signature."""
        from _ed25519 import verify  # type: ignore[import-not-found] # noqa: PLC0415 - rare

        return bool(verify(key, message, signature))

    def log(self, text: str) -> None:
        """Print a line on the console."""
        print("coldloop: " + text)

    def start_watchdog(self) -> None:
        """Start the watchdog."""
        self._watchdog = machine.WDT(timeout=_runner.WATCHDOG_MS)

    def feed(self) -> None:
        """Service the watchdog."""
        self._watchdog.feed()  # type: ignore[attr-defined]

    def stop_watchdog(self) -> None:
        """Stop the watchdog: its registers LOCK and CONTROL (ARM DDI 0479, 4.5)."""
        machine.mem32[_WATCHDOG + 0xC00] = 0x1ACCE551
        machine.mem32[_WATCHDOG + 8] = 0

    def mount(self) -> bool:
        """Mount the storage. A blank one is formatted, a damaged one is not."""
        size = board.open("flash.img")
        is_blank = size < BACKUP_AT
        if size < BACKUP_AT + self.backup_bytes:
            board.write(BACKUP_AT + self.backup_bytes - 1, b"\0")
        self._copy_updates()
        if is_blank:
            self.erase_storage()
        try:
            vfs.mount(vfs.VfsLfs2(Blocks()), "/flash")
            if "store" not in os.listdir("/flash"):
                os.mkdir("/flash/store")
        except OSError:
            return False
        return True

    def erase_storage(self) -> None:
        """Format the storage."""
        self.log("storage: formatted")
        vfs.VfsLfs2.mkfs(Blocks())

    def _copy_updates(self) -> None:
        """Copy written updates over the slots; the first byte of an unwritten slot is 0."""
        first = bytearray(1)
        for number, (_, address) in enumerate(SLOTS):
            at = FLASH + number * SLOT_BYTES
            board.read(at, first)
            if first[0]:
                board.load(address, at, SLOT_BYTES)

    def read_slot(self, number: int, at: int, size: int) -> bytes:
        """Return a part of a slot, without a copy."""
        return board.image(SLOTS[number][1] + at, size)  # type: ignore[no-any-return]

    def checksum(self, image: bytes) -> int:
        """Return the sum of an image."""
        return binascii.crc32(image)

    def erase(self, slot: int, at: int) -> None:
        """Erase a sector of a slot."""
        board.write(FLASH + slot * SLOT_BYTES + at, b"\xff" * BLOCK)

    def program(self, slot: int, at: int, data: bytes) -> None:
        """Program an erased range of a slot."""
        board.write(FLASH + slot * SLOT_BYTES + at, data)

    def read_backup(self, at: int, size: int) -> bytes:
        """Return a part of the backup of the configuration."""
        data = bytearray(size)
        board.read(BACKUP_AT + at, data)
        return bytes(data)

    def write_backup(self, data: bytes) -> None:
        """Erase the backup and write it."""
        board.write(BACKUP_AT, b"\xff" * self.backup_bytes)
        board.write(BACKUP_AT, data)

    def mount_text(self, text: bytes) -> str:
        """Make a text readable as a file."""
        return str(_runner.mount_text(text))

    def read_retained(self) -> int:
        """Return a word of the memory that no code uses; QEMU leaves it over a reset."""
        return int(machine.mem32[_RETAINED_AT])

    def write_retained(self, value: int) -> None:
        """Set the word."""
        machine.mem32[_RETAINED_AT] = value

    def load(self, image: bytes) -> None:
        """Make an application importable."""
        _runner.load(image)

    def run(self, path: str, number: int, release: int, count: object) -> int:
        """Run the agent."""
        return int(_runner.run_agent(self, path, number, release, count))


_runner.start(Mps2Board())
