# SPDX-License-Identifier: Apache-2.0
"""Delivery: one thread for each output, with a durable position in the outbox.

Does not decode (see `prepare`) or send receipts (see `receipts`). An output gets the records in the
order of the outbox. Its position moves after it has acknowledged them, and after they have settled
on the disk of the receiver. An output that fails is tried again after 1 s to 30 s; the others
continue. A record that it refuses goes to the quarantine
for this output only. An output that is not required and is too far behind skips records; they are
counted.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable

from deploy.relay.decode.prepare import TIME_ONLY, HeldError, Preparer
from deploy.relay.decode.row_format import Item, Rows, count_values
from deploy.relay.outputs.base import AnsweredError, Output, OutputError, Settling
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.records.database import Entry, RelayDatabase
from deploy.relay.records.quarantine import REFUSED, QuarantineTable
from deploy.relay.retry_delays import retry_delays
from deploy.relay.terminal_text import report

_POLL_S = 0.1
_CLOSE_WAIT_S = 1.0
_ANSWERS = 3
"""Errors in a row that a receiver answers, before the output looks for a record as their cause."""
_LOOK_S = 600.0
HUNG_S = 45.0
"""An output that does not return in this time fails; it can still acknowledge."""
MOST_VALUES = 250_000
"""Values in a batch of an output; a block can have a little more alone."""


class ItemCache:
    """Decoded items of the newest records, for all outputs; an item that is not here is decoded.

    It has `most_values` values at most: a block of 100 bytes can have 262,144.
    """

    def __init__(self, most_values: int) -> None:
        self._most_values = most_values
        self._items: dict[int, Item] = {}
        self._count = 0
        self._lock = threading.Lock()

    def add(self, items: dict[int, Item]) -> None:
        """Add items; the oldest ones go."""
        with self._lock:
            for entry_id, item in items.items():
                self._items[entry_id] = item
                self._count += count_values(item)
            while self._count > self._most_values and self._items:
                self._remove(next(iter(self._items)))

    def _remove(self, entry_id: int) -> None:
        self._count -= count_values(self._items.pop(entry_id))

    def get(self, entry_id: int) -> Item | None:
        """Return an item or None."""
        return self._items.get(entry_id)

    def discard(self, last_id: int) -> None:
        """Remove the items up to an id."""
        with self._lock:
            for entry_id in [entry_id for entry_id in self._items if entry_id <= last_id]:
                self._remove(entry_id)


def _is_like(found: Item, item: Item) -> bool:
    """Return whether an output sends an item if it sends another one.

    Some send no notes, no rows without UTC, or no row without a value: these are no evidence.
    """
    if not isinstance(found, Rows) or not isinstance(item, Rows):
        return type(found) is type(item)
    has_value = any(value is not None for _, values in found.values for value in values)
    return found.is_dated == item.is_dated and has_value


class Suspicion:
    """Whether an output looks for a record that is the cause of the errors its receiver answers.

    It does so after some errors in a row, and for some minutes after it has found one.
    """

    def __init__(self) -> None:
        self._count = 0
        self._until = float("-inf")

    def add(self, error: Exception) -> None:
        """A step has failed."""
        self._count = self._count + 1 if isinstance(error, AnsweredError) else 0

    def is_looking(self) -> bool:
        """Return whether the next answer can be for one record."""
        return self._count >= _ANSWERS or time.monotonic() < self._until

    def confirm(self) -> None:
        """A record was the cause."""
        self._until = time.monotonic() + _LOOK_S

    def clear(self) -> None:
        """A step has not failed."""
        self._count = 0


class OutputWorker:
    """Delivers to `output` from its stored position, up to the record that `prepared` returns."""

    def __init__(
        self,
        name: str,
        output: Output,
        database: RelayDatabase,
        quarantine: QuarantineTable,
        preparer: Preparer,
        cache: ItemCache,
        prepared: Callable[[], int],
    ) -> None:
        self.name = name
        self.output = output
        self.position = database.positions().get(name, 0)
        self.delivered = 0
        self.refused = 0
        self.skipped = 0
        self.failing_since: float | None = None
        self.error = ""
        self._database = database
        self._quarantine = quarantine
        self._preparer = preparer
        self._cache = cache
        self._prepared = prepared
        self._read_to = self.position
        self._settling: deque[tuple[int, Settling | None]] = deque()
        self._skip_to = 0
        self._delays, self._delay_s = retry_delays(), 0.0
        self._batch_since: float | None = None
        self._has_more = False
        """The last batch ended at its values: the next one does not wait."""
        self._suspicion = Suspicion()
        self._called_at: float | None = None
        self._is_hung = False
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"output {name}", daemon=True)

    @property
    def given_to(self) -> int:
        """Id of the last record that the output was given; it can be that it is not durable yet."""
        return self._read_to

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """New records are prepared."""
        self._wake.set()

    def skip_to(self, position: int) -> None:
        """Skip records up to an id, because the output is too far behind."""
        self._skip_to = position

    def watch(self) -> None:
        """Report an output that does not return. Called by another thread than its own."""
        if self._is_hung or not self._is_late():
            return
        self._is_hung = True
        if self.failing_since is None:
            report(f"output {self.name}: no answer for {HUNG_S:.0f} s")

    def is_failing(self) -> bool:
        """Return whether the output fails or does not return."""
        return self._is_hung or self._is_late() or self.failing_since is not None

    def _is_late(self) -> bool:
        called_at = self._called_at
        return called_at is not None and time.monotonic() - called_at >= HUNG_S

    def begin_close(self) -> None:
        """End the thread after the batch in progress."""
        self._stopping.set()
        self._wake.set()

    def join(self, wait_s: float = _CLOSE_WAIT_S) -> None:
        """Wait for the end of the thread. What is not acknowledged stays in the outbox."""
        if self._thread.ident is not None:
            self._thread.join(wait_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._called_at = time.monotonic()
                more = self.step()
            except OutputError as error:
                more = False
                self._suspicion.add(error)
                self._fail(str(error))
            except sqlite3.Error as error:
                more = False
                self._fail(f"database: {error}")
            except Exception as error:  # noqa: BLE001 - an output must not end its thread
                more = False
                self._fail(repr(error))
            self._called_at = None
            if self._is_hung and self.failing_since is None:
                report(f"output {self.name}: works again")
            self._is_hung = False
            if self._delay_s:
                self._stopping.wait(self._delay_s)
            elif not more:
                self._wake.wait(_POLL_S)
                self._wake.clear()

    def step(self) -> bool:
        """Deliver one batch; return whether there is more."""
        self.output.process()
        if self._skip_to > self.position:
            self.skipped += self._database.count_outbox(self.position)
            self.skipped -= self._database.count_outbox(self._skip_to)
            self._settling.clear()
            self._move(self._skip_to, is_acknowledged=False)
            self._read_to = self._skip_to
        self._settle()
        prepared = self._prepared()
        if prepared <= self._read_to or not self.output.ready():
            return False
        entries = self._database.outbox(self._read_to, self.output.BATCH)
        entries = [entry for entry in entries if entry.id <= prepared]
        if not entries:
            self._done(prepared, None)
            return False
        if not self._has_more and self._lingers(len(entries)):
            return False
        read, last_id = self._read(entries)
        self._has_more = last_id < entries[-1].id
        self._deliver(read)
        self._done(last_id, self.output.settling() if read else None)
        self._recover()
        return True

    def _done(self, position: int, settling: Settling | None) -> None:
        """A batch is delivered: the position moves, or it waits for what settles."""
        self._read_to = position
        self._settling.append((position, settling))
        if len(self._settling) > 1 or settling is not None:
            return
        self._settle()

    def _settle(self) -> None:
        """Move the position over all batches that are durable. Raises OutputError if one is lost.

        Then it and those after it come again.
        """
        position = self.position
        try:
            while self._settling:
                last, settling = self._settling[0]
                if settling is not None and time.monotonic() < settling.due:
                    break
                if settling is not None and not settling.is_kept():
                    raise OutputError("the receiver was started again before its disk had a batch")
                self._settling.popleft()
                position = last
        except OutputError:
            self._settling.clear()
            raise
        finally:
            if position > self.position:
                self._move(position)
            if not self._settling:
                self._read_to = self.position

    def _lingers(self, count: int) -> bool:
        """Return whether the batch waits for more records."""
        now = time.monotonic()
        if self._batch_since is None:
            self._batch_since = now
        if count < self.output.BATCH and now - self._batch_since < self.output.LINGER_S:
            return not self._stopping.is_set()
        self._batch_since = None
        return False

    def _read(self, entries: list[Entry]) -> tuple[list[tuple[Entry, Item]], int]:
        """Decode the records that are for this output; also return the id of the last one.

        A batch ends at `MOST_VALUES` too: an output needs up to 250 bytes for each.
        """
        read: list[tuple[Entry, Item]] = []
        count = last_id = 0
        for entry in entries:
            if count >= MOST_VALUES:
                break
            last_id = entry.id
            is_for_all = not entry.output or (entry.output == TIME_ONLY and self.output.TAKES_TIMES)
            if not is_for_all and entry.output != self.name:
                continue
            item = self._cache.get(entry.id)
            if item is None:
                try:
                    item = self._preparer.read(entry)
                except HeldError as error:  # it was prepared; so its schema is gone
                    self._hold(entry, error.detail)
                    continue
            count += count_values(item)
            read.append((entry, item))
        return read, last_id

    def _deliver(self, read: list[tuple[Entry, Item]]) -> None:
        """Deliver a batch; after a refusal, one by one. Raises OutputError."""
        if not read:
            return
        if self._called_at is not None:
            self._called_at = time.monotonic()  # one refused record can need many calls
        try:
            self.output.deliver([item for _, item in read])
            self.delivered += len(read)
        except (OutputError, OSError, sqlite3.OperationalError) as error:
            # The receiver or the machine, not an item; only an answer can be for an item.
            is_looking = isinstance(error, AnsweredError) and self._suspicion.is_looking()
            if not is_looking or (len(read) == 1 and not self._is_at_fault(*read[0])):
                raise
            self._divide(read, error)
        except Exception as error:
            if isinstance(error, RefusedError) and self.output.refuses_all():
                raise OutputError(f"the receiver refuses everything: {error}") from None
            if len(read) == 1 and isinstance(error, MemoryError):
                raise  # the machine too: more of them need more memory
            self._divide(read, error)

    def _divide(self, read: list[tuple[Entry, Item]], error: Exception) -> None:
        """Deliver each half of a batch with a refused record; hold one that is alone."""
        if len(read) == 1:
            self.refused += 1
            self._hold(read[0][0], repr(error))
            return
        half = len(read) // 2
        self._deliver(read[:half])
        self._done(read[half - 1][0].id, self.output.settling())
        self._deliver(read[half:])

    def _is_at_fault(self, entry: Entry, item: Item) -> bool:
        """Return whether the receiver takes a record of another unit, and then not this one again.

        Without a record of another unit nothing but this unit waits, so it can wait too.
        """
        entries = self._database.outbox(entry.id, self.output.BATCH)
        prepared = self._prepared()
        others = [one for one in entries if one.unit != entry.unit and one.id <= prepared]
        read = (found for one in others for found in self._read([one])[0])
        other = next((found for _, found in read if _is_like(found, item)), None)
        if other is None:
            return False
        try:
            self.output.deliver([other])  # it comes again in its turn
        except Exception:  # noqa: BLE001 - then this record is not the only one
            return False
        try:
            self.output.deliver([item])
        except AnsweredError:
            self._suspicion.confirm()
            return True
        except Exception:  # noqa: BLE001 - the next step shows what it is
            return False
        return False

    def _hold(self, entry: Entry, detail: str) -> None:
        held = entry._replace(output=self.name)
        with self._database.transaction():
            self._quarantine.add(held, REFUSED, f"{self.name}: {detail}")

    def _move(self, position: int, is_acknowledged: bool = True) -> None:
        with self._database.transaction():
            self._database.set_position(self.name, position)
            if is_acknowledged:
                self.output.acknowledged()
        self.position = position

    def _recover(self) -> None:
        if self.failing_since is not None:
            report(f"output {self.name}: works again")
        self.failing_since, self.error = None, ""
        self._delays, self._delay_s = retry_delays(), 0.0
        self._suspicion.clear()

    def _fail(self, text: str) -> None:
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            report(f"output {self.name}: {text}")
        self.error = text
        self._delay_s = next(self._delays)
