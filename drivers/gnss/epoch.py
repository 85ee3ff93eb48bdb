# SPDX-License-Identifier: Apache-2.0
"""One decoded epoch of a receiver: the combined content of all sentences of one fix.

An epoch is valid if all sentences about the fix agree:

- RMC has status A and a measuring mode (A, D, F, P, R: not dead reckoning, manual or simulated);
- GGA has quality 1 to 5;
- GNS and GLL have a measuring mode;
- not all GSA say "no fix".

One such sentence is sufficient, and one against is sufficient to make the epoch invalid. `reasons`
and `flags` hold the causes and other findings.

The decoder checks the time with this epoch and the one before it. It rejects impossible dates and
times. RMC and ZDA must have the same date. A date before 2017 is 1024 weeks too early (GPS counts
weeks in ten bits); the decoder corrects and flags it. Time must not go back, or step by more than 1
s against the monotonic clock. Does not decide whether to use the time; see `agent.clock`.

The satellites are decoded on demand (`Epoch.satellite_view`).
"""

from drivers.gnss.epoch_sentences import EpochSentences
from drivers.gnss.fix_rules import MIN_UTC_US, VALID_MODES, is_month_end, isqrt, undo_week_rollover
from drivers.gnss.statements import Statements
from protocols import calendar
from protocols.nmea.satellite_sentences import Gsa, Gsv
from protocols.nmea.satellite_view import SatelliteView
from protocols.nmea.sentences import Gga, Rmc, parse
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.gnss.sentence_group import SentenceGroup
    from protocols.nmea.nav_sentences import Gll, Gns
    from protocols.nmea.sentences import Sentence

    ViewContext = tuple[
        dict[bytes, list[Gsv]] | None, set[tuple[bytes, int | None]] | None, bool, dict[str, int]
    ]
    Parser = Callable[[bytes], tuple[Sentence | None, str]]
    PositionSentence = Rmc | Gga | Gns | Gll

_MAX_DIFFERENCE_E7 = 10_000  # 0.001 degrees: more than a difference in digits explains
_STEP_US = SECOND
_DAY_US = 86_400 * SECOND
_DATE_CARRY_US = 600 * SECOND
_MODE_HOLD_EPOCHS = 5


class Epoch:
    """One epoch; None is "not sent".

    group       the sentences, the load of the line, the arrival time
    utc_us      UTC microseconds since 1970 as sent, corrected for a week rollover; without a date
    by
                the last date, if this is less than ten minutes old
    in_leap_second   the time is 23:59:60, and `utc_us` is the value of the next midnight
    mono_us     monotonic microseconds of this instant (see `drivers.gnss.receiver`)
    valid       the receiver reports a usable fix
    reasons     why it is invalid: "status", "mode", "quality", "fix" (GSA), "no fix" (no sentence
    with
                a fix), "no position"
    flags       the reasons and: "no time", "no date", "dates differ", "leap second", "week
                rollover", "time back", "time step", "positions differ", "datum", "raim",
                "antenna open", "antenna short", "jamming", "line saturated", "damaged",
                "spoofing", "false signature", "malformed", "lost"; `all_flags` adds "incomplete"
    mode        1 no fix, 2 without height, 3 with height
    quality     of GGA
    lat_e7, lon_e7   1e-7 degrees
    alt_mm      millimetres above mean sea level
    speed_mmps, course_centi, hdop_centi
    horizontal_mm, vertical_mm   the receiver's estimate of its error, one sigma
    antenna     "ok", "open", "short": the last reported state
    jamming     "ok", "warning", "critical": the last reported state
    spoofing    "ok", "warning", "critical": the last reported state
    leap_s      GPS time minus UTC that the receiver has from satellites, s; None: not reported
    gain, cw_level, authenticated   see `protocols.nmea.vendor_sentences`; the last reported ones
    pulse       the last pulse that UBX-TIM-TP stated, in UTC: second in the week, ns by which it is
                early
    ubx_replies   UBX-ACK-ACK and UBX-ACK-NAK so far
    raim_satellite   the faulty satellite of the receiver's own RAIM, as sent
    """

    def __init__(self, group: "SentenceGroup", number: int, decoder: "EpochDecoder") -> None:
        self.group = group
        self.number = number
        self.time_us = group.time_us
        self.mono_us = group.mono_us
        self.utc_us: int | None = None
        self.in_leap_second = False
        self.valid = False
        self.reasons: tuple[str, ...] = ()
        self.flags: tuple[str, ...] = ()
        self.mode = 1
        self.quality: int | None = None
        self.lat_e7: int | None = None
        self.lon_e7: int | None = None
        self.alt_mm: int | None = None
        self.speed_mmps: int | None = None
        self.course_centi: int | None = None
        self.hdop_centi: int | None = None
        self.horizontal_mm: int | None = None
        self.vertical_mm: int | None = None
        self.antenna: str | None = None
        self.jamming: str | None = None
        self.spoofing: str | None = None
        self.leap_s: int | None = None
        self.gain: int | None = None
        self.cw_level: int | None = None
        self.authenticated: bool | None = None
        self.pulse: tuple[int, int] | None = None
        self.ubx_replies = decoder.statements.ubx_replies
        self.raim_satellite: int | None = None
        self.reported_used: int | None = None
        self.satellite_sentences: list[Gsv | Gsa] = []
        self._decoder = decoder
        self._satellite_view: SatelliteView | None = None

    @property
    def satellite_view(self) -> SatelliteView:
        """The satellites; decoded on the first access."""
        if self._satellite_view is None:
            self._satellite_view = self._decoder.decode_satellites(self)
        return self._satellite_view

    @property
    def used(self) -> "int | None":
        """Satellites in the fix: those of GSA, else the number of GGA or GNS."""
        return self.satellite_view.used or self.reported_used

    @property
    def visible(self) -> "int | None":
        """Satellites in view, at least `used`; None if no sentence lists satellites."""
        view = self.satellite_view
        if not view.has_gsv and not view.satellites:
            return None
        return max(view.visible, self.used or 0)

    @property
    def complete(self) -> bool:
        """True if all satellites in view are listed."""
        return self.satellite_view.complete

    def all_flags(self) -> "tuple[str, ...]":
        """Return `flags`, and "incomplete" if satellites are missing from the list."""
        is_incomplete = self.satellite_view.has_gsv and not self.satellite_view.complete
        return self.flags + ("incomplete",) if is_incomplete else self.flags


class EpochDecoder:
    """Decodes sentence groups to epochs, and holds the state between epochs.

    `vendor` is one of `protocols.nmea.satellite_id.VENDORS`; without it the decoder finds the
    vendor from the sentences. A date before `min_utc_us` counts as a week rollover.

    statements   what the receiver has stated; its `frames` are those of `Framer.frames`
    decoded, unknown, malformed   sentences: decoded, of an unknown kind, with a bad field
    """

    def __init__(self, vendor: "str | None" = None, min_utc_us: int = MIN_UTC_US) -> None:
        self.vendor = vendor
        self.min_utc_us = min_utc_us
        self.decoded = 0
        self.unknown = 0
        self.malformed = 0
        self.statements = Statements()
        self._parse: Parser = parse
        self._vendor_is_given = vendor is not None
        self._count = 0
        # only the needed values of the last epoch: a whole epoch takes 20 KiB on a small board
        self._last_epoch: tuple[int | None, int, int, bool] | None = None
        self._open_sets: dict[bytes, list[Gsv]] = {}
        self._gsv_sets: set[tuple[bytes, int | None]] = set()
        self._sent_numbers: dict[str, int] = {}
        self._view_number = -1
        self._last_dated_us: int | None = None
        self._last_fix_mode = 0
        self._fix_mode_number = -_MODE_HOLD_EPOCHS

    def set_min_utc(self, utc_us: int) -> None:
        """Set the minimum UTC."""
        self.min_utc_us = utc_us

    def use_parser(self, parser: "Parser") -> None:
        """Use another parser with the results of `protocols.nmea.sentences.parse`."""
        self._parse = parser

    def decode(self, group: "SentenceGroup") -> Epoch:
        """Decode a sentence group. Groups come in order; some can be missing."""
        self._count += 1
        sentences = EpochSentences()
        if self.statements.frames:
            self._set_vendor(self.statements.read_frames())
        epoch = Epoch(group, self._count, self)
        for body in group.bodies:
            self._add_sentence(body, sentences, epoch)
        self.statements.copy_to(epoch)
        _copy_measurements(epoch, sentences)
        epoch.reasons = _find_reasons(epoch, sentences)
        epoch.valid = not epoch.reasons
        epoch.mode = self._find_mode(epoch)
        flags = list(epoch.reasons)
        self._set_time(epoch, sentences, flags)
        _add_warnings(epoch, sentences, flags)
        epoch.flags = tuple(flags)
        self._last_epoch = (epoch.utc_us, epoch.mono_us, epoch.number, epoch.in_leap_second)
        return epoch

    def decode_satellites(self, epoch: Epoch) -> SatelliteView:
        """Decode the satellites of an epoch, continuing open sets of the epoch before."""
        context = self._view_context(epoch)
        view = SatelliteView(epoch.satellite_sentences, self.vendor, *context)
        self._keep_view(epoch, view)
        return view

    def _view_context(self, epoch: Epoch) -> "ViewContext":
        """Return the last four arguments of a `SatelliteView`: what is known before this epoch."""
        is_next = self._view_number == epoch.number - 1
        return (
            self._open_sets if is_next else None,
            self._gsv_sets if is_next and epoch.group.error_count else None,
            epoch.group.overflow_count > 0,
            self._sent_numbers,
        )

    def _keep_view(self, epoch: Epoch, view: SatelliteView) -> None:
        """Count the sentences of a view; keep what the next one continues."""
        self.decoded -= view.malformed
        self.malformed += view.malformed
        self._sent_numbers = view.sent
        self._open_sets = view.open_sets
        self._gsv_sets = view.gsv_sets
        self._view_number = epoch.number

    def _add_sentence(self, body: bytes, sentences: EpochSentences, epoch: Epoch) -> None:
        sentence, reason = self._parse(body)
        if sentence is None:
            if reason == "kind":
                self.unknown += 1
            else:
                self.malformed += 1
                sentences.count_malformed()
            return
        self.decoded += 1
        if isinstance(sentence, (Gsv, Gsa)):
            epoch.satellite_sentences.append(sentence)
            return
        # a vendor sentence; its module is loaded only with the first one
        if hasattr(sentence, "jamming"):
            self.statements.add(sentence)  # type: ignore[arg-type]  # only notices have it
            self._set_vendor(sentence.vendor)  # type: ignore[union-attr]  # as above
        sentences.add(sentence)

    def _set_vendor(self, vendor: "str | None") -> None:
        if vendor is not None and not self._vendor_is_given:
            self.vendor = vendor

    def _find_mode(self, epoch: Epoch) -> int:
        """Return the mode by GSA, else by the last GSA (if this one is missing), else by the
        height.
        """
        reported = _best_gsa_fix(epoch)
        if reported:
            self._last_fix_mode, self._fix_mode_number = reported, epoch.number
        if not epoch.valid:
            return 1
        if (
            not reported
            and epoch.number - self._fix_mode_number <= _MODE_HOLD_EPOCHS
            and self._last_fix_mode > 1
        ):
            return self._last_fix_mode
        return reported or (2 if epoch.alt_mm is None else 3)

    def _set_time(self, epoch: Epoch, sentences: EpochSentences, flags: "list[str]") -> None:
        rmc_date = sentences.rmc.date if sentences.rmc else None
        zda_date = sentences.zda.date if sentences.zda else None
        date = rmc_date or zda_date
        if epoch.time_us is None:
            flags.append("no time")
            return
        if date is None:
            flags.append("no date")
            epoch.utc_us = self._carry_date(epoch.time_us)
            return
        if rmc_date and zda_date and rmc_date != zda_date:
            flags.append("dates differ")
            return
        if calendar.in_leap_second(epoch.time_us):
            flags.append("leap second")
            if not is_month_end(date[0], date[1], date[2]):
                return
            epoch.in_leap_second = True
        reported_us = calendar.utc_from_civil(date[0], date[1], date[2], epoch.time_us)
        epoch.utc_us = undo_week_rollover(reported_us, self.min_utc_us)
        if epoch.utc_us != reported_us:
            flags.append("week rollover")
        self._check_step(epoch, epoch.utc_us, flags)
        self._last_dated_us = epoch.utc_us

    def _carry_date(self, time_us: int) -> "int | None":
        """Return UTC by the last date, if this is less than ten minutes old."""
        last_dated_us = self._last_dated_us
        if last_dated_us is None or calendar.in_leap_second(time_us):
            return None
        utc_us = last_dated_us - last_dated_us % _DAY_US + time_us
        if utc_us < last_dated_us - _DAY_US // 2:  # after midnight
            utc_us += _DAY_US
        return utc_us if 0 <= utc_us - last_dated_us <= _DATE_CARRY_US else None

    def _check_step(self, epoch: Epoch, utc_us: int, flags: "list[str]") -> None:
        """Compare with the epoch before; UTC values stand still over a leap second."""
        if self._last_epoch is None:
            return
        last_us, last_mono, last_number, last_leap = self._last_epoch
        if last_us is None or last_leap:
            return
        if utc_us < last_us:
            flags.append("time back")
        step_us = utc_us - last_us - (epoch.mono_us - last_mono)
        if epoch.group.timing_valid and abs(step_us) > _STEP_US and last_number == epoch.number - 1:
            flags.append("time step")


def _is_invalid_mode(letter: bytes) -> bool:
    """Return True for a mode that is not measured; older receivers send no mode."""
    return letter != b"" and letter not in VALID_MODES


def _find_reasons(epoch: Epoch, sentences: EpochSentences) -> "tuple[str, ...]":
    rmc, gga, gns, gll = sentences.rmc, sentences.gga, sentences.gns, sentences.gll
    reasons: list[str] = []
    if not (rmc or gga or gns or gll):
        return ("no fix",)
    if (rmc and rmc.status != b"A") or (gll and gll.status != b"A"):
        reasons.append("status")
    bad_mode = (rmc and _is_invalid_mode(rmc.mode)) or (gll and _is_invalid_mode(gll.mode))
    if bad_mode or (gns and not _has_valid_gns_mode(gns.modes)):
        reasons.append("mode")
    if gga and not 1 <= (gga.quality or 0) <= 5:
        reasons.append("quality")
    if _best_gsa_fix(epoch) == 1:
        reasons.append("fix")
    if epoch.lat_e7 is None or epoch.lon_e7 is None:
        reasons.append("no position")
    return tuple(reasons)


def _has_valid_gns_mode(modes: bytes) -> bool:
    """Return True if a system measures and none has an estimated, manual or simulated mode."""
    is_valid = False
    for index in range(len(modes)):
        letter = modes[index : index + 1]
        if letter in VALID_MODES:
            is_valid = True
        elif letter != b"N":
            return False
    return is_valid


def _best_gsa_fix(epoch: Epoch) -> int:
    """Return the best fix of all GSA, 0 without one. Unused systems can report 1."""
    best = 0
    for sentence in epoch.satellite_sentences:
        if isinstance(sentence, Gsa):
            mode = sentence.body.split(b",", 3)[2]
            if mode in (b"1", b"2", b"3"):
                best = max(best, int(mode))
    return best


def _copy_measurements(epoch: Epoch, sentences: EpochSentences) -> None:
    """Copy the measurements; the sentence with the most fields has priority."""
    position: PositionSentence | None = (
        sentences.gga or sentences.gns or sentences.rmc or sentences.gll
    )
    for other in (sentences.gns, sentences.rmc, sentences.gll):
        if position is not None and position.lat_e7 is None and other is not None:
            position = other
    if position is not None:
        epoch.lat_e7 = position.lat_e7
        epoch.lon_e7 = position.lon_e7
    altitude_source = sentences.gga or sentences.gns
    if altitude_source is not None:
        epoch.alt_mm = altitude_source.alt_mm
        epoch.reported_used = altitude_source.used
        epoch.hdop_centi = altitude_source.hdop_centi
    if sentences.gga is not None:
        epoch.quality = sentences.gga.quality
    if sentences.vtg is not None:
        epoch.speed_mmps = sentences.vtg.speed_mmps
        epoch.course_centi = sentences.vtg.course_centi
    if (
        sentences.gst is not None
        and sentences.gst.lat_mm is not None
        and sentences.gst.lon_mm is not None
    ):
        epoch.horizontal_mm = isqrt(sentences.gst.lat_mm**2 + sentences.gst.lon_mm**2)
        epoch.vertical_mm = sentences.gst.alt_mm
    elif sentences.accuracy is not None:
        epoch.horizontal_mm = sentences.accuracy.horizontal_mm
        epoch.vertical_mm = sentences.accuracy.vertical_mm
    if sentences.gbs is not None:
        epoch.raim_satellite = sentences.gbs.satellite


def _add_warnings(epoch: Epoch, sentences: EpochSentences, flags: "list[str]") -> None:
    group = epoch.group
    for name, is_active in (
        ("positions differ", _positions_differ(sentences)),
        ("datum", sentences.dtm is not None and sentences.dtm.local not in (b"W84", b"")),
        ("raim", epoch.raim_satellite is not None),
        ("antenna open", epoch.antenna == "open"),
        ("antenna short", epoch.antenna == "short"),
        ("jamming", epoch.jamming in ("warning", "critical")),
        ("spoofing", epoch.spoofing in ("warning", "critical")),
        ("false signature", epoch.authenticated is False),
        ("line saturated", group.line_saturated),
        ("damaged", group.error_count > 0),
        ("malformed", sentences.malformed > 0),
        ("lost", group.overflow_count > 0),
    ):
        if is_active:
            flags.append(name)


def _positions_differ(sentences: EpochSentences) -> bool:
    """Return True if two sentences of one fix have different positions."""
    first: PositionSentence | None = None
    other: PositionSentence | None
    for other in (sentences.gga, sentences.gns, sentences.rmc, sentences.gll):
        if other is None or other.lat_e7 is None or other.lon_e7 is None:
            continue
        if first is None:
            first = other
        elif (
            abs(other.lat_e7 - (first.lat_e7 or 0)) > _MAX_DIFFERENCE_E7
            or abs(other.lon_e7 - (first.lon_e7 or 0)) > _MAX_DIFFERENCE_E7
        ):
            return True
    return False
