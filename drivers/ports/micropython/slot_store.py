"""A board's application slots, as records of its store: `update.b.8192` is b's piece at byte 8192.

So a piece of an update lies at once where it will run; there is no second copy, and no file. All
other records are files as ever (drivers/ports/micropython/store.py).

A write is done in slices, one a turn: the erasing of a sector, or the programming of a few pages.
Sectors are erased when their first byte is due, so that pieces have to come in order from 0 on. A
piece whose writing the power ended comes again: the same bytes over the same bytes. What is in a
slot is not read back here; each start checks the hash of the whole.

`SlotFlash` is the board's, given by its start-up. The slot that runs is never written.
"""

from drivers.ports.base import STORE_REASONS, explain, failure
from drivers.ports.micropython.store import StorePort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

    class SlotFlash(Protocol):
        """Slots of `room` bytes each; `slot` (0 a, 1 b) is the one that runs, with `release`.

        The start-up reads the record in `folder`. `erase` is of one sector of `sector` bytes; it
        and `program` raise OSError.
        """

        folder: str
        slot: int
        release: int
        room: int
        sector: int

        def erase(self, slot: int, at: int) -> None: ...  # noqa: D102
        def program(self, slot: int, at: int, data: bytes) -> None: ...  # noqa: D102


_PREFIXES = ("update.a.", "update.b.")
_SLICE_BYTES = 1024
"""Bytes: four pages of NOR flash, programmed in 3 to 12 ms."""


class SlotStorePort(StorePort):
    """The store of a board with slots."""

    def __init__(self, address: "Address", wake: "Wake", flash: "SlotFlash") -> None:
        """Start with nothing to do."""
        StorePort.__init__(self, address, wake)
        self._flash = flash
        self._slot = 0
        self._position = 0
        self._remaining = b""
        self._erased_sector = -1

    def settled(self) -> bool:
        """Go on with a piece, else with the next request."""
        if not self._remaining:
            return StorePort.settled(self)
        self._write_slice()
        self._wake()
        return False

    def perform(self, op: str, key: str, payload: bytes) -> bytes:
        """Begin to write a piece; all else is the store's."""
        if key[:9] not in _PREFIXES:
            return StorePort.perform(self, op, key, payload)
        if op != "write":
            return key.encode() if op == "get" else b""
        slot, at = _PREFIXES.index(key[:9]), int(key[9:])
        if slot == self._flash.slot or at + len(payload) > self._flash.room:
            raise failure(self.address, "%s: no room for an update there" % key)
        self._slot, self._position, self._remaining, self._erased_sector = slot, at, payload, -1
        return b""

    def _write_slice(self) -> None:
        """Erase the sector that begins here, or program up to its end, `_SLICE_BYTES` bytes at
        most.
        """
        flash, at = self._flash, self._position
        sector_offset = at % flash.sector
        try:
            if not sector_offset and self._erased_sector != at:
                flash.erase(self._slot, at)
                self._erased_sector = at
                return
            size = min(_SLICE_BYTES, flash.sector - sector_offset)
            flash.program(self._slot, at, self._remaining[:size])
        except OSError as error:
            self._remaining = b""
            raise explain(self.address, error, STORE_REASONS)
        self._position, self._remaining = at + size, self._remaining[size:]

    def close(self) -> None:
        """Do what was taken already, but for a piece: it comes again."""
        self._remaining = b""
        StorePort.close(self)
