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
from agent.log.class_index import Shelf
from agent.log.segment import Record
from protocols.telemetry.message import ALARM, BULK, CLASSES, EVENT, LIVE
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.log.compactor import Merger

    Operation = tuple[str, bytes]
    Written = tuple[int, Record, int]
    """Class, record, when the oldest of what it tells of was taken."""

FRESH_BYTES = 6144
"""Bytes that may wait in memory for the flash."""
RECENT_BYTES = 2048
"""Bytes of records that are kept in memory for sending, though they are durable."""
LONGEST = 60000
_OBJECT = 48
"""Bytes that a record takes in memory beside its payload, about."""
SCHEMA_KEY = "log.schema"
_CLOSED, _LISTING, _LOOKING, _READY = 0, 1, 2, 3


class Keeper:
    """The records of one unit on one store; `where` is "SITE/UNIT", `settings` section `log`."""

    def __init__(self, where: str, settings: "dict[str, Any]") -> None:
        self.where = where
        self.life = b""
        self.shelves = [
            Shelf(ALARM, 0),
            Shelf(LIVE, settings["live_ttl_s"]),
            Shelf(EVENT, 0),
            Shelf(BULK, settings["bulk_ttl_s"]),
        ]
        self.listeners: list[Callable[[int], None]] = []
        """Called when there is more to send."""
        self.schema = b""
        """Number of the schema that was logged last."""
        self.failures = 0
        self.foreign = 0
        self.torn = 0
        self.now = 0
        self.merger: Merger | None = None
        """Makes longer blocks of the backlog, or nobody does."""
        self._limit: int = settings["bytes"]
        # One segment of each class cannot be given up: they must be a part of the whole.
        self._segment: int = min(settings["segment_bytes"], settings["bytes"] // 8)
        self._fresh: list[tuple[int, int, bytes, int]] = []
        self._fresh_size = 0
        self._batch: list[Written] = []
        self._batch_new = False
        self._append = [False] * len(CLASSES)
        self._deletes: list[str] = []
        self._schema_due = b""
        self._recent: list[tuple[int, Record]] = []
        self._recent_size = 0
        self._loaded: tuple[int, int, list[Record]] = (-1, 0, [])
        self._wanted: tuple[int, int] | None = None
        self._phase = _CLOSED
        self._open = False
        self._full = False
        self._op = ""
        self._heads: list[tuple[int, int]] = []
        self._stamp_base = 0
        self._out: list[Operation] = []

    @property
    def ready(self) -> bool:
        """Whether the log knows what is in it."""
        return self._phase == _READY

    # Records in.

    def put(
        self, group: int, kind: int, payload: bytes, now: int, since: "int | None" = None
    ) -> None:
        """Log a record of a class; `since`: when the oldest of what it tells of was taken."""
        self.now = now
        if len(payload) > LONGEST:
            self.shelves[group].lost += 1
            return
        self._fresh.append((group, kind, payload, now if since is None else since))
        self._fresh_size += len(payload) + _OBJECT
        while self._fresh_size > FRESH_BYTES and len(self._fresh) > 1:
            self._drop_fresh()
        self.pump(now)

    def _drop_fresh(self) -> None:
        """Let go of the oldest record of the lowest class that waits for the flash."""
        worst = max([entry[0] for entry in self._fresh])
        for at, (group, _, payload, _) in enumerate(self._fresh):
            if group == worst:
                self._fresh.pop(at)
                self._fresh_size -= len(payload) + _OBJECT
                self.shelves[group].lost += 1
                return

    def at_risk(self) -> "int | None":
        """Give when the oldest was taken that a power cut would cost now; None: nothing."""
        times = [entry[3] for entry in self._fresh] + [entry[2] for entry in self._batch]
        return min(times) if times else None

    def logged(self, schema: bytes) -> None:
        """Remember durably that a schema is in the log."""
        self.schema = self._schema_due = schema

    # Records found again.

    def find(self, shelf: Shelf, ident: int) -> "Record | None":
        """Find a durable record in memory, or None.

        Then it is either gone for good, which the shelf has been told, or `loading` is true: it is
        being read, and the listeners hear when it is there.
        """
        self._wanted = None
        number = ident * 4 + shelf.group
        for known, recent in self._recent:
            if known == number:
                return recent
        first = shelf.segment_of(ident)
        if first:
            group, loaded, records = self._loaded
            if (group, loaded) != (shelf.group, first):
                self._wanted = (shelf.group, first)
                return None
            for found in records:
                if found.ident <= ident <= found.last:
                    return found
        shelf.give_up(ident)
        return None

    @property
    def loading(self) -> bool:
        """Whether what `find` looked for last has to be read first."""
        return self._wanted is not None

    def stamp(self) -> int:
        """Give the log's own time in seconds."""
        return self._stamp_base + self.now // SECOND

    # The store.

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self.now = now
        if kind == "full":
            self._full = self._op != "merged"  # longer blocks are no need: nothing goes for them
        elif kind == "drained":
            op, self._op = self._op, ""
            if op == "write":
                self._written()
                self.pump(now)
                self._call(now)
            elif op == "merged":
                self._replaced()
        elif kind == "opened":
            self._open = True
            self._op = ""
        else:
            self._failed()
        self.pump(now)

    def _failed(self) -> None:
        """Begin anew with what was under way: nobody knows how much of it was done."""
        self.failures += self._open
        self._open = False
        if self.merger is not None and self._op == "merged":
            self.merger.drop()
        self._op = ""
        if self._batch:
            self._append[self._batch[0][0]] = False
        if self._phase != _READY:
            self._phase = _CLOSED

    def receive(self, data: bytes, now: int) -> None:
        """Take an answer of the store."""
        self.now = now
        if self._op == "list":
            self._listed(str(data, "utf-8").split("\0"))
            return
        key, found, content = data.partition(b"\0")
        if self._op == "schema":
            self.schema = content
            return
        parsed = segment.parse_name(str(key, "utf-8"))
        if self._op not in ("get", "merge") or parsed is None:
            return
        _, group, first = parsed
        scan = segment.scan(content, self.life, group)
        if self._op == "merge" and self.merger is not None:
            # What is damaged is counted when it is sent, and stays until then.
            self.merger.take([] if scan.damaged else scan.records)
        elif self._phase == _READY:
            torn = scan.tail > 0 and len(scan.records) > 0  # a first record never is: see _write
            self.shelves[group].count_damage(first, scan.damaged - torn)
            self._loaded = (group, first, scan.records)
            self._wanted = None
            self._call(now)
        else:
            self._head(group, first, scan, bool(found))

    def _listed(self, names: "list[str]") -> None:
        """Sort the segments that are there; the life is that of the most of them."""
        segments = [found for found in [segment.parse_name(each) for each in names] if found]
        lives = [life for life, _, _ in segments]
        self.life = b""
        for life in lives:
            if not self.life or lives.count(life) > lives.count(self.life):
                self.life = life
        self.foreign = len(lives) - lives.count(self.life)
        self._heads = []
        for shelf in self.shelves:
            mine = (self.life, shelf.group)
            shelf.firsts = sorted(
                [first for life, group, first in segments if (life, group) == mine]
            )
            shelf.sizes = [self._segment] * len(shelf.firsts)
            shelf.resume(1)
            if shelf.firsts:
                self._heads.append((shelf.group, shelf.firsts[-1]))
        self._phase = _LOOKING

    def _head(self, group: int, first: int, scan: segment.Found, there: bool) -> None:
        """Learn from the newest segment of a class where to go on."""
        shelf = self.shelves[group]
        last = max([first - 1] + [record.last for record in scan.records])
        for record in scan.records:
            self._stamp_base = max(self._stamp_base, record.stamp)
        if scan.tail:
            # Bytes that are no record may have been one, and sent: its number is not used again.
            self.torn += 1
            last += scan.tail // segment.LEAST + 1
        if not there and len(shelf.firsts) > 1:
            shelf.firsts.pop()
            shelf.sizes.pop()
        shelf.resume(last + 1)
        self._append[group] = False

    def _written(self) -> None:
        """Count a batch as durable."""
        group = self._batch[0][0]
        shelf = self.shelves[group]
        if self._batch_new:
            if self.merger is not None and group == BULK and shelf.firsts:
                self.merger.full(shelf.firsts[-1])
            shelf.firsts.append(self._batch[0][1].ident)
            shelf.sizes.append(0)
        shelf.sizes[-1] += self._size(self._batch)
        self._append[group] = True
        shelf.durable_to = self._batch[-1][1].ident + 1
        for _, record, _ in self._batch:
            self._recent.append((record.ident * 4 + group, record))
            self._recent_size += len(record.payload) + _OBJECT
        while self._recent_size > RECENT_BYTES and len(self._recent) > 1:
            self._recent_size -= len(self._recent.pop(0)[1].payload) + _OBJECT
        if self._loaded[0] == group:
            self._loaded = (-1, 0, [])
        self._batch = []

    def _size(self, batch: "list[Written]") -> int:
        return sum([len(record.payload) + segment.HEAD + 9 for _, record, _ in batch])

    def size(self) -> int:
        """Give how much flash the log takes."""
        return sum([shelf.size() for shelf in self.shelves])

    def _ask(self, name: str, op: str, data: bytes) -> None:
        self._op = name
        self._out.append((op, data))

    def pump(self, now: int) -> None:
        """Ask the store for the next thing, if it is free."""
        if not self._open or self._op:
            return
        if self._phase != _READY:
            self._look(now)
            return
        self._let_go()
        if not self._deletes:
            self._gather()
        if self._deletes:
            self._ask("delete", "delete", self._deletes.pop(0).encode())
        elif self._batch:
            self._write()
        elif self._wanted is not None:
            group, first = self._wanted
            self._ask("get", "get", segment.name(self.life, group, first).encode())
        elif self._schema_due:
            self._ask("logged", "write", SCHEMA_KEY.encode() + b"\0" + self._schema_due)
            self._schema_due = b""
        elif self.merger is not None and self.merger.first:
            self._merge(self.merger, self.shelves[BULK])

    def _merge(self, merger: "Merger", shelf: Shelf) -> None:
        """Read a full segment of the backlog, or write it anew with longer blocks."""
        first = merger.first
        if first not in shelf.firsts or shelf.sent_to > first:
            merger.drop()
        elif merger.records:
            key = segment.name(self.life, BULK, first).encode()
            frames = [segment.frame(self.life, BULK, record) for record in merger.records]
            self._ask("merged", "write", key + b"\0" + b"".join(frames))
        elif not merger.busy():
            self._ask("merge", "get", segment.name(self.life, BULK, first).encode())

    def _replaced(self) -> None:
        """A segment has longer blocks now."""
        merger, shelf = self.merger, self.shelves[BULK]
        if merger is None:
            return
        if merger.first in shelf.firsts:
            at = shelf.firsts.index(merger.first)
            shelf.sizes[at] = sum(
                [len(record.payload) + segment.HEAD + 9 for record in merger.records]
            )
        if self._loaded[:2] == (BULK, merger.first):
            self._loaded = (-1, 0, [])
        merger.drop()

    def _call(self, now: int) -> None:
        for listener in self.listeners:
            listener(now)

    def _look(self, now: int) -> None:
        """Take the next step of a start."""
        if self._phase == _CLOSED:
            self._phase = _LISTING
            self._ask("list", "list", b"")
        elif self._heads:
            group, first = self._heads.pop(0)
            self._ask("get", "get", segment.name(self.life, group, first).encode())
        elif self._phase == _LOOKING:
            self._phase = _LISTING
            self._ask("schema", "get", SCHEMA_KEY.encode())
        else:
            self._begin(now)

    def _begin(self, now: int) -> None:
        if not self.life:
            seed = crc32(b"%s %d" % (self.where.encode(), now))
            self.life = bytes([seed >> shift & 255 for shift in (16, 8, 0)])
            self.schema = b""
        self._stamp_base -= now // SECOND
        self._phase = _READY
        self.pump(now)
        self._call(now)

    def _let_go(self) -> None:
        """Forget the segments that the ground has."""
        for shelf in self.shelves:
            first = shelf.done()
            while first:
                self._deletes.append(segment.name(self.life, shelf.group, first))
                first = shelf.done()

    def _make_room(self, most: int, least_class: int) -> bool:
        """Give up the oldest segments of the lowest classes until the log has `most` bytes."""
        for group in (BULK, EVENT, LIVE, ALARM):
            while group >= least_class and self.size() > most:
                first = self.shelves[group].evict()
                if not first:
                    break
                self._deletes.append(segment.name(self.life, group, first))
        return self.size() <= most

    def _gather(self) -> None:
        """Give numbers to the records that are written next: of one class, a segment at most."""
        if not self._batch and self._fresh:
            group = min([entry[0] for entry in self._fresh])
            shelf = self.shelves[group]
            rest, size = [], 0
            for entry in self._fresh:
                kind, payload, since = entry[1:]
                if entry[0] != group or (size and size + len(payload) > self._segment):
                    rest.append(entry)
                    continue
                size += len(payload)
                record = Record(shelf.next_id, self.stamp(), kind, payload)
                self._batch.append((group, record, since))
                shelf.next_id += 1
            self._fresh = rest
            self._fresh_size = sum([len(entry[2]) + _OBJECT for entry in rest])
        if self._batch:
            self._fit()

    def _fit(self) -> None:
        """Make room for the batch, in its own class and below; else it is the lowest there is."""
        group = self._batch[0][0]
        if self._full:
            self._full = False
            self._make_room(max(0, self.size() - 1), group)
        if not self._make_room(self._limit - self._size(self._batch), group):
            shelf = self.shelves[group]
            shelf.lost += len(self._batch)
            shelf.next_id = self._batch[0][1].ident
            self._batch = []

    def _write(self) -> None:
        """Write the batch: behind the newest segment while that has room, else as a new one."""
        group = self._batch[0][0]
        shelf = self.shelves[group]
        frames = [segment.frame(self.life, group, record) for _, record, _ in self._batch]
        room = self._append[group] and shelf.sizes[-1] + self._size(self._batch) <= self._segment
        first = shelf.firsts[-1] if room else self._batch[0][1].ident
        self._batch_new = not room
        key = segment.name(self.life, group, first).encode()
        self._ask("write", "append" if room else "write", key + b"\0" + b"".join(frames))

    def outbox(self) -> "list[Operation]":
        """Hand over what the store is asked: (operation, data)."""
        if not self._out:
            return []
        out, self._out = self._out, []
        return out
