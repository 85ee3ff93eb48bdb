"""The store's side of the log: records in, durable, found again, let go of.

Not the sending (`agent.log.sender`). The store is asked one thing at a time; "drained" ends it.
After a failure, what may or may not have been written is written again, whole, in a new segment,
with the numbers it had. After a start only the newest segment of each class is read; the others are
read when they are sent. When the log has its bytes, or the disk is full, the oldest segment of the
lowest class goes, counted.

A record's age is counted in the log's own seconds: they go on from the youngest record found at a
start, and no clock can step them.
"""

from binascii import crc32

from agent.log import segment
from agent.log.class_index import ClassIndex
from agent.log.segment import LogRecord
from protocols.telemetry.message import ALARM, BULK, CLASSES, EVENT, LIVE
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.log.compactor import BlockCompactor

    Operation = tuple[str, bytes]
    WrittenRecord = tuple[int, LogRecord, int]
    """Class, record, when the oldest of what it tells of was taken."""

MAX_UNWRITTEN = 6144
"""Bytes that may wait in memory for the flash."""
MAX_RECENT = 2048
"""Bytes of records that are kept in memory for sending, though they are durable."""
LONGEST = 60000
_OBJECT_BYTES = 48
"""Bytes that a record takes in memory beside its payload, about."""
SCHEMA_KEY = "log.schema"
_CLOSED, _LISTING, _RESUMING, _READY = 0, 1, 2, 3


class RecordStore:
    """The records of one unit on one store; `unit` is "SITE/UNIT", `settings` section `log`."""

    def __init__(self, unit: str, settings: "dict[str, Any]") -> None:
        self.unit = unit
        self.generation = b""
        self.class_indexes = [
            ClassIndex(ALARM, 0),
            ClassIndex(LIVE, settings["live_ttl_s"]),
            ClassIndex(EVENT, 0),
            ClassIndex(BULK, settings["bulk_ttl_s"]),
        ]
        self.listeners: list[Callable[[int], None]] = []
        """Called when there is more to send."""
        self.schema = b""
        """Number of the schema that was logged last."""
        self.failures = 0
        self.foreign_segments = 0
        self.truncated = 0
        self.now = 0
        self.compactor: BlockCompactor | None = None
        """Makes longer blocks of the backlog, or nobody does."""
        self._max_bytes: int = settings["bytes"]
        # One segment of each class cannot be given up: they must be a part of the whole.
        self._segment_bytes: int = min(settings["segment_bytes"], settings["bytes"] // 8)
        self._unwritten: list[tuple[int, int, bytes, int]] = []
        self._unwritten_bytes = 0
        self._batch: list[WrittenRecord] = []
        self._starts_segment = False
        self._can_append = [False] * len(CLASSES)
        self._deletes: list[str] = []
        self._schema_due = b""
        self._recent: list[tuple[int, LogRecord]] = []
        self._recent_bytes = 0
        self._loaded: tuple[int, int, list[LogRecord]] = (-1, 0, [])
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
        """Whether the log knows what is in it."""
        return self._phase == _READY

    # Records in.

    def append(
        self, group: int, kind: int, payload: bytes, now: int, oldest_at: "int | None" = None
    ) -> None:
        """Log a record of a class; `oldest_at`: when the oldest of what it tells of was taken."""
        self.now = now
        if len(payload) > LONGEST:
            self.class_indexes[group].lost += 1
            return
        self._unwritten.append((group, kind, payload, now if oldest_at is None else oldest_at))
        self._unwritten_bytes += len(payload) + _OBJECT_BYTES
        while self._unwritten_bytes > MAX_UNWRITTEN and len(self._unwritten) > 1:
            self._drop_unwritten()
        self.advance(now)

    def _drop_unwritten(self) -> None:
        """Let go of the oldest record of the lowest class that waits for the flash."""
        lowest_class = max([entry[0] for entry in self._unwritten])
        for index, (group, _, payload, _) in enumerate(self._unwritten):
            if group == lowest_class:
                self._unwritten.pop(index)
                self._unwritten_bytes -= len(payload) + _OBJECT_BYTES
                self.class_indexes[group].lost += 1
                return

    def oldest_unsaved(self) -> "int | None":
        """Give when the oldest was taken that a power cut would cost now; None: nothing."""
        times = [entry[3] for entry in self._unwritten] + [entry[2] for entry in self._batch]
        return min(times) if times else None

    def set_schema(self, schema: bytes) -> None:
        """Remember durably that a schema is in the log."""
        self.schema = self._schema_due = schema

    # Records found again.

    def find(self, class_index: ClassIndex, ident: int) -> "LogRecord | None":
        """Find a durable record in memory, or None.

        Then it is either gone for good, which the shelf has been told, or `loading` is true: it is
        being read, and the listeners hear when it is there.
        """
        self._read_request = None
        number = ident * 4 + class_index.group
        for known, recent in self._recent:
            if known == number:
                return recent
        first = class_index.segment_of(ident)
        if first:
            group, loaded_first, records = self._loaded
            if (group, loaded_first) != (class_index.group, first):
                self._read_request = (class_index.group, first)
                return None
            for found in records:
                if found.ident <= ident <= found.last_ident:
                    return found
        class_index.drop(ident)
        return None

    @property
    def loading(self) -> bool:
        """Whether what `find` looked for last has to be read first."""
        return self._read_request is not None

    def stamp(self) -> int:
        """Give the log's own time in seconds."""
        return self._stamp_offset + self.now // SECOND

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self.now = now
        if kind == "full":
            self._out_of_space = (
                self._operation != "merged"
            )  # longer blocks are no need: nothing goes for them
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
        """Begin anew with what was under way: nobody knows how much of it was done."""
        self.failures += self._open
        self._open = False
        if self.compactor is not None and self._operation == "merged":
            self.compactor.reset()
        self._operation = ""
        if self._batch:
            self._can_append[self._batch[0][0]] = False
        if self._phase != _READY:
            self._phase = _CLOSED

    def receive(self, data: bytes, now: int) -> None:
        """Take an answer of the store."""
        self.now = now
        if self._operation == "list":
            self._on_list(str(data, "utf-8").split("\0"))
            return
        key, separator, content = data.partition(b"\0")
        if self._operation == "schema":
            self.schema = content
            return
        parsed = segment.parse_name(str(key, "utf-8"))
        if self._operation not in ("get", "merge") or parsed is None:
            return
        _, group, first = parsed
        scan = segment.scan(content, self.generation, group)
        if self._operation == "merge" and self.compactor is not None:
            # What is damaged is counted when it is sent, and stays until then.
            self.compactor.load_records([] if scan.damaged else scan.records)
        elif self._phase == _READY:
            truncated = (
                scan.tail_bytes > 0 and len(scan.records) > 0
            )  # a first record never is: see _write
            self.class_indexes[group].count_damage(first, scan.damaged - truncated)
            self._loaded = (group, first, scan.records)
            self._read_request = None
            self._notify(now)
        else:
            self._resume_class(group, first, scan, bool(separator))

    def _on_list(self, names: "list[str]") -> None:
        """Sort the segments that are there; the life is that of the most of them."""
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
            class_index.first_ids = sorted(
                [first for generation, group, first in segments if (generation, group) == key]
            )
            class_index.sizes = [self._segment_bytes] * len(class_index.first_ids)
            class_index.resume(1)
            if class_index.first_ids:
                self._newest_segments.append((class_index.group, class_index.first_ids[-1]))
        self._phase = _RESUMING

    def _resume_class(
        self, group: int, first: int, scan: segment.SegmentScan, exists: bool
    ) -> None:
        """Learn from the newest segment of a class where to go on."""
        class_index = self.class_indexes[group]
        last = max([first - 1] + [record.last_ident for record in scan.records])
        for record in scan.records:
            self._stamp_offset = max(self._stamp_offset, record.stamp)
        if scan.tail_bytes:
            # Bytes that are no record may have been one, and sent: its number is not used again.
            self.truncated += 1
            last += scan.tail_bytes // segment.MIN_RECORD_BYTES + 1
        if not exists and len(class_index.first_ids) > 1:
            class_index.first_ids.pop()
            class_index.sizes.pop()
        class_index.resume(last + 1)
        self._can_append[group] = False

    def _on_written(self) -> None:
        """Count a batch as durable."""
        group = self._batch[0][0]
        class_index = self.class_indexes[group]
        if self._starts_segment:
            if self.compactor is not None and group == BULK and class_index.first_ids:
                self.compactor.queue_segment(class_index.first_ids[-1])
            class_index.first_ids.append(self._batch[0][1].ident)
            class_index.sizes.append(0)
        class_index.sizes[-1] += self._encoded_size(self._batch)
        self._can_append[group] = True
        class_index.durable_to = self._batch[-1][1].ident + 1
        for _, record, _ in self._batch:
            self._recent.append((record.ident * 4 + group, record))
            self._recent_bytes += len(record.payload) + _OBJECT_BYTES
        while self._recent_bytes > MAX_RECENT and len(self._recent) > 1:
            self._recent_bytes -= len(self._recent.pop(0)[1].payload) + _OBJECT_BYTES
        if self._loaded[0] == group:
            self._loaded = (-1, 0, [])
        self._batch = []

    def _encoded_size(self, batch: "list[WrittenRecord]") -> int:
        return sum([len(record.payload) + segment.HEAD + 9 for _, record, _ in batch])

    def size(self) -> int:
        """Give how much flash the log takes."""
        return sum([class_index.size() for class_index in self.class_indexes])

    def _request(self, purpose: str, operation: str, data: bytes) -> None:
        self._operation = purpose
        self._out.append((operation, data))

    def advance(self, now: int) -> None:
        """Ask the store for the next thing, if it is free."""
        if not self._open or self._operation:
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
        elif self.compactor is not None and self.compactor.segment_first:
            self._compact(self.compactor, self.class_indexes[BULK])

    def _compact(self, compactor: "BlockCompactor", class_index: ClassIndex) -> None:
        """Read a full segment of the backlog, or write it anew with longer blocks."""
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
        """A segment has longer blocks now."""
        compactor, class_index = self.compactor, self.class_indexes[BULK]
        if compactor is None:
            return
        if compactor.segment_first in class_index.first_ids:
            index = class_index.first_ids.index(compactor.segment_first)
            class_index.sizes[index] = sum(
                [len(record.payload) + segment.HEAD + 9 for record in compactor.records]
            )
        if self._loaded[:2] == (BULK, compactor.segment_first):
            self._loaded = (-1, 0, [])
        compactor.reset()

    def _notify(self, now: int) -> None:
        for listener in self.listeners:
            listener(now)

    def _continue_start(self, now: int) -> None:
        """Take the next step of a start."""
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
            self.generation = bytes([seed >> shift & 255 for shift in (16, 8, 0)])
            self.schema = b""
        self._stamp_offset -= now // SECOND
        self._phase = _READY
        self.advance(now)
        self._notify(now)

    def _release_segments(self) -> None:
        """Forget the segments that the ground has."""
        for class_index in self.class_indexes:
            first = class_index.release()
            while first:
                self._deletes.append(
                    segment.segment_name(self.generation, class_index.group, first)
                )
                first = class_index.release()

    def _make_room(self, max_bytes: int, lowest_class: int) -> bool:
        """Give up the oldest segments of the lowest classes until the log has `max_bytes` bytes."""
        for group in (BULK, EVENT, LIVE, ALARM):
            while group >= lowest_class and self.size() > max_bytes:
                first = self.class_indexes[group].evict()
                if not first:
                    break
                self._deletes.append(segment.segment_name(self.generation, group, first))
        return self.size() <= max_bytes

    def _fill_batch(self) -> None:
        """Give numbers to the records that are written next: of one class, a segment at most."""
        if not self._batch and self._unwritten:
            group = min([entry[0] for entry in self._unwritten])
            class_index = self.class_indexes[group]
            remaining, size = [], 0
            for entry in self._unwritten:
                kind, payload, oldest_at = entry[1:]
                if entry[0] != group or (size and size + len(payload) > self._segment_bytes):
                    remaining.append(entry)
                    continue
                size += len(payload)
                record = LogRecord(class_index.next_id, self.stamp(), kind, payload)
                self._batch.append((group, record, oldest_at))
                class_index.next_id += 1
            self._unwritten = remaining
            self._unwritten_bytes = sum([len(entry[2]) + _OBJECT_BYTES for entry in remaining])
        if self._batch:
            self._fit_batch()

    def _fit_batch(self) -> None:
        """Make room for the batch, in its own class and below; else it is the lowest there is."""
        group = self._batch[0][0]
        if self._out_of_space:
            self._out_of_space = False
            self._make_room(max(0, self.size() - 1), group)
        if not self._make_room(self._max_bytes - self._encoded_size(self._batch), group):
            class_index = self.class_indexes[group]
            class_index.lost += len(self._batch)
            class_index.next_id = self._batch[0][1].ident
            self._batch = []

    def _write_batch(self) -> None:
        """Write the batch: behind the newest segment while that has room, else as a new one."""
        group = self._batch[0][0]
        class_index = self.class_indexes[group]
        frames = [segment.frame(self.generation, group, record) for _, record, _ in self._batch]
        fits = (
            self._can_append[group]
            and class_index.sizes[-1] + self._encoded_size(self._batch) <= self._segment_bytes
        )
        first = class_index.first_ids[-1] if fits else self._batch[0][1].ident
        self._starts_segment = not fits
        key = segment.segment_name(self.generation, group, first).encode()
        self._request("write", "append" if fits else "write", key + b"\0" + b"".join(frames))

    def outbox(self) -> "list[Operation]":
        """Hand over what the store is asked: (operation, data)."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out
