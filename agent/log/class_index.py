"""One class of the log: which ids there are, in which segments, what was sent, what the ground has.

Not the flash and not the bytes: the log (`agent.log.component`) reads and writes, a shelf keeps
count.

    1 … acked_to … sent_to … durable_to … next_id
        the ground has all below acked_to (and the ranges in `acked_ranges`); a carrier has had what
        is
        below sent_to; what is below durable_to survives a power cut; next_id is given next

Only the first id of each segment is held in memory, eight bytes a segment at most.
"""

MAX_RANGES = 64
"""Ranges of acknowledged ids that are remembered beyond the first gap; more are sent again."""


class ClassIndex:
    """The count of one class; `ttl_s` is how long a record is worth sending, 0: for ever."""

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

    def resume(self, next_id: int) -> None:
        """Begin after a start: all that is there may have been sent, nothing counts as had."""
        self.next_id = self.durable_to = self.max_sent_to = next_id
        self.acked_to = self.sent_to = self.first_ids[0] if self.first_ids else next_id

    def count_damage(self, first: int, places: int) -> None:
        """Count the damaged places of a segment, once."""
        if first >= self._damage_checked_to:
            self._damage_checked_to = first + 1
            self.damaged += places

    def size(self) -> int:
        """Give how much flash the class takes."""
        return sum(self.sizes)

    def unacked_count(self) -> int:
        """Count the records that the ground does not have."""
        acked_beyond_gap = sum([last - first + 1 for first, last in self.acked_ranges])
        return self.next_id - self.acked_to - acked_beyond_gap

    def is_acked(self, ident: int) -> bool:
        """Tell whether the ground has a record."""
        if ident < self.acked_to:
            return True
        return any(first <= ident <= last for first, last in self.acked_ranges)

    def next_to_send(self) -> int:
        """Give the next id to send, 0 when there is none."""
        if self.sent_to < self.acked_to:
            self.sent_to = self.acked_to
        while self.sent_to < self.durable_to and self.is_acked(self.sent_to):
            self.sent_to += 1
        return self.sent_to if self.sent_to < self.durable_to else 0

    def mark_sent(self, ident: int) -> None:
        """Note that a carrier has taken a record."""
        self.sent_to = ident + 1
        self.max_sent_to = max(self.max_sent_to, self.sent_to)

    def rewind_unacked(self) -> int:
        """Send again what the ground has not said it has; count how many records that may be."""
        count = self.sent_to - max(self.acked_to, 1)
        self.sent_to = self.acked_to
        return count

    def ack(self, first: int, last: int) -> int:
        """Take that the ground has first to last; count what is new, -1: it was never sent."""
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
        """Join ranges that touch, and let acked_to run over them."""
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
        """Let go of a record that cannot be sent any more (expired, damaged)."""
        self.sent_to = max(self.sent_to, ident + 1)
        self.max_sent_to = max(self.max_sent_to, ident + 1)
        self.ack(ident, ident)

    def segment_of(self, ident: int) -> int:
        """Give the first id of the segment that holds a record, 0 when there is none."""
        segment_first = 0
        for first in self.first_ids:
            if first > ident:
                break
            segment_first = first
        return segment_first

    def end_of(self, first: int) -> int:
        """Give the first id behind a segment."""
        index = self.first_ids.index(first)
        return self.first_ids[index + 1] if index + 1 < len(self.first_ids) else self.durable_to

    def release(self) -> int:
        """Take the oldest segment off when the ground has all of it; 0 when there is none.

        The newest stays: it keeps the ids from beginning anew.
        """
        if len(self.first_ids) < 2 or self.first_ids[1] > self.acked_to:
            return 0
        self.sizes.pop(0)
        return self.first_ids.pop(0)

    def evict(self) -> int:
        """Give up the oldest segment to make room; its first id, 0 when there is none to spare."""
        if len(self.first_ids) < 2:
            return 0
        first, end = self.first_ids.pop(0), self.first_ids[0]
        self.sizes.pop(0)
        unacked_before = self.unacked_count()
        self.max_sent_to = max(self.max_sent_to, end)
        self.ack(min(first, self.acked_to), end - 1)
        self.lost += unacked_before - self.unacked_count()
        return first
