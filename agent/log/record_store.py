# SPDX-License-Identifier: Apache-2.0
"""Records of the log on a store: append, make durable, find, delete.

Does not send; see `agent.log.sender`.

The record store has one request in progress; the event "drained" ends it. After a failure it writes
the last batch again, whole, in a new segment and under the same ids. After a start it reads only
the newest segment of each class; it reads the others when their records are sent. When the log has
its largest size, or the disk is full, the oldest segment of the lowest class is deleted and
counted.

The age of a record is counted in seconds of the log's own time. It continues from the newest record
found at a start, and no step of the clock changes it.
"""

from binascii import crc32
from collections import namedtuple

from agent.log import segment
from agent.log.class_index import ClassIndex
from agent.log.recent_records import (
    NOTHING_LOADED,
    LoadedSegment,
    RecentRecords,
    RunningScan,
)
from agent.log.segment import LogRecord
from agent.log.unwritten_records import UnwrittenRecords, WaitingRecord
from protocols.telemetry.message import ALARM, BULK, CLASSES, EVENT, LIVE
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.log.compactor import BlockCompactor

    Operation = tuple[str, bytes]

BatchRecord = namedtuple("BatchRecord", ("record", "oldest_us"))
"""A record of the write in progress. `oldest_us`: time of its oldest content."""

LONGEST = 60000
SCHEMA_KEY = "log.schema"
SMALL_SLICE = 8
"""Records of a slice on a small board: one takes 1.2 ms of an RP2040."""
_CLOSED, _LISTING, _RESUMING, _READY = 0, 1, 2, 3


def _encoded_size(records: "list[LogRecord]") -> int:
    """Return an upper limit of the bytes of `records` in a segment."""
    return sum([len(record.payload) + segment.MIN_RECORD_BYTES + 6 for record in records])


class RecordStore:
    """The records of a unit on one store. `unit`: "SITE/UNIT", `settings`: section `log`."""

    def __init__(
        self, unit: str, settings: "dict[str, Any]", compactor: "BlockCompactor | None" = None
    ) -> None:
        self.unit = unit
        self.generation = b""
        self.class_indexes = [
            ClassIndex(ALARM, 0),
            ClassIndex(LIVE, settings["live_ttl_s"]),
            ClassIndex(EVENT, 0),
            ClassIndex(BULK, settings["bulk_ttl_s"]),
        ]
        self.listeners: list[Callable[[int], None]] = []
        """Called when more records can be sent."""
        self.schema = b""
        """Number of the schema that was logged last."""
        self.records_per_slice = 0
        """Records that one call reads or writes; 0: all."""
        self.failures = 0
        self.foreign_segments = 0
        self.truncated = 0
        self._node = -1
        self.now = 0
        self._compactor = compactor
        self._max_bytes: int = settings["bytes"]
        # The largest size of the log includes one segment of each class that cannot be deleted.
        self._segment_bytes: int = min(settings["segment_bytes"], settings["bytes"] // 8)
        self._unwritten = UnwrittenRecords()
        self._batch: list[BatchRecord] = []
        self._batch_class = self.class_indexes[0]
        self._starts_segment = False
        self._can_append = [False] * len(CLASSES)
        self._deletes: list[str] = []
        self._schema_due = b""
        self._recent = RecentRecords()
        self._loaded = NOTHING_LOADED
        self._running_scan: RunningScan | None = None
        self._read_request: tuple[int, int] | None = None
        self._phase = _CLOSED
        self._open = False
        self._out_of_space = False
        self._operation = ""
        self._newest_segments: list[tuple[int, int]] = []
        self._stamp_offset = 0
        self._out: list[Operation] = []

    @property
    def ready(self) -> bool:
        """True when the store is read and records can be written and sent."""
        return self._phase == _READY

    def set_node(self, node: int) -> None:
        """Take the number of a controller of a pair (0 or 1) into the generation of a new log.

        Both have one unit name, so that without it the same ids could be given twice.
        """
        self._node = node

    # Records in.

    def append(
        self, record_class: int, kind: int, payload: bytes, now: int, oldest_us: "int | None" = None
    ) -> None:
        """Log a record of a class. `oldest_us`: monotonic time of its oldest content, µs;
        None: `now`.
        """
        self.now = now
        if len(payload) > LONGEST:
            self.class_indexes[record_class].lose()
            return
        if oldest_us is None:
            oldest_us = now
        record = WaitingRecord(record_class, kind, payload, oldest_us)
        for dropped_class in self._unwritten.add(record):
            self.class_indexes[dropped_class].lose()
        self.advance(now)

    def oldest_unsaved(self) -> "int | None":
        """Return the time of the oldest content that a power cut would destroy. None: nothing."""
        times = [waiting.oldest_us for waiting in self._unwritten.records]
        times.extend([entry.oldest_us for entry in self._batch])
        return min(times) if times else None

    def set_schema(self, schema: bytes) -> None:
        """Write durably that a schema is in the log."""
        self.schema = self._schema_due = schema

    # Records out.

    def find(self, class_index: ClassIndex, ident: int) -> "LogRecord | None":
        """Return a durable record from memory, or None.

        None: if `loading` is true, the store reads the record, and the listeners are called
        afterwards. Otherwise the record does not exist any more, and `class_index` has dropped it.
        """
        self._read_request = None
        number = ident * 4 + class_index.group
        recent = self._recent.find(number)
        if recent is not None:
            return recent
        first = class_index.segment_of(ident)
        if first:
            if not self._loaded.is_segment(class_index.group, first):
                self._read_request = (class_index.group, first)
                return None
            loaded = self._loaded.find(ident)
            if loaded is not None:
                return loaded
        class_index.drop(ident)
        return None

    @property
    def loading(self) -> bool:
        """True if the last `find` has to read the store first."""
        return self._read_request is not None

    def set_time(self, now: int) -> None:
        """Set the monotonic time of the next records, µs."""
        self.now = now

    def stamp(self) -> int:
        """Return the log's own time in seconds."""
        return self._stamp_offset + self.now // SECOND

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Handle an event of the store."""
        self.now = now
        if kind == "full":
            # Nothing is deleted to make room for longer blocks.
            self._out_of_space = self._operation != "merged"
        elif kind == "drained":
            operation, self._operation = self._operation, ""
            if operation == "write":
                self._on_written()
                self.advance(now)
                self._notify(now)
            elif operation == "merged":
                self._on_replaced()
        elif kind == "opened":
            self._open = True
            self._operation = ""
        else:
            self._on_failure()
        self.advance(now)

    def _on_failure(self) -> None:
        """Prepare to repeat the operation in progress; its result is unknown."""
        self.failures += self._open
        self._open = False
        self._running_scan = None
        if self._compactor is not None and self._operation == "merged":
            self._compactor.reset()
        self._operation = ""
        if self._batch:
            self._can_append[self._batch_class.group] = False
        if self._phase != _READY:
            self._phase = _CLOSED

    def receive(self, data: bytes, now: int) -> None:
        """Handle an answer of the store."""
        self.now = now
        if self._operation == "list":
            self._on_list([segment.read_name(part) for part in data.split(b"\0")])
            return
        key, separator, content = data.partition(b"\0")
        if self._operation == "schema":
            self.schema = content
            return
        parsed = segment.parse_name(segment.read_name(key))
        if self._operation not in ("get", "merge") or parsed is None:
            return
        _, group, first = parsed
        scan = segment.SegmentScan(content, self.generation, group)
        self._running_scan = RunningScan(self._operation, group, first, bool(separator), scan)
        self._continue_scan(now)

    @property
    def is_scanning(self) -> bool:
        """True while `step` has work."""
        return self._running_scan is not None

    def step(self, now: int) -> None:
        """Read the next records of a segment."""
        self.now = now
        self._continue_scan(now)
        self.advance(now)

    def _continue_scan(self, now: int) -> None:
        running = self._running_scan
        if running is None or not running.scan.step(self.records_per_slice):
            return
        self._running_scan = None
        purpose, group, first, exists, scan = running
        if purpose == "merge" and self._compactor is not None:
            # Damage is counted when the segment is sent. Until then the segment stays as it is.
            self._compactor.load_records([] if scan.damaged else scan.records)
        elif self._phase == _READY:
            # A first record is never truncated, see _write_batch.
            truncated = scan.tail_bytes > 0 and len(scan.records) > 0
            self.class_indexes[group].count_damage(first, scan.damaged - truncated)
            self._loaded = LoadedSegment(group, first, scan.records)
            self._read_request = None
            self._notify(now)
        else:
            self._resume_class(group, first, scan, exists)

    def _on_list(self, names: "list[str]") -> None:
        """Sort the segments in the store. The generation of the log is the most frequent one."""
        segments = [parsed for parsed in [segment.parse_name(name) for name in names] if parsed]
        generations = [generation for generation, _, _ in segments]
        self.generation = b""
        for generation in generations:
            if not self.generation or generations.count(generation) > generations.count(
                self.generation
            ):
                self.generation = generation
        self.foreign_segments = len(generations) - generations.count(self.generation)
        self._newest_segments = []
        for class_index in self.class_indexes:
            key = (self.generation, class_index.group)
            first_ids = [
                first for generation, group, first in segments if (generation, group) == key
            ]
            class_index.load(first_ids, self._segment_bytes)
            if class_index.first_ids:
                self._newest_segments.append((class_index.group, class_index.first_ids[-1]))
        self._phase = _RESUMING

    def _resume_class(
        self, group: int, first: int, scan: segment.SegmentScan, exists: bool
    ) -> None:
        """Continue a class after the records of its newest segment."""
        class_index = self.class_indexes[group]
        last = max([first - 1] + [record.last_ident for record in scan.records])
        for record in scan.records:
            self._stamp_offset = max(self._stamp_offset, record.stamp)
        if scan.tail_bytes:
            # Bytes without a record may be a record that was sent. Its number is not used again.
            self.truncated += 1
            last += scan.tail_bytes // segment.MIN_RECORD_BYTES + 1
        if not exists:
            class_index.forget_newest()
        class_index.resume(last + 1)
        self._can_append[group] = False

    def _on_written(self) -> None:
        """Mark a batch as durable."""
        class_index = self._batch_class
        group = class_index.group
        if self._starts_segment:
            if self._compactor is not None and group == BULK and class_index.first_ids:
                self._compactor.queue_segment(class_index.first_ids[-1])
            class_index.start_segment(self._batch[0].record.ident)
        class_index.mark_durable(self._batch[-1].record.ident + 1, self._batch_size())
        self._can_append[group] = True
        for entry in self._batch:
            record = entry.record
            self._recent.add(record.ident * 4 + group, record)
        self._recent.trim()
        if self._loaded.group == group:
            self._loaded = NOTHING_LOADED
        self._batch = []

    def _batch_size(self) -> int:
        return _encoded_size([entry.record for entry in self._batch])

    def size(self) -> int:
        """Return the size of the log on flash in bytes."""
        return sum([class_index.size() for class_index in self.class_indexes])

    def _request(self, purpose: str, operation: str, data: bytes) -> None:
        self._operation = purpose
        self._out.append((operation, data))

    def advance(self, now: int) -> None:
        """Send the next request to the store if it is idle."""
        if not self._open or self._operation or self._running_scan is not None:
            return
        if self._phase != _READY:
            self._continue_start(now)
            return
        self._release_segments()
        if not self._deletes:
            self._fill_batch()
        if self._deletes:
            self._request("delete", "delete", self._deletes.pop(0).encode())
        elif self._batch:
            self._write_batch()
        elif self._read_request is not None:
            group, first = self._read_request
            self._request(
                "get", "get", segment.segment_name(self.generation, group, first).encode()
            )
        elif self._schema_due:
            self._request("logged", "write", SCHEMA_KEY.encode() + b"\0" + self._schema_due)
            self._schema_due = b""
        elif self._compactor is not None and self._compactor.segment_first:
            self._compact(self._compactor, self.class_indexes[BULK])

    def _compact(self, compactor: "BlockCompactor", class_index: ClassIndex) -> None:
        """Read a full segment of the backlog, or replace it with longer blocks."""
        first = compactor.segment_first
        if first not in class_index.first_ids or class_index.sent_to > first:
            compactor.reset()
        elif compactor.records:
            key = segment.segment_name(self.generation, BULK, first).encode()
            frames = [segment.frame(self.generation, BULK, record) for record in compactor.records]
            self._request("merged", "write", key + b"\0" + b"".join(frames))
        elif not compactor.is_coding():
            self._request(
                "merge", "get", segment.segment_name(self.generation, BULK, first).encode()
            )

    def _on_replaced(self) -> None:
        """Handle a segment that has longer blocks now."""
        compactor = self._compactor
        if compactor is None:
            return
        self.class_indexes[BULK].resize(compactor.segment_first, _encoded_size(compactor.records))
        if self._loaded.is_segment(BULK, compactor.segment_first):
            self._loaded = NOTHING_LOADED
        compactor.reset()

    def _notify(self, now: int) -> None:
        for listener in self.listeners:
            listener(now)

    def _continue_start(self, now: int) -> None:
        """Do the next step of a start."""
        if self._phase == _CLOSED:
            self._phase = _LISTING
            self._request("list", "list", b"")
        elif self._newest_segments:
            group, first = self._newest_segments.pop(0)
            self._request(
                "get", "get", segment.segment_name(self.generation, group, first).encode()
            )
        elif self._phase == _RESUMING:
            self._phase = _LISTING
            self._request("schema", "get", SCHEMA_KEY.encode())
        else:
            self._become_ready(now)

    def _become_ready(self, now: int) -> None:
        if not self.generation:
            seed = crc32(b"%s %d" % (self.unit.encode(), now))
            if self._node >= 0:
                seed = seed & -2 | self._node
            self.generation = bytes([seed >> shift & 255 for shift in (16, 8, 0)])
            self.schema = b""
        self._stamp_offset -= now // SECOND
        self._phase = _READY
        self.advance(now)
        self._notify(now)

    def _release_segments(self) -> None:
        """Delete the segments whose records are all acknowledged."""
        for class_index in self.class_indexes:
            first = class_index.release()
            while first:
                self._deletes.append(
                    segment.segment_name(self.generation, class_index.group, first)
                )
                first = class_index.release()

    def _make_room(self, max_bytes: int, lowest_class: int) -> bool:
        """Delete the oldest segments of the lowest classes until the log has at most `max_bytes`
        bytes.
        """
        for group in (BULK, EVENT, LIVE, ALARM):
            while group >= lowest_class and self.size() > max_bytes:
                first = self.class_indexes[group].evict()
                if not first:
                    break
                self._deletes.append(segment.segment_name(self.generation, group, first))
        return self.size() <= max_bytes

    def _fill_batch(self) -> None:
        """Assign ids to the records of the next write: one class, at most one segment."""
        if not self._batch and self._unwritten.records:
            waiting_records = self._unwritten.take(self._segment_bytes, self.records_per_slice)
            self._batch_class = self.class_indexes[waiting_records[0].record_class]
            for waiting in waiting_records:
                ident = self._batch_class.take_id()
                record = LogRecord(ident, self.stamp(), waiting.kind, waiting.payload)
                self._batch.append(BatchRecord(record, waiting.oldest_us))
        if self._batch:
            self._fit_batch()

    def _fit_batch(self) -> None:
        """Make room for the batch in its own class and in lower ones. If that fails, the batch is
        lost.
        """
        group = self._batch_class.group
        if self._out_of_space:
            self._out_of_space = False
            self._make_room(max(0, self.size() - 1), group)
        if not self._make_room(self._max_bytes - self._batch_size(), group):
            self._batch_class.lose_batch(self._batch[0].record.ident)
            self._batch = []

    def _write_batch(self) -> None:
        """Append the batch to the newest segment if it has room; otherwise start a segment."""
        class_index = self._batch_class
        group = class_index.group
        frames = [segment.frame(self.generation, group, entry.record) for entry in self._batch]
        fits = (
            self._can_append[group]
            and class_index.sizes[-1] + self._batch_size() <= self._segment_bytes
        )
        first = class_index.first_ids[-1] if fits else self._batch[0].record.ident
        self._starts_segment = not fits
        key = segment.segment_name(self.generation, group, first).encode()
        self._request("write", "append" if fits else "write", key + b"\0" + b"".join(frames))

    def outbox(self) -> "list[Operation]":
        """Return the requests for the store: (operation, data)."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out
