# SPDX-License-Identifier: Apache-2.0
"""Check the signal strengths: jamming weakens all signals, a spoofer makes them equally strong.

Does not reject fixes: each check is a detector, and two active detectors make the time untrusted
(see `agent.gnss.detectors`). The checks of time and position act alone; see `agent.clock.evidence`.

How it works. Each epoch gives the carrier-to-noise densities C/N0 of all signals in integer dBHz.
drop     the mean of the strongest eight is 3 dB below that of the last seconds, or 6 dB below its
         long mean, or half of the signals are missing. CISA's Epsilon uses 1 dB in 5 s, of
         unrounded values. 2 of the 6 dB allow for a hot roof. If the temperature is known, 4 dB
         below the level that the temperature explains are sufficient.
uniform  of eight or more signals, 92 % are within 1 dB of the most frequent value, mean of ten
         epochs (CnoCheck of CISA's PNT-Integrity). Of twelve or more, 80 % and 25 points more than
         in the minutes before, mean of five. Real signals are spread over 15 dB. Of emulated
         signals 35 to 41 % are alike on average, but eight to eleven were up to 90 % alike once.
strong   four or more signals above 54 dBHz; BeiDou's B3I reaches 52 dBHz on a good roof.

Temperature: the noise figure of an amplifier grows by 0.01 to 0.02 dB/K. With a sky temperature of
130 K this costs 0.017 to 0.032 dB/K of C/N0, up to 2 dB from 25 to 85 °C.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.gnss.detectors import DetectorSet

_STRONGEST = 8
_MIN_SIGNALS = 6
SCALE = 256
"""Parts of a dB in the means."""
_DROP_FAST = 3 * SCALE
_DROP_SLOW = 6 * SCALE
_TEMP_ALLOWANCE = 2 * SCALE
_TEMP_COEFFICIENT = 8
"""0.032 dB/K in 1/256 dB: a noise figure of 1 dB at the largest slope."""
_LEARN_EPOCHS = 30
_SHORT_PERCENT = 80
_UNIFORM_SIGNALS = 8
_LONG_WINDOW = 10
_LONG_PERCENT = 92
_ABOVE_USUAL = 25
_SHORT_WINDOW, _SHORT_SIGNALS = 5, 12
_UNIFORM_SCALE = 64
_STRONG_DBHZ = 54
_STRONG_COUNT = 4


def mean_of_strongest(cn0: "list[int]") -> int:
    """Return the mean of the strongest eight in 1/256 dBHz, 0 without signals."""
    top = sorted(cn0)[-_STRONGEST:]
    return sum(top) * SCALE // len(top) if top else 0


class SignalCheck:
    """The checks of C/N0. Call `add_epoch` for each epoch, `set_temperature` for each new value."""

    def __init__(self, detectors: "DetectorSet") -> None:
        self._detectors = detectors
        self._epochs = 0
        self._fast = self._slow = self._count = 0
        self._uniform_percents: list[int] = []
        self._usual_uniform = 0
        self._centi_c: int | None = None
        self._usual_centi_c: int | None = None
        self._temp_variance = self._temp_covariance = 0

    def set_temperature(self, centi_c: "int | None") -> None:
        """Set the temperature of the receiver, hundredths of a degree Celsius. None: unknown."""
        self._centi_c = centi_c
        if self._usual_centi_c is None and centi_c is not None:
            self._usual_centi_c = centi_c * 1024

    def usual_level(self) -> "int | None":
        """Return the recent level of the strongest eight, 1/256 dBHz. None: not learned yet."""
        return self._fast if self._epochs >= _LEARN_EPOCHS else None

    def derating(self) -> "int | None":
        """Return the measured change of C/N0 per kelvin, 1/1000 dB. None: unknown."""
        if self._temp_variance < 200 * 200 * 16:  # a swing of less than 2 K
            return None
        return self._temp_covariance * 100_000 // (self._temp_variance * SCALE)

    def add_epoch(self, cn0: "list[int]", now: int) -> None:
        """Add the C/N0 of all signals of an epoch, dBHz, without signals that have none."""
        n = len(cn0)
        self._check_drop(mean_of_strongest(cn0), n, now)
        self._check_uniform(cn0, n, now)
        strong = len([c for c in cn0 if c > _STRONG_DBHZ])
        self._detectors.report("strong", strong >= _STRONG_COUNT, now, strong, _STRONG_COUNT - 1)

    def _check_drop(self, mean: int, n: int, now: int) -> None:
        if self._epochs < _LEARN_EPOCHS:
            if n < _MIN_SIGNALS:
                return
            self._epochs += 1
            self._fast = mean
            self._slow += (mean - self._slow) // self._epochs
            self._count += (n * SCALE - self._count) // self._epochs
            return
        drop = max(self._fast - mean, self._slow - mean - (self._slow_limit() - _DROP_FAST))
        present = drop >= _DROP_FAST or 2 * n * SCALE < self._count
        self._detectors.report("drop", present, now, drop * 100 // SCALE, _DROP_FAST * 100 // SCALE)
        if present:
            return  # a jammed epoch must not change the means
        self._update_means(mean, n)

    def _slow_limit(self) -> int:
        """Return the largest drop below the long mean."""
        excess = self._temp_excess()
        if excess is None:
            return _DROP_SLOW
        return (
            _DROP_SLOW
            - _TEMP_ALLOWANCE
            + max(0, min(_TEMP_ALLOWANCE, _TEMP_COEFFICIENT * excess // 100))
        )

    def _temp_excess(self) -> "int | None":
        """Return the excess over the usual temperature, hundredths of a kelvin."""
        if self._centi_c is None or self._usual_centi_c is None:
            return None
        return self._centi_c - self._usual_centi_c // 1024

    def _update_means(self, mean: int, n: int) -> None:
        """Update the means, and the temperature effect (covariance over variance)."""
        excess = self._temp_excess()
        if excess is not None and self._usual_centi_c is not None:
            self._temp_variance += (excess * excess * 16 - self._temp_variance) // 1024
            self._temp_covariance += (
                excess * (mean - self._slow) * 16 - self._temp_covariance
            ) // 1024
            self._usual_centi_c += excess
        self._fast += (mean - self._fast) // 8
        self._slow += (mean - self._slow) // 1024
        self._count += (n * SCALE - self._count) // 1024

    def _check_uniform(self, cn0: "list[int]", n: int, now: int) -> None:
        if n < _UNIFORM_SIGNALS:
            return
        bins: dict[int, int] = {}
        for c in cn0:
            bins[c] = bins.get(c, 0) + 1
        largest = max([bins[c] + bins.get(c - 1, 0) + bins.get(c + 1, 0) for c in bins])
        percents = self._uniform_percents
        percents.append(100 * largest // n)
        if len(percents) > _LONG_WINDOW:
            percents.pop(0)
        percent, limit = sum(percents) // _LONG_WINDOW, _LONG_PERCENT
        if n >= _SHORT_SIGNALS:
            percent = sum(percents[-_SHORT_WINDOW:]) // _SHORT_WINDOW
            limit = max(
                _SHORT_PERCENT, min(limit, self._usual_uniform // _UNIFORM_SCALE + _ABOVE_USUAL)
            )
        present = percent >= limit
        self._detectors.report("uniform", present, now, percent, limit - 1)
        if not present:
            self._usual_uniform += (
                100 * largest * _UNIFORM_SCALE // n - self._usual_uniform
            ) // 256
