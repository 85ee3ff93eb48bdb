# SPDX-License-Identifier: Apache-2.0
"""Groups the sentences of one fix, as bytes.

Receivers send them in any order. The time is in the first sentence, the last, or both, and most
sentences have none. The grouping rule:

- sentences with the same time of day belong together, with the sentences without time in between;
- a new time of day starts the next group, and so does a pause of 0.1 s;
- a repeated GSV set (same talker, same signal, part 1) starts the next group, for receivers that
  send GSV before the first time. The next time confirms this split or reverts it.

A group keeps the sentences as received; `drivers.gnss.epoch` decodes them on demand. Does not time
single bytes (see `drivers.gnss.receiver`) and does not read fields other than the time.
"""

from protocols.errors import DecodeError
from protocols.nmea.fields import parse_time_of_day
from protocols.time_units import MILLISECOND, SECOND

IDLE_US = 100 * MILLISECOND
"""A pause of this length ends a group."""

_MAX_BYTES = 8192
_MAX_KEYS = 32
_SATURATED_PERMILLE = 1000
_OVERLOAD_PERMILLE = 900
_OVERLOAD_GROUPS = 3
_DAY_US = 86_400 * SECOND
_OVERHEAD = 6  # `$`, `*`, two digits, line end

TIME_FIELD = {b"RMC,": 1, b"GGA,": 1, b"ZDA,": 1, b"GNS,": 1, b"GST,": 1, b"GBS,": 1, b"GLL,": 5}
"""Field index of the time, by kind."""


class SentenceGroup:
    """The sentences of one fix.

    bodies      as framed, in order
    time_us     their time of day, None if no sentence has one
    mono_us     monotonic time of this instant: arrival of the first sentence with a time, minus the
                receiver's latency; without a time, arrival of the first sentence
    byte_count  bytes on the line
    occupancy_permille   time of the group on the line, relative to the time between two fixes; None
    if
                unknown
    line_saturated   the line is full, or at least 90 % full and without a pause for three groups
    timing_valid   arrival times have a meaning (a port, not a file)
    error_count    sentences lost to line errors since the last group
    overflow_count   sentences above the limit of 8 KiB
    """

    __slots__ = (
        "bodies",
        "byte_count",
        "error_count",
        "line_saturated",
        "mono_us",
        "occupancy_permille",
        "overflow_count",
        "time_us",
        "timing_valid",
    )

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.time_us: int | None = None
        self.mono_us = 0
        self.byte_count = 0
        self.occupancy_permille: int | None = None
        self.line_saturated = False
        self.timing_valid = False
        self.error_count = 0
        self.overflow_count = 0


def gsv_set_key(body: bytes) -> "bytes | None":
    """Return the key of a GSV set from its first part: talker and trailing ids; else None."""
    if body[8:10] != b"1," and body[6:12].split(b",")[1:2] not in ([b"01"], [b"1"]):
        return None
    extra = (body.count(b",") - 3) % 4
    if not extra:
        return body[:2]
    return body[:2] + b",".join(body.rsplit(b",", extra)[1:])


class SentenceGrouper:
    """Groups sentences; returns closed groups, at most the newest `max_groups`.

    `line_rate`: (bits of a character times 1e6, baud) if arrival times have a meaning; None for a
    file.
    """

    def __init__(self, max_groups: int = 1, line_rate: "tuple[int, int] | None" = None) -> None:
        self.dropped_groups = 0
        self._max_groups = max_groups
        self._line_rate = line_rate
        self._closed_groups: list[SentenceGroup] = []
        self._group = SentenceGroup()
        self._split_index = -1  # possible start of the next group
        self._split_mono_us = 0
        self._group_keys: set[bytes] = set()
        self._last_time_us: int | None = None
        self._has_paused = True
        self._overload_count = 0
        self.line_overloaded = False
        """The line has no pause and more data than it can carry: sentences arrive late."""
        self._last_arrival = 0

    def check_idle(self, now: int) -> None:
        """Close the group if the line has been idle since the last byte."""
        if (
            self._line_rate is not None
            and now - self._last_arrival >= IDLE_US
            and self._group.bodies
        ):
            self.close()
            self._has_paused = True

    def mark_arrival(self, first: int, last: int) -> None:
        """Record the arrival of the first and the last byte of a chunk, before its sentences."""
        if first - self._last_arrival >= IDLE_US:
            self.check_idle(first)
        self._last_arrival = last

    def count_error(self) -> None:
        """Count a sentence that was lost to line errors."""
        self._group.error_count += 1

    def add_timed(self, body: bytes, time_us: "int | None", mono_us: int) -> None:
        """Add a sentence of a kind with a time; `time_us` is None if its field is empty."""
        group = self._group
        if time_us is None:
            self._mark_split(body[:5], mono_us)
        elif group.time_us is None:
            if self._split_index >= 0:
                self._split_group()
            if body[:5] in self._group_keys:  # repeated: the earlier one had no time yet
                self._close_group()
            self._group.time_us = time_us
            self._group.mono_us = mono_us
        elif time_us == group.time_us:
            self._split_index = -1
        else:
            if self._split_index >= 0:
                self._split_group()
            else:
                self._close_group()
            self._group.time_us = time_us
            self._group.mono_us = mono_us
        self.add(body, mono_us)

    def check_gsv_set(self, body: bytes, mono_us: int) -> None:
        """Mark a possible split if a GSV repeats a set; call this before adding the GSV."""
        key = gsv_set_key(body)
        if key is not None:
            self._mark_split(key, mono_us)

    def add_other(self, body: bytes, mono_us: int) -> None:
        """Add a sentence of any kind except GSV."""
        field_index = TIME_FIELD.get(body[2:6])
        if field_index is None:
            self.add(body, mono_us)
        else:
            self._add_with_time(body, field_index, mono_us)

    def _add_with_time(self, body: bytes, field_index: int, mono_us: int) -> None:
        parts = body.split(b",", field_index + 1)
        try:
            time_us = parse_time_of_day(parts[field_index]) if len(parts) > field_index else None
        except DecodeError:
            self.add(body, mono_us)  # the sentence will be rejected; it must not split the group
            return
        self.add_timed(body, time_us, mono_us)

    def add(self, body: bytes, mono_us: int) -> None:
        """Add a sentence to the group without a check of its kind."""
        group = self._group
        if not group.bodies:
            group.mono_us = mono_us
        group.byte_count += len(body) + _OVERHEAD
        if group.byte_count > _MAX_BYTES:
            group.overflow_count += 1
        else:
            group.bodies.append(body)

    def close(self) -> None:
        """Close the open group: the line is idle, or the file has ended."""
        if self._split_index >= 0:
            self._split_group()
        if self._group.bodies:
            self._close_group()

    def take_groups(self) -> "list[SentenceGroup]":
        """Return and clear the closed groups, oldest first."""
        closed = self._closed_groups
        self._closed_groups = []
        return closed

    def _mark_split(self, key: bytes, mono_us: int) -> None:
        """Mark a possible split at a repeated key."""
        if key not in self._group_keys:
            if len(self._group_keys) < _MAX_KEYS:
                self._group_keys.add(key)
            return
        if self._split_index >= 0:
            self._split_group()
        self._split_index = len(self._group.bodies)
        self._split_mono_us = mono_us
        self._group_keys = {key}

    def _split_group(self) -> None:
        """Confirm the split: close the group before it."""
        closed = self._group
        rest = closed.bodies[self._split_index :]
        group_keys, mono_us = self._group_keys, self._split_mono_us
        closed.bodies = closed.bodies[: self._split_index]
        size = sum([len(body) + _OVERHEAD for body in rest])
        closed.byte_count -= size
        self._close_group()
        self._group_keys = group_keys
        self._group.bodies = rest
        self._group.byte_count = size
        self._group.mono_us = mono_us

    def _close_group(self) -> None:
        group = self._group
        self._group = SentenceGroup()
        self._split_index = -1
        self._group_keys = set()
        if not group.bodies:
            self._group.error_count = group.error_count
            return
        self._measure_load(group)
        self._closed_groups.append(group)
        if len(self._closed_groups) > self._max_groups:
            self._closed_groups.pop(0)
            self.dropped_groups += 1

    def _measure_load(self, group: SentenceGroup) -> None:
        """Compute the load of the line. The period is that of the receiver's times: a full line is
        late.
        """
        last, self._last_time_us = self._last_time_us, group.time_us
        has_paused, self._has_paused = self._has_paused, False
        group.timing_valid = self._line_rate is not None
        if self._line_rate is None or last is None or group.time_us is None:
            return
        period = (group.time_us - last) % _DAY_US
        if not 0 < period <= 10 * SECOND:
            return
        char_e6, baud = self._line_rate
        group.occupancy_permille = group.byte_count * char_e6 * 1000 // (baud * period)
        is_overloaded = group.occupancy_permille >= _OVERLOAD_PERMILLE and not has_paused
        self._overload_count = self._overload_count + 1 if is_overloaded else 0
        is_full = group.occupancy_permille >= _SATURATED_PERMILLE
        group.line_saturated = is_full or self._overload_count >= _OVERLOAD_GROUPS
        self.line_overloaded = not has_paused and (is_full or self.line_overloaded)
