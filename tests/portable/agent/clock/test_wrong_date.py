"""Time that cannot be, or cannot be true: bytes in, and UTC stays what it was (or unknown).

`KINDS` is also what `benchmarks.clock` counts.
"""

from agent.clock.utc_clock import Clock
from drivers.gnss.receiver import Receiver
from protocols.calendar import civil_from_utc, utc_from_civil
from protocols.time_units import SECOND
from tests.portable.support.check import eq
from tests.portable.support.nmeatext import gga, rmc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BAUD = 115_200
NOON = utc_from_civil(2026, 11, 26, 43_200 * SECOND)
MIDNIGHT = utc_from_civil(2026, 11, 27)
WEEKS = 1024 * 7 * 86_400


def said(
    utc_us: int, shift_s: int = 0, date: "str | None" = None, time: "str | None" = None
) -> bytes:
    """What a receiver says at a second, with what is wrong about it."""
    year, month, day, of_day = civil_from_utc(utc_us + shift_s * SECOND)
    second = of_day // SECOND
    hms = "%02d%02d%02d.000" % (second // 3600, second // 60 % 60, second % 60)
    dmy = "%02d%02d%02d" % (day, month, year % 100)
    return rmc(time or hms, "A", "A", date or dmy) + gga(time or hms)


def shifted(seconds: int) -> "tuple[int, Callable[[int], bytes]]":
    return NOON, lambda utc: said(utc, seconds)


KINDS: "dict[str, tuple[int, Callable[[int], bytes]]]" = {
    "30 February": (NOON, lambda utc: said(utc, date="300226")),
    "31 November": (NOON, lambda utc: said(utc, date="311126")),
    "month 13": (NOON, lambda utc: said(utc, date="261326")),
    "day 0": (NOON, lambda utc: said(utc, date="001126")),
    "hour 25": (NOON, lambda utc: said(utc, time="250000.000")),
    "hour 24": (NOON, lambda utc: said(utc, time="240000.000")),
    "minute 60": (NOON, lambda utc: said(utc, time="126000.000")),
    "second 61": (NOON, lambda utc: said(utc, time="120061.000")),
    "a leap second in November": (NOON, lambda utc: said(utc, time="235960.000")),
    "1024 weeks ago": shifted(-WEEKS),
    "2048 weeks ago": shifted(-2 * WEEKS),
    "1024 weeks ahead": shifted(WEEKS),
    "BDT": shifted(4),
    "BDT, late": shifted(-4),
    "BDT as GPST": shifted(14),
    "GPST": shifted(18),
    "GPST, late": shifted(-18),
    "a second": shifted(1),
    "a second back": shifted(-1),
    "an hour": shifted(3600),
    "yesterday at midnight": (MIDNIGHT, lambda utc: said(utc, date="261126")),
    "tomorrow before midnight": (MIDNIGHT - 40 * SECOND, lambda utc: said(utc, date="271126")),
    "no date": (NOON, lambda utc: said(utc, date=",")),
}
"""What is bogus: when it begins, and what the receiver then says at a second."""


def tried(name: str, settled: bool, epochs: int = 30) -> "tuple[int, int]":
    """Let a clock hear a kind; return how many fixes it took, and how far UTC was moved (us).

    `settled`: the clock has heard the truth for a minute before.
    """
    begin, say = KINDS[name]
    receiver = Receiver(0, BAUD)
    clock = Clock(50_000, floor_us=NOON - 86_400 * SECOND, leap_known=True)
    receiver.raise_floor(clock.floor_us)
    mono = 0
    accepted = 0
    worst = 0
    for i in range(-60 if settled else 0, epochs):
        utc = begin + i * SECOND
        receiver.receive(said(utc) if i < 0 else say(utc), mono)
        before = clock.accepted
        for fix in receiver.fixes():
            clock.sample(fix)
        accepted += clock.accepted - before if i >= 0 else 0
        for tick in range(10):
            clock.slew(SECOND // 10, mono + tick * SECOND // 10)
        mono += SECOND
        told = clock.utc(mono)
        if i >= 0 and told is not None:
            worst = max(worst, abs(told - (utc + SECOND)))
    return accepted, worst


def test_none_is_taken_by_a_clock_that_knows_better() -> None:
    for name in KINDS:
        accepted, moved = tried(name, True)
        eq((name, accepted), (name, 30 if name in ROLLED else 0))  # those are put right
        assert moved < 100_000, (name, moved)


def test_what_cannot_be_sets_no_clock() -> None:
    for name in KINDS:
        impossible = KINDS[name][0] == NOON and name not in LABELS
        if impossible:
            eq((name, tried(name, False)), (name, (0, 0)))


ROLLED = ("1024 weeks ago", "2048 weeks ago")
LABELS = ROLLED + (
    "1024 weeks ahead",
    "BDT",
    "BDT, late",
    "BDT as GPST",
    "GPST",
    "GPST, late",
    "a second",
    "a second back",
    "an hour",
)
"""A clock without any time before cannot know these to be wrong; the rolled are put right."""


def test_rollovers_are_put_right_by_the_floor_of_a_clock_that_has_no_time_yet() -> None:
    for name in ROLLED:
        accepted, moved = tried(name, False)
        eq((name, accepted > 20, moved < 100_000), (name, True, True))
