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
from protocols.nmea.fields import time_of_day
from protocols.time_units import MILLISECOND, SECOND

IDLE_US = 100 * MILLISECOND
"""Silence that ends a burst."""

_MOST_BYTES = 8192
_MOST_VIEWS = 32
_SATURATED_PERMILLE = 1000
_CROWDED_PERMILLE = 900
_CROWDED_BURSTS = 3
_DAY = 86_400 * SECOND
_OVERHEAD = 6  # `$`, `*`, two digits, line end

TIME_FIELD = {b"RMC,": 1, b"GGA,": 1, b"ZDA,": 1, b"GNS,": 1, b"GST,": 1, b"GBS,": 1, b"GLL,": 5}
"""Where the time is, by kind."""


class Burst:
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
        "damaged",
        "lost",
        "mono_us",
        "octets",
        "permille",
        "saturated",
        "time_us",
        "timed_line",
    )

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.time_us: int | None = None
        self.mono_us = 0
        self.octets = 0
        self.permille: int | None = None
        self.saturated = False
        self.timed_line = False
        self.damaged = 0
        self.lost = 0


def view_key(body: bytes) -> "bytes | None":
    """What makes the first part of a GSV set another one: talker and trailing ids; else None."""
    if body[8:10] != b"1," and body[6:12].split(b",")[1:2] not in ([b"01"], [b"1"]):
        return None
    extra = (body.count(b",") - 3) % 4
    if not extra:
        return body[:2]
    return body[:2] + b",".join(body.rsplit(b",", extra)[1:])


class Grouper:
    """Takes sentences one by one; hands out bursts as they close, at most `keep`, the newest.

    `char_e6_per_baud`: (bits of a character times 1e6, baud) if arrival times mean something; None
    for a file, where only the sentences themselves can tell.
    """

    def __init__(self, keep: int = 1, line: "tuple[int, int] | None" = None) -> None:
        self.dropped = 0
        self._keep = keep
        self._line = line
        self._closed: list[Burst] = []
        self._burst = Burst()
        self._cut = -1  # where the next burst may have begun
        self._cut_mono = 0
        self._views: set[bytes] = set()
        self._last_time: int | None = None
        self._paused = True
        self._crowded = 0
        self.full = False
        """The line has no pause, and more to carry than it can: what comes is late."""
        self._heard = 0

    def idle(self, now: int) -> None:
        """Say that the line is silent since the last byte: the burst may be whole."""
        if self._line is not None and now - self._heard >= IDLE_US and self._burst.bodies:
            self.close()
            self._paused = True

    def arrive(self, first: int, last: int) -> None:
        """Say when the first and the last byte of a chunk arrived, before its sentences."""
        if first - self._heard >= IDLE_US:
            self.idle(first)
        self._heard = last

    def damage(self) -> None:
        """Say that a sentence was lost to errors."""
        self._burst.damaged += 1

    def timed(self, body: bytes, time_us: "int | None", mono_us: int) -> None:
        """Take a sentence whose kind has a time; `time_us` None if its field is empty."""
        burst = self._burst
        if time_us is None:
            self._repeated(body[:5], mono_us)
        elif burst.time_us is None:
            if self._cut >= 0:
                self._split()
            if body[:5] in self._views:  # it was there without a time, which is known now
                self._finish()
            self._burst.time_us = time_us
            self._burst.mono_us = mono_us
        elif time_us == burst.time_us:
            self._cut = -1
        else:
            if self._cut >= 0:
                self._split()
            else:
                self._finish()
            self._burst.time_us = time_us
            self._burst.mono_us = mono_us
        self.add(body, mono_us)

    def view(self, body: bytes, mono_us: int) -> None:
        """Look at a GSV before it is added: does it begin a set that was there already?"""
        key = view_key(body)
        if key is not None:
            self._repeated(key, mono_us)

    def other(self, body: bytes, mono_us: int) -> None:
        """Take a sentence of any other kind but GSV."""
        place = TIME_FIELD.get(body[2:6])
        if place is None:
            self.add(body, mono_us)
        else:
            self._with_time(body, place, mono_us)

    def _with_time(self, body: bytes, place: int, mono_us: int) -> None:
        parts = body.split(b",", place + 1)
        try:
            time_us = time_of_day(parts[place]) if len(parts) > place else None
        except DecodeError:
            self.add(body, mono_us)  # it will be refused; the time is no reason to cut
            return
        self.timed(body, time_us, mono_us)

    def add(self, body: bytes, mono_us: int) -> None:
        """Put a sentence into the burst, whatever it is."""
        burst = self._burst
        if not burst.bodies:
            burst.mono_us = mono_us
        burst.octets += len(body) + _OVERHEAD
        if burst.octets > _MOST_BYTES:
            burst.lost += 1
        else:
            burst.bodies.append(body)

    def close(self) -> None:
        """Close what is open: the line is silent, or the file at its end."""
        if self._cut >= 0:
            self._split()
        if self._burst.bodies:
            self._finish()

    def bursts(self) -> "list[Burst]":
        """Hand over the closed bursts, oldest first."""
        closed = self._closed
        self._closed = []
        return closed

    def _repeated(self, key: bytes, mono_us: int) -> None:
        """Mark a possible cut where something is said again."""
        if key not in self._views:
            if len(self._views) < _MOST_VIEWS:
                self._views.add(key)
            return
        if self._cut >= 0:
            self._split()
        self._cut = len(self._burst.bodies)
        self._cut_mono = mono_us
        self._views = {key}

    def _split(self) -> None:
        """The cut was right: close what is before it."""
        old = self._burst
        rest = old.bodies[self._cut :]
        views, mono_us = self._views, self._cut_mono
        old.bodies = old.bodies[: self._cut]
        size = sum([len(body) + _OVERHEAD for body in rest])
        old.octets -= size
        self._finish()
        self._views = views
        self._burst.bodies = rest
        self._burst.octets = size
        self._burst.mono_us = mono_us

    def _finish(self) -> None:
        burst = self._burst
        self._burst = Burst()
        self._cut = -1
        self._views = set()
        if not burst.bodies:
            self._burst.damaged = burst.damaged
            return
        self._weigh(burst)
        self._closed.append(burst)
        if len(self._closed) > self._keep:
            self._closed.pop(0)
            self.dropped += 1

    def _weigh(self, burst: Burst) -> None:
        """How full the line is. The receiver's own time tells the period: a full line is late."""
        last, self._last_time = self._last_time, burst.time_us
        paused, self._paused = self._paused, False
        burst.timed_line = self._line is not None
        if self._line is None or last is None or burst.time_us is None:
            return
        period = (burst.time_us - last) % _DAY
        if not 0 < period <= 10 * SECOND:
            return
        char_e6, baud = self._line
        burst.permille = burst.octets * char_e6 * 1000 // (baud * period)
        crowded = burst.permille >= _CROWDED_PERMILLE and not paused
        self._crowded = self._crowded + 1 if crowded else 0
        full = burst.permille >= _SATURATED_PERMILLE
        burst.saturated = full or self._crowded >= _CROWDED_BURSTS
        self.full = not paused and (full or self.full)
