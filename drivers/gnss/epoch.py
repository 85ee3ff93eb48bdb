"""One epoch of a receiver, decoded: what all sentences of one fix say together.

An epoch is valid when everything that speaks of the fix agrees: RMC's status A and mode (A, D, F,
P, R: not dead reckoning, manual or simulated), GGA's quality 1 to 5, GNS' modes, GLL, and not all
GSA saying "no fix". One voice is enough, one voice against it is enough too. Why it is not valid,
and what else is odd, stands in `flags`.

Time is checked as far as one epoch and the one before it can tell: no such date or time is
believed, RMC and ZDA must have the same date, dates before 2017 are 1024 weeks too early (GPS
counts weeks in ten bits) and are put right and flagged, and time may not go back or step by more
than a second against the monotonic clock. Whether to follow it is the clock's decision.

The satellites are decoded only when somebody asks (`Epoch.sky`).
"""

from drivers.gnss.fix_rules import FLOOR_US, VALID_MODES, ends_month, unrolled
from protocols import calendar
from protocols.nmea.satellite_view import Sky
from protocols.nmea.sentences import Gga, Gsa, Gsv, Rmc, Zda, parse
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.gnss.sentence_group import Burst
    from protocols.nmea.nav_sentences import Dtm, Gbs, Gll, Gns, Gst, Vtg
    from protocols.nmea.sentences import Sentence
    from protocols.nmea.vendor_sentences import Notice

    Placed = Rmc | Gga | Gns | Gll

_APART_E7 = 10_000  # 0.001 degrees: more than what fewer digits in one sentence explain
_STEP_US = SECOND
_DAY_US = 86_400 * SECOND
_CARRIED_US = 600 * SECOND
_KEPT_EPOCHS = 5


class Epoch:
    """One epoch; None is "not said".

    burst       the sentences themselves, occupancy of the line, arrival
    utc_us      UTC microseconds since 1970 as the receiver says it, put right for a week rollover;
                without a date by the last one that was said, less than ten minutes before
    leap        it is 23:59:60, and `utc_us` the next midnight's number
    mono_us     monotonic microseconds of that instant (see `drivers.gnss.receiver`)
    valid       a fix to trust, by what the receiver says
    reasons     why it is not: "status", "mode", "quality", "fix" (GSA), "no fix" (nothing speaks of
                one), "no position"
    flags       the reasons and: "no time", "no date", "dates differ", "leap second", "week
                rollover", "time back", "time step", "positions differ", "datum", "raim",
                "antenna open", "antenna short", "jamming", "line saturated", "damaged",
                "malformed", "lost"; `all_flags` adds "incomplete"
    mode        1 no fix, 2 without and 3 with height
    quality     GGA's
    lat_e7, lon_e7   1e-7 degrees, alt_mm millimetres above mean sea level
    speed_mmps, course_centi, hdop_centi
    horizontal_mm, vertical_mm   the receiver's estimate of its error, one sigma
    antenna     "ok", "open", "short": as last said
    jamming     "ok", "warning", "critical": as last said
    failed      the satellite that the receiver's own integrity check accuses, as sent
    """

    def __init__(self, burst: "Burst", number: int, decoder: "Decoder") -> None:
        self.burst = burst
        self.number = number
        self.time_us = burst.time_us
        self.mono_us = burst.mono_us
        self.utc_us: int | None = None
        self.leap = False
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
        self.failed: int | None = None
        self.said_used: int | None = None
        self.seen: list[Gsv | Gsa] = []
        self._decoder = decoder
        self._sky: Sky | None = None

    @property
    def sky(self) -> Sky:
        """The satellites; decoded at the first call."""
        if self._sky is None:
            self._sky = self._decoder.look_up(self)
        return self._sky

    @property
    def used(self) -> "int | None":
        """Satellites in the fix: those that GSA names, else the number that GGA or GNS gives."""
        return self.sky.used or self.said_used

    @property
    def visible(self) -> "int | None":
        """Satellites in view, never fewer than used; None if nothing lists any."""
        sky = self.sky
        if not sky.has_view and not sky.satellites:
            return None
        return max(sky.visible, self.used or 0)

    @property
    def complete(self) -> bool:
        """Whether all satellites in view are listed."""
        return self.sky.complete

    def all_flags(self) -> "tuple[str, ...]":
        """`flags`, and "incomplete" if satellites are missing from the list."""
        missing = self.sky.has_view and not self.sky.complete
        return self.flags + ("incomplete",) if missing else self.flags


class _Parts:
    """An epoch's sentences by kind, the first of each."""

    def __init__(self) -> None:
        self.rmc: Rmc | None = None
        self.gga: Gga | None = None
        self.gns: Gns | None = None
        self.gll: Gll | None = None
        self.zda: Zda | None = None
        self.vtg: Vtg | None = None
        self.gst: Gst | None = None
        self.gbs: Gbs | None = None
        self.dtm: Dtm | None = None
        self.accuracy: Notice | None = None
        self.malformed = 0

    def file(self, sentence: "Sentence") -> None:
        """Keep the first sentence of a kind."""
        name = _SLOTS.get(sentence.kind)
        if name is not None and getattr(self, name) is None:
            setattr(self, name, sentence)


_SLOTS = {
    b"RMC": "rmc",
    b"GGA": "gga",
    b"GNS": "gns",
    b"GLL": "gll",
    b"ZDA": "zda",
    b"VTG": "vtg",
    b"GST": "gst",
    b"GBS": "gbs",
    b"DTM": "dtm",
    b"PQTMEPE": "accuracy",
}


class Decoder:
    """Makes epochs of bursts, and remembers what outlives one.

    `vendor` names the maker (`protocols.nmea.satellite_id.VENDORS`); without it the decoder finds it
    out where sentences tell. `floor_us`: no time before it is believed.

    typed, unknown, malformed   sentences: with a meaning, of an unknown kind, with a bad field
    """

    def __init__(self, vendor: "str | None" = None, floor_us: int = FLOOR_US) -> None:
        self.vendor = vendor
        self.floor_us = floor_us
        self.typed = 0
        self.unknown = 0
        self.malformed = 0
        self.antenna: str | None = None
        self.jamming: str | None = None
        self._vendor_is_given = vendor is not None
        self._count = 0
        # of the epoch before, no more than is asked for: a whole one is 20 KiB on a small board
        self._last: tuple[int | None, int, int, bool] | None = None
        self._open_sets: dict[bytes, list[Gsv]] = {}
        self._views: set[tuple[bytes, int | None]] = set()
        self._sky_number = -1
        self._dated: int | None = None
        self._fix = 0
        self._fix_number = -_KEPT_EPOCHS

    def decode(self, burst: "Burst") -> Epoch:
        """Decode a burst. Bursts come in order; some may be left out."""
        self._count += 1
        epoch = Epoch(burst, self._count, self)
        parts = _Parts()
        for body in burst.bodies:
            self._sort(body, parts, epoch)
        epoch.antenna = self.antenna
        epoch.jamming = self.jamming
        _measure(epoch, parts)
        epoch.reasons = _reasons(epoch, parts)
        epoch.valid = not epoch.reasons
        epoch.mode = self._mode(epoch)
        flags = list(epoch.reasons)
        self._tell_time(epoch, parts, flags)
        _warn(epoch, parts, flags)
        epoch.flags = tuple(flags)
        self._last = (epoch.utc_us, epoch.mono_us, epoch.number, epoch.leap)
        return epoch

    def look_up(self, epoch: Epoch) -> Sky:
        """Decode an epoch's satellites, going on where the epoch before left off."""
        follows = self._sky_number == epoch.number - 1
        sky = Sky(
            epoch.seen,
            self.vendor,
            self._open_sets if follows else None,
            self._views if follows and epoch.burst.damaged else None,
        )
        if epoch.burst.lost and sky.has_view:
            sky.complete = False
        self._open_sets = sky.open_sets
        self._views = sky.views
        self._sky_number = epoch.number
        return sky

    def _sort(self, body: bytes, parts: _Parts, epoch: Epoch) -> None:
        sentence, reason = parse(body)
        if sentence is None:
            if reason == "kind":
                self.unknown += 1
            else:
                self.malformed += 1
                parts.malformed += 1
            return
        self.typed += 1
        if isinstance(sentence, (Gsv, Gsa)):
            epoch.seen.append(sentence)
            return
        if hasattr(sentence, "jamming"):  # a notice: its code is there when one came
            self._hear(sentence)  # type: ignore[arg-type]  # only notices have it
        parts.file(sentence)

    def _hear(self, notice: "Notice") -> None:
        if notice.antenna is not None:
            self.antenna = notice.antenna
        if notice.jamming is not None:
            self.jamming = notice.jamming
        if notice.maker is not None and not self._vendor_is_given:
            self.vendor = notice.maker

    def _mode(self, epoch: Epoch) -> int:
        """By GSA; by the last one, if this epoch's is lost; by height where none is sent."""
        said = _gsa_fix(epoch)
        if said:
            self._fix, self._fix_number = said, epoch.number
        if not epoch.valid:
            return 1
        if not said and epoch.number - self._fix_number <= _KEPT_EPOCHS and self._fix > 1:
            return self._fix
        return said or (2 if epoch.alt_mm is None else 3)

    def _tell_time(self, epoch: Epoch, parts: _Parts, flags: "list[str]") -> None:
        rmc_date = parts.rmc.date if parts.rmc else None
        zda_date = parts.zda.date if parts.zda else None
        date = rmc_date or zda_date
        if epoch.time_us is None:
            flags.append("no time")
            return
        if date is None:
            flags.append("no date")
            epoch.utc_us = self._carried(epoch.time_us)
            return
        if rmc_date and zda_date and rmc_date != zda_date:
            flags.append("dates differ")
            return
        if calendar.in_leap_second(epoch.time_us):
            flags.append("leap second")
            if not ends_month(date[0], date[1], date[2]):
                return
            epoch.leap = True
        said = calendar.utc_from_civil(date[0], date[1], date[2], epoch.time_us)
        epoch.utc_us = unrolled(said, self.floor_us)
        if epoch.utc_us != said:
            flags.append("week rollover")
        self._compare(epoch, epoch.utc_us, flags)
        self._dated = epoch.utc_us

    def _carried(self, time_us: int) -> "int | None":
        """UTC by the last date that was said, if that was less than ten minutes ago."""
        dated = self._dated
        if dated is None or calendar.in_leap_second(time_us):
            return None
        utc_us = dated - dated % _DAY_US + time_us
        if utc_us < dated - _DAY_US // 2:  # midnight has passed
            utc_us += _DAY_US
        return utc_us if 0 <= utc_us - dated <= _CARRIED_US else None

    def _compare(self, epoch: Epoch, utc_us: int, flags: "list[str]") -> None:
        """Compare with the epoch before; over a leap second UTC's numbers stand still."""
        if self._last is None:
            return
        last_us, last_mono, last_number, last_leap = self._last
        if last_us is None or last_leap:
            return
        if utc_us < last_us:
            flags.append("time back")
        apart = utc_us - last_us - (epoch.mono_us - last_mono)
        if epoch.burst.timed_line and abs(apart) > _STEP_US and last_number == epoch.number - 1:
            flags.append("time step")


def _mode_speaks_against(letter: bytes) -> bool:
    """Whether a mode is said and measures nothing; older receivers say none."""
    return letter != b"" and letter not in VALID_MODES


def _reasons(epoch: Epoch, parts: _Parts) -> "tuple[str, ...]":
    rmc, gga, gns, gll = parts.rmc, parts.gga, parts.gns, parts.gll
    reasons: list[str] = []
    if not (rmc or gga or gns or gll):
        return ("no fix",)
    if (rmc and rmc.status != b"A") or (gll and gll.status != b"A"):
        reasons.append("status")
    bad_mode = (rmc and _mode_speaks_against(rmc.mode)) or (gll and _mode_speaks_against(gll.mode))
    if bad_mode or (gns and not _gns_measures(gns.modes)):
        reasons.append("mode")
    if gga and not 1 <= (gga.quality or 0) <= 5:
        reasons.append("quality")
    if _gsa_fix(epoch) == 1:
        reasons.append("fix")
    if epoch.lat_e7 is None or epoch.lon_e7 is None:
        reasons.append("no position")
    return tuple(reasons)


def _gns_measures(modes: bytes) -> bool:
    """Whether at least one system measures and none is guessed, typed in or simulated."""
    measured = False
    for index in range(len(modes)):
        letter = modes[index : index + 1]
        if letter in VALID_MODES:
            measured = True
        elif letter != b"N":
            return False
    return measured


def _gsa_fix(epoch: Epoch) -> int:
    """The best fix that GSA says, 0 without one. Systems that are not used may say 1."""
    best = 0
    for sentence in epoch.seen:
        if isinstance(sentence, Gsa):
            said = sentence.body.split(b",", 3)[2]
            if said in (b"1", b"2", b"3"):
                best = max(best, int(said))
    return best


def _measure(epoch: Epoch, parts: _Parts) -> None:
    """Copy what was measured; the sentence with the most to say counts."""
    place: Placed | None = parts.gga or parts.gns or parts.rmc or parts.gll
    for other in (parts.gns, parts.rmc, parts.gll):
        if place is not None and place.lat_e7 is None and other is not None:
            place = other
    if place is not None:
        epoch.lat_e7 = place.lat_e7
        epoch.lon_e7 = place.lon_e7
    high = parts.gga or parts.gns
    if high is not None:
        epoch.alt_mm = high.alt_mm
        epoch.said_used = high.used
        epoch.hdop_centi = high.hdop_centi
    if parts.gga is not None:
        epoch.quality = parts.gga.quality
    if parts.vtg is not None:
        epoch.speed_mmps = parts.vtg.speed_mmps
        epoch.course_centi = parts.vtg.course_centi
    if parts.gst is not None and parts.gst.lat_mm is not None and parts.gst.lon_mm is not None:
        epoch.horizontal_mm = _root(parts.gst.lat_mm**2 + parts.gst.lon_mm**2)
        epoch.vertical_mm = parts.gst.alt_mm
    elif parts.accuracy is not None:
        epoch.horizontal_mm = parts.accuracy.horizontal_mm
        epoch.vertical_mm = parts.accuracy.vertical_mm
    if parts.gbs is not None:
        epoch.failed = parts.gbs.satellite


def _root(square: int) -> int:
    """The whole part of a square root, by Newton's method: no float, so all boards agree."""
    if square <= 0:
        return 0
    guess = square
    better = (square + 1) // 2
    while better < guess:
        guess = better
        better = (guess + square // guess) // 2
    return guess


def _warn(epoch: Epoch, parts: _Parts, flags: "list[str]") -> None:
    burst = epoch.burst
    for name, raised in (
        ("positions differ", _apart(parts)),
        ("datum", parts.dtm is not None and parts.dtm.local not in (b"W84", b"")),
        ("raim", epoch.failed is not None),
        ("antenna open", epoch.antenna == "open"),
        ("antenna short", epoch.antenna == "short"),
        ("jamming", epoch.jamming in ("warning", "critical")),
        ("line saturated", burst.saturated),
        ("damaged", burst.damaged > 0),
        ("malformed", parts.malformed > 0),
        ("lost", burst.lost > 0),
    ):
        if raised:
            flags.append(name)


def _apart(parts: _Parts) -> bool:
    """Whether two sentences of one fix name places that are not the same."""
    first: Placed | None = None
    other: Placed | None
    for other in (parts.gga, parts.gns, parts.rmc, parts.gll):
        if other is None or other.lat_e7 is None or other.lon_e7 is None:
            continue
        if first is None:
            first = other
        elif (
            abs(other.lat_e7 - (first.lat_e7 or 0)) > _APART_E7
            or abs(other.lon_e7 - (first.lon_e7 or 0)) > _APART_E7
        ):
            return True
    return False
