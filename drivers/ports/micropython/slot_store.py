# SPDX-License-Identifier: Apache-2.0
"""A board's application slots, as records of its store: `update.b.8192` is slot b at byte 8192.

Thus a chunk of an update is written directly to its final position, without a second copy or a
file. All other records are files (see `drivers.ports.micropython.store`).

A request is done in slices, one per loop step: the erase of a sector, the programming of a page, or
one call for a file. A slice waits for its gap (`agent.runtime.board.flash_gap`). A call for a file
can erase several sectors; the journal of the start-up code records them, and each is a slice. A
sector of a slot is erased before its first byte; therefore chunks must come in order from 0 on.
After a power cut a chunk is written again: the same bytes over the same bytes. Does not read a slot
back: each start checks the hash of the whole slot.

The start-up code of the board provides `SlotFlash`. The running slot is never written.
"""

from drivers.errors import PortError
from drivers.ports.base import STORE_REASONS, make_error, translate_error
from drivers.ports.micropython.store import StorePort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from drivers.ports.address import Address
    from drivers.ports.base import Wake

    class SlotFlash(Protocol):
        """Slots of `slot_bytes` bytes each; `slot` (0 a, 1 b) is the running one, with `release`.

        The start-up code reads the record in `folder`. `read_slot` returns a part of a slot.
        `erase` erases one sector of `sector_bytes` bytes; it and `program` raise OSError.
        `start_notes`: names and texts. `journal`: deploy/firmware/supervisor/_journal.py, or None;
        an older start-up code has none.
        """

        folder: str
        slot: int
        release: int
        slot_bytes: int
        sector_bytes: int
        start_notes: "tuple[tuple[str, str], ...]"

        def read_slot(self, number: int, at: int, size: int) -> bytes: ...  # noqa: D102
        def erase(self, slot: int, at: int) -> None: ...  # noqa: D102
        def program(self, slot: int, at: int, data: bytes) -> None: ...  # noqa: D102


_SLOT_KEY_PREFIXES = ("update.a.", "update.b.")
_PAGE_BYTES = 256
"""Bytes of a slice: a page of NOR flash, programmed in 0.4 to 3 ms."""
_PROGRAM_US, _ERASE_US, _FILE_US = 4_000, 50_000, 60_000
"""Times of slices: a page, a sector (typically 45 ms), a call for a file with an erase."""
_CALL_US = 35_000
"""Time of a call that reads files, or whose writes are recorded: it can compact a folder."""


class SlotStorePort(StorePort):
    """The store of a board with slots. `gap(need)`: whether a slice of `need` µs can begin."""

    def __init__(
        self,
        address: "Address",
        wake: "Wake",
        flash: "SlotFlash",
        gap: "Callable[[int], bool] | None" = None,
    ) -> None:
        """Initialise without a pending write."""
        StorePort.__init__(self, address, wake)
        self._flash = flash
        self._journal = getattr(flash, "journal", None)
        self._gap = gap
        self._work: Iterator[int] | None = None
        self._need = 0
        self._is_chunk = False

    def is_drained(self) -> bool:
        """Do the next slice of the pending write, else begin the next request."""
        if self._work is None:
            return StorePort.is_drained(self)
        if self._gap is None or self._gap(self._need):
            self._step(self._work)
        self._wake()
        return False

    def _step(self, work: "Iterator[int]") -> None:
        """Do a slice. A failed write ends."""
        self._work = None
        for self._need in work:
            self._work = work
            return

    def perform(self, op: str, key: str, payload: bytes) -> bytes:
        """Begin a request; each of its slices waits for a gap."""
        self._is_chunk = key[:9] in _SLOT_KEY_PREFIXES
        if not self._is_chunk:
            if op in ("get", "list"):
                self._step(self._read_slices(op, key))
            else:
                self._step(self._file_slices(op, key, payload))
            return b""
        if op != "write":
            return key.encode() if op == "get" else b""
        slot, at = _SLOT_KEY_PREFIXES.index(key[:9]), int(key[9:])
        if slot == self._flash.slot or at + len(payload) > self._flash.slot_bytes:
            raise make_error(self.address, "%s: no space for an update" % key)
        self._step(self._chunk_slices(slot, at, payload))
        return b""

    def _read_slices(self, op: str, key: str) -> "Iterator[int]":
        """Read a file or the folder."""
        yield _CALL_US
        self._reply = StorePort.perform(self, op, key, b"")

    def _file_slices(self, op: str, key: str, payload: bytes) -> "Iterator[int]":
        """Change a file: calls, and after each one the steps that it has recorded."""
        journal = self._journal
        call_us = _FILE_US if journal is None else _CALL_US
        yield call_us
        calls = self._store.change_slices(op, key, payload)
        is_last = False
        while not is_last:
            is_last = self._call(calls)
            while journal is not None and journal.need():
                yield journal.need()
                journal.step()
            if not is_last:
                yield call_us

    def _call(self, calls: "Iterator[None]") -> bool:
        """Make the next call for a file; record its writes. Return whether it was the last."""
        journal = self._journal
        if journal is not None:
            journal.record()
        try:
            for _ in calls:
                return False
            return True
        finally:
            if journal is not None:
                journal.stop()

    def _chunk_slices(self, slot: int, at: int, data: bytes) -> "Iterator[int]":
        """Erase each sector that begins in the chunk, and program it by pages."""
        flash = self._flash
        try:
            while data:
                if not at % flash.sector_bytes:
                    yield _ERASE_US
                    flash.erase(slot, at)
                yield _PROGRAM_US
                size = _PAGE_BYTES - at % _PAGE_BYTES
                flash.program(slot, at, data[:size])
                at, data = at + size, data[size:]
        except OSError as error:
            raise translate_error(self.address, error, STORE_REASONS)

    def close(self) -> None:
        """Complete the accepted requests, except a chunk: the agent writes it again."""
        if self._journal is not None:
            self._journal.flush()
        try:
            while True:
                if not self._is_chunk and self._work is not None:
                    for _ in self._work:
                        pass
                self._work = None
                request = self._pending.take()
                if request is None:
                    return
                self.perform(*request)
        except PortError:
            return
