# SPDX-License-Identifier: Apache-2.0
"""Schedule of ticks on the monotonic clock, aligned with UTC.

Not a timer: it computes the time of the next tick; the agent reports each tick that has run. While
UTC is unknown, ticks follow each other at their period. With UTC, the scheduler moves each tick by
at most 1 % of the period. It stops when ticks fall on whole multiples of the period in UTC, plus
the phase of the unit (`control.slot_ms` of the configuration). So units with the same phase act at
the same time, and the period error of a loop is at most 1 %.

A cycle is one round of the field bus. It begins on a tick whose number in UTC is a multiple of the
cycle length. While ticks move to their phase, one cycle can be up to 90 % longer. No cycle is
shorter than half the length.
"""

_SLEW_DIVISOR = 100
LATENESS_EDGES = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
"""Upper limits of the tick lateness histogram, in µs. One more bin is above the last limit."""


class TickScheduler:
    """The schedule of one unit. Times are monotonic microseconds."""

    def __init__(self, period_us: int, tick_offset_us: int, per_cycle: int) -> None:
        self.period = period_us
        self.tick_offset_us = tick_offset_us
        self.per_cycle = per_cycle
        self.due = 0
        self.count = 0
        self.missed = 0
        self.max_late_us = 0
        self.lateness = [0] * (len(LATENESS_EDGES) + 1)
        self.tick_number = 0
        self.cycle_index = 0
        self.cycle_starts = False

    def start(self, now: int) -> None:
        """Schedule the first tick now; it begins a cycle."""
        self.due = now
        self.cycle_index = 2 * self.per_cycle

    def run(self, now: int, offset: "int | None") -> None:
        """Count the tick that is due and schedule the next one.

        `offset` is UTC minus monotonic time in µs, or None. Results: `cycle_starts`: this tick
        begins a cycle. `cycle_index`: index of the tick in the cycle. `tick_number`: periods since
        1970 in UTC, or since the zero of monotonic time while UTC is unknown.
        """
        period, due = self.period, self.due
        late_us = now - due
        self.count += 1
        if late_us > self.max_late_us:
            self.max_late_us = late_us
        if late_us <= LATENESS_EDGES[0]:  # the usual case
            self.lateness[0] += 1
        else:
            self._count_late(late_us)
        elapsed_us = due + (offset or 0) - self.tick_offset_us
        self.tick_number = (elapsed_us + period // 2) // period
        index, per_cycle = self.cycle_index + 1, self.per_cycle
        is_aligned = self.tick_number % per_cycle == 0 and index > per_cycle // 2
        self.cycle_starts = is_aligned or index >= 2 * per_cycle - 1
        self.cycle_index = 0 if self.cycle_starts else index
        due += period
        error = elapsed_us % period
        if error and offset is not None:
            if error > period // 2:
                error -= period
            max_step = period // _SLEW_DIVISOR
            if error > max_step:
                error = max_step
            elif error < -max_step:
                error = -max_step
            due -= error
        if now >= due:
            # The tick ran at or after the time of the next one: the ticks between were missed.
            skipped = (now - due) // period + 1
            self.missed += skipped
            due += skipped * period
        self.due = due

    def _count_late(self, late_us: int) -> None:
        i = 0
        for edge in LATENESS_EDGES:
            if late_us <= edge:
                break
            i += 1
        self.lateness[i] += 1
