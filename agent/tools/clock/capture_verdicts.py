# SPDX-License-Identifier: Apache-2.0
"""The verdicts of `coldloop nmea decode --verdicts`; see `agent.tools.clock.nmea_command`.

Each epoch passes the checks that the running agent makes: those of the clock
(`agent.clock.utc_clock`) and those of the signals (`agent.gnss`). An epoch that fails a check has
a verdict; the summary counts them. Nothing is configured, so the checks learn site and levels from
the first epochs.

A capture has no arrival times. The checks then count one period for each epoch with a time; the
period is the most frequent difference between the last times. If sentences were damaged, up to
`_MAX_LOST` missing periods are explained by them. A pause of the recording is a verdict `step`.
"""

from agent.clock.evidence import CHECKS
from agent.clock.leap_second import time_scale_name
from agent.clock.position_check import PositionCheck
from agent.clock.utc_clock import UtcClock
from agent.gnss.constellation_check import ConstellationCheck
from agent.gnss.detectors import DETECTORS, DetectorSet
from agent.gnss.signal_check import SignalCheck
from agent.tools.clock.clock_text import UNITS
from drivers.gnss.epoch import Epoch
from drivers.gnss.receiver import Fix
from protocols.time_units import SECOND

_DRIFT_PPB = 50_000
_FIRST_US = 1_000 * SECOND
_PERIODS = 11
_MAX_PERIOD_US = 10 * SECOND
_MAX_LOST = 5
_JUMP_M = 1_000
"""Two fixes in a row with more distance than this, and than `_JUMP_MPS` explains, are a jump."""
_JUMP_MPS = 300
_NAMES = tuple(name for name, _ in CHECKS + DETECTORS)


class CaptureJudge:
    """The checks over the epochs of one stream, which are given in order.

    `radius_m`: largest distance from the site. `counts`: epochs with a verdict, by check.
    """

    def __init__(self, radius_m: int) -> None:
        self.clock = UtcClock(_DRIFT_PPB, leap_known=True, radius_m=radius_m)
        self.counts: dict[str, int] = {}
        self._detectors = DetectorSet(self.clock.evidence_log)
        self._signals = SignalCheck(self._detectors)
        self._constellations = ConstellationCheck(self._detectors)
        self._mono_us = _FIRST_US
        self._last_us: int | None = None
        self._differences: list[int] = []
        self._last_fix: Fix | None = None
        self._damaged = False

    def judge_epoch(self, epoch: Epoch) -> list[str]:
        """Return the verdicts on an epoch: check, figure and unit."""
        log = self.clock.evidence_log
        counts_before = dict(log.counts)
        now = self._time_of(epoch)
        self.clock.slew(now - self._mono_us, now)
        self._mono_us = now
        self._check_signals(epoch, now)
        if epoch.utc_us is not None and epoch.valid:
            fix = _make_fix(epoch, now)
            self._check_jump(fix)
            self.clock.add_fix(fix)
        new_verdicts = [
            name for name in _NAMES if log.counts.get(name, 0) > counts_before.get(name, 0)
        ]
        for name in new_verdicts:
            self.counts[name] = self.counts.get(name, 0) + 1
        return [self._text(name) for name in new_verdicts]

    def summary(self) -> dict[str, object]:
        """Return the counts, and the state of the clock at the end."""
        return {"verdicts": self.counts, "clock": self.clock.state(self._mono_us)}

    def _time_of(self, epoch: Epoch) -> int:
        """Return the monotonic time of an epoch; for a capture by counting periods."""
        if epoch.group.timing_valid:
            return max(epoch.mono_us, self._mono_us)
        damaged, self._damaged = self._damaged, epoch.group.error_count > 0
        utc_us, last_us = epoch.utc_us, self._last_us
        if utc_us is None:
            return self._mono_us
        self._last_us = utc_us
        if last_us is None:
            return self._mono_us
        difference = utc_us - last_us
        if 0 < difference <= _MAX_PERIOD_US:
            self._differences = [*self._differences[1 - _PERIODS :], difference]
        if not self._differences:
            return self._mono_us
        period = max(set(self._differences), key=self._differences.count)
        is_lost = damaged or self._damaged
        if is_lost and difference % period == 0 and 0 < difference <= (_MAX_LOST + 1) * period:
            period = difference
        return self._mono_us + period

    def _check_signals(self, epoch: Epoch, now: int) -> None:
        self._detectors.report_receiver(epoch, now)
        view = epoch.satellite_view
        if view.has_gsv and view.complete:
            cn0 = [signal[2] for satellite in view.satellites for signal in satellite.signals]
            self._signals.add_epoch(cn0, now)
            self._constellations.add_epoch(view.satellites, now)
        failed = len(self._detectors.active) if self._detectors.integrity_failed() else 0
        self.clock.set_failed_signals(failed)

    def _check_jump(self, fix: Fix) -> None:
        """Check the distance from the fix before: the site is known only after 30 fixes."""
        last, self._last_fix = self._last_fix, fix
        if last is None or last.lat_e7 is None or last.lon_e7 is None:
            return
        limit = _JUMP_M + _JUMP_MPS * (fix.mono_us - last.mono_us) // SECOND
        distance = PositionCheck((last.lat_e7, last.lon_e7), limit).distance_m(fix)
        if distance > limit:
            self.clock.reject("position", fix.mono_us, distance, limit)

    def _text(self, name: str) -> str:
        entries = [entry for entry in self.clock.evidence_log.entries if entry.check == name]
        figure, limit, unit = entries[-1].figure, entries[-1].limit, UNITS[name]
        if unit == "us":
            text = f"{name} {figure / SECOND:+.3f} s"
        else:
            text = f"{name} {figure} {unit}".rstrip() if unit else name
        scale = time_scale_name(figure, limit) if name == "step" else None
        return f"{text} (probably {scale})" if scale else text


def _make_fix(epoch: Epoch, now: int) -> Fix:
    # a recording can be older than the receiver's weeks: a corrected date is a flag, no verdict
    fix = Fix(epoch.utc_us, now, ("leap second",) if epoch.in_leap_second else ())
    fix.lat_e7, fix.lon_e7, fix.alt_mm = epoch.lat_e7, epoch.lon_e7, epoch.alt_mm
    return fix
