"""Strength of the signals: jamming weakens all of them, a spoofer makes them alike.

Not a verdict by itself: each check is a vote, and only two votes make the sky suspect. Others may
vote too (antenna, constellations that disagree). The time and position checks need no vote; see
`agent.integrity`.

How it works, once an epoch, on the carrier-to-noise densities C/N0 in whole dBHz of all signals:
drop     the mean of the strongest eight is `_DROP_FAST` below what it was in the last seconds, or
         `_DROP_SLOW` below its long mean, or half of the signals are gone. CISA's Epsilon takes
         1 dB in 5 s, of unrounded figures; a hot roof alone costs 2 dB, slowly.
uniform  of the signals, `_ALIKE_PERCENT` are within 1 dB of the commonest value, mean of ten epochs
         (CnoCheck of CISA's PNT-Integrity). A real sky is spread over 15 dB.
strong   four or more signals above 54 dBHz; BeiDou's B3I reaches 52 on a good roof.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.integrity import Verdicts

VOTES = (
    ("drop", "gnss_drop", "0.01 dB", "all signals have become weaker: jamming"),
    ("uniform", "gnss_uniform", "%", "all signals are equally strong: spoofing"),
    ("strong", "gnss_strong", "signals", "signals are stronger than a sky's: spoofing"),
    ("constellations", "gnss_constellations", "0.01 dB", "satellite systems contradict each other"),
    ("antenna_open", "gnss_antenna_open", "", "the antenna is not connected"),
    ("antenna_short", "gnss_antenna_short", "", "the antenna or its cable is short-circuited"),
    ("jamming", "gnss_jamming", "", "the receiver itself reports jamming"),
)
"""The checks that vote: name, code of the alarm, unit of the figure, what it means."""

NOTICES = (
    ("silent", "gnss_silent", "s", "the receiver says nothing"),
    ("no_fix", "gnss_no_fix", "s", "the receiver has no fix"),
    ("line_saturated", "gnss_line_saturated", "permille", "the receiver's line is too slow"),
    ("desense", "gnss_desense", "0.01 dB", "transmitting weakens the signals"),
    ("bound", "time_bound", "us", "UTC is not as well known as it must be"),
    ("store", "time_store", "", "what was kept of the time cannot be read"),
)
"""What is wrong, but votes against nobody; as `VOTES`."""

_STRONGEST = 8
_LEAST = 6
_SCALE = 256
_DROP_FAST = 3 * _SCALE
_DROP_SLOW = 6 * _SCALE
_LEARN = 30
_ALIKE_PERCENT = 70
_EPOCHS = 10
_STRONG_DBHZ = 54
_STRONG_COUNT = 4
_UP, _DOWN = 2, 30


class Votes:
    """Votes by name, each with hysteresis.

    A vote is raised when it was present `up` times in a row, and taken back when it was absent
    `down` times in a row; so a sky that flickers does not make the alarm flicker.
    """

    def __init__(self, verdicts: "Verdicts", up: int = _UP, down: int = _DOWN) -> None:
        self.raised: list[str] = []
        self._verdicts = verdicts
        self._up = up
        self._down = down
        self._rows: dict[str, int] = {}

    def vote(self, name: str, present: bool, now: int, figure: int, limit: int) -> None:
        """Say whether `name` is present now; `figure` and its `limit` are kept as evidence."""
        row = self._rows.get(name, 0)
        raised = name in self.raised
        if present == raised:
            if row:
                self._rows[name] = 0
            return
        row += 1
        if present and row >= self._up:
            self.raised.append(name)
            self._verdicts.add(name, now, figure, limit)
            row = 0
        elif raised and row >= self._down:
            self.raised.remove(name)
            row = 0
        self._rows[name] = row

    def suspect(self) -> bool:
        """Whether two or more votes are raised."""
        return len(self.raised) >= 2


class Signals:
    """The checks of C/N0; call `epoch` once an epoch."""

    def __init__(self, votes: Votes) -> None:
        self._votes = votes
        self._seen = 0
        self._fast = self._slow = self._count = 0
        self._alike: list[int] = []

    def epoch(self, cn0: "list[int]", now: int) -> None:
        """Take the C/N0 of all signals of an epoch, dBHz; signals without one are left out."""
        n = len(cn0)
        top = sorted(cn0)[-_STRONGEST:]
        self._drop(sum(top) * _SCALE // len(top) if top else 0, n, now)
        self._uniform(cn0, n, now)
        strong = len([c for c in top if c > _STRONG_DBHZ])
        self._votes.vote("strong", strong >= _STRONG_COUNT, now, strong, _STRONG_COUNT - 1)

    def _drop(self, mean: int, n: int, now: int) -> None:
        if self._seen < _LEARN:
            if n < _LEAST:
                return
            self._seen += 1
            self._fast = mean
            self._slow += (mean - self._slow) // self._seen
            self._count += (n * _SCALE - self._count) // self._seen
            return
        fell = max(self._fast - mean, self._slow - mean - (_DROP_SLOW - _DROP_FAST))
        present = fell >= _DROP_FAST or 2 * n * _SCALE < self._count
        self._votes.vote("drop", present, now, fell * 100 // _SCALE, _DROP_FAST * 100 // _SCALE)
        if present:
            return  # what is jammed is not what is normal
        self._fast += (mean - self._fast) // 8
        self._slow += (mean - self._slow) // 1024
        self._count += (n * _SCALE - self._count) // 1024

    def _uniform(self, cn0: "list[int]", n: int, now: int) -> None:
        if n < _LEAST:
            return
        bins: dict[int, int] = {}
        for c in cn0:
            bins[c] = bins.get(c, 0) + 1
        most = max([bins[c] + bins.get(c - 1, 0) + bins.get(c + 1, 0) for c in bins])
        alike = self._alike
        alike.append(100 * most // n)
        if len(alike) > _EPOCHS:
            alike.pop(0)
        percent = sum(alike) // _EPOCHS
        self._votes.vote("uniform", percent >= _ALIKE_PERCENT, now, percent, _ALIKE_PERCENT - 1)
