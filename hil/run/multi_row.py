"""A hall of rows: each with its own controller, clock, receiver and loads, one true UTC for all.

Rows share nothing but UTC, so they are run one after the other from the same UTC on, each with its
own chance, oscillator and moment of being switched on (within a second). The link to the ground is
cut before anything is due. What each row does is looked at from outside: the true UTC at which the
first lower limit reached a service, and at which limits were raised again.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hil.bench.testbed_settings import Setting
from hil.run.virtual import START_UTC, VirtualRun
from hil.scenario.model import Event, Scenario

CAP_AT_S, FREE_AT_S, SECONDS = 40, 42, 125
_CAP_PCT = 60
_SECOND = 1_000_000
_TICK_US = 100_000
_APART_US = 791_123
"""Each row is switched on so much later in the second than the one before it."""
_LINK_LOST_S = 20.0


@dataclass(frozen=True)
class RowResult:
    """True UTC in µs after the instant that was scheduled: of the first limit, of each rise."""

    row: int
    capped_us: int | None
    tick_off: int | None
    raised_us: tuple[int, ...]
    clock_error_us: int


def scenario(row: int, stagger_ms: int) -> Scenario:
    """The scenario of one row of the hall."""
    setting = replace(
        Setting(),
        it_kw=90.0,
        pumps=1,
        parts="throttle",
        slot=row % 64,
        stagger_ms=stagger_ms,
        drift_ppm=((row * 37) % 41 - 20) / 1.0,
        receiver_latency_ms=40.0 + row % 30,
        schedule=f"{CAP_AT_S} cap_pct {_CAP_PCT}; {FREE_AT_S} cap_pct 100",
    )
    event = Event(at_s=_LINK_LOST_S, do="broker_down")
    return Scenario(f"row{row}", "a row of the hall", float(SECONDS), setting, (event,), ())


def run_row(row: int, stagger_ms: int, make: Callable[..., Any] | None = None) -> RowResult:
    """Run one row."""
    about = scenario(row, stagger_ms)
    run = VirtualRun(about, row + 1) if make is None else VirtualRun(about, row + 1, make)
    run.world.now = row * _APART_US % _SECOND
    try:
        run.run()
    finally:
        run.dut.close()
    due = START_UTC // _SECOND * _SECOND + CAP_AT_S * _SECOND
    bank, world = run.row.bank, run.world
    assert bank is not None
    told = sorted((at, name, w) for b in bank.bmcs.values() for at, name, w in b.patches)
    utc = [world.utc(at) - due for at, _, _ in told]
    lows = [u for u in utc if u < 30 * _SECOND]
    done = run.status["throttle"]["done"] if run.status else []
    tick = (done[0][0] * _TICK_US - done[0][1]) // _TICK_US if done else None
    status = run.status or {}
    error = abs(status["utc_us"] - world.utc(status["mono_us"])) if status.get("utc_us") else -1
    raised = tuple(u for u in utc if u >= 30 * _SECOND)
    return RowResult(row, min(lows, default=None), tick, raised, error)


def run_hall(
    rows: int, stagger_ms: int = 0, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Run `rows` rows; give the record of `coldloop hil hall --json`."""
    began = time.perf_counter()
    results = []
    for row in range(rows):
        results.append(run_row(row, stagger_ms))
        if progress is not None:
            progress(row + 1)
    times = [r.capped_us for r in results if r.capped_us is not None]
    first_rise = Counter(r.raised_us[0] // _SECOND for r in results if r.raised_us)
    late = [
        r.capped_us - r.row % 64 * stagger_ms * 1000 for r in results if r.capped_us is not None
    ]
    within = len(late) == rows and min(late) >= 0 and max(late) <= _TICK_US
    return {
        "rows": rows,
        "link": "down",
        "tick_ms": _TICK_US // 1000,
        "stagger_ms": stagger_ms,
        "acted": len(times),
        "first_us": min(times, default=None),
        "last_us": max(times, default=None),
        "spread_us": max(times, default=0) - min(times, default=0),
        "within_one_tick": within,
        "same_tick": len({r.tick_off for r in results}) == 1,
        "worst_clock_error_us": max(r.clock_error_us for r in results),
        "most_rise_in_one_second": max(first_rise.values(), default=0),
        "virtual_s": rows * SECONDS,
        "wall_s": round(time.perf_counter() - began, 1),
    }
