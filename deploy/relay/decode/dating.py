# SPDX-License-Identifier: Apache-2.0
"""Dates of rows without UTC: from other rows of their block, or from a later block of the run.

Theory of operation. A block states its run (start of the unit) and the uptime of its first row.
The rows of a run have one period. A block with UTC thus gives UTC minus uptime of the run, and a
block without UTC, received before or after it, gets its dates from that. The oscillator of the unit
is free in that time, so such a date is an estimate.

A time before 2024 or more than ten minutes ahead of the clock of the relay is not a date, also if
it is an estimate. The row is then treated as a row without UTC. A row between two rows with UTC
gets a date between theirs. The rows before the first and after the last of them follow the period;
a jump of the clock is no period.
"""

import itertools
import statistics
from dataclasses import dataclass

from deploy.relay.decode.row_format import RawBlock, RowSpan

EARLIEST_MS = 1_704_067_200_000
"""2024-01-01."""
MAX_AHEAD_MS = 600_000
_MOST_PERIOD_MS = 86_400_000
_JUMP = 2.0
"""A mean that is so many times the median of the steps has a jump of the clock."""


@dataclass(slots=True)
class RunClock:
    """UTC minus uptime of a run, ms; period of its rows, ms (0: unknown)."""

    run: int
    offset_ms: int
    period_ms: float


@dataclass(slots=True)
class Dates:
    """Result: a date for each row (None: unknown), how many are estimates, clocks of the runs.

    `rejected`: rows whose own time is not a date. `latest_ms`: the latest of those times.
    """

    times: list[int | None]
    estimated: int
    clocks: list[RunClock]
    rejected: int = 0
    latest_ms: int = 0


def date_rows(raw: RawBlock, now_ms: int, known: dict[int, RunClock]) -> Dates:
    """Date the rows of a block; `known`: the clocks of the runs that other blocks gave."""
    times: list[int | None] = []
    rejected = latest = 0
    for time_ms in raw.times:
        if time_ms is None or EARLIEST_MS <= time_ms <= now_ms + MAX_AHEAD_MS:
            times.append(time_ms)
            continue
        rejected += 1
        latest = max(latest, time_ms)
        times.append(None)
    clocks: dict[int, RunClock] = {}
    missing = sum(time_ms is None for time_ms in times)
    # The newest span with UTC dates the others.
    for span in reversed(raw.spans):
        clock = _clock_of_span(span, times, known.get(span.run))
        if clock is not None and span.run and span.run not in clocks:
            clocks[span.run] = clock
    for span in raw.spans:
        _fill_span(span, times, clocks.get(span.run) or known.get(span.run), now_ms + MAX_AHEAD_MS)
    left = sum(time_ms is None for time_ms in times)
    return Dates(times, 0 if left else missing, list(clocks.values()), rejected, latest)


def _known_rows(span: RowSpan, times: list[int | None]) -> list[tuple[int, int]]:
    rows = enumerate(times[span.first : span.first + span.count])
    return [(at, time_ms) for at, time_ms in rows if time_ms is not None]


def _period(rows: list[tuple[int, int]], fallback: float) -> float:
    """Return the period of rows with UTC, ms; 0 if it is unknown."""
    if len(rows) < 2:
        return fallback
    (first, first_ms), (last, last_ms) = rows[0], rows[-1]
    mean = (last_ms - first_ms) / (last - first)
    usual = statistics.median([_step(*pair) for pair in itertools.pairwise(rows)])
    period = mean if usual / _JUMP < mean < usual * _JUMP else usual
    return period if 0 < period <= _MOST_PERIOD_MS else fallback


def _step(row: tuple[int, int], later: tuple[int, int]) -> float:
    return (later[1] - row[1]) / (later[0] - row[0])


def _clock_of_span(
    span: RowSpan, times: list[int | None], known: RunClock | None
) -> RunClock | None:
    rows = _known_rows(span, times)
    if not rows or span.uptime_ms is None:
        return None
    period = _period(rows, known.period_ms if known is not None else 0.0)
    at, time_ms = rows[-1]
    if at and not period:
        return None
    return RunClock(span.run, round(time_ms - span.uptime_ms - at * period), period)


def _fill_span(
    span: RowSpan, times: list[int | None], clock: RunClock | None, latest_ms: int
) -> None:
    """Date the rows of a span in place; no date is after `latest_ms`."""
    rows = _known_rows(span, times)
    if len(rows) == span.count:
        return
    period = _period(rows, clock.period_ms if clock is not None else 0.0)
    if rows:
        anchor, anchor_ms = rows[0]
    elif clock is not None and span.uptime_ms is not None:
        anchor, anchor_ms = 0, span.uptime_ms + clock.offset_ms
    else:
        return
    between = {row[0]: _step(row, later) for row, later in itertools.pairwise(rows)}
    by_row = dict(rows)
    step = period
    for at in range(span.count):
        if at in by_row:
            anchor, anchor_ms = at, by_row[at]
            step = between[at] if between.get(at, 0) > 0 else period
        elif step or at == anchor:
            date = round(anchor_ms + (at - anchor) * step)
            times[span.first + at] = date if EARLIEST_MS <= date <= latest_ms else None
