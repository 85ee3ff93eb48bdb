# SPDX-License-Identifier: Apache-2.0
"""Accuracy of UTC, validity of its bound, delay of the detection of false time, in virtual runs.

    python -m benchmarks.gnss.clock [--runs 1000] [--seeds 100] [--only sentences …] [--json]

Does not replace the tests, which run the same with fewer seeds. The module
`tests/portable/support/reference_time.py` makes fixes and pulses in memory. Sentences have an
exponential jitter of mean 20 ms; the mean is known. Pulses have 1 us of noise. The frequency of the
oscillator depends on the temperature.
"""

import argparse
import math
import time
from collections.abc import Callable
from statistics import median

from agent.clock.estimate.temperature_model import TempcoModel
from agent.clock.evidence import EvidenceLog
from agent.clock.utc_clock import UtcClock
from agent.gnss.detectors import DetectorSet
from agent.gnss.signal_check import SignalCheck
from benchmarks.common import Record, describe_machine, progress, show
from protocols.time_units import SECOND
from tests.portable.agent.clock.test_wrong_date import KINDS, ROLLOVERS, feed_clock
from tests.portable.support.reference_time import (
    UTC,
    ClockRig,
    NoiseSource,
    ReferenceFix,
    synced_leap_clock,
)

Row = tuple[str, str, str, bool]
"""Figure, aim, result, whether the aim is met."""


_PULSE_BOUND_US = 1_000
"""A smaller bound is that of pulses. The sentences must first exclude a wrong edge."""


def rms(values: list[int]) -> float:
    """Return the root mean square."""
    return math.sqrt(sum(v * v for v in values) / len(values))


def _largest(values: list[int]) -> int:
    return max(abs(v) for v in values)


def sentences(seeds: int) -> list[Row]:
    """Sentences only: error after ten minutes, and after one hour of fits and of holdover."""
    at_ten, holdover_errors, bound = [], [], []
    for seed in range(1, seeds + 1):
        bench = ClockRig(synced_leap_clock(), seed, ppm=(seed * 37 % 81) - 40.0)
        bench.run(600, ticks=1)
        at_ten.append(bench.error_us)
        bench.run(3000, ticks=1)
        bench.outage = True
        bench.ppm += 1.0 if seed % 2 else -1.0
        bench.run(3600, ticks=1)
        holdover_errors.append(bench.error_us)
        bound.append(bench.bound_us)
    ten = f"{rms(at_ten) / 1000:.2f} ms rms, worst {_largest(at_ten) / 1000:.2f} ms"
    hour = (
        f"{rms(holdover_errors) / 1000:.2f} ms rms, "
        f"worst {_largest(holdover_errors) / 1000:.2f} ms, bound {median(bound) / 1000:.0f} ms"
    )
    return [
        ("sentences only, after 10 min", "<= 2 ms rms", ten, rms(at_ten) <= 2000),
        ("1 h of holdover, drift of 1 ppm", "<= 6 ms", hour, _largest(holdover_errors) <= 6000),
    ]


def pulses(seeds: int) -> list[Row]:
    """Pulses: the error, and the delay of the detection of a time drag."""
    rows = []
    for name, tempco, drag, limit_s in (("crystal", 1.0, 1.0, 60), ("TCXO", 0.05, 0.1, 600)):
        errors: list[int] = []
        detected_after: list[int] = []
        used_after: list[int] = []
        for seed in range(1, max(2, seeds // 5) + 1):
            clock = synced_leap_clock(tempco_ppb_per_c=int(tempco * 1000))
            bench = ClockRig(clock, seed, ppm=7.0, tempco=tempco, pps_us=1.0)
            bench.sensor = True  # without it, a drag cannot be distinguished from warming
            for second in range(3000):
                bench.temp = 25 + 2 * math.sin(second / 3000)
                bench.run(1)
                if second > 2400:
                    errors.append(bench.error_us)
                if len(used_after) < seed and 0 < bench.bound_us < _PULSE_BOUND_US:
                    used_after.append(second)
            bench.drag = drag if seed % 2 else -drag
            bench.run(900, observe=lambda b: b.states.append(b.state()))
            detected_after.append(bench.states.index("untrusted") + 1)
        text = f"{rms(errors):.2f} us rms, worst {_largest(errors)} us"
        rows.append((f"pulses, {name}", "<= 2 us rms", text, rms(errors) <= 2))
        text = f"after {median(used_after):.0f} s, at most {max(used_after)} s"
        rows.append((f"pulses in use, {name}", "", text, len(used_after) >= max(2, seeds // 5)))
        text = f"after {median(detected_after):.0f} s, at most {max(detected_after)} s"
        rows.append(
            (
                f"drag of {drag} us/s, {name}",
                f"<= {limit_s} s",
                text,
                max(detected_after) <= limit_s,
            )
        )
    return rows


def temperature_model(seeds: int) -> list[Row]:
    """Six hours of fits over a swing of 3 degrees, two hours of holdover, 0.8 ppm a degree."""
    errors: dict[bool, list[int]] = {False: [], True: []}
    for seed in range(1, max(2, seeds // 10) + 1):
        for learned in (False, True):
            clock = synced_leap_clock()
            if learned:
                clock.holdover.use_model(TempcoModel(1_000))
            bench = ClockRig(clock, seed, ppm=5.0, tempco=0.8, pps_us=1.0)
            bench.sensor = True

            def swing(b: ClockRig) -> None:
                b.temp = 25 + 3 * math.sin(b.second / 3000)

            bench.run(21_600, 1, swing)
            bench.outage = True
            bench.run(7200, 1, swing)
            errors[learned].append(bench.error_us)
    text = f"{rms(errors[True]):.0f} us rms, without it {rms(errors[False]):.0f} us"
    better = rms(errors[True]) < rms(errors[False])
    return [("2 h of holdover, a degree learned", "better than without", text, better)]


def false_time(_seeds: int) -> list[Row]:
    """Position jump, time jump, uniform power: epochs until the detection. Wrong date: none."""
    rows = []
    for name, fault, value in (
        ("jump of 500 km", "away_e7", 45_000_000),
        ("step of 4 s", "leap_s", 4),
    ):
        bench = ClockRig(synced_leap_clock(), 1)
        bench.run(600, ticks=1)
        setattr(bench, fault, value)
        count = 0
        while bench.state() != "untrusted" and count < 100:
            bench.run(1)
            count += 1
        rows.append((name, "1 epoch", f"{count} epoch", count == 1))
    equal = _equal_power()
    rows.append(("equal C/N0 of all signals", "<= 10 epochs", f"{equal} epochs", equal <= 10))
    wrong = []
    for name in KINDS:
        accepted, moved = feed_clock(name, True)
        if moved > 100_000 or (accepted and name not in ROLLOVERS):
            wrong.append(name)
    text = f"{len(wrong)} of {len(KINDS)} kinds" + "".join(f", {name}" for name in wrong)
    rows.append(("bogus time accepted", "none", text, not wrong))
    return rows


def _equal_power() -> int:
    detectors = DetectorSet(EvidenceLog())
    signals = SignalCheck(detectors)
    rng = NoiseSource(5)
    for second in range(100):
        sky = [int(30 + 18 * i / 19 + rng.uniform() * 3) for i in range(20)]
        signals.add_epoch(sky, second * SECOND)
    for count in range(1, 100):
        signals.add_epoch([43 + rng.below(2) for _ in range(12)], (100 + count) * SECOND)
        if "uniform" in detectors.active:
            return count
    return 100


def run_with_faults(seed: int) -> ClockRig:
    """Run fits of random length and a sequence of random faults; return the bench of the run."""
    rng = NoiseSource(seed * 7 + 3)
    pps = 1.0 if rng.below(2) else None
    tempco = (1.0, 0.05)[rng.below(2)]
    cold = rng.below(3) == 0
    drift, tempco_ppb_per_c = 50_000, int(tempco * 1000)
    clock = (
        UtcClock(drift, tempco_ppb_per_c)
        if cold
        else synced_leap_clock(drift, tempco_ppb_per_c=tempco_ppb_per_c)
    )
    bench = ClockRig(clock, seed, ppm=rng.uniform() * 80 - 40, tempco=tempco, pps_us=pps)
    bench.sensor = rng.below(2) == 0
    if bench.sensor and seed % 2:
        clock.holdover.use_model(TempcoModel(tempco_ppb_per_c))
    if cold:
        bench.leap_s = (0, 1, 2, -1, 4, 14, 18, -3)[rng.below(8)]
    swing, pace = rng.uniform() * 3, 2000 + rng.below(4000)

    def vary_temperature(b: ClockRig) -> None:
        b.temp = 25 + swing * math.sin(b.second / pace)

    bench.run(20 + rng.below(700), 1, vary_temperature)
    bench.leap_s = 0
    bench.run(600 + rng.below(3600), 1, vary_temperature)
    for _ in range(1 + rng.below(4)):
        _fault(bench, rng, pps is not None)
        bench.run(10 + rng.below(1200), 1, vary_temperature)
        bench.outage = bench.no_pulse = False
        bench.drag = bench.step_us = bench.leap_s = bench.away_e7 = 0
        bench.total_drag_us = 0.0
        bench.run(60 + rng.below(900), 1, vary_temperature)
    return bench


def _fault(bench: ClockRig, rng: NoiseSource, pps: bool) -> None:
    kind = rng.below(6)
    sign = 1 if rng.below(2) else -1
    if kind == 0:
        bench.outage = True
    elif kind == 1:
        bench.no_pulse = True
    elif kind == 2:
        bench.leap_s = sign * (1, 4, 14, 18, 3600)[rng.below(5)]
    elif kind == 3:
        bench.away_e7 = sign * (20_000 + rng.below(50_000_000))
    elif kind == 4:
        bench.step_us = sign * (1_100_000 + rng.below(9_000_000))
    else:
        bench.drag = sign * ((1 + rng.below(200)) if pps else (20 + rng.below(2000)))


def bounds(runs: int) -> list[Row]:
    """Count the runs in which the error was always within the bound."""
    held_count = 0
    for seed in range(1, runs + 1):
        bench = run_with_faults(seed)
        held_count += bench.max_excess_us <= 0
        if bench.max_excess_us > 0:
            progress(
                f"seed {seed}: {bench.max_excess_us} us beyond, {bench.clock.evidence_log.counts}"
            )
    text = f"{held_count} of {runs}"
    return [("runs in which the bound held", f"{runs} of {runs}", text, held_count == runs)]


def cost(_seeds: int) -> list[Row]:
    """Microseconds that a fix and a tick take."""
    clock = synced_leap_clock()
    fixes = [ReferenceFix(UTC + i * SECOND, i * SECOND + i % 7 * 1000) for i in range(20_000)]
    started_at = time.perf_counter()
    for fix in fixes:
        clock.add_fix(fix)
    a_fix = time.perf_counter() - started_at
    started_at = time.perf_counter()
    for i in range(20_000):
        clock.slew(100_000, 20_000 * SECOND + i * 100_000)
    a_tick = time.perf_counter() - started_at
    return [("cost", "", f"a fix {a_fix * 50:.2f} us, a tick {a_tick * 50:.2f} us", True)]


FIGURES: dict[str, Callable[[int], list[Row]]] = {
    "cost": cost,
    "false_time": false_time,
    "sentences": sentences,
    "pulses": pulses,
    "heat": temperature_model,
    "bounds": bounds,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gnss.clock",
        description="Accuracy of UTC, validity of its bound, delay of the detection of false time.",
        epilog="example: python -m benchmarks.gnss.clock --runs 1000",
    )
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="runs with faults")
    parser.add_argument(
        "--seeds", type=int, default=100, metavar="N", help="runs of the other figures"
    )
    parser.add_argument("--only", nargs="+", choices=list(FIGURES), default=list(FIGURES))
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    arguments = parser.parse_args()
    rows: list[Row] = []
    for name in arguments.only:
        progress(name)
        rows += FIGURES[name](arguments.runs if name == "bounds" else arguments.seeds)
    record: Record = {
        "machine": describe_machine(),
        "figures": [
            {"what": figure, "aim": aim, "seen": observed, "met": met}
            for figure, aim, observed, met in rows
        ],
    }
    show(record, arguments.json, ("figure", "aim", "result"), [row[:3] for row in rows])
    return 0 if all(row[3] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
