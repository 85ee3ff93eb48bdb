# SPDX-License-Identifier: Apache-2.0
"""Contradictions of whole fixes: two times that cannot both be true.

Does not handle contradictions below the tolerance of a sentence; see
`agent.clock.estimate.time_source`.

While fixes contradict the clock, both times are in the bound. The clock holds its own time. It
follows the fixes if they are consistent for `RECOVERY`, or immediately if an independent source
confirms them. The time that it held before stays in the bound until the new one has been consistent
as long, at most for a day. If the fixes return to it, so does the clock.

All figures are µs; differences are relative to the clock.
"""

from agent.clock.estimate.time_source import CONSISTENT_COUNT, MAX_SUPPORT, RECOVERY

_PPB = 1_000_000_000


class StepDispute:
    """The contradiction, if there is one. `step_us`: fixes minus clock, None: no contradiction.

    `former_us`: the time that was held before the last change, minus the clock; None: none.
    `set_at`: when the clock was set. `offset_us`: the offset of the clock to which `former_us` is
    relative.
    """

    def __init__(self, drift_ppb: int, set_at: int) -> None:
        self.step_us: int | None = None
        self.former_us: int | None = None
        self.offset_us = 0
        self._drift_ppb = drift_ppb
        self._limit = self._since = self._count = 0
        self._former_limit = self._former_at = self._former_until = self._former_support = 0
        self._returned = 0
        self._supported_since = set_at

    def clear(self) -> None:
        """A fix agrees with the clock: nothing contradicts it now."""
        self.step_us = None
        self._returned = 0

    def is_nearer(self, step_us: int) -> bool:
        """Return whether a fix is nearer to those that contradict the clock than to the clock.

        Otherwise fixes at the limit of the tolerance, some of them inside, would contradict the
        clock for ever without being followed.
        """
        return self.step_us is not None and abs(step_us - self.step_us) < abs(step_us)

    def track(self, offset_us: int) -> None:
        """The clock has slewed to an offset; the time that was held before has not."""
        if self.former_us is not None:
            self.former_us -= offset_us - self.offset_us
        self.offset_us = offset_us

    def contradicted(self, now: int) -> None:
        """Fixes contradict the clock by less than a step: nothing supports the new time now."""
        self._former_until = max(self._former_until, now + self._former_support)

    def exclude_former(self, difference_us: int, uncertainty_us: int, now: int) -> None:
        """An independent source agrees with the clock: it differs by `difference_us`.

        The former time is false if that source excludes it too. While the clock slews to fixes that
        it follows, its bound is wide, and a source that supports the former time agrees as well.
        """
        former = self.former_us
        if former is None:
            return
        if abs(former - difference_us) > uncertainty_us + self._former_bound(now):
            self.former_us = None

    def add(self, step_us: int, limit_us: int, now: int) -> bool:
        """Add a fix that contradicts the clock. Return True if the clock must follow it."""
        former = self.former_us
        if former is not None:
            # The bound of the former time grows. That it has reached the fixes is no return.
            apart = abs(step_us - former)
            if apart <= limit_us + self._former_bound(now) and 2 * apart <= abs(former):
                self._returned += 1
                return self.has_returned()
        self._returned = 0
        before = self.step_us
        drift = self._drift_ppb * (now - self._since) // _PPB
        if before is None or abs(step_us - before) > limit_us + drift:
            self._since = now
            self.step_us = step_us
            self._count = 0
        self._limit = limit_us
        self._count += 1
        return self._count >= CONSISTENT_COUNT and now - self._since >= RECOVERY

    def follow(
        self, step_us: int, bound_us: int, now: int, contradicted_at: "int | None" = None
    ) -> None:
        """The clock has moved by `step_us` to the fixes. `bound_us`: its bound before.

        `contradicted_at`: when fixes began to contradict it by less than a step; None: not before.
        """
        if self.has_returned():
            self.former_us = None
        elif self.former_us is not None:
            self.former_us -= step_us
            self.contradicted(now)  # a drag can go on
        else:
            until = self._since if contradicted_at is None else contradicted_at
            support = min(until - self._supported_since, MAX_SUPPORT)
            self._former_support = max(support, RECOVERY)
            self._former_until = max(self._since + self._former_support, now + RECOVERY)
            self.former_us = -step_us
            self._former_limit = bound_us
            self._former_at = now
        self._supported_since = self._since
        self.clear()

    def has_returned(self) -> bool:
        """Return whether the fixes that contradict the clock are at the former time."""
        return self._returned >= CONSISTENT_COUNT

    def matches(self, difference_us: int, limit_us: int) -> bool:
        """Return whether the fixes that contradict the clock differ from it by `difference_us`."""
        step = self.step_us
        return step is not None and abs(step - difference_us) <= limit_us + self._limit

    def _former_bound(self, now: int) -> int:
        return self._former_limit + 2 * self._drift_ppb * (now - self._former_at) // _PPB

    def bound_us(self, now: int) -> int:
        """Return the distance from the clock to all times that could be true; 0: none."""
        bound = 0
        step, former = self.step_us, self.former_us
        if step is not None:
            drift = self._drift_ppb * (now - self._since) // _PPB
            bound = abs(step) + 2 * self._limit + drift
        if former is not None:
            if now >= self._former_until and step is None:
                self.former_us = None
            else:
                bound = max(bound, abs(former) + self._former_bound(now))
        return bound
