"""How good is UTC, and is its bound ever wrong? The figures of the clock, over seeded runs.

    python -m benchmarks.clock [RUNS]

Not a test: the tests run the same with fewer seeds. Fixes and pulses are made in memory, by
`tests/portable/truetime.py`: sentences late by an exponential jitter of mean 20 ms of which the
mean is known, pulses with 1 us of noise, an oscillator that drifts with temperature.
"""

import math
import sys
import time
from statistics import median

from agent.clock import Clock
from protocols.timing import SECOND
from tests.portable.truetime import UTC, Bench, Chance, TrueFix, known


def rms(values: list[int]) -> float:
    """Root of the mean square."""
    return math.sqrt(sum(v * v for v in values) / len(values))


def sentences() -> None:
    """Sentences alone: after ten minutes, and after an hour of learning and one of holdover."""
    at_ten, held, bound = [], [], []
    for seed in range(1, 101):
        bench = Bench(known(), seed, ppm=(seed * 37 % 81) - 40.0)
        bench.run(600, ticks=1)
        at_ten.append(bench.error_us)
        bench.run(3000, ticks=1)
        bench.outage = True
        bench.ppm += 1.0 if seed % 2 else -1.0
        bench.run(3600, ticks=1)
        held.append(bench.error_us)
        bound.append(bench.bound_us)
    print(f"sentences, 10 min: {rms(at_ten) / 1000:.2f} ms rms, worst {_worst(at_ten):.2f} ms")
    print(
        f"1 h of holdover, 1 ppm: {rms(held) / 1000:.2f} ms rms, worst {_worst(held):.2f} ms, "
        f"bound {median(bound) / 1000:.0f} ms"
    )


def _worst(values: list[int]) -> float:
    return max(abs(v) for v in values) / 1000


def pulses() -> None:
    """With pulses: the error, and how long a drag goes unseen."""
    for name, tempco, drag in (("crystal", 1.0, 1.0), ("TCXO", 0.05, 0.1)):
        errors: list[int] = []
        seen = []
        for seed in range(1, 21):
            clock = known(tempco_ppb=int(tempco * 1000))
            bench = Bench(clock, seed, ppm=7.0, tempco=tempco, pps_us=1.0)
            for second in range(1800):
                bench.temp = 25 + 2 * math.sin(second / 3000)
                bench.run(1)
                if second > 600:
                    errors.append(bench.error_us)
            bench.drag = drag if seed % 2 else -drag
            bench.run(900, watch=lambda b: b.states.append(b.state()))
            seen.append(bench.states.index("untrusted") + 1)
        print(
            f"pulses, {name}: {rms(errors):.2f} us rms, worst {max(map(abs, errors))} us; a drag "
            f"of {drag} us/s seen after {median(seen):.0f} s, at most {max(seen)} s"
        )


def faulty(seed: int) -> Bench:
    """One run of random length of learning and a row of random faults; return its bench."""
    chance = Chance(seed * 7 + 3)
    pps = 1.0 if chance.below(2) else None
    tempco = (1.0, 0.05)[chance.below(2)]
    cold = chance.below(3) == 0
    drift, tempco_ppb = 50_000, int(tempco * 1000)
    clock = Clock(drift, tempco_ppb) if cold else known(drift, tempco_ppb=tempco_ppb)
    bench = Bench(clock, seed, ppm=chance.uniform() * 80 - 40, tempco=tempco, pps_us=pps)
    bench.sensor = chance.below(2) == 0
    if cold:
        bench.leap_s = (0, 1, 2, -1, 4, 14, 18, -3)[chance.below(8)]
    swing, pace = chance.uniform() * 3, 2000 + chance.below(4000)

    def weather(b: Bench) -> None:
        b.temp = 25 + swing * math.sin(b.second / pace)

    bench.run(20 + chance.below(700), 1, weather)
    bench.leap_s = 0
    bench.run(600 + chance.below(3600), 1, weather)
    for _ in range(1 + chance.below(4)):
        _fault(bench, chance, pps is not None)
        bench.run(10 + chance.below(1200), 1, weather)
        bench.outage = bench.no_pulse = False
        bench.drag = bench.step_us = bench.leap_s = bench.away_e7 = 0
        bench.dragged = 0.0
        bench.run(60 + chance.below(900), 1, weather)
    return bench


def _fault(bench: Bench, chance: Chance, pps: bool) -> None:
    kind = chance.below(6)
    sign = 1 if chance.below(2) else -1
    if kind == 0:
        bench.outage = True
    elif kind == 1:
        bench.no_pulse = True
    elif kind == 2:
        bench.leap_s = sign * (1, 4, 14, 18, 3600)[chance.below(5)]
    elif kind == 3:
        bench.away_e7 = sign * (20_000 + chance.below(50_000_000))
    elif kind == 4:
        bench.step_us = sign * (1_100_000 + chance.below(9_000_000))
    else:
        bench.drag = sign * ((1 + chance.below(200)) if pps else (20 + chance.below(2000)))


def bounds(runs: int) -> None:
    """In how many runs was the error always within the bound?"""
    good = 0
    for seed in range(1, runs + 1):
        bench = faulty(seed)
        good += bench.worst <= 0
        if bench.worst > 0:
            print(
                f"  seed {seed}: {bench.worst} us beyond its bound, {bench.clock.verdicts.counts}"
            )
    print(f"the bound held in {good} of {runs} runs with random faults")


def cost() -> None:
    """Microseconds a fix and a tick take."""
    clock = known()
    fixes = [TrueFix(UTC + i * SECOND, i * SECOND + i % 7 * 1000) for i in range(20_000)]
    began = time.perf_counter()
    for fix in fixes:
        clock.sample(fix)
    a_fix = time.perf_counter() - began
    began = time.perf_counter()
    for i in range(20_000):
        clock.slew(100_000, 20_000 * SECOND + i * 100_000)
    a_tick = time.perf_counter() - began
    print(f"a fix {a_fix * 50:.2f} us, a tick {a_tick * 50:.2f} us")


if __name__ == "__main__":
    cost()
    sentences()
    pulses()
    bounds(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
