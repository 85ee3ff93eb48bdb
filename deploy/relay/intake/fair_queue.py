# SPDX-License-Identifier: Apache-2.0
"""Fair queue: messages that wait for the next transaction, in turn by unit.

Not durable: the broker keeps a message until it is stored. A unit that sends faster than the relay
stores has its own queue with a limit; what is beyond is discarded, so that its messages do not fill
the window of the broker. A batch takes a message of each unit in turn, and few of one unit. So a
message of another unit waits for one short batch.

New units have a lane of their own, in turn by site: a program that invents names would be many
units otherwise. Few of their messages are in a batch, after those of known units, and the next ones
follow when the outputs have these. So a message of another unit waits for few of them.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

MOST_OF_A_UNIT = 500
_MOST_BYTES_OF_A_UNIT = 8 << 20
_MOST_BYTES = 64 << 20
"""Of all units; then the reception waits, as with too many messages."""
_OF_A_UNIT_IN_A_BATCH = 4
_BATCH = 200
"""Messages in one transaction."""
NEW_IN_A_BATCH = 16
"""Messages of new units; the embedded store needs about 0.1 s for them."""
_NEW_GAP_S = 0.25
"""After this time further ones follow, also if the outputs do not have these."""
_NEW_SHARE = 0.8
"""Of the queue, for new units; a site has half of that."""
_Item = TypeVar("_Item")
_Place = tuple[str, bytes, _Item]


class _Lane(Generic[_Item]):
    """Messages by unit or site; `take` is in turn."""

    def __init__(self) -> None:
        self.count = self.size = 0
        self._by_key: OrderedDict[str, deque[_Place[_Item]]] = OrderedDict()

    def count_of(self, key: str) -> int:
        return len(self._by_key.get(key, ()))

    def add(self, key: str, place: _Place[_Item]) -> None:
        self._by_key.setdefault(key, deque()).append(place)
        self.count += 1
        self.size += len(place[1])

    def take(self, most: int) -> list[_Place[_Item]]:
        """Return a message of each key at most; a key that was in turn is the last one then."""
        return [self._pop(key) for key in list(self._by_key)[:most]]

    def _pop(self, key: str) -> _Place[_Item]:
        waiting = self._by_key[key]
        first = waiting.popleft()
        self.count -= 1
        self.size -= len(first[1])
        if waiting:
            self._by_key.move_to_end(key)
        else:
            del self._by_key[key]
        return first


class FairQueue(Generic[_Item]):
    """Queue of (unit, message, item); `limit`: messages of all units. `clock`: monotonic, s."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._known: _Lane[_Item] = _Lane()
        self._new: _Lane[_Item] = _Lane()
        self._waiting: dict[str, tuple[int, int]] = {}
        self._new_at = -_NEW_GAP_S
        self._changed = threading.Condition()
        self._is_closed = False

    def close(self) -> None:
        """End all waits of `put`: the relay ends, and the broker keeps their messages."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def put(
        self,
        unit: str,
        message: bytes,
        item: _Item,
        timeout_s: float | None = None,
        is_new: bool = False,
    ) -> bool:
        """Add a message; wait while the queue is full. False: the unit has too many, or no room."""
        with self._changed:
            count, size = self._waiting.get(unit, (0, 0))
            size += len(message)
            if count >= MOST_OF_A_UNIT or size > _MOST_BYTES_OF_A_UNIT:
                return False
            if is_new and not self._has_room_for_new(unit):
                return False
            if not self._changed.wait_for(self._has_room, timeout_s):
                return False
            if self._is_closed:
                return True  # not stored, so it has no acknowledgement
            lane = self._new if is_new else self._known
            lane.add(_site(unit) if is_new else unit, (unit, message, item))
            count, size = self._waiting.get(unit, (0, 0))
            self._waiting[unit] = (count + 1, size + len(message))
            self._changed.notify_all()
            return True

    def _has_room(self) -> bool:
        count = self._known.count + self._new.count
        size = self._known.size + self._new.size
        return self._is_closed or (count < self._limit and size < _MOST_BYTES)

    def _has_room_for_new(self, unit: str) -> bool:
        most = _NEW_SHARE * self._limit
        is_free = self._new.count < most and self._new.size < _NEW_SHARE * _MOST_BYTES
        return is_free and self._new.count_of(_site(unit)) < most / 2

    def is_empty(self) -> bool:
        """Return whether no message waits."""
        with self._changed:
            return not self._known.count and not self._new.count

    def take(self, timeout_s: float, outputs_wait: bool = True) -> list[_Place[_Item]]:
        """Return the next batch, in turn by unit; [] if there is no message for `timeout_s`.

        `outputs_wait`: the outputs have all that was taken before.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._most(outputs_wait) > 0, timeout_s)
            most_new = min(self._new.count, self._most_new(outputs_wait))
            batch: list[_Place[_Item]] = []
            for _ in range(_OF_A_UNIT_IN_A_BATCH):
                batch.extend(self._known.take(_BATCH - len(batch)))
            while most_new > 0 and len(batch) < _BATCH and self._new.count:
                found = self._new.take(min(most_new, _BATCH - len(batch)))
                most_new -= len(found)
                batch.extend(found)
                self._new_at = self._clock()
            for unit, message, _ in batch:
                self._forget(unit, len(message))
            self._changed.notify_all()
            return batch

    def _most(self, outputs_wait: bool) -> int:
        return self._known.count + min(self._new.count, self._most_new(outputs_wait))

    def _most_new(self, outputs_wait: bool) -> int:
        """Return how many messages of new units the next batch can have."""
        is_due = outputs_wait or self._clock() - self._new_at >= _NEW_GAP_S
        return NEW_IN_A_BATCH if is_due else 0

    def _forget(self, unit: str, size: int) -> None:
        count, waiting = self._waiting[unit]
        if count > 1:
            self._waiting[unit] = (count - 1, waiting - size)
        else:
            del self._waiting[unit]


def _site(unit: str) -> str:
    return unit.partition("/")[0]
