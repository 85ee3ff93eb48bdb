"""Strength of the signals: jamming weakens all of them, a spoofer makes them alike.

Not a verdict by itself: each check is a vote, and only two votes make the sky suspect. Others may
vote too (antenna, constellations that disagree). The time and position checks need no vote; see
`agent.clock.evidence`.

How it works, once an epoch, on the carrier-to-noise densities C/N0 in whole dBHz of all signals:
drop     the mean of the strongest eight is 3 dB below what it was in the last seconds, or 6 dB
         below its long mean, or half of the signals are gone. CISA's Epsilon takes 1 dB in 5 s, of
         unrounded figures. Of the 6 dB two are for a hot roof: where the temperature is known, 4 dB
         below what the heat explains is enough.
uniform  of eight or more signals, 92 % are within 1 dB of the commonest value, mean of ten epochs
         (CnoCheck of CISA's PNT-Integrity); of twelve or more, 80 % and 25 points more than in the
         minutes before, mean of five. A real sky is spread over 15 dB; of emulated ones, 35 to 41 %
         are alike on average, but eight to eleven signals were up to 90 % alike for an epoch.
strong   four or more signals above 54 dBHz; BeiDou's B3I reaches 52 on a good roof.

Heat: an amplifier's noise figure grows by 0.01 to 0.02 dB a degree, which with a sky of 130 K costs
0.017 to 0.032 dB/°C of C/N0, up to 2 dB from 25 to 85 °C.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.gnss.detectors import Votes

_STRONGEST = 8
_LEAST = 6
SCALE = 256
"""Parts of a dB in which means are kept."""
_DROP_FAST = 3 * SCALE
_DROP_SLOW = 6 * SCALE
_HEAT = 2 * SCALE
_HEAT_PER_C = 8
"""0.032 dB/°C in 1/256 dB, a noise figure of 1 dB at the worst slope."""
_LEARN = 30
_ALIKE_PERCENT = 80
_ALIKE_LEAST = 8
_EPOCHS = 10
_ALL_PERCENT = 92
_ABOVE = 25
_FEW, _MANY = 5, 12
_SCALE_ALIKE = 64
_STRONG_DBHZ = 54
_STRONG_COUNT = 4


def strongest(cn0: "list[int]") -> int:
    """Mean of the strongest eight, 1/256 dBHz; 0 without any."""
    top = sorted(cn0)[-_STRONGEST:]
    return sum(top) * SCALE // len(top) if top else 0


class Signals:
    """The checks of C/N0; call `epoch` once an epoch, `temperature` when it is known anew."""

    def __init__(self, votes: "Votes") -> None:
        self._votes = votes
        self._seen = 0
        self._fast = self._slow = self._count = 0
        self._alike: list[int] = []
        self._usually = 0
        self._centi_c: int | None = None
        self._usual_c: int | None = None
        self._spread = self._shared = 0

    def temperature(self, centi_c: "int | None") -> None:
        """Take the receiver's temperature, hundredths of a degree Celsius."""
        self._centi_c = centi_c
        if self._usual_c is None and centi_c is not None:
            self._usual_c = centi_c * 1024

    def usual(self) -> "int | None":
        """What the strongest eight lately were, 1/256 dBHz; None while it is learned."""
        return self._fast if self._seen >= _LEARN else None

    def derating(self) -> "int | None":
        """By how much a degree changes C/N0, measured, thousandths of a dB; None if unknown."""
        if self._spread < 200 * 200 * 16:  # less than 2 °C of swing
            return None
        return self._shared * 100_000 // (self._spread * SCALE)

    def epoch(self, cn0: "list[int]", now: int) -> None:
        """Take the C/N0 of all signals of an epoch, dBHz; signals without one are left out."""
        n = len(cn0)
        self._drop(strongest(cn0), n, now)
        self._uniform(cn0, n, now)
        strong = len([c for c in cn0 if c > _STRONG_DBHZ])
        self._votes.vote("strong", strong >= _STRONG_COUNT, now, strong, _STRONG_COUNT - 1)

    def _drop(self, mean: int, n: int, now: int) -> None:
        if self._seen < _LEARN:
            if n < _LEAST:
                return
            self._seen += 1
            self._fast = mean
            self._slow += (mean - self._slow) // self._seen
            self._count += (n * SCALE - self._count) // self._seen
            return
        fell = max(self._fast - mean, self._slow - mean - (self._slow_most() - _DROP_FAST))
        present = fell >= _DROP_FAST or 2 * n * SCALE < self._count
        self._votes.vote("drop", present, now, fell * 100 // SCALE, _DROP_FAST * 100 // SCALE)
        if present:
            return  # what is jammed is not what is normal
        self._follow(mean, n)

    def _slow_most(self) -> int:
        """How far below the long mean is too far."""
        warmer = self._warmer()
        if warmer is None:
            return _DROP_SLOW
        return _DROP_SLOW - _HEAT + max(0, min(_HEAT, _HEAT_PER_C * warmer // 100))

    def _warmer(self) -> "int | None":
        """Hundredths of a degree above the usual."""
        if self._centi_c is None or self._usual_c is None:
            return None
        return self._centi_c - self._usual_c // 1024

    def _follow(self, mean: int, n: int) -> None:
        """Learn what is usual, and what a degree costs (covariance over variance)."""
        warmer = self._warmer()
        if warmer is not None and self._usual_c is not None:
            self._spread += (warmer * warmer * 16 - self._spread) // 1024
            self._shared += (warmer * (mean - self._slow) * 16 - self._shared) // 1024
            self._usual_c += warmer
        self._fast += (mean - self._fast) // 8
        self._slow += (mean - self._slow) // 1024
        self._count += (n * SCALE - self._count) // 1024

    def _uniform(self, cn0: "list[int]", n: int, now: int) -> None:
        if n < _ALIKE_LEAST:
            return
        bins: dict[int, int] = {}
        for c in cn0:
            bins[c] = bins.get(c, 0) + 1
        most = max([bins[c] + bins.get(c - 1, 0) + bins.get(c + 1, 0) for c in bins])
        alike = self._alike
        alike.append(100 * most // n)
        if len(alike) > _EPOCHS:
            alike.pop(0)
        percent, least = sum(alike) // _EPOCHS, _ALL_PERCENT
        if n >= _MANY:
            percent = sum(alike[-_FEW:]) // _FEW
            least = max(_ALIKE_PERCENT, min(least, self._usually // _SCALE_ALIKE + _ABOVE))
        present = percent >= least
        self._votes.vote("uniform", present, now, percent, least - 1)
        if not present:
            self._usually += (100 * most * _SCALE_ALIKE // n - self._usually) // 256
