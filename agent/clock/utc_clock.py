"""UTC from the controller's monotonic clock, the receiver's fixes and its pulses.

It takes the fixes that the receiver's driver calls valid, and believes them only as far as they
agree with each other, with the site and with the oscillator.

How it works. UTC = monotonic time + offset. Two lines of that offset are learned
(`agent.clock.oscillator`): a *coarse* one from the arrival of sentences, a *fine* one from pulses, each
married to the fix that names its second. The first `AGREEING` fixes that agree set the label once;
from then on the offset is slewed towards the better line by at most 1 % of a period a tick, so that
no step ever reaches a control loop. Only while the leap seconds are not known, and at a leap
second, may the label step, by whole seconds: ticks lie at the same places in every second.

A fix that is off by a time that no delay explains, or away from the site, is refused at once. A
block of samples that leaves its line faster than temperature moves the oscillator is refused too;
what the last blocks taught is forgotten, and that source stays refused until it agrees again.

States: free (never set), sync, holdover (nothing believable for `_SILENCE`), untrusted (something
was refused, and not yet `AGREEING` good fixes since). The bound is a sum: what a line's samples
leave open, what a lie may move before it is seen, what is still to be slewed, what the oscillator
may have done since the line's last block (`agent.clock.holdover`).
"""

from agent.clock.evidence import Verdicts
from agent.clock.holdover import Holdover
from agent.clock.leap_second import UNCERTAIN_BOUND, Leap, whole_seconds
from agent.clock.oscillator import Fit, Line, isqrt
from agent.clock.position_check import Place
from agent.clock.time_source import AGREEING, Source
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.clock.persistence import Memory
    from drivers.gnss.receiver import Fix

_SILENCE = 3 * SECOND
_TOLERANCE = 200 * MILLISECOND
"""Arrival of a sentence wobbles by up to 170 ms on some receivers (gpsd-time-service-howto)."""
_LATE_MOST = 900 * MILLISECOND
"""A sentence later than `_TOLERANCE` but not than this was held up: not used, no lie when alone."""
_LATENCY_ALLOWANCE_NS = 10_000_000
"""What a receiver's real latency may differ from the mean that its configuration states."""
_JITTER_NS = 25_000_000
"""Assumed spread of the sentences' arrival."""
_MARRIAGE = 400 * MILLISECOND
_SLEW_DIVISOR = 100
_SIGMAS = 6
_NS = 1_000
_ROLLED = ("week rollover",)
_SIXTIETH = ("leap second",)
_LONGEST_OFF = 10 * 366 * 86_400 * SECOND
"""A date put right for a rollover may lie so long after the last UTC that was kept, no longer."""


class Clock:
    """UTC with a state and a bound.

    `drift_ppb`: how far the controller's oscillator may be off; `tempco_ppb`: how much its
    frequency changes with a degree, both parts per billion. `floor_us`: no UTC before it is
    believed. `leap_known`: the receiver's leap seconds are known to be right. `site_e7` and
    `radius_m`: see `agent.clock.evidence.Place`.

    `doubts` names the checks that refused something since the clock was last trusted, and
    `suspect`, set from outside, how many votes make the signals suspect (`agent.gnss.component`).
    """

    def __init__(
        self,
        drift_ppb: int,
        tempco_ppb: int = 1_000,
        floor_us: int = 0,
        leap_known: bool = False,
        site_e7: "tuple[int, int] | None" = None,
        radius_m: int = 100,
    ) -> None:
        self.drift_ppb = drift_ppb
        self.offset: int | None = None
        self.accepted = self.rejected = self.late = self.relabelled = 0
        self.pulses = self.married = 0
        self.doubts: list[str] = []
        self.suspect = 0
        self.verdicts = Verdicts()
        self.place = Place(site_e7, radius_m)
        self.leap = Leap(leap_known)
        self.holdover = Holdover(drift_ppb, tempco_ppb)
        self.floor_us = floor_us
        self.memory: Memory | None = None
        self.rate_ppt = 0
        self.rate_skew_ppb = drift_ppb
        """The oscillator's rate before it is measured, and how far that may be off."""
        self.last_witness: tuple[int, int, int] | None = None
        self.contradictions = self.contradicted_us = 0
        self.confirmed_us = 0
        """No UTC before it is possible: a witness agreed."""
        coarse = Line(16, 64, 4, 2)
        self.coarse = Source(coarse, self.holdover, ((0, 0),), 2_000_000, 16, 0, 8)
        fine = Line(8, 64, 1, 0)
        self.fine = Source(fine, self.holdover, ((16, 4), (24, 16)), 1_000, 8, 8, 8)
        self._base = 0
        self._start: list[tuple[int, int]] = []
        self._level = Fit(0, 0, 0, 0, 0, 0)
        self._target = self._level
        self._source: Source | None = None
        self._last_good = self._last_pulse = 0
        self._good_row = self._late_row = 0
        self._untrusted = False
        self._step_row = 0
        self._step_s = 0
        self._pulse: int | None = None
        self._rate_ppt = 0
        self._anchor = 0
        self._offset_ns = 0
        self._err_ns = 0

    def temperature(self, centi_c: int, now: int) -> None:
        """Take the temperature near the oscillator, hundredths of a degree Celsius."""
        self.holdover.temperature(centi_c, now)

    def witness(self, utc_us: int, uncertainty_us: int, now: int) -> "bool | None":
        """Take another clock's word, such as a modem's network time; see `agent.clock.cross_check`.

        It was `utc_us`, give or take `uncertainty_us`, at the monotonic `now`. True: it agrees;
        False: it does not; None: there was nothing to compare with.
        """
        from agent.clock.cross_check import testify  # noqa: PLC0415 - most units have no witness

        return testify(self, utc_us, uncertainty_us, now)

    def raise_floor(self, utc_us: int, now: int) -> None:
        """Believe no UTC before `utc_us` from now on; an older label is forgotten."""
        self.floor_us = max(self.floor_us, utc_us)
        said = self.utc(now)
        if said is not None and said < self.floor_us:
            self.forget()
            self.refuse("floor", now, said - self.floor_us, 0)

    def forget(self) -> None:
        """Be free again, as at the start: the next fixes that agree set the label."""
        self.offset = None
        self._start = []
        self.coarse.restart()
        self.fine.restart()
        self._source = None
        self._untrusted = False
        self.doubts = []
        self.contradictions = self.contradicted_us = 0

    def adopt(self, utc_us: int, uncertainty_us: int, now: int) -> None:
        """Set the label by a witness alone: holdover from the start."""
        self._base = utc_us - now
        self._level = Fit(now, 0, 0, self.rate_ppt, 0, 0)
        self._target = self._level
        self._err_ns = uncertainty_us * _NS
        self._last_good = now - _SILENCE - 1
        self._set_label(now)
        if uncertainty_us < SECOND // 2:
            self.leap.uncertain = False

    def forgive(self) -> None:
        """Take back what a source was convicted of, and learn it anew; for a person to ask."""
        self.contradictions = self.contradicted_us = 0
        for source in (self.coarse, self.fine):
            if source.convicted:
                source.restart()

    # What arrives.

    def sample(self, fix: "Fix") -> bool:
        """Take one fix; return whether it was believed."""
        utc_us, now = fix.utc_us, fix.mono_us
        if utc_us is None or not (fix.valid or fix.reasons in (_ROLLED, _SIXTIETH)):
            return False
        if self.suspect:
            return self.refuse("signals", now, self.suspect, 1)
        above = utc_us - self.floor_us
        if above < 0 or (self.memory is not None and fix.reasons and above > _LONGEST_OFF):
            return self.refuse("floor", now, above, 0)
        away = self.place.away_m(fix)
        if away > self.place.radius_m:
            return self.refuse("position", now, away, self.place.radius_m)
        if fix.crowded or fix.reasons == _SIXTIETH:
            return self._odd(fix.crowded, utc_us, now)
        if self.leap.sixty:
            self._leap(now + _TOLERANCE)
        measured = utc_us - now
        if self.offset is None:
            return self._begin(measured, now)
        # Against other sentences, not pulses: a latency that is not configured is no lie.
        t = self.coarse.fit or self._level
        off = measured - self._base - (t.level + t.slope * (now - t.t) // 1_000_000_000) // _NS
        allowed = _TOLERANCE
        if now - self._last_good > _SILENCE:
            allowed += self._bound_ns(now) // _NS if not self._untrusted else 0
        if -allowed <= off <= allowed:
            self._believe(measured, now)
            return True
        return self._step(off, now, allowed, utc_us)

    def pulse(self, now: int) -> None:
        """Take a pulse, the start of some UTC second, whose edge was at `now`."""
        self.pulses += 1
        line = self.fine.fit
        if line is not None:
            # The nearest second by the fine line: how far is the edge from it?
            utc_ns = (now + self._base) * _NS + line.at(now) + self.fine.bend_ns(now)
            off = (utc_ns + 500_000_000) % 1_000_000_000 - 500_000_000
            most = 20_000 + self.fine.open_ns(now)
            if abs(off) > most:
                self.refuse("pulse", now, off // _NS, most // _NS)
                return
        self._pulse = now

    def _begin(self, measured: int, now: int) -> bool:
        start = self._start
        if start and abs(measured - start[-1][1]) > _TOLERANCE:
            self._start = start = []
            self.rejected += 1
        start.append((now, measured))
        self.accepted += 1
        self._last_good = now
        self.leap.track(now)
        if len(start) < AGREEING:
            return True
        self.doubts = []
        self._base = start[0][1]
        for t, m in start:
            self.coarse.line.add(t, (m - self._base) * _NS)
        self._settle_level(now)
        self._set_label(now)
        if self.memory is not None and self.memory.goes_on(self._base + now, now):
            self.leap.uncertain = False
        return True

    def _set_label(self, now: int) -> None:
        self._anchor = now
        self._offset_ns = self._target.at(now)
        self.offset = self._base + self._offset_ns // _NS
        self.leap.expect(now + self.offset)

    def _odd(self, crowded: bool, utc_us: int, now: int) -> bool:
        """Take a fix of a line that cannot keep up, which is late by nobody knows what: not used.

        Or a 23:59:60: the label follows when that second is over.
        """
        if crowded:
            self.late += 1
            return False
        said, leap = self.utc(now), self.leap
        if said is None or leap.uncertain or self._untrusted or leap.leapt:
            return False
        of_turn = 0 <= utc_us - leap.turn_us < SECOND
        if not of_turn or abs(said - utc_us) > _TOLERANCE:
            return False
        leap.sixty = True
        self._last_good = now
        return True

    def _leap(self, now: int) -> None:
        """Let the label follow a leap second that was seen, once it is over at `now`."""
        leap = self.leap
        if self.offset is not None and now + self.offset >= leap.turn_us + SECOND:
            leap.sixty, leap.leapt = False, True
            self.relabel(-1)

    def _believe(self, measured: int, now: int) -> None:
        if now - self._last_good > _SILENCE:
            self.coarse.line.drop_open()
            self.fine.line.drop_open()
        self.accepted += 1
        self._last_good = now
        self._step_row = self._late_row = 0
        self.leap.track(now)
        self.leap.agreed(measured + now)
        off = self.coarse.add(now, (measured - self._base) * _NS)
        if off:
            self.refuse("rate", now, off // _NS, self.coarse.most_ns // _NS)
        self._marry(measured, now)
        self._settle(now)
        self._good_row += 1
        guilty = self.coarse.convicted or self.fine.convicted or self.contradicted_us
        if self._good_row >= AGREEING and not guilty:
            self._untrusted = False
            self.doubts = []

    def _marry(self, measured: int, now: int) -> None:
        """Give the pulse the second that this fix names, if it is of the same second."""
        pulse, self._pulse = self._pulse, None
        if pulse is None or not -_MARRIAGE <= now - pulse <= _MARRIAGE:
            return
        utc_us = measured + now
        if utc_us % SECOND:
            return
        fine = self.fine
        if pulse - self._last_pulse > 60 * SECOND and not fine.convicted:
            fine.line.clear()
        self._last_pulse = pulse
        self.married += 1
        off = fine.add(pulse, (utc_us - pulse - self._base) * _NS)
        if off:
            self.refuse("rate", now, off // _NS, self.fine.most_ns // _NS)

    def _step(self, off: int, now: int, allowed: int, utc_us: int) -> bool:
        """Judge a fix that is off by more than a sentence's wobble."""
        if -_LATE_MOST < off < 0:
            self.late += 1
            self._late_row += 1
            if self._late_row < AGREEING:
                return False
        seconds = whole_seconds(off, allowed)
        unseen = self.leap.is_open(utc_us - off)
        if 0 < abs(seconds) <= max(self.leap.most_s(utc_us), 1 if unseen else 0):
            self._step_row = self._step_row + 1 if seconds == self._step_s else 1
            self._step_s = seconds
            if self._step_row >= AGREEING:
                self.relabel(seconds)
                return True
            if unseen and abs(seconds) == 1:
                return False  # no lie yet, and the bound has this second
        return self.refuse("step", now, off, allowed)

    def relabel(self, seconds: int) -> None:
        """Move the label by whole seconds: now the receiver knows its leap seconds."""
        self._base += seconds * SECOND
        self.offset = self._base + self._offset_ns // _NS
        if self.leap.uncertain:
            self.leap.expect(self._anchor + self.offset)
        else:
            self.leap.count -= seconds
        self.relabelled += 1
        self._step_row = 0

    def refuse(self, check: str, now: int, figure: int, limit: int) -> bool:
        """Do not believe what `check` (of `agent.clock.evidence.CHECKS`) saw: a figure, its limit."""
        self.rejected += 1
        self._untrusted = self.offset is not None
        self._good_row = 0
        if check not in self.doubts:
            self.doubts.append(check)
        self.verdicts.add(check, now, figure, limit)
        return False

    # Which line is followed.

    def _settle_level(self, now: int) -> None:
        """Before a slope is known: the mean of what there is, level."""
        line = self.coarse.line
        blocks = line.points
        count, open_count = 16 * len(blocks), line.open_count()
        t, level, n = 0, 0, count + open_count
        for block in blocks:
            t += 16 * (block[0] - now)
            level += 16 * block[1]
        if open_count:
            block = line.block()
            t += open_count * (block[0] - now)
            level += open_count * block[1]
        self._level = Fit(now + t // n, level // n, 0, self.rate_ppt, 0, 0)
        self._target = self._level
        self._err_ns = _SIGMAS * _JITTER_NS // isqrt(n) + _LATENCY_ALLOWANCE_NS

    def _settle(self, now: int) -> None:
        coarse, fine = self.coarse, self.fine
        if coarse.fit is not None:
            self._source = coarse
            self._target = coarse.fit
            n = 16 * coarse.line.joined * len(coarse.line.points)
            self._err_ns = _SIGMAS * _JITTER_NS // isqrt(n) + _LATENCY_ALLOWANCE_NS
        else:
            self._source = None
            self._settle_level(now)
        if fine.fit is None:
            return
        # The fine line, until in holdover it has become the worse of the two.
        if fine.open_ns(now) + 20_000 <= self._line_ns(now):
            self._source = fine
            self._target = fine.fit
            self._err_ns = 20_000

    def _line_ns(self, now: int) -> int:
        """How far the line in use may be off at `now`, nanoseconds."""
        source = self._source
        if source is not None:
            return self._err_ns + source.open_ns(now)
        return self._err_ns + self.rate_skew_ppb * max(0, now - self._level.t) // 1_000_000

    def _bound_ns(self, now: int) -> int:
        return self._line_ns(now) + abs(self._target.at(now) + self._bend_ns(now) - self._ns(now))

    def _bend_ns(self, now: int) -> int:
        """What temperature has added since the line was learned, as far as that is known."""
        source = self._source
        return source.bend_ns(now) if source is not None and self.holdover.thermal else 0

    # What the loops and the people read.

    def slew(self, period_us: int, now: int) -> None:
        """Move the offset to where its line is at `now`, by at most 1 % of `period_us`."""
        if self.offset is None:
            return
        if self.leap.sixty:
            self._leap(now)
        target = self._target
        slope = target.slope
        goal = target.level + slope * (now - target.t) // 1_000_000_000
        if self.holdover.thermal is not None:
            goal += self._bend_ns(now)
        step = goal - self._ns(now)
        most = period_us * _NS // _SLEW_DIVISOR - abs(self._rate_ppt) * period_us // 1_000_000_000
        if step > most:
            step = most
        elif step < -most:
            step = -most
        self._offset_ns = self._ns(now) + step
        self._anchor = now
        self._rate_ppt = slope
        self.offset = self._base + self._offset_ns // _NS

    def _ns(self, now: int) -> int:
        return self._offset_ns + self._rate_ppt * (now - self._anchor) // 1_000_000_000

    def utc(self, now: int) -> "int | None":
        """UTC at `now` in microseconds since 1970, or None while it is not known."""
        return None if self.offset is None else now + self._base + self._ns(now) // _NS

    def state(self, now: int) -> str:
        """Name the state: free, sync, holdover or untrusted."""
        if self.offset is None:
            return "free"
        if self._untrusted:
            return "untrusted"
        return "sync" if now - self._last_good <= _SILENCE else "holdover"

    def flags(self) -> "list[str]":
        """What to know beside the state: "leap_uncertain", and the checks that refused."""
        flags = ["leap_uncertain"] if self.leap.uncertain else []
        return flags + self.doubts

    def bound_us(self, now: int) -> "int | None":
        """How far UTC may be off at `now`, in microseconds, or None while it is not known."""
        if self.offset is None:
            return None
        bound = max(self._bound_ns(now) // _NS + 1, self.contradicted_us)
        if self.leap.uncertain:
            return bound + UNCERTAIN_BOUND
        return bound + SECOND if self.leap.is_open(now + self.offset + bound) else bound

    def bare_bound_us(self, now: int) -> "int | None":
        """How far UTC may be off, whole seconds and witnesses left aside."""
        return None if self.offset is None else self._bound_ns(now) // _NS + 1

    def rate(self) -> "tuple[int, int] | None":
        """The oscillator's measured rate and its uncertainty, parts per 10^12, None if unknown."""
        source = self._source
        if source is None or source.fit is None:
            return None
        return source.fit.slope, source.fit.skew

    def source(self) -> str:
        """What is followed: "pulses", "sentences" or "" before either is learned."""
        if self._source is None:
            return ""
        return "pulses" if self._source is self.fine else "sentences"
