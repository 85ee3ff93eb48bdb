"""UTC from the controller's monotonic clock and the receiver's fixes.

Not a judge of the sky: it takes the fixes that the receiver's driver calls valid, and believes them
only as far as they agree with each other and with the oscillator.

How it works. UTC = monotonic time + offset, all in integer microseconds. Each valid fix is a
sample of the offset. The first `_AGREEING` samples that agree set the label once; from then on the
offset is slewed towards the mean of the last `_WINDOW` samples by at most 1 % of a period a tick,
so that no step ever reaches a control loop. A sample far from the label is not believed: it is
counted, and while such samples are all that comes the state is `untrusted`.

States: free (never set), sync, holdover (no believable sample for `_SILENCE`), untrusted. The
bound is the spread of the samples behind the offset, plus what is still to be slewed, plus a fixed
allowance for the receiver's latency, plus the oscillator's drift since the last sample.
"""

from protocols.timing import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from drivers.receiver import Fix

_AGREEING = 3
_WINDOW = 16
_SILENCE = 3 * SECOND
_TOLERANCE = 200 * MILLISECOND
"""Arrival of a sentence wobbles by up to 170 ms on some receivers; beyond it something is wrong."""
_LATENCY_ALLOWANCE = 10 * MILLISECOND
"""What a receiver's real latency may differ from the mean that its configuration states."""
_SLEW_DIVISOR = 100


class Clock:
    """UTC with a state and a bound.

    `drift_ppb`: how far the controller's oscillator may be off, in parts per billion.
    """

    def __init__(self, drift_ppb: int) -> None:
        self.drift_ppb = drift_ppb
        self.offset: int | None = None
        self.rejected = 0
        self.accepted = 0
        self._target = 0
        self._samples: list[int] = []
        self._spread = 0
        self._last_good = 0
        self._last_bad = 0

    def sample(self, fix: "Fix") -> bool:
        """Take one fix; return whether it was believed."""
        if not fix.valid or fix.utc_us is None:
            return False
        measured = fix.utc_us - fix.mono_us
        if self.offset is None:
            self._begin(measured, fix.mono_us)
            return True
        # The oscillator may have drifted since the last good sample: allow for it.
        drift = (fix.mono_us - self._last_good) * self.drift_ppb // 1_000_000_000
        if abs(measured - self._target) > _TOLERANCE + drift:
            self.rejected += 1
            self._last_bad = fix.mono_us
            return False
        if fix.mono_us - self._last_good > _SILENCE:
            self._samples = []
        self._keep(measured, fix.mono_us)
        return True

    def _begin(self, measured: int, mono_us: int) -> None:
        if self._samples and abs(measured - self._samples[-1]) > _TOLERANCE:
            self._samples = []
            self.rejected += 1
        self._keep(measured, mono_us)
        if len(self._samples) >= _AGREEING:
            self.offset = self._target

    def _keep(self, measured: int, mono_us: int) -> None:
        samples = self._samples
        samples.append(measured)
        if len(samples) > _WINDOW:
            samples.pop(0)
        # Mean of small differences: sums of whole offsets would be large integers on a small board.
        first = samples[0]
        self._target = first + sum([s - first for s in samples]) // len(samples)
        self._spread = max(samples) - min(samples)
        self._last_good = mono_us
        self.accepted += 1

    def slew(self, period_us: int) -> None:
        """Move the offset towards its target by at most 1 % of `period_us`."""
        if self.offset is None or self.offset == self._target:
            return
        step, most = self._target - self.offset, period_us // _SLEW_DIVISOR
        self.offset += max(-most, min(most, step))

    def utc(self, now: int) -> "int | None":
        """UTC at `now` in microseconds since 1970, or None while it is not known."""
        return None if self.offset is None else now + self.offset

    def state(self, now: int) -> str:
        """Name the state: free, sync, holdover or untrusted."""
        if self.offset is None:
            return "free"
        if now - self._last_good <= _SILENCE:
            return "sync"
        return "untrusted" if now - self._last_bad <= _SILENCE and self._last_bad else "holdover"

    def bound_us(self, now: int) -> "int | None":
        """How far UTC may be off at `now`, in microseconds, or None while it is not known."""
        if self.offset is None:
            return None
        drift = max(0, now - self._last_good) * self.drift_ppb // 1_000_000_000
        return self._spread + abs(self._target - self.offset) + _LATENCY_ALLOWANCE + drift
