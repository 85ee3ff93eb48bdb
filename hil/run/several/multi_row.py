# SPDX-License-Identifier: Apache-2.0
"""Many rows with a power cap at the same UTC time and without a network.

Does not run the rows at the same time: they share only UTC. Each run starts at the same UTC. Each
row has its own seed, oscillator and power-on time within a second. The link to the ground is cut
before the cap. The result of a row is the true UTC of its first lower limit and of its raised
limits, as the services receive them.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from hil.bench.testbed_settings import TestbedSettings
from hil.run.virtual import START_UTC, VirtualRun
from hil.scenario.model import Scenario, ScenarioEvent

CAP_AT_S, RELEASE_AT_S, SECONDS = 40, 42, 125
_CAP_PCT = 60
_SECOND = 1_000_000
_TICK_US = 100_000
_START_STEP_US = 791_123
"""Difference of the power-on time from row to row, µs."""
_LINK_CUT_S = 20.0


@dataclass(frozen=True)
class RowResult:
    """Result of one row; times are true UTC in µs after the scheduled time.

    `capped_us`: the first limit. `rise_us`: each raised limit. `tick_offset`: tick of the
    execution.
    """

    row: int
    capped_us: int | None
    tick_offset: int | None
    rise_us: tuple[int, ...]
    clock_error_us: int


def make_row_scenario(row: int, stagger_ms: int) -> Scenario:
    """Make the scenario of one row."""
    settings = replace(
        TestbedSettings(),
        it_kw=90.0,
        pumps=1,
        parts="throttle",
        slot=row % 64,
        stagger_ms=stagger_ms,
        drift_ppm=((row * 37) % 41 - 20) / 1.0,
        receiver_latency_ms=40.0 + row % 30,
        schedule=f"{CAP_AT_S} cap_pct {_CAP_PCT}; {RELEASE_AT_S} cap_pct 100",
    )
    event = ScenarioEvent(at_s=_LINK_CUT_S, do="broker_down")
    return Scenario(f"row{row}", "one row of many", float(SECONDS), settings, (event,), ())


def run_row(row: int, stagger_ms: int, make_dut: Callable[..., Any] | None = None) -> RowResult:
    """Run one row."""
    scenario = make_row_scenario(row, stagger_ms)
    run = (
        VirtualRun(scenario, row + 1)
        if make_dut is None
        else VirtualRun(scenario, row + 1, make_dut)
    )
    run.world.advance_to(row * _START_STEP_US % _SECOND)
    try:
        run.run()
    finally:
        run.dut.close()
    due_us = START_UTC // _SECOND * _SECOND + CAP_AT_S * _SECOND
    bank, world = run.testbed.load_bank, run.world
    assert bank is not None
    patches = sorted(
        (at_us, name, limit_w) for bmc in bank.bmcs.values() for at_us, name, limit_w in bmc.patches
    )
    utc_times = [world.utc(at_us) - due_us for at_us, _, _ in patches]
    cap_times = [utc_us for utc_us in utc_times if utc_us < 30 * _SECOND]
    executed_entries = run.status["throttle"]["done"] if run.status else []
    tick = (
        (executed_entries[0][0] * _TICK_US - executed_entries[0][1]) // _TICK_US
        if executed_entries
        else None
    )
    status = run.status or {}
    error = abs(status["utc_us"] - world.utc(status["mono_us"])) if status.get("utc_us") else -1
    rise_times = tuple(utc_us for utc_us in utc_times if utc_us >= 30 * _SECOND)
    return RowResult(row, min(cap_times, default=None), tick, rise_times, error)


def run_rows(
    rows: int, stagger_ms: int = 0, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Run `rows` rows, until Ctrl-C; give the record of `coldloop hil hall --json`.

    Raises KeyboardInterrupt before the end of the first row.
    """
    started_s = time.perf_counter()
    results = []
    is_interrupted = False
    try:
        for row in range(rows):
            results.append(run_row(row, stagger_ms))
            if progress is not None:
                progress(row + 1)
    except KeyboardInterrupt:
        if not results:
            raise
        rows, is_interrupted = len(results), True
    capped_times = [result.capped_us for result in results if result.capped_us is not None]
    rises_per_second = Counter(result.rise_us[0] // _SECOND for result in results if result.rise_us)
    delays_us = [
        result.capped_us - result.row % 64 * stagger_ms * 1000
        for result in results
        if result.capped_us is not None
    ]
    is_within_tick = len(delays_us) == rows and min(delays_us) >= 0 and max(delays_us) <= _TICK_US
    return {
        "rows": rows,
        "interrupted": is_interrupted,
        "link": "down",
        "tick_ms": _TICK_US // 1000,
        "stagger_ms": stagger_ms,
        "acted": len(capped_times),
        "first_us": min(capped_times, default=None),
        "last_us": max(capped_times, default=None),
        "spread_us": max(capped_times, default=0) - min(capped_times, default=0),
        "within_one_tick": is_within_tick,
        "same_tick": len({result.tick_offset for result in results}) == 1,
        "worst_clock_error_us": max(result.clock_error_us for result in results),
        "most_rise_in_one_second": max(rises_per_second.values(), default=0),
        "virtual_s": rows * SECONDS,
        "wall_s": round(time.perf_counter() - started_s, 1),
    }
