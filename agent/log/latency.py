# SPDX-License-Identifier: Apache-2.0
"""Time from a record of the log to the receipt of the ground relay, as a histogram.

By carrier (MQTT or datagrams) and class. A bucket doubles the one before: below 1, 2, 4 s and so
on up to 36 h. The carrier of a record is that of its last transmission. At most `_PENDING` records
of a class are followed at a time, so a backlog is sampled. Counts from the start of the agent.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    Counts = list[int]

CARRIERS = ("mqtt", "datagram")
BUCKETS = 18
_PENDING = 12


class LatencyHistogram:
    """The histogram. Stamps are seconds of the log."""

    def __init__(self, classes: int) -> None:
        self._pending: list[list[tuple[int, int, int]]] = [[] for _ in range(classes)]
        self._counts: list[Counts | None] = [None] * (classes * len(CARRIERS))

    def sent(self, group: int, ident: int, stamp: int, carrier: int) -> None:
        """Note that the record `ident`, logged at `stamp`, leaves."""
        pending = self._pending[group]
        for i, entry in enumerate(pending):
            if entry[0] == ident:
                pending[i] = ident, stamp, carrier
                return
        if len(pending) < _PENDING:
            pending.append((ident, stamp, carrier))

    def acknowledged(self, group: int, first: int, last: int, stamp: int, done_to: int) -> None:
        """Count the records `first` to `last`, whose receipt came at `stamp`.

        Others below `done_to` get none any more: they have expired, or the log had no room. They
        would else take the places of later records for ever.
        """
        kept = []
        for entry in self._pending[group]:
            if not first <= entry[0] <= last:
                if entry[0] >= done_to:
                    kept.append(entry)
                continue
            index = group * len(CARRIERS) + entry[2]
            counts = self._counts[index] = self._counts[index] or [0] * BUCKETS
            counts[bucket_of(stamp - entry[1])] += 1
        self._pending[group] = kept

    def rows(self) -> "list[tuple[int, str, Counts]]":
        """Return class, carrier and counts of each that has counts."""
        result = []
        for index, counts in enumerate(self._counts):
            if counts is not None:
                group, carrier = divmod(index, len(CARRIERS))
                result.append((group, CARRIERS[carrier], counts))
        return result


def bucket_of(seconds: int) -> int:
    """Return the bucket of a latency: 0 below 1 s, 1 below 2 s, 2 below 4 s, …"""
    bucket = 0
    while seconds > 0 and bucket < BUCKETS - 1:
        seconds >>= 1
        bucket += 1
    return bucket
