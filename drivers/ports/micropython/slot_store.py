# SPDX-License-Identifier: Apache-2.0
"""A board's application slots, as records of its store: `update.b.8192` is slot b at byte 8192.

Thus a chunk of an update is written directly to its final position, without a second copy or a
file. All other records are files (see `drivers.ports.micropython.store`).

A write is done in slices, one per loop step: the erase of a sector, or the programming of a few
pages. A sector is erased before its first byte; therefore chunks must come in order from 0 on.
After a power cut a chunk is written again: the same bytes over the same bytes. Does not read a slot
back: each start checks the hash of the whole slot.

The start-up code of the board provides `SlotFlash`. The running slot is never written.
"""

from drivers.ports.base import STORE_REASONS, make_error, translate_error
from drivers.ports.micropython.store import StorePort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

    class SlotFlash(Protocol):
        """Slots of `slot_bytes` bytes each; `slot` (0 a, 1 b) is the running one, with `release`.

        The start-up code reads the record in `folder`. `erase` erases one sector of `sector_bytes`
        bytes; it and `program` raise OSError. `start_notes`: names and texts.
        """

        folder: str
        slot: int
        release: int
        slot_bytes: int
        sector_bytes: int
        start_notes: "tuple[tuple[str, str], ...]"

        def erase(self, slot: int, at: int) -> None: ...  # noqa: D102
        def program(self, slot: int, at: int, data: bytes) -> None: ...  # noqa: D102


_SLOT_KEY_PREFIXES = ("update.a.", "update.b.")
_SLICE_BYTES = 1024
"""Bytes: four pages of NOR flash, programmed in 3 to 12 ms."""


class SlotStorePort(StorePort):
    """The store of a board with slots."""

    def __init__(self, address: "Address", wake: "Wake", flash: "SlotFlash") -> None:
        """Initialise without a pending write."""
        StorePort.__init__(self, address, wake)
        self._flash = flash
        self._slot = 0
        self._position = 0
        self._remaining = b""
        self._erased_sector = -1

    def is_drained(self) -> bool:
        """Continue the pending chunk, else execute the next request."""
        if not self._remaining:
            return StorePort.is_drained(self)
        self._write_slice()
        self._wake()
        return False

    def perform(self, op: str, key: str, payload: bytes) -> bytes:
        """Start to write a chunk; other requests go to the file store."""
        if key[:9] not in _SLOT_KEY_PREFIXES:
            return StorePort.perform(self, op, key, payload)
        if op != "write":
            return key.encode() if op == "get" else b""
        slot, at = _SLOT_KEY_PREFIXES.index(key[:9]), int(key[9:])
        if slot == self._flash.slot or at + len(payload) > self._flash.slot_bytes:
            raise make_error(self.address, "%s: no space for an update" % key)
        self._slot, self._position, self._remaining, self._erased_sector = slot, at, payload, -1
        return b""

    def _write_slice(self) -> None:
        """Erase the sector that starts here, or program up to its end, at most `_SLICE_BYTES`
        bytes.
        """
        flash, at = self._flash, self._position
        sector_offset = at % flash.sector_bytes
        try:
            if not sector_offset and self._erased_sector != at:
                flash.erase(self._slot, at)
                self._erased_sector = at
                return
            size = min(_SLICE_BYTES, flash.sector_bytes - sector_offset)
            flash.program(self._slot, at, self._remaining[:size])
        except OSError as error:
            self._remaining = b""
            raise translate_error(self.address, error, STORE_REASONS)
        self._position, self._remaining = at + size, self._remaining[size:]

    def close(self) -> None:
        """Complete the accepted requests, except a chunk: the agent writes it again."""
        self._remaining = b""
        StorePort.close(self)
