# SPDX-License-Identifier: Apache-2.0
"""Backup of the configuration in raw flash, outside the file system.

Frozen into the firmware. Does not repair files; see _unit_file.py.

One damaged bit in the first record of a folder makes LittleFS refuse the whole storage, or go back
to an older state of the folder. The file, its seal and its copy are then lost together. So the
board keeps the configuration in a range of the flash of its own (`backup_bytes`):

    4 bytes length of the text, 32 bytes SHA-256 of the text, the text

It is written before seal and copy of a new file, and only if the text differs. A text that does not
fit leaves the range empty.
"""

import hashlib
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class BackupFlash(Protocol):
        """The range. `write_backup` erases it and writes `data` at its begin."""

        backup_bytes: int

        def read_backup(self, at: int, size: int) -> bytes: ...
        def write_backup(self, data: bytes) -> None: ...


_HEADER_FORMAT = "<I32s"
_HEADER_BYTES = 36
_PART = 256


class Backup:
    """The backup of a board."""

    def __init__(self, flash: "BackupFlash") -> None:
        self._flash = flash

    def read(self) -> "bytes | None":
        """Return the text; None if there is none, or if it is damaged."""
        header = bytes(self._flash.read_backup(0, _HEADER_BYTES))
        if len(header) < _HEADER_BYTES:
            return None
        length, digest = struct.unpack(_HEADER_FORMAT, header)
        if not 0 < length <= self._flash.backup_bytes - _HEADER_BYTES:
            return None
        text = bytes(self._flash.read_backup(_HEADER_BYTES, length))
        return text if hashlib.sha256(text).digest() == digest else None

    def holds(self, text: bytes) -> bool:
        """Return whether the backup is this text, undamaged."""
        record = _make_record(text)
        return bytes(self._flash.read_backup(0, len(record))) == record

    def store(self, text: bytes) -> None:
        """Keep a text. An error of the flash leaves no backup."""
        if self.holds(text):
            return
        record = _make_record(text)
        if len(record) <= self._flash.backup_bytes:
            self._write(record)
        else:
            self.erase()

    def erase(self) -> None:
        """Erase the backup if there is one, or a part that a power cut has left."""
        for at in range(0, self._flash.backup_bytes, _PART):
            part = bytes(self._flash.read_backup(at, _PART))
            if part != b"\xff" * len(part):
                self._write(b"")
                return

    def _write(self, data: bytes) -> None:
        try:
            self._flash.write_backup(data)
        except OSError:
            pass


def _make_record(text: bytes) -> bytes:
    return struct.pack(_HEADER_FORMAT, len(text), hashlib.sha256(text).digest()) + text
