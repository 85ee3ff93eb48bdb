# SPDX-License-Identifier: Apache-2.0
"""A GNSS receiver on a serial line: bytes in; one fix per epoch out, with UTC and monotonic time.

The driver has two outputs from the same bytes. A *fix* is for the clock: as early as possible, with
time and position only. An *epoch* has all data (satellites, antenna, flags; see
`drivers.gnss.epoch`). It is available after its last sentence and decoded only on demand.

A fix means: "the UTC instant `utc_us` was at `mono_us` of the monotonic clock". Does not decide
whether to use it; see `agent.clock`. The driver reports the receiver's data and checks that its
sentences agree. It opens no port, reads no clock and needs no `wake`.

For the fix, an epoch is all sentences with one time of day (RMC, GGA, ZDA). Its timestamp is the
arrival of the first byte of the first of them. The runtime gives the arrival of the last byte of a
chunk, and the driver subtracts the transmission time of the bytes after the `$`. The fix is
complete with the last expected sentence: RMC and GGA, and ZDA if the receiver sends it. At the
latest it is complete when the next epoch starts.
"""

from drivers.errors import DriverError
from drivers.gnss.fix_rules import MIN_UTC_US, VALID_MODES, undo_week_rollover
from drivers.gnss.sentence_group import SentenceGrouper
from protocols import calendar
from protocols.nmea.framing import MAX_SENTENCE, Framer
from protocols.nmea.sentences import Gga, Rmc, Zda, kind_of, parse
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.epoch import Epoch, EpochDecoder

    TimedSentence = Rmc | Gga | Zda

_FIX_KINDS = (b"RMC,", b"GGA,", b"ZDA,")
_MAX_FIXES = 16
_MAX_TALKERS = 16
_VISIBLE_EPOCHS = 10


class Fix:
    """The fix of one epoch.

    utc_us   UTC microseconds since 1970 (see `protocols.calendar`), None without a date
    mono_us  monotonic microseconds of this instant, as the line shows it
    valid    the receiver reports a fix, and its sentences agree
    reasons  why it is invalid: "no time", "no RMC", "status" (RMC void), "mode", "quality" (GGA),
             "no date", "dates differ" (RMC and ZDA), "leap second" (23:59:60 has no UTC microsecond
             of its own), "week rollover" (a date before the minimum UTC; `utc_us` is corrected)
    lat_e7, lon_e7   1e-7 degrees; None if unknown
    alt_mm   millimetres above mean sea level; None if unknown
    line_overloaded   the epoch is late by an unknown time: the line has more data than it can
             carry, or the sentence waited for the end of a supposed binary frame
    used     satellites in the fix; None if unknown
    visible  satellites in view, by the GSV of the last epoch; None if unknown
    """

    __slots__ = (
        "alt_mm",
        "lat_e7",
        "line_overloaded",
        "lon_e7",
        "mono_us",
        "reasons",
        "used",
        "utc_us",
        "valid",
        "visible",
    )

    def __init__(self, utc_us: "int | None", mono_us: int, reasons: "tuple[str, ...]") -> None:
        self.utc_us = utc_us
        self.mono_us = mono_us
        self.reasons = reasons
        self.valid = not reasons
        self.line_overloaded = False
        self.lat_e7: int | None = None
        self.lon_e7: int | None = None
        self.alt_mm: int | None = None
        self.used: int | None = None
        self.visible: int | None = None


class ReceiverDriver:
    """The receiver on port number `port`; `baud` and `bits_per_char` are those of the line.

    `latency_us` is the delay of the receiver, from the instant of its sentences to the arrival of
    the first `$` of the epoch; the driver subtracts it from `Fix.mono_us`. `max_epochs` is the
    maximum number of closed epochs for `take_epochs`. `vendor` and `min_utc_us`: see
    `drivers.gnss.epoch.EpochDecoder`. `timing_valid` is False for recordings, whose arrival times
    have no meaning. Raises `DriverError` for a line without a baud rate. `satellites_used` is the
    number of satellites in the last fix that was taken.
    """

    def __init__(
        self,
        port: int,
        baud: int,
        bits_per_char: int = 10,
        latency_us: int = 0,
        *,
        max_epochs: int = 1,
        vendor: "str | None" = None,
        min_utc_us: int = MIN_UTC_US,
        timing_valid: bool = True,
    ) -> None:
        if baud <= 0 or bits_per_char <= 0:
            raise DriverError(
                "receiver: baud %d and %d bits a character must be above 0" % (baud, bits_per_char)
            )
        self.port = port
        self.framer = Framer()
        self.rejected_fields: dict[tuple[bytes, str], int] = {}
        self.other_sentences = self.untimed_sentences = self.repeated_sentences = (
            self.epoch_count
        ) = 0
        self.valid_fixes = self.void_fixes = self.late_conflicts = self.dropped_fixes = 0
        self.satellites_used: int | None = None
        self._baud = baud
        self._char_e6 = bits_per_char * SECOND
        self._latency_us = latency_us
        self.timing_valid = timing_valid
        self._vendor = vendor
        self._min_utc_us = min_utc_us
        self._decoder: EpochDecoder | None = None
        self._grouper = SentenceGrouper(max_epochs, (self._char_e6, baud) if timing_valid else None)
        self._epoch: Epoch | None = None
        self._fixes: list[Fix] = []
        # the chunks of an unfinished sentence: (bytes so far, arrival of the last byte)
        self._total_bytes = 0
        self._chunks: list[tuple[int, int]] = []
        self._epoch_time_us: int | None = None
        self._mono_us = 0
        self._has_waited = self._fix_sent = False
        self._zda_expected = False
        self._rmc: Rmc | None = None
        self._gga: Gga | None = None
        self._zda: Zda | None = None
        self._in_view: dict[bytes, int] = {}
        self._visible: int | None = None
        self._visible_age = 0

    def receive(self, data: bytes, now: int) -> None:
        """Handle a chunk whose last byte arrived at `now`. Never raises for its content."""
        size = len(data)
        if not size:
            return
        grouper = self._grouper
        grouper.mark_arrival(now - (size - 1) * self._char_e6 // self._baud, now)
        self._take_sentences(self.framer.feed(data), size, now)
        self._record_chunk(size, now)

    def _take_sentences(self, found: "list[tuple[int, bytes]]", size: int, now: int) -> None:
        """Handle the sentences of a chunk of `size` bytes."""
        framer, grouper = self.framer, self._grouper
        if framer.failure_positions:
            found = self._insert_errors(found, framer.failure_positions)
        for start, body in found:
            kind = body[2:6]
            if kind == b"GSV,":
                # the parts after the first have no data for the fix and start no group
                if body[8:10] == b"1," or body[7:8] != b",":
                    self._count_gsv(body)
                    grouper.check_gsv_set(body, now)
                grouper.add(body, now)
            elif kind == b"GSA,":
                grouper.add(body, now)
            elif kind in _FIX_KINDS:
                self._on_fix_sentence(body, start, size, now)
            elif body:
                self.other_sentences += 1
                grouper.add_other(body, now)
            else:
                grouper.count_error()

    def raise_min_utc(self, utc_us: int) -> None:
        """Treat dates before `utc_us` as rolled over (see
        `drivers.gnss.fix_rules.undo_week_rollover`); never lowers the minimum.
        """
        self.set_min_utc(max(self._min_utc_us, utc_us))

    def set_min_utc(self, utc_us: int) -> None:
        """Set the minimum UTC, also to an earlier date."""
        self._min_utc_us = utc_us
        if self._decoder is not None:
            self._decoder.set_min_utc(utc_us)

    def take_fixes(self) -> "list[Fix]":
        """Return and clear the fixes, oldest first; at most 16 are kept."""
        if not self._fixes:
            return []
        fixes = self._fixes
        self._fixes = []
        self.satellites_used = fixes[-1].used
        return fixes

    @property
    def decoder(self) -> "EpochDecoder":
        """The epoch decoder; loaded on first use only, because it takes 12 KiB on a small board."""
        if self._decoder is None:
            from drivers.gnss.epoch import EpochDecoder  # noqa: PLC0415 - see above

            self._decoder = EpochDecoder(self._vendor, self._min_utc_us)
            self.framer.keep_frames(self._decoder.statements.frames)
        return self._decoder

    def take_epochs(self, now: "int | None" = None) -> "list[Epoch]":
        """Return and clear the closed epochs, oldest first; at most the newest `max_epochs`.

        With `now`, an epoch also closes after 0.1 s without bytes; else it closes only at the start
        of the next one.
        """
        if now is not None:
            self._grouper.check_idle(now)
        groups = self._grouper.take_groups()
        if not groups:
            return []
        decoder = self.decoder
        self._epoch = None  # frees its memory for the next one
        epochs = [decoder.decode(group) for group in groups]
        self._epoch = epochs[-1]
        return epochs

    def last_epoch(self, now: "int | None" = None) -> "Epoch | None":
        """Return the last closed epoch, None before the first; for occasional use."""
        self.take_epochs(now)
        return self._epoch

    def finish_stream(self) -> "list[Epoch]":
        """Close the open epoch, for example at the end of a file; return as `take_epochs`."""
        self._take_sentences(self.framer.feed(b"", True), 0, 0)
        self._grouper.close()
        return self.take_epochs()

    def counters(self) -> "dict[str, int]":
        """Return all counters since the start, by name.

        refused_KIND_REASON   a sentence with a good checksum and a bad field
        others                sentences of other kinds
        untimed               RMC, GGA or ZDA without a time (unknown to the receiver)
        repeated              a second RMC, GGA or ZDA for one time
        epochs, valid_fixes, void_fixes
        late_conflicts        the date of ZDA differed after the fix was output
        dropped_fixes         fixes that no caller took
        and the counters of `protocols.nmea.framing.Framer`.
        """
        framer = self.framer
        counts = {
            "sentences": framer.sentences,
            "bad_checksum": framer.bad_checksum,
            "no_checksum": framer.no_checksum,
            "spliced": framer.spliced,
            "unprintable": framer.unprintable,
            "overlong": framer.overlong,
            "skipped_bytes": framer.skipped_bytes,
            "others": self.other_sentences,
            "untimed": self.untimed_sentences,
            "repeated": self.repeated_sentences,
            "epochs": self.epoch_count,
            "valid_fixes": self.valid_fixes,
            "void_fixes": self.void_fixes,
            "late_conflicts": self.late_conflicts,
            "dropped_fixes": self.dropped_fixes,
        }
        for (kind, reason), count in self.rejected_fields.items():
            counts["refused_%s_%s" % (kind.decode(), reason.replace(" ", "_"))] = count
        return counts

    def _insert_errors(
        self, found: "list[tuple[int, bytes]]", failure_positions: "list[int]"
    ) -> "list[tuple[int, bytes]]":
        """Return the sentences of a chunk, with an empty one in place of each lost one."""
        merged: list[tuple[int, bytes]] = []
        for index in range(len(found) + 1):
            merged += [(0, b"")] * failure_positions.count(index)
            merged += found[index : index + 1]
        return merged

    def _on_fix_sentence(self, body: bytes, start: int, size: int, now: int) -> None:
        sentence, reason = parse(body)
        if isinstance(sentence, (Rmc, Gga, Zda)):
            timed: TimedSentence = sentence  # mypyc does not narrow the type
            self._on_timed(timed, start, size, now)
            mono_us = now if timed.time_us is None else self._mono_us
            self._grouper.add_timed(body, timed.time_us, mono_us)
            return
        self._grouper.add_other(body, now)
        kind = kind_of(body)
        if not kind:
            self.other_sentences += 1
            return
        self.rejected_fields[kind, reason] = self.rejected_fields.get((kind, reason), 0) + 1

    def _record_chunk(self, size: int, now: int) -> None:
        pending = self.framer.pending_bytes
        if not pending:
            self._total_bytes = 0
            self._chunks = []
            return
        self._total_bytes += size
        self._chunks.append((self._total_bytes, now))
        # a board has no room for the times of a long binary frame
        kept = min(pending, MAX_SENTENCE)
        while self._chunks[0][0] <= self._total_bytes - kept:  # no byte of it is pending
            self._chunks.pop(0)

    def _arrival_time(self, start: int, size: int, now: int) -> int:
        """Return the arrival time of the byte at `start` of the chunk; negative: earlier chunks.

        The time of a byte that waited for a binary frame is the latest possible one.
        """
        if start >= 0 or start < -MAX_SENTENCE:
            return now - (size - 1 - start) * self._char_e6 // self._baud
        offset = self._total_bytes + start
        for end, arrived_at in self._chunks:
            if offset < end:
                return arrived_at - (end - 1 - offset) * self._char_e6 // self._baud
        return now

    def _on_timed(self, sentence: "TimedSentence", start: int, size: int, now: int) -> None:
        time_us = sentence.time_us
        if time_us is None:
            self.untimed_sentences += 1
            if isinstance(sentence, Rmc):
                self._queue_fix(Fix(None, self._arrival_time(start, size, now), ("no time",)))
            return
        if time_us != self._epoch_time_us:
            self._close_epoch()
            self._epoch_time_us = time_us
            self._mono_us = self._arrival_time(start, size, now) - self._latency_us
            self._has_waited = start < -MAX_SENTENCE
        self._store_sentence(sentence)
        is_complete = self._rmc and self._gga and (self._zda or not self._zda_expected)
        if is_complete and not self._fix_sent:
            self._make_fix()

    def _store_sentence(self, sentence: "TimedSentence") -> None:
        """Add a sentence to the epoch; the first of a kind counts."""
        if isinstance(sentence, Rmc):
            if self._rmc is None:
                self._rmc = sentence
                return
        elif isinstance(sentence, Gga):
            if self._gga is None:
                self._gga = sentence
                return
        elif self._zda is None:
            self._zda = sentence
            self._zda_expected = True
            if self._fix_sent and self._dates_differ():
                self.late_conflicts += 1
            return
        self.repeated_sentences += 1

    def _close_epoch(self) -> None:
        """Close the epoch: output its fix if this is pending, and start an empty epoch."""
        if self._epoch_time_us is None:
            return
        if not self._fix_sent:
            self._make_fix()
        if self._zda is None:
            self._zda_expected = False
        self._rmc = self._gga = self._zda = None
        self._fix_sent = False
        self._update_visible()

    def _dates_differ(self) -> bool:
        rmc = self._rmc.date if self._rmc else None
        zda = self._zda.date if self._zda else None
        return rmc is not None and zda is not None and rmc != zda

    def _make_fix(self) -> None:
        """Output the fix of the epoch from the sentences so far."""
        rmc, gga, zda = self._rmc, self._gga, self._zda
        date = rmc.date if rmc else None
        if date is None and zda:
            date = zda.date
        if self._dates_differ():
            date = None
        utc_us = None
        if date is not None:
            utc_us = calendar.utc_from_civil(date[0], date[1], date[2], self._epoch_time_us or 0)
        reasons = self._find_reasons(utc_us)
        if utc_us is not None:
            reported_us, utc_us = utc_us, undo_week_rollover(utc_us, self._min_utc_us)
            if reported_us != utc_us:
                reasons += ("week rollover",)
        fix = Fix(utc_us, self._mono_us, reasons)
        position = gga or rmc
        if position:
            fix.lat_e7 = position.lat_e7
            fix.lon_e7 = position.lon_e7
        if gga:
            fix.alt_mm = gga.alt_mm
            fix.used = gga.used
        fix.visible = self._visible
        fix.line_overloaded = self._grouper.line_overloaded or self._has_waited
        self._fix_sent = True
        self.epoch_count += 1
        self._queue_fix(fix)

    def _find_reasons(self, utc_us: "int | None") -> "tuple[str, ...]":
        rmc, gga = self._rmc, self._gga
        reasons: list[str] = []
        if rmc is None:
            reasons.append("no RMC")
        else:
            if rmc.status != b"A":
                reasons.append("status")
            if rmc.mode not in VALID_MODES:
                reasons.append("mode")
        if gga and not 1 <= (gga.quality or 0) <= 5:
            reasons.append("quality")
        if utc_us is None:
            reasons.append("dates differ" if self._dates_differ() else "no date")
        if calendar.in_leap_second(self._epoch_time_us or 0):
            reasons.append("leap second")
        return tuple(reasons)

    def _queue_fix(self, fix: Fix) -> None:
        if fix.valid:
            self.valid_fixes += 1
        else:
            self.void_fixes += 1
        if len(self._fixes) >= _MAX_FIXES:
            self._fixes.pop(0)
            self.dropped_fixes += 1
        self._fixes.append(fix)

    def _count_gsv(self, body: bytes) -> None:
        """Count satellites once: of the sets for several signals, the largest counts.

        This is the quick count for the fix; `Epoch.visible` is exact.
        """
        f = body.split(b",", 4)
        if len(f) < 5 or f[2] not in (b"1", b"01"):
            return
        in_view = int(f[3]) if f[3].isdigit() and len(f[3]) <= 3 else 0
        counted = self._in_view.get(f[0], 0)
        if in_view >= counted and (counted or len(self._in_view) < _MAX_TALKERS):
            self._in_view[f[0]] = in_view

    def _update_visible(self) -> None:
        """Set the visible satellites from the GSV of the epoch; expires an old count."""
        if self._in_view:
            self._visible = sum(self._in_view.values())
            self._in_view = {}
            self._visible_age = 0
        elif self._visible is not None:
            self._visible_age += 1
            if self._visible_age >= _VISIBLE_EPOCHS:
                self._visible = None
