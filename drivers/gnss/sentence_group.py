"""Which sentences belong together: the sentences of one fix, as bytes.

Receivers write them in any order, with the time in the first, the last or both, and most carry no
time at all. The rule that covers those that were seen:

- sentences with the same time of day belong together, and so do those without one in between;
- another time of day begins the next burst; so do 0.1 s of silence;
- so does a GSV set that was there already (same talker, same signal, part 1): receivers that
  write GSV before the first time. Whether that was right shows with the next time: is it still
  the old one, the cut is taken back.

A sentence is kept as it came, for `drivers.gnss.epoch` to decode if anybody asks. Not here: arrival
times of single bytes, and what a sentence means.
"""

from protocols.errors import DecodeError
from protocols.nmea.fields import parse_time_of_day
from protocols.time_units import MILLISECOND, SECOND

IDLE_US = 100 * MILLISECOND
"""Silence that ends a burst."""

_MAX_BYTES = 8192
_MAX_KEYS = 32
_SATURATED_PERMILLE = 1000
_OVERLOAD_PERMILLE = 900
_OVERLOAD_GROUPS = 3
_DAY = 86_400 * SECOND
_OVERHEAD = 6  # `$`, `*`, two digits, line end

TIME_FIELD = {b"RMC,": 1, b"GGA,": 1, b"ZDA,": 1, b"GNS,": 1, b"GST,": 1, b"GBS,": 1, b"GLL,": 5}
"""Where the time is, by kind."""


class SentenceGroup:
    """The sentences of one fix.

    bodies      as framed, in order
    time_us     their time of day, None if none of them has one
    mono_us     when the instant was that they name (arrival of the first sentence with a time less
                the receiver's latency), by the monotonic clock; of the first sentence, without one
    octets      bytes on the line
    permille    share of the line's time that the burst took, of the time between two fixes; None
                when that is not known
    saturated   the line cannot keep up, or is about to: it is full, or 90 % full and without a
                pause for three bursts
    timed_line  arrival times mean something (a port, not a file)
    damaged     sentences that were lost to errors on the line since the burst before
    lost        sentences that did not fit (8 KiB are kept)
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
    """What makes the first part of a GSV set another one: talker and trailing ids; else None."""
    if body[8:10] != b"1," and body[6:12].split(b",")[1:2] not in ([b"01"], [b"1"]):
        return None
    extra = (body.count(b",") - 3) % 4
    if not extra:
        return body[:2]
    return body[:2] + b",".join(body.rsplit(b",", extra)[1:])


class SentenceGrouper:
    """Takes sentences one by one; hands out bursts as they close, at most `max_groups`, the newest.

    `char_e6_per_baud`: (bits of a character times 1e6, baud) if arrival times mean something; None
    for a file, where only the sentences themselves can tell.
    """

    def __init__(self, max_groups: int = 1, line_rate: "tuple[int, int] | None" = None) -> None:
        self.dropped_groups = 0
        self._max_groups = max_groups
        self._line_rate = line_rate
        self._closed_groups: list[SentenceGroup] = []
        self._group = SentenceGroup()
        self._split_index = -1  # where the next burst may have begun
        self._split_mono_us = 0
        self._group_keys: set[bytes] = set()
        self._last_time_us: int | None = None
        self._has_paused = True
        self._overload_count = 0
        self.line_overloaded = False
        """The line has no pause, and more to carry than it can: what comes is late."""
        self._last_arrival = 0

    def check_idle(self, now: int) -> None:
        """Say that the line is silent since the last byte: the burst may be whole."""
        if (
            self._line_rate is not None
            and now - self._last_arrival >= IDLE_US
            and self._group.bodies
        ):
            self.close()
            self._has_paused = True

    def mark_arrival(self, first: int, last: int) -> None:
        """Say when the first and the last byte of a chunk arrived, before its sentences."""
        if first - self._last_arrival >= IDLE_US:
            self.check_idle(first)
        self._last_arrival = last

    def count_error(self) -> None:
        """Say that a sentence was lost to errors."""
        self._group.error_count += 1

    def add_timed(self, body: bytes, time_us: "int | None", mono_us: int) -> None:
        """Take a sentence whose kind has a time; `time_us` None if its field is empty."""
        group = self._group
        if time_us is None:
            self._mark_split(body[:5], mono_us)
        elif group.time_us is None:
            if self._split_index >= 0:
                self._split_group()
            if body[:5] in self._group_keys:  # it was there without a time, which is known now
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
        """Look at a GSV before it is added: does it begin a set that was there already?"""
        key = gsv_set_key(body)
        if key is not None:
            self._mark_split(key, mono_us)

    def add_other(self, body: bytes, mono_us: int) -> None:
        """Take a sentence of any other kind but GSV."""
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
            self.add(body, mono_us)  # it will be refused; the time is no reason to cut
            return
        self.add_timed(body, time_us, mono_us)

    def add(self, body: bytes, mono_us: int) -> None:
        """Put a sentence into the burst, whatever it is."""
        group = self._group
        if not group.bodies:
            group.mono_us = mono_us
        group.byte_count += len(body) + _OVERHEAD
        if group.byte_count > _MAX_BYTES:
            group.overflow_count += 1
        else:
            group.bodies.append(body)

    def close(self) -> None:
        """Close what is open: the line is silent, or the file at its end."""
        if self._split_index >= 0:
            self._split_group()
        if self._group.bodies:
            self._close_group()

    def take_groups(self) -> "list[SentenceGroup]":
        """Hand over the closed bursts, oldest first."""
        closed = self._closed_groups
        self._closed_groups = []
        return closed

    def _mark_split(self, key: bytes, mono_us: int) -> None:
        """Mark a possible cut where something is said again."""
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
        """The cut was right: close what is before it."""
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
        """How full the line is. The receiver's own time tells the period: a full line is late."""
        last, self._last_time_us = self._last_time_us, group.time_us
        has_paused, self._has_paused = self._has_paused, False
        group.timing_valid = self._line_rate is not None
        if self._line_rate is None or last is None or group.time_us is None:
            return
        period = (group.time_us - last) % _DAY
        if not 0 < period <= 10 * SECOND:
            return
        char_e6, baud = self._line_rate
        group.occupancy_permille = group.byte_count * char_e6 * 1000 // (baud * period)
        is_overloaded = group.occupancy_permille >= _OVERLOAD_PERMILLE and not has_paused
        self._overload_count = self._overload_count + 1 if is_overloaded else 0
        is_full = group.occupancy_permille >= _SATURATED_PERMILLE
        group.line_saturated = is_full or self._overload_count >= _OVERLOAD_GROUPS
        self.line_overloaded = not has_paused and (is_full or self.line_overloaded)
