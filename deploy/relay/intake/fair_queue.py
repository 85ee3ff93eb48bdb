# SPDX-License-Identifier: Apache-2.0
"""Fair queue: messages that wait for the next transaction, in turn by unit.

Not durable: the broker keeps a message until it is stored. A unit that sends faster than the relay
stores has its own queue with a limit; what is beyond is discarded, so that its messages do not fill
the window of the broker. A batch takes a message of each unit in turn, and few of one unit. So a
message of another unit waits for one short batch.
"""

import threading
from collections import OrderedDict, deque
from typing import Generic, TypeVar

MOST_OF_A_UNIT = 500
_MOST_BYTES_OF_A_UNIT = 8 << 20
_MOST_BYTES = 64 << 20
"""Of all units; then the reception waits, as with too many messages."""
_OF_A_UNIT_IN_A_BATCH = 4
_BATCH = 200
"""Messages in one transaction."""
_Item = TypeVar("_Item")


class FairQueue(Generic[_Item]):
    """Queue of (unit, message, item); `limit`: messages of all units."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = self._size = 0
        self._by_unit: OrderedDict[str, deque[tuple[str, bytes, _Item]]] = OrderedDict()
        self._bytes: dict[str, int] = {}
        self._changed = threading.Condition()
        self._is_closed = False

    def close(self) -> None:
        """End all waits of `put`: the relay ends, and the broker keeps their messages."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def put(self, unit: str, message: bytes, item: _Item, timeout_s: float | None = None) -> bool:
        """Add a message; wait while the queue is full. False: the unit has too many, or no room."""
        with self._changed:
            waiting = self._by_unit.get(unit, ())
            size = self._bytes.get(unit, 0) + len(message)
            if len(waiting) >= MOST_OF_A_UNIT or size > _MOST_BYTES_OF_A_UNIT:
                return False
            if not self._changed.wait_for(self._has_room, timeout_s):
                return False
            if self._is_closed:
                return True  # not stored, so it has no acknowledgement
            self._by_unit.setdefault(unit, deque()).append((unit, message, item))
            self._bytes[unit] = self._bytes.get(unit, 0) + len(message)
            self._count += 1
            self._size += len(message)
            self._changed.notify_all()
            return True

    def _has_room(self) -> bool:
        return self._is_closed or (self._count < self._limit and self._size < _MOST_BYTES)

    def is_empty(self) -> bool:
        """Return whether no message waits."""
        with self._changed:
            return self._count == 0

    def take(self, timeout_s: float) -> list[tuple[str, bytes, _Item]]:
        """Return the next batch, in turn by unit; [] if there is no message for `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._count > 0, timeout_s)
            batch: list[tuple[str, bytes, _Item]] = []
            for _ in range(_OF_A_UNIT_IN_A_BATCH):
                units = list(self._by_unit)[: _BATCH - len(batch)]
                batch.extend([self._pop(unit) for unit in units])
            self._changed.notify_all()
            return batch

    def _pop(self, unit: str) -> tuple[str, bytes, _Item]:
        """Remove the first message of a unit; the unit is the last in turn then."""
        waiting = self._by_unit[unit]
        first = waiting.popleft()
        self._count -= 1
        self._size -= len(first[1])
        if waiting:
            self._by_unit.move_to_end(unit)
            self._bytes[unit] -= len(first[1])
        else:
            del self._by_unit[unit], self._bytes[unit]
        return first
