# SPDX-License-Identifier: Apache-2.0
"""Start of an RP2040 or RP2350: its flash, slots and watchdog, for the supervisor.

Frozen into the image as main.py with deploy/firmware/supervisor, because the port starts USB, the
service console, before main.py only. The storage region of the port (`rp2.Flash`) holds slot a,
slot b, the backup and the files, in this order; `_layout` has the sizes. A slot is read in place.
An erase or a program stops the interrupts; one call erases 4 KiB or programs at most 1 KiB.
"""

import os

import _board_data  # type: ignore[import-not-found]
import _journal  # type: ignore[import-not-found]
import _keys  # type: ignore[import-not-found]
import _layout  # type: ignore[import-not-found]
import _rp2  # type: ignore[import-not-found]  # `rp2` adds the assembler of PIO programs
import _runner  # type: ignore[import-not-found]
import _word_sum  # type: ignore[import-not-found]
import machine  # type: ignore[import-not-found]
import vfs  # type: ignore[import-not-found]

BLOCK = 4096
PAGE = 256
_SCRATCH = 0xC
"""Offset of SCRATCH0 from CTRL (RP2040 datasheet, 4.7.6; the same on RP2350)."""
_CLEAR = 0x3000
"""Offset of the address that clears the written bits of a register (RP2040 datasheet, 2.1.2)."""


class Rp2Hardware:
    """The board; see `Board` in _supervisor.py."""

    keys = _keys.KEYS
    keeps_marks = _layout.KEEPS_MARKS
    slot_bytes = _layout.SLOT_BYTES
    backup_bytes = _layout.BACKUP_BYTES

    def __init__(self) -> None:
        self.is_power_on = machine.reset_cause() == machine.PWRON_RESET
        self.cause = "power on" if self.is_power_on else "watchdog or requested"
        self._watchdog: object = None
        led = _board_data.PINS.get("led")
        self._led = None if led is None else machine.Pin(led, machine.Pin.OUT, value=1)
        before_files = 2 * _layout.SLOT_BYTES + _layout.BACKUP_BYTES
        self._flash = _rp2.Flash(start=0, len=before_files)
        self._files = _rp2.Flash(start=before_files)
        self.journal = _journal.FlashJournal(self._files)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Check a signature."""
        from _ed25519 import verify  # type: ignore[import-not-found] # noqa: PLC0415 - rare

        self.feed()
        return bool(verify(key, message, signature))

    def log(self, text: str) -> None:
        """Print a line on the console."""
        print("coldloop: " + text)

    def set_led(self, is_lit: bool) -> None:
        """Switch the LED of the board; it is lit from the start on."""
        if self._led is not None:
            self._led.value(is_lit)

    def start_watchdog(self) -> None:
        """Start the watchdog."""
        self._watchdog = machine.WDT(timeout=_runner.WATCHDOG_MS)

    def feed(self) -> None:
        """Service the watchdog."""
        self._watchdog.feed()  # type: ignore[attr-defined]

    def stop_watchdog(self) -> None:
        """Stop the watchdog: bit ENABLE of its register CTRL (RP2040 datasheet, 4.7.6)."""
        machine.mem32[_layout.WATCHDOG_CTRL + _CLEAR] = 1 << 30

    def mount(self) -> bool:
        """Mount the storage. A blank one is formatted, a damaged one is not."""
        start = memoryview(self._files)[: 2 * BLOCK]
        if bytes(start) == b"\xff" * len(start):
            self.erase_storage()
        try:
            vfs.mount(vfs.VfsLfs2(self.journal, progsize=PAGE), "/flash")
            if "store" not in os.listdir("/flash"):
                os.mkdir("/flash/store")
        except OSError:
            return False
        return True

    def erase_storage(self) -> None:
        """Format the storage."""
        self.log("storage: formatted")
        vfs.VfsLfs2.mkfs(self._files, progsize=PAGE)

    def read_slot(self, number: int, at: int, size: int) -> bytes:
        """Return a part of a slot, without a copy."""
        start = number * self.slot_bytes + at
        return memoryview(self._flash)[start : start + size]  # type: ignore[return-value]

    def erase(self, slot: int, at: int) -> None:
        """Erase a sector of a slot."""
        self._flash.ioctl(6, (slot * self.slot_bytes + at) // BLOCK)

    def program(self, slot: int, at: int, data: bytes) -> None:
        """Program an erased range of a slot. The flash needs whole pages; 1 bits change nothing."""
        start = slot * self.slot_bytes + at
        before, after = start % PAGE, -(start + len(data)) % PAGE
        page = b"\xff" * before + data + b"\xff" * after
        begin = start - before
        self._flash.writeblocks(begin // BLOCK, page, begin % BLOCK)

    def checksum(self, image: bytes) -> int:
        """Return the sum of an image."""
        return int(_word_sum.word_sum(image))

    def read_backup(self, at: int, size: int) -> bytes:
        """Return a part of the backup of the configuration, without a copy."""
        return self.read_slot(2, at, size)

    def write_backup(self, data: bytes) -> None:
        """Erase the backup and write it."""
        for at in range(0, _layout.BACKUP_BYTES, BLOCK):
            self.feed()
            self.erase(2, at)
        for at in range(0, len(data), BLOCK // 4):
            self.program(2, at, data[at : at + BLOCK // 4])

    def mount_text(self, text: bytes) -> str:
        """Make a text readable as a file."""
        return str(_runner.mount_text(text))

    def read_retained(self) -> int:
        """Return the scratch register 0 of the watchdog; the chip's own code uses 4 to 7."""
        return int(machine.mem32[_layout.WATCHDOG_CTRL + _SCRATCH])

    def write_retained(self, value: int) -> None:
        """Set the register."""
        machine.mem32[_layout.WATCHDOG_CTRL + _SCRATCH] = value

    def load(self, image: bytes) -> None:
        """Make an application importable."""
        _runner.load(image)

    def run(self, path: str, number: int, release: int, count: object) -> int:
        """Run the agent."""
        return int(_runner.run_agent(self, path, number, release, count))


_runner.start(Rp2Hardware())
