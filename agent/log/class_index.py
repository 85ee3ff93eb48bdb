# SPDX-License-Identifier: Apache-2.0
"""Index of one class of the log: its ids and segments, the sent and the acknowledged records.

Does not access the flash and does not hold records; see `agent.log.record_store`.

    1 … acked_to … sent_to … durable_to … next_id

The ground relay has all records below `acked_to`, and those in `acked_ranges`. A carrier has
accepted the records below `sent_to`. The records below `durable_to` survive a power cut. `next_id`
is the next free id.

The index holds only the first id and the size of each segment.
"""

MAX_RANGES = 64
"""Ranges of acknowledged ids beyond the first gap that are stored. Records of further ranges are
sent again."""


class ClassIndex:
    """Ids and counters of one class. `ttl_s`: largest age of a record to send, 0: no limit."""

    def __init__(self, group: int, ttl_s: int) -> None:
        self.group = group
        self.ttl_s = ttl_s
        self.first_ids: list[int] = []
        self.sizes: list[int] = []
        self.next_id = 1
        self.durable_to = 1
        self.sent_to = 1
        self.max_sent_to = 1
        self.acked_to = 1
        self.acked_ranges: list[tuple[int, int]] = []
        self._damage_checked_to = 0
        self.lost = 0
        self.expired = 0
        self.damaged = 0

    def load(self, first_ids: "list[int]", segment_bytes: int) -> None:
        """Take the segments that a start found; each counts as `segment_bytes` long."""
        self.first_ids = sorted(first_ids)
        self.sizes = [segment_bytes] * len(first_ids)
        self.resume(1)

    def resume(self, next_id: int) -> None:
        """Continue after a start. Every stored record may have been sent; none counts as
        acknowledged.
        """
        self.next_id = self.durable_to = self.max_sent_to = next_id
        self.acked_to = self.sent_to = self.first_ids[0] if self.first_ids else next_id

    def forget_newest(self) -> None:
        """Remove the newest segment, which is not in the store, unless it is the only one."""
        if len(self.first_ids) > 1:
            self.first_ids.pop()
            self.sizes.pop()

    def take_id(self) -> int:
        """Return the id of a new record."""
        self.next_id += 1
        return self.next_id - 1

    def lose_batch(self, first: int) -> None:
        """Count the new records from `first` as lost; their ids are used again."""
        self.lost += self.next_id - first
        self.next_id = first

    def lose(self) -> None:
        """Count a record as lost before it had an id."""
        self.lost += 1

    def expire(self, ident: int) -> None:
        """Drop a record that is too old to send."""
        self.expired += 1
        self.drop(ident)

    def start_segment(self, first: int) -> None:
        """Add an empty segment."""
        self.first_ids.append(first)
        self.sizes.append(0)

    def mark_durable(self, end: int, size: int) -> None:
        """Count `size` more bytes in the newest segment; the records below `end` are durable."""
        self.sizes[-1] += size
        self.durable_to = end

    def resize(self, first: int, size: int) -> None:
        """Set the size of a segment that was replaced, if it still exists."""
        if first in self.first_ids:
            self.sizes[self.first_ids.index(first)] = size

    def count_damage(self, first: int, places: int) -> None:
        """Count the damaged places of a segment, once."""
        if first >= self._damage_checked_to:
            self._damage_checked_to = first + 1
            self.damaged += places

    def size(self) -> int:
        """Return the size of the class on flash in bytes."""
        return sum(self.sizes)

    def unacked_count(self) -> int:
        """Return the number of records without an acknowledgement."""
        acked_beyond_gap = sum([last - first + 1 for first, last in self.acked_ranges])
        return self.next_id - self.acked_to - acked_beyond_gap

    def is_acked(self, ident: int) -> bool:
        """Return whether the ground relay has acknowledged a record."""
        if ident < self.acked_to:
            return True
        return any(first <= ident <= last for first, last in self.acked_ranges)

    def next_to_send(self) -> int:
        """Return the next id to send. 0: none."""
        if self.sent_to < self.acked_to:
            self.sent_to = self.acked_to
        while self.sent_to < self.durable_to and self.is_acked(self.sent_to):
            self.sent_to += 1
        return self.sent_to if self.sent_to < self.durable_to else 0

    def mark_sent(self, ident: int) -> None:
        """Mark a record as accepted by a carrier."""
        self.sent_to = ident + 1
        self.max_sent_to = max(self.max_sent_to, self.sent_to)

    def rewind_unacked(self) -> int:
        """Send all records without an acknowledgement again. Return how many were sent before, at
        most.
        """
        count = self.sent_to - max(self.acked_to, 1)
        self.sent_to = self.acked_to
        return count

    def ack(self, first: int, last: int) -> int:
        """Mark `first` to `last` as acknowledged. Return the number of new ones, -1 if one was
        never sent.
        """
        if last >= self.max_sent_to:
            return -1
        unacked_before = self.unacked_count()
        if first <= self.acked_to:
            self.acked_to = max(self.acked_to, last + 1)
        elif len(self.acked_ranges) < MAX_RANGES:
            self.acked_ranges.append((first, last))
        self._merge_ranges()
        return unacked_before - self.unacked_count()

    def _merge_ranges(self) -> None:
        """Join adjacent ranges and advance `acked_to` over them."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(self.acked_ranges):
            if first <= self.acked_to:
                self.acked_to = max(self.acked_to, last + 1)
            elif merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self.acked_ranges = merged

    def drop(self, ident: int) -> None:
        """Drop a record that cannot be sent any more (expired or damaged)."""
        self.sent_to = max(self.sent_to, ident + 1)
        self.max_sent_to = max(self.max_sent_to, ident + 1)
        self.ack(ident, ident)

    def segment_of(self, ident: int) -> int:
        """Return the first id of the segment that holds a record. 0: none."""
        segment_first = 0
        for first in self.first_ids:
            if first > ident:
                break
            segment_first = first
        return segment_first

    def end_of(self, first: int) -> int:
        """Return the first id after a segment."""
        index = self.first_ids.index(first)
        return self.first_ids[index + 1] if index + 1 < len(self.first_ids) else self.durable_to

    def release(self) -> int:
        """Remove the oldest segment if all its records are acknowledged. Return its first id, 0 if
        none.

        The newest segment stays, so that ids continue after a start.
        """
        if len(self.first_ids) < 2 or self.first_ids[1] > self.acked_to:
            return 0
        self.sizes.pop(0)
        return self.first_ids.pop(0)

    def evict(self) -> int:
        """Remove the oldest segment to make room. Return its first id, 0 if only one is left."""
        if len(self.first_ids) < 2:
            return 0
        first, end = self.first_ids.pop(0), self.first_ids[0]
        self.sizes.pop(0)
        unacked_before = self.unacked_count()
        self.max_sent_to = max(self.max_sent_to, end)
        self.ack(min(first, self.acked_to), end - 1)
        self.lost += unacked_before - self.unacked_count()
        return first
